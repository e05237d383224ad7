"""What layers, and the values in them, are called."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from cello.errors import ArgumentError, DtypeError, UnknownNameError

__all__ = ["Calls", "find", "find_layer", "listed", "matches"]


class Calls(Counter[str]):
    """How often each layer has been called in one pass; each call has a name of its own.

    >>> calls = Calls()
    >>> calls.named("rnn"), calls.named("rnn")
    ('rnn', 'rnn#2')
    """

    def named(self, layer: str) -> str:
        """The name of one more call of this layer."""
        self[layer] += 1
        return layer if self[layer] == 1 else f"{layer}#{self[layer]}"


def find(name: str, names: Sequence[str]) -> str:
    """The one of `names` that is `name` or ends in it.

    Raises:
        UnknownNameError: there is none, or more than one.
        DtypeError: it is no string.

    >>> find("f", ["0.forward.f", "0.forward.c"])
    '0.forward.f'
    """
    if not isinstance(name, str):
        raise DtypeError(f"a name must be a string, got {name!r}")
    if name in names:
        return name
    ending = [full for full in names if full.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UnknownNameError(f"{name!r} could be {listed(ending)}: give more of the name")
    last = {full.rpartition(".")[2]: full for full in reversed(names)}
    near = difflib.get_close_matches(name, names, n=3)
    near += [last[close] for close in difflib.get_close_matches(name, list(last), n=3)]
    near += [full for full in names if full.endswith(f".{name.rpartition('.')[2]}")][:3]
    if near := list(dict.fromkeys(near)):
        raise UnknownNameError(f"nothing is named {name!r}; near it are {listed(near)}")
    raise UnknownNameError(f"nothing is named {name!r}; there are {listed(names) or 'no values'}")


def find_layer(name: str | None, layers: Sequence[str]) -> str:
    """The layer of that name; the only one if no name is given.

    Raises:
        ArgumentError: no name is given, but there are several layers.
        UnknownNameError: there is no such layer.
    """
    if name is not None:
        return find(name, layers)
    if len(layers) > 1:
        known = ", ".join(map(repr, layers))
        raise ArgumentError(f"layer must be one of {known}: there are several")
    return layers[0]


def listed(names: Sequence[str], limit: int = 12) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(map(repr, names[:limit]))
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern such as "f", "*.c" or "0.*" fits `name` or an ending of it.

    >>> [matches("0.forward.f", pattern) for pattern in ("f", "0.*", "backward.*", "o")]
    [True, True, False, False]
    """
    parts = name.split(".")
    endings = (".".join(parts[number:]) for number in range(len(parts)))
    return any(fnmatchcase(ending, pattern) for ending in endings)
