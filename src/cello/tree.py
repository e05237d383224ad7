"""Plain values and tensors, nested: flattened for files, and put together again.

What JSON can say goes into JSON as it is; what it cannot is an object with one key that starts
with `$`. No class is ever looked up by name, so reading a file runs nobody's code.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from cello.cells.contract.state import state_type

__all__ = ["flatten", "unflatten"]


def flatten(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """`tree` as JSON, and the tensors in it by their path.

    `tree` is made of None, numbers, strings, tensors, packed sequences, lists, tuples, named
    tuples and dicts.

    Raises:
        TypeError: `tree` holds anything else.

    >>> import torch
    >>> flatten({"betas": (0.9, 0.99), "state": {0: torch.zeros(2)}})[0]
    {'betas': {'$tuple': [0.9, 0.99]}, 'state': {'$items': [[0, {'$tensor': 'state.0'}]]}}
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: tuple[str, ...]) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, Tensor):
            name = ".".join(path)
            while name in tensors:  # keys that hold dots may collide: the name must only differ
                name += "'"
            tensors[name] = value
            return {"$tensor": name}
        if isinstance(value, dict):
            items = [[key, walk(part, (*path, str(key)))] for key, part in value.items()]
            plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
            return dict(items) if plain else {"$items": items}
        if isinstance(value, (tuple, list)):
            parts = [walk(part, (*path, str(place))) for place, part in enumerate(value)]
            if isinstance(value, PackedSequence):
                return {"$packed": parts}
            if hasattr(value, "_fields"):
                return {"$named": [list(value._fields), parts]}
            return {"$tuple": parts} if isinstance(value, tuple) else parts
        raise TypeError(f"{'.'.join(path)} is {type(value).__name__}: neither a tensor nor JSON")

    return walk(tree, ()), tensors


def unflatten(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree that `flatten` took apart. Named tuples become states."""
    if isinstance(plain, list):
        return [unflatten(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"$tensor": name}:
            return tensors[name]
        case {"$tuple": parts}:
            return tuple(unflatten(part, tensors) for part in parts)
        case {"$packed": parts}:
            return PackedSequence(*(unflatten(part, tensors) for part in parts))
        case {"$items": items}:
            return {key: unflatten(part, tensors) for key, part in items}
        case {"$named": [names, parts]}:
            return state_type(tuple(names))(*(unflatten(part, tensors) for part in parts))
    return {key: unflatten(part, tensors) for key, part in plain.items()}
