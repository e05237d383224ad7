"""Numbers from a file, for nets that have no task: `.npy`, `.npz`, or rows of text."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cello.convert import NetGraph
from cello.errors import ArgumentError, DataError
from cello.layers.reads import Reads, reads_of
from cello.ranges import shown
from cello.tasks.base import Given

__all__ = ["NumberReader", "read_arrays"]

_LARGEST = 2**31
#: Of an array in a .npz that holds several.
_NAME = "x"


class NumberReader:
    """How a net without a task is read to: by numbers, as a task reads its files (`FileTask`).

    Args:
        net: it reads ids, or numbers.
    """

    separator, labels = "\n", None

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def given(self, path: Path, *, token: int | str | None = None) -> list[Given]:
        """The sequences of a file of NumPy's or of text."""
        return _read_numbers(self.net, path)

    def given_text(self, text: str) -> list[Given]:
        """The sequences of a text, a step on each line."""
        return _parse_numbers(self.net, text, "line")

    def text_of(self, path: Path | None) -> str:
        """The numbers of a file as text; without one, random ones that are always the same."""
        if path is None:
            return _some_numbers(self.net)
        return "\n\n".join("\n".join(one.tokens) for one in self.given(path)) + "\n"


def _read_numbers(net: nn.Module, path: Path) -> list[Given]:
    """The sequences in a file.

    A file of NumPy's holds one sequence, [T, ...], or several, [N, T, ...]; an `.npz` with several
    arrays, the one called "x". A text has a step on each line, its numbers between commas,
    semicolons or blanks; blank lines part sequences, and a first line without numbers is passed
    over.

    Raises:
        DataError: the file cannot be read, is none of these, or does not fit the net.
    """
    data = _bytes(path)
    if data.startswith(b"\x93NUMPY"):
        return _of_array(net, _array(data, str(path)), str(path))
    if data.startswith(b"PK"):
        return _of_array(net, _unpacked(data, path), str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is neither text nor a file of NumPy's: the model has no task, so it is not "
            "known how it reads anything else than numbers"
        ) from error
    return _parse_numbers(net, text, str(path))


def read_arrays(net: NetGraph, path: Path) -> list[torch.Tensor]:
    """The inputs of a graph that takes several: the arrays x0, x1, … of an `.npz`, as they are.

    Raises:
        DataError: the file cannot be read, or has not these arrays.
    """
    data = _bytes(path)
    names = [f"{_NAME}{number}" for number in range(net.inputs)]
    if not data.startswith(b"PK"):
        raise DataError(
            f"{path}: the net takes {net.inputs} inputs, a file holds one: give a .npz with the "
            f"arrays {', '.join(names[:9])}, each as the net takes it"
        )
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    arrays = [torch.from_numpy(_unpacked(data, path, name)) for name in names]
    return [x.to(like.dtype) if x.is_floating_point() else x for x in arrays]


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path}: is larger than {_LARGEST // 2**30} GiB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse_numbers(net: nn.Module, text: str, where: str) -> list[Given]:
    """The sequences in a text, as in a file.

    Raises:
        DataError: a line holds something else than numbers, or they do not fit the net; names it.
    """
    reads = _reads(net)
    sequences: list[list[list[float]]] = [[]]
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").replace(";", " ").split()
        if not words:
            sequences.append([])
            continue
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            if number == 1 and not any(map(_is_number, words)):
                continue
            raise DataError(
                f"{where}:{number}: expected numbers, found {shown(line.strip())}: the model has "
                "no task, so it is not known how it reads text"
            ) from error
        if sequences[-1] and len(row) != len(sequences[-1][-1]):
            raise DataError(
                f"{where}:{number}: expected {len(sequences[-1][-1])} numbers as on the line "
                f"before, found {len(row)}"
            )
        sequences[-1].append(row)
    found = [np.array(rows) for rows in sequences if rows]
    if not found:
        raise DataError(f"{where}: holds no numbers to read, and the model has no task")
    return [_given(net, reads, rows, where) for rows in found]


def _some_numbers(net: nn.Module, steps: int = 24) -> str:
    """The text of a sequence to begin with: random, and always the same."""
    reads = _reads(net)
    draw = np.random.default_rng(0)
    shape = steps, max(1, abs(math.prod(reads.shape)))
    rows = draw.integers(0, reads.ids, shape) if reads.ids else draw.standard_normal(shape).round(2)
    return "\n".join(" ".join(map(str, row)) for row in rows.tolist()) + "\n"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------ what a net reads


def _reads(net: nn.Module) -> Reads:
    """What a net reads at each step; where it does not say so, rows of any number of features."""
    if isinstance(net, NetGraph):
        if net.inputs > 1:
            raise DataError(
                f"the net takes {net.inputs} inputs, a file holds one: call it in Python, or "
                "`cello predict` with a .npz of x0, x1, …"
            )
        modules, words, known = list(net.parts.values()), [], {0}
        for value, (what, read, _) in enumerate(net.wiring, net.inputs):
            if not known.isdisjoint(read):  # it reads the input, or what functions make of it
                if isinstance(what, str):
                    known.add(value)
                elif isinstance(modules[what], nn.Embedding):
                    words.append(modules[what])
        return reads_of(words[0]) if words else Reads((-1,))
    try:
        return reads_of(net)
    except ArgumentError:
        return Reads((-1,))


def _given(net: nn.Module, reads: Reads, rows: np.ndarray[Any, Any], where: str) -> Given:
    """A sequence of rows of numbers, as the net reads it."""
    T, width = len(rows), math.prod(reads.shape)
    flat = rows.reshape(T, -1)
    if width > 0 and flat.shape[1] != width:
        raise DataError(f"{where}: the net reads {width} numbers a step, found {flat.shape[1]}")
    if reads.ids:
        _check_ids(flat, reads, where)
    tokens = [" ".join(map(_short, row)) for row in flat]
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.empty(0))
    x = torch.tensor(rows, dtype=torch.long if reads.ids else like.dtype)
    return Given(tokens, x.reshape(T, *(reads.shape if width > 0 else x.shape[1:])))


def _short(number: Any) -> str:
    """A number of NumPy's in the fewest digits."""
    return str(int(number)) if abs(number) < 1e9 and number % 1 == 0 else str(number)


def _check_ids(rows: np.ndarray[Any, Any], reads: Reads, where: str) -> None:
    right = (np.mod(rows, 1) == 0) & (rows >= reads.lowest) & (rows < reads.ids)
    if not right.all():
        wrong = rows[~right][0]
        raise DataError(
            f"{where}: the net reads whole numbers from {reads.lowest} to {reads.ids - 1}, found "
            f"{wrong:g}"
        )


def _of_array(net: nn.Module, array: np.ndarray[Any, Any], where: str) -> list[Given]:
    reads = _reads(net)
    rank = 1 + len(reads.shape)
    if array.ndim == 1 and reads.shape in ((1,), (-1,)):
        array = array[:, None]
    if array.ndim not in (rank, rank + 1) or 0 in array.shape:
        raise DataError(
            f"{where}: the net reads [steps{', numbers' * (rank - 1)}], or several such, found "
            f"{list(array.shape)}"
        )
    several = array if array.ndim == rank + 1 else array[None]
    return [_given(net, reads, one, where) for one in several]


# ------------------------------------------------------------ files of NumPy's


def _array(data: bytes, where: str) -> np.ndarray[Any, Any]:
    """The array in the bytes of an `.npy` file; nothing is unpickled, nor allocated on its word."""
    from numpy.lib import format as npy

    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # whatever its header makes of it
        raise DataError(f"{where}: is damaged: {error}") from error
    if dtype.kind not in "fiub":
        raise DataError(f"{where}: must hold numbers, found {dtype}")
    rest = data[file.tell() :]
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise DataError(f"{where}: is damaged: {list(shape)} of {dtype} are not {len(rest)} bytes")
    kind = np.int64 if dtype.kind != "f" else np.float32 if dtype.itemsize <= 4 else np.float64
    return np.frombuffer(rest, dtype).astype(kind).reshape(shape, order="F" if fortran else "C")


def _unpacked(data: bytes, path: Path, wanted: str = "") -> np.ndarray[Any, Any]:
    """The array of this name in an `.npz` file; the only one, or x, unless one is named."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            name = wanted or (next(iter(arrays), "") if len(arrays) == 1 else _NAME)
            if name not in arrays:
                raise DataError(f"{path}: holds {', '.join(arrays) or 'nothing'}, no array {name}")
            info = arrays[name]
            if info.file_size > min(_LARGEST, 1000 * max(info.compress_size, 1000)):
                raise DataError(f"{path}: {name} unpacks to {info.file_size:,} bytes")
            with archive.open(info) as opened:
                inside = opened.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is damaged: {error}") from error
    return _array(inside, f"{path}: {name}")
