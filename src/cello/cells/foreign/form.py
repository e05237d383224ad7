"""The form of a state that a third party's module carries: tensors in tuples, lists, dicts, …."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from torch import Tensor

from cello.errors import CellError

__all__ = ["apart_from", "filled", "names_in"]


def apart_from(state: Any) -> tuple[Any, list[Tensor]]:
    """The form of a state, with numbers in place of its tensors; and the tensors.

    Raises:
        CellError: it holds something other than tensors, None, tuples, lists, dicts, named tuples
            and data classes of such.

    >>> import torch
    >>> apart_from({"h": torch.zeros(1), "more": [torch.ones(1), None]})
    ({'h': 0, 'more': [1, None]}, [tensor([0.]), tensor([1.])])
    """
    parts: list[Tensor] = []

    def number(part: Any) -> int | None:
        if part is None:
            return None
        if not isinstance(part, Tensor):
            raise CellError(f"a state must be made of tensors, it holds {type(part).__name__}")
        parts.append(part)
        return len(parts) - 1

    return _mapped(number, state), parts


def filled(form: Any, parts: Any) -> Any:
    """A state of this form.

    >>> filled({"h": 0, "more": [1, None]}, "ab")
    {'h': 'a', 'more': ['b', None]}
    """
    return _mapped(lambda number: None if number is None else parts[number], form)


def names_in(form: Any) -> list[str] | None:
    """What the form calls its tensors, if it has a name for each of them and holds nothing else.

    >>> names_in({"h": 0, "more": [1, None]}), names_in({"h": 0, "c": 1})
    (None, ['h', 'c'])
    """
    if isinstance(form, dict):
        names, values = list(form), list(form.values())
    elif hasattr(form, "_fields"):
        names, values = list(form._fields), list(form)
    elif dataclasses.is_dataclass(form):
        names = [field.name for field in dataclasses.fields(form)]
        values = [getattr(form, name) for name in names]
    else:
        return None
    named = all(isinstance(name, str) for name in names)
    return names if named and all(isinstance(value, int) for value in values) else None


def _mapped(function: Any, tree: Any) -> Any:
    """`function` of everything in nested containers, which stay what they are."""
    if isinstance(tree, (tuple, list)):
        parts = [_mapped(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, dict):
        made = {key: _mapped(function, part) for key, part in tree.items()}
        if type(tree) is dict:
            return made
        kept = copy.copy(tree)  # of another class: with all that it has besides
        kept.update(made)
        return kept
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = [field.name for field in dataclasses.fields(tree) if field.init]
        return dataclasses.replace(
            tree, **{name: _mapped(function, getattr(tree, name)) for name in fields}
        )
    return function(tree)
