"""The form of a state that a third party's module carries: tensors in tuples, lists, dicts, …."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from cello.cells.contract.state import mapped
from cello.errors import CellError

__all__ = ["apart_from", "filled", "is_structured", "names_in", "register_classes"]


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

    return mapped(number, state), parts


def filled(form: Any, parts: Any) -> Any:
    """A state of this form.

    >>> filled({"h": 0, "more": [1, None]}, "ab")
    {'h': 'a', 'more': ['b', None]}
    """
    return mapped(lambda number: None if number is None else parts[number], form)


def is_structured(form: Any) -> bool:
    """Whether a form says more than how many tensors there are, and in which order.

    >>> is_structured(0), is_structured([0, 1]), is_structured({"h": 0}), is_structured([(0,)])
    (False, False, True, True)
    """
    plain = type(form) in (tuple, list) and all(isinstance(part, int) for part in form)
    return not (plain or isinstance(form, int))


def register_classes(form: Any) -> None:
    """Tell PyTorch's tools the named tuples and data classes in a form, as they ask for them.

    What goes through every container, as `torch.export` and vmap do, then goes through a state too.
    """
    kind = type(form)
    values = list(form.values()) if isinstance(form, dict) else form
    fields = dataclasses.fields(form) if dataclasses.is_dataclass(form) else ()
    if fields:
        values = [getattr(form, field.name) for field in fields]
    elif not isinstance(values, (tuple, list)):
        return
    for value in values:
        register_classes(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE:
        return
    if all(field.init for field in fields) and fields and kind not in pytree.SUPPORTED_NODES:
        torch.export.register_dataclass(kind, serialized_type_name=name)
    elif hasattr(form, "_fields") and kind not in pytree.SUPPORTED_NODES:
        pytree._register_namedtuple(kind, serialized_type_name=name)


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
