"""What a write into a part of a tensor does to all views of the same memory.

A program has no memory: instead of writing, it makes the whole anew, with the part in it, and
looks at it again for each view that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cello.program.operations import OPERATIONS

__all__ = ["Views"]

aten: Any = torch.ops.aten

#: `emit(target, (tensors and numbers), result)` writes an operation down, as what makes `result`.
Emit = Callable[[Any, tuple[Any, ...], Tensor], None]


@dataclass(frozen=True)
class _View:
    tensor: Tensor
    base: Tensor
    func: Any
    rest: tuple[Any, ...]


def _put_back(func: Any) -> Any:
    """How a part that was written gets back into the whole."""
    entry = OPERATIONS.get(func._opname)
    return None if entry is None else entry.put_back


class Views:
    """The views that a step has made, in their order."""

    def __init__(self) -> None:
        self._views: dict[int, _View] = {}

    def note(self, result: Tensor, func: Any, args: tuple[Any, ...], kwargs: Any) -> None:
        """A view that has been made."""
        if not kwargs and isinstance(result, Tensor) and isinstance(args[0], Tensor):
            self._views[id(result)] = _View(result, args[0], func, args[1:])

    def root(self, tensor: Tensor) -> Tensor | None:
        """The tensor that it is a view of; None where a write through the views is not known."""
        while (view := self._views.get(id(tensor))) is not None:
            if _put_back(view.func) is None:
                return None
            tensor = view.base
        return tensor

    def are_all(self, root: Tensor | None, known: list[Tensor]) -> bool:
        """Whether these, which share a memory, are `root` and views of it."""
        if root is None or id(root) not in map(id, known):
            return False
        return len({id(tensor) for tensor in known}) == 1 + len(self._of(root))

    def written(self, tensor: Tensor, emit: Emit) -> None:
        """Write down how the other views follow after a write into `tensor`."""
        path = {id(tensor)}
        part = tensor
        while (view := self._views.get(id(part))) is not None:
            back = _put_back(view.func)
            if back is aten.alias.default:  # all of the whole, as what is detached
                emit(back, (part,), view.base)
            else:
                emit(back, (view.base, part, *view.rest), view.base)
            part = view.base
            path.add(id(part))
        for view in self._of(part):
            if id(view.tensor) not in path:
                emit(view.func, (view.base, *view.rest), view.tensor)

    def _of(self, root: Tensor) -> list[_View]:
        inside, found = {id(root)}, []
        for view in self._views.values():
            if id(view.base) in inside:
                inside.add(id(view.tensor))
                found.append(view)
        return found
