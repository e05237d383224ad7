"""Sizes of inputs, outputs and states, and their numbers side by side, as engines have them.

A size is an int for [B, size]; a tuple for [B, *shape]; "integer" for one whole number a row, [B].
An input may have several parts: a dict of sizes, or a tuple of sizes none of which is an int.
Engines and layers carry all of it as rows [N, width]; a step gets what its sizes say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells.tracing import is_fake
from cello.errors import ArgumentError, DtypeError, ShapeError

__all__ = [
    "INTEGER",
    "INTEGERS",
    "as_rows",
    "as_shaped",
    "check_part",
    "check_side_by_side",
    "checked_size",
    "is_several",
    "parts_given",
    "positive",
    "shape_of",
    "shown",
    "sizes_of",
    "width_of",
]

#: The size of a part that is one whole number a row, such as the number of a word.
INTEGER = "integer"

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def positive(name: str, value: Any) -> int:
    """The number, if it is a whole one from 1.

    Raises:
        DtypeError, ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise DtypeError(f"{name} must be an int, got {type(value).__name__} {value!r}")
    if value < 1:
        raise ArgumentError(f"{name} must be at least 1, got {value}")
    return value


def checked_size(name: str, size: Any, *, several: bool = False) -> Any:
    """The size in its one form: an int, a tuple, "integer", or a tuple or dict of these.

    Args:
        name: of the argument.
        size: as the user gives it; lists count as tuples.
        several: whether it may be "integer" or have several parts.

    Raises:
        DtypeError: it is no size.
        ArgumentError: a number in it is below 1.

    >>> checked_size("input_size", 3), checked_size("input_size", [2, 4])
    (3, (2, 4))
    >>> checked_size("input_size", {"value": 3, "word": "integer"}, several=True)
    {'value': 3, 'word': 'integer'}
    """
    if isinstance(size, int) and not isinstance(size, bool):
        return positive(name, size)
    if several and size == INTEGER:
        return INTEGER
    if several and isinstance(size, Mapping) and size:
        if not all(isinstance(key, str) and key.isidentifier() for key in size):
            raise DtypeError(f"{name} must have names of variables as its keys, got {list(size)}")
        return {key: _checked_part(f"{name}[{key!r}]", part) for key, part in size.items()}
    if isinstance(size, (tuple, list)):
        numbers = [isinstance(part, int) and not isinstance(part, bool) for part in size]
        if all(numbers):
            return tuple(checked_size(f"{name}[{place}]", n) for place, n in enumerate(size))
        if several and not any(numbers):
            return tuple(_checked_part(f"{name}[{n}]", part) for n, part in enumerate(size))
    allowed = "an int or a tuple of ints, the shape of one row"
    if several:
        allowed += (
            '; or "integer" for one whole number a row; or for several inputs a dict of sizes by '
            "name, or a tuple of shapes such as ((5,), (2, 3))"
        )
    raise DtypeError(f"{name} must be {allowed}; got {type(size).__name__} {size!r}")


def _checked_part(name: str, size: Any) -> Any:
    return INTEGER if size == INTEGER else checked_size(name, size)


def is_several(size: Any) -> bool:
    """Whether an input of this size has several parts."""
    return isinstance(size, dict) or (
        isinstance(size, tuple) and any(not isinstance(part, int) for part in size)
    )


def sizes_of(size: Any) -> dict[Any, Any]:
    """The size of each part by its name, or its place."""
    if isinstance(size, dict):
        return size
    return dict(enumerate(size)) if is_several(size) else {0: size}


def shape_of(size: Any) -> tuple[int, ...]:
    """The shape of one row of a single part.

    >>> shape_of(3), shape_of((2, 4)), shape_of("integer")
    ((3,), (2, 4), ())
    """
    if isinstance(size, int):
        return (size,)
    return () if size == INTEGER else size


def width_of(size: Any) -> int:
    """How many numbers there are in a row.

    >>> width_of(3), width_of((2, 4)), width_of({"value": (2, 4), "word": "integer"})
    (3, 8, 9)
    """
    if isinstance(size, int):
        return size
    return sum(math.prod(shape_of(part)) for part in sizes_of(size).values())  # of () it is 1


def shown(size: Any, *axes: Any) -> str:
    """The shape of an input, output or state of this size, for a message.

    >>> shown((2, 4), "T", "B"), shown({"value": 3, "word": "integer"}, "B")
    ('[T, B, 2, 4]', "{'value': [B, 3], 'word': [B]}")
    """
    if not is_several(size):
        return f"[{', '.join(map(str, (*axes, *shape_of(size))))}]"
    parts = {key: shown(part, *axes) for key, part in sizes_of(size).items()}
    if isinstance(size, dict):
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in parts.items()) + "}"
    return f"({', '.join(parts.values())})"


def as_shaped(size: Any, rows: Tensor) -> Any:
    """Rows [N, width] as a step gets them: [N, *shape], or a tuple or dict of such parts."""
    if isinstance(size, int):
        return rows
    if not is_several(size):
        return _part_of(size, rows)
    parts = sizes_of(size)
    pieces = rows.split([width_of(part) for part in parts.values()], dim=1)
    made = {k: _part_of(s, piece) for (k, s), piece in zip(parts.items(), pieces, strict=True)}
    return made if isinstance(size, dict) else tuple(made.values())


def _part_of(size: Any, rows: Tensor) -> Tensor:
    if isinstance(size, int):
        return rows
    shaped = rows.reshape(rows.shape[0], *shape_of(size))
    return shaped.long() if size == INTEGER else shaped


def as_rows(size: Any, value: Any, dtype: torch.dtype | None = None) -> Tensor:
    """The other way: [N, *shape], or such parts, as rows [N, width].

    Args:
        size: of the value.
        value: in the form in which a step has it.
        dtype: to which parts of several, and whole numbers, are brought.
    """
    if isinstance(size, int) or (not is_several(size) and size != INTEGER):
        rows: Tensor = value
        return rows if isinstance(size, int) else rows.reshape(rows.shape[0], width_of(size))
    parts = sizes_of(size)
    given = [value] if size == INTEGER else [value[key] for key in parts]
    flat = [
        part.reshape(part.shape[0], width_of(one)).to(dtype)
        for one, part in zip(parts.values(), given, strict=True)
    ]
    return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)


def check_part(called: str, size: Any, part: Any, dtype: torch.dtype) -> None:
    """Check one part of an input before it is brought to `dtype`.

    Raises:
        DtypeError: it is no tensor; or whole numbers are asked for and it has others, or more than
            the dtype can tell apart; or numbers, and it has another dtype.
        ShapeError: its last axes are not those of the size.
    """
    if not isinstance(part, Tensor):
        raise DtypeError(f"{called} must be a tensor, got {type(part).__name__}")
    shape = shape_of(size)
    if part.dim() < len(shape) or tuple(part.shape[part.dim() - len(shape) :]) != shape:
        raise ShapeError(f"{called} must be {shown(size, '…')}, got {list(part.shape)}")
    if size == INTEGER:
        if part.dtype not in INTEGERS:
            raise DtypeError(f"{called} must be a tensor of integers, got {part.dtype}")
        most = round(2 / torch.finfo(dtype).eps)
        if _has_numbers(part) and int(part.abs().max()) > most:
            raise ArgumentError(
                f"{called} must hold whole numbers up to {most:,}, all that {dtype} can tell "
                f"apart, got {int(part.abs().max()):,}"
            )
    elif part.dtype not in (dtype, torch.bool, *INTEGERS):
        raise DtypeError(
            f"{called} must have the dtype of the parameters, {dtype}, got {part.dtype}"
        )


def check_side_by_side(called: str, size: Any, rows: Any) -> None:
    """Check the whole numbers of an input [..., width] whose parts are side by side already.

    Raises:
        ArgumentError: one is not whole, or larger than its dtype can tell apart.
    """
    if not isinstance(rows, Tensor) or rows.dim() == 0 or rows.shape[-1] != width_of(size):
        return  # refused for that
    start = 0
    for key, one in sizes_of(size).items():
        part = rows[..., start]
        start += width_of(one)
        if one != INTEGER or not rows.is_floating_point() or not _has_numbers(part):
            continue
        whole = (part == part.trunc()) & (part.abs() <= 2 / torch.finfo(part.dtype).eps)
        whole |= part.isnan()  # what is behind the end of a sequence may be anything
        if not whole.all():
            raise ArgumentError(
                f"{called}[{key!r}] must hold whole numbers, side by side with others too, got "
                f"{part[~whole][0].item()}"
            )


def _has_numbers(part: Tensor) -> bool:
    """Whether they can be looked at."""
    return bool(part.numel()) and not (
        torch.compiler.is_compiling() or part.is_meta or is_fake((part,))
    )


def parts_given(called: str, size: Any, x: Any) -> dict[str, tuple[Any, Any]]:
    """The size and the tensor of each part of an input, by what the user calls the part.

    Raises:
        DtypeError: it is no dict or tuple, or has not these parts.
    """
    if not is_several(size):
        return {called: (size, x)}
    parts = sizes_of(size)
    if isinstance(size, dict):
        if not isinstance(x, Mapping) or set(x) != set(parts):
            got = f"a dict of {list(x)}" if isinstance(x, Mapping) else type(x).__name__
            raise DtypeError(f"{called} must be a dict of {list(parts)}, got {got}")
        return {f"{called}[{key!r}]": (one, x[key]) for key, one in parts.items()}
    if not isinstance(x, Sequence) or len(x) != len(parts):
        got = f"{type(x).__name__} of {len(x)}" if isinstance(x, Sequence) else type(x).__name__
        raise DtypeError(f"{called} must be a tuple of {len(parts)} tensors, got {got}")
    return {f"{called}[{place}]": (one, x[place]) for place, one in parts.items()}
