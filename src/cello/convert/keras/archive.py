"""What stands in a file of Keras's: the configuration, and the arrays of each layer in order.

`.keras` is a zip with `config.json` and `model.weights.h5`; the older `.h5` holds both in one.
Nothing is unpacked to the disk, no link in a file is followed, and no array is read that claims to
be larger than its file.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cello.errors import ModelError

__all__ = ["FUNCTIONAL", "Archive", "is_model", "open_archive"]

#: What a model of several inputs or outputs is called, by Keras 3 and by those before.
FUNCTIONAL = ("Functional", "Model")

#: No configuration of a network is longer.
_LONGEST_CONFIG = 32 * 2**20
_LARGEST_WEIGHTS = 2**31
#: Numbers of a net hardly pack: what unpacks to more than this, and to so many times the bytes that
#: it has, is no net.
_SMALL, _TIMES = 2**24, 10
#: Where the arrays inside a layer stand, in the order in which a layer lists them.
_DEEPEST = 5
_INSIDE = ("forward_layer", "backward_layer", "layer", "cell")


class Archive(NamedTuple):
    """A file of Keras's.

    Attributes:
        config: the model, as `model.get_config()` within `class_name` and `config`.
        version: of the Keras that wrote it, such as "3.15.1".
        arrays: of each layer of the model, in the order of its weights, by the layer's name; of
            one in a model inside it, by `model.layer`.
    """

    config: dict[str, Any]
    version: str
    arrays: dict[str, list[np.ndarray[Any, Any]]]

    @property
    def is_keras_3(self) -> bool:
        """Whether Keras 3 wrote it, which reads some of what it says otherwise than Keras 2."""
        return self.version.startswith("3")


def open_archive(file: Path) -> Archive:
    """Read a `.keras` or `.h5` file.

    Raises:
        ModelError: it cannot be read, or is none of these.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModelError("reading Keras's files needs h5py: pip install 'cello[keras]'") from error
    try:
        reader = _Hdf5(h5py, file.stat().st_size)
        if zipfile.is_zipfile(file):
            return _keras(file, reader)
        with file.open("rb") as begun:
            first = begun.read(2)
        if first == b"PK":  # as a zip, whose list of what is in it stands at the end
            raise zipfile.BadZipFile("it is cut off: it begins as a .keras file, but has no end")
        if not first:
            raise zipfile.BadZipFile("it is empty")
        with h5py.File(file, "r") as opened:
            return _legacy(opened, reader)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    except FileNotFoundError as error:
        raise ModelError(f"{file} does not exist") from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ModelError(f"{file} is damaged, or no file of Keras's: {error}") from error


def _keras(file: Path, reader: _Hdf5) -> Archive:
    with zipfile.ZipFile(file) as archive:
        config = _json(_member(archive, "config.json", _LONGEST_CONFIG))
        try:
            metadata = _json(_member(archive, "metadata.json", _LONGEST_CONFIG))
        except ModelError:
            metadata = {}
        data = _member(archive, "model.weights.h5", _LARGEST_WEIGHTS)
    with reader.h5py.File(io.BytesIO(data), "r") as opened:
        arrays = dict(_of_layers(opened, config["config"]["layers"], "", reader))
    return Archive(config, str(metadata.get("keras_version", "3")), arrays)


def is_model(layer: dict[str, Any]) -> bool:
    """Whether this is a model, which may stand in another in place of a layer."""
    return layer["class_name"] in ("Sequential", *FUNCTIONAL)


def _of_layers(
    group: Any, layers: list[dict[str, Any]], prefix: str, reader: _Hdf5
) -> Iterator[tuple[str, list[np.ndarray[Any, Any]]]]:
    """The name and the arrays of each layer, of those of models among them too."""
    if prefix.count(".") > _DEEPEST:
        raise ModelError(f"{prefix} stands more than {_DEEPEST} models deep")
    groups = reader.group(group, "layers") if "layers" in group else {}
    for key, layer in zip(_groups(layers), layers, strict=True):
        told = layer["config"]
        name = f"{prefix}{told['name']}"
        held = reader.group(groups, key) if key in groups else {}
        if is_model(layer):
            yield from _of_layers(held, told["layers"], f"{name}.", reader)
        else:
            yield name, list(_inside(held, told, reader))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ModelError(f"there is no {name} in it") from error
    if info.file_size > most or info.file_size > max(_SMALL, _TIMES * info.compress_size):
        raise ModelError(f"{name} unpacks to {info.file_size:,} bytes, which no model needs")
    with archive.open(info) as opened:
        data = opened.read(info.file_size + 1)
    if len(data) > info.file_size:
        raise ModelError(f"{name} is longer than it says")
    return data


def _json(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ModelError(f"the configuration must be a table, found {type(found).__name__}")
    return found


def _groups(parts: list[dict[str, Any]]) -> Iterator[str]:
    """The groups that hold parts of a list, which are numbered by their class: lstm, lstm_1, …"""
    used: dict[str, int] = {}
    for part in parts:
        kind = _snake(str(part["class_name"]))
        number = used.get(kind, 0)
        used[kind] = number + 1
        yield f"{kind}_{number}" if number else kind


def _snake(name: str) -> str:
    """A class's name as Keras writes it in files: LSTM is lstm, TimeDistributed time_distributed.

    >>> _snake("GlobalAveragePooling1D"), _snake("LSTMCell")
    ('global_average_pooling1d', 'lstm_cell')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _inside(
    group: Any, config: dict[str, Any], reader: _Hdf5, depth: int = 0
) -> Iterator[np.ndarray[Any, Any]]:
    """The arrays of a layer, then those of what is inside it, as its configuration lists that."""
    if depth > _DEEPEST:
        raise ModelError(f"{group.name} stands more than {_DEEPEST} groups deep in its layer")
    if "vars" in group:
        held = reader.group(group, "vars")
        for name in sorted(held, key=int):
            yield reader.array(held, name)
    for name in _INSIDE:
        if name in group:
            yield from _inside(reader.group(group, name), {}, reader, depth + 1)
    if "cell" in group and "cells" in group["cell"]:
        cells = reader.group(group, "cell/cells")
        for name in _groups(config["cell"]["config"]["cells"]):
            yield from _inside(reader.group(cells, name), {}, reader)


def _legacy(opened: Any, reader: _Hdf5) -> Archive:
    if "model_config" not in opened.attrs:
        raise ModelError("there are weights in it, but no model: save the whole model")
    text = opened.attrs["model_config"]
    config = _json(text if isinstance(text, bytes) else str(text).encode())
    version = opened.attrs.get("keras_version", "2")
    version = version.decode() if isinstance(version, bytes) else str(version)
    if isinstance(config.get("config"), list):  # a Sequential model of Keras before 2.2.3
        config["config"] = {"layers": config["config"]}
    weights = reader.group(opened, "model_weights") if "model_weights" in opened else opened
    arrays: dict[str, list[np.ndarray[Any, Any]]] = {}
    for layer in config.get("config", {}).get("layers", []):
        told = layer["config"]
        inside = dict(_leaves(told["layers"], f"{told['name']}.")) if is_model(layer) else {}
        arrays |= {name: [] for name in [*inside.values(), *[str(told["name"])] * (not inside)]}
        if told["name"] not in weights:
            continue
        group = reader.group(weights, str(told["name"]))
        for path in group.attrs.get("weight_names", []):
            path = path.decode() if isinstance(path, bytes) else str(path)
            if "seed_generator" in path:
                continue
            of = [inside[part] for part in path.split("/") if part in inside]
            if inside and not of:
                raise ModelError(f"{path} is of no layer in the model {told['name']}")
            arrays[of[-1] if inside else str(told["name"])].append(reader.array(group, path))
    return Archive(config, version, arrays)


def _leaves(layers: list[dict[str, Any]], prefix: str) -> Iterator[tuple[str, str]]:
    """The own and the full name of each layer of a model inside the model."""
    if prefix.count(".") > _DEEPEST:
        raise ModelError(f"{prefix} stands more than {_DEEPEST} models deep")
    for layer in layers:
        name = str(layer["config"]["name"])
        if is_model(layer):
            yield from _leaves(layer["config"]["layers"], f"{prefix}{name}.")
        else:
            yield name, prefix + name


class _Hdf5:
    """Takes groups and arrays out of an HDF5 file, without following a link elsewhere.

    Args:
        h5py: the library.
        size: bytes of the file; all arrays together may have no more than a file of this size could
            hold, however often it names one of them.
    """

    def __init__(self, h5py: Any, size: int) -> None:
        self.h5py = h5py
        self.left = min(_LARGEST_WEIGHTS, max(_SMALL, _TIMES * size))

    def step_down(self, group: Any, path: str) -> Any:
        for name in path.split("/"):
            if name not in group:
                raise ModelError(f"there is no {path} in it")
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise ModelError(f"{path} is a link, which is not followed")
            group = group[name]
        return group

    def group(self, group: Any, path: str) -> Any:
        found = self.step_down(group, path)
        if not isinstance(found, self.h5py.Group):
            raise ModelError(f"{path} must be a group of arrays")
        return found

    def array(self, group: Any, path: str) -> np.ndarray[Any, Any]:
        found = self.step_down(group, path)
        if not isinstance(found, self.h5py.Dataset) or found.dtype.kind not in "fiu":
            raise ModelError(f"{path} must be an array of numbers")
        if found.external or found.is_virtual:
            raise ModelError(f"{path} keeps its numbers in another file, which is not read")
        stored = found.id.get_storage_size()
        self.left -= found.nbytes
        if self.left < 0 or found.nbytes > max(1000, _TIMES * stored):
            raise ModelError(f"{path} {list(found.shape)} is larger than the file that holds it")
        return np.asarray(found[()])
