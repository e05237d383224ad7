"""Keras's layers that move or reduce numbers, each one function of one tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cello.convert.keras.calls import Passed
from cello.convert.keras.layers import refuse, whole
from cello.ranges import is_number, shown

__all__ = ["MOVES", "Moved"]


class Moved(NamedTuple):
    """A node of a graph: the function, the dimensions of what it gives, and its options."""

    what: str
    rank: int
    options: dict[str, Any]


def _move(what: str, rank: Callable[[dict[str, Any], Passed], int], **given: Any) -> Any:
    """A layer that is one function; `given` are its options, or how they follow from the layer."""

    def read(config: dict[str, Any], value: Passed, place: str) -> Moved:
        options = {n: v(config, place) if callable(v) else v for n, v in given.items()}
        return Moved(what, rank(config, value), options)

    return read


def _time(config: dict[str, Any], place: str) -> int:
    """The axis of time, which is the only one that is turned around."""
    if config.get("axis") not in (1, [1]):
        raise refuse(place, f"axis={shown(config.get('axis'))} is not that of time")
    return 1


def _ends(name: str, place_of: int) -> Callable[[dict[str, Any], str], int]:
    """The first or the second of two numbers of steps."""

    def read(config: dict[str, Any], place: str) -> int:
        told = config.get(name)
        pair: list[Any] = told if isinstance(told, list) else [told, told]
        plain = all(type(n) is int and 0 <= n < 2**31 for n in pair)
        if len(pair) != 2 or not plain or config.get("data_format") == "channels_first":
            raise refuse(place, f"{name}={shown(told)}")
        return int(pair[place_of])

    return read


def _factor(name: str) -> Callable[[dict[str, Any], str], float]:
    """A number for all features."""

    def read(config: dict[str, Any], place: str) -> float:
        told = config.get(name)
        if not is_number(told):
            raise refuse(place, f"{name}={shown(told)} is not one number")
        return float(told)

    return read


def _place(name: str) -> Callable[[dict[str, Any], str], int]:
    """One of an axis, or which axis."""

    def read(config: dict[str, Any], place: str) -> int:
        told = config.get(name)
        if type(told) is not int:
            raise refuse(place, f"{name}={shown(told)} is not one place")
        return told

    return read


#: How each layer is read, of its configuration, what it is given, and its place for an error.
MOVES: dict[str, Callable[[dict[str, Any], Passed, str], Moved]] = {
    "Flatten": _move("reshape", lambda *_: 2, shape=[-1]),
    "Reshape": _move(
        "reshape",
        lambda config, _: 1 + len(config["target_shape"]),
        shape=lambda config, _: [int(size) for size in config["target_shape"]],
    ),
    "Permute": _move(
        "permute",
        lambda _, value: value.rank,
        axes=lambda config, _: [0, *(int(axis) for axis in config["dims"])],
    ),
    "RepeatVector": _move(
        "repeat", lambda *_: 3, times=lambda config, place: whole(config, "n", place)
    ),
    "ZeroPadding1D": _move(
        "pad", lambda *_: 3, before=_ends("padding", 0), after=_ends("padding", 1)
    ),
    "Cropping1D": _move(
        "crop", lambda *_: 3, before=_ends("cropping", 0), after=_ends("cropping", 1)
    ),
    "UpSampling1D": _move(
        "upsample", lambda *_: 3, times=lambda config, place: whole(config, "size", place)
    ),
    "GlobalAveragePooling1D": _move("mean", lambda *_: 2, axis=1),
    "GlobalMaxPooling1D": _move("max", lambda *_: 2, axis=1),
    "GetItem": _move(
        "select",
        lambda _, value: value.rank - 1,
        axis=_place("axis"),
        index=_place("index"),
    ),
    "Rescaling": _move(
        "rescale", lambda _, value: value.rank, scale=_factor("scale"), offset=_factor("offset")
    ),
    "Flip": _move("flip", lambda _, value: value.rank, axis=_time),
}
