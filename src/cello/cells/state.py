"""What a cell carries from one step to the next: a named tuple of tensors."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import _register_namedtuple

__all__ = ["detach", "state_type"]


def detach(state: Any) -> Any:
    """The same state cut from the graph: where truncated backpropagation cuts.

    Goes through tuples, named tuples, lists and dicts; anything else is returned as it is.
    """
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(detach(part) for part in state))
    if isinstance(state, (tuple, list)):
        return type(state)(detach(part) for part in state)
    if isinstance(state, dict):
        return {key: detach(part) for key, part in state.items()}
    return state


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return state_type(names)(*values)


# Building a named tuple of checked names runs nobody's code: torch.load may, weights_only or not.
torch.serialization.add_safe_globals([_rebuild])

_kinds: dict[tuple[str, ...], Any] = {}


def state_type(names: tuple[str, ...]) -> Any:
    """The named tuple type for the state names `names`; one type for each order of names.

    Besides what every named tuple can do, it has `.detach()`, and it can be pickled.

    >>> import torch
    >>> State = state_type(("h", "c"))
    >>> state = State(h=torch.zeros(1, 2), c=torch.ones(1, 2))
    >>> state.detach().c
    tensor([[1., 1.]])
    """
    if names in _kinds:
        return _kinds[names]
    make: Any = namedtuple
    kind = _kinds[names] = make("State", names)
    kind.__doc__ = f"The state ({', '.join(names)}) of a recurrent layer, each [B, size]."
    kind.detach = detach
    _register_namedtuple(kind, serialized_type_name=f"cello.State({', '.join(names)})")
    kind.__reduce__ = lambda self: (_rebuild, (self._fields, tuple(self)))
    return kind
