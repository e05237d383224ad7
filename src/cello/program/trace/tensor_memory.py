"""Which tensors of a trace look at the same memory, and so which of them a step may change."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from cello.program.sizes import said
from cello.program.trace.views import Views

__all__ = ["TensorMemory"]


class TensorMemory:
    """The tensors of a trace, by their memory.

    Args:
        own: those of the cell.

    Attributes:
        fixed: ids of tensors that no operation may change.
        views: those that the step has made.
    """

    def __init__(self, own: Iterable[Tensor]) -> None:
        self.fixed: set[int] = set()
        self.views = Views()
        self._alive: list[Tensor] = []  # so that no id is used twice
        self._with_grad: set[int] = set()  # ids of tensors made where gradients are on
        self._lookers: dict[int, int] = {}  # how many values look at a piece of memory, 2 for more
        for tensor in own:
            self.share(tensor)

    def keep(self, tensor: Tensor) -> None:
        """Note that something stands for it."""
        self._alive.append(tensor)

    def is_known(self, tensor: Tensor) -> bool:
        """Whether it looks at the memory of a tensor that has been noted."""
        return _memory(tensor) in self._lookers

    def made(self, tensor: Tensor, *, grad: bool, shares: bool) -> None:
        """Note a tensor that an operation has made, whether it `shares` memory with another."""
        self._lookers[tensor.untyped_storage()._cdata] = 2 if shares else 1
        if grad:
            self._with_grad.add(id(tensor))

    def share(self, tensor: Tensor, *, grad: bool = False) -> None:
        """Note a tensor whose memory others may look at."""
        if (memory := _memory(tensor)) is not None:
            self._lookers[memory] = 2
        if grad:
            self._with_grad.add(id(tensor))

    def why_fixed(
        self, tensor: Tensor, called: str, where: str, *, transformed: bool
    ) -> str | None:
        """Why it cannot be changed in place, because another value would see it; None if it can.

        Args:
            tensor: which.
            called: the operation that changes it.
            where: the line of the step.
            transformed: whether that runs inside a transform of torch.func.
        """
        root, memory = self.views.root(tensor), _memory(tensor)
        behind = self._with_grad.intersection((id(tensor), id(root)))
        if behind and not torch.is_grad_enabled():
            return (
                f"{called} changes a tensor in place behind the back of its gradient {said(where)}"
            )
        alone = self._lookers.get(memory or 0, 2) <= 1
        made_here = [t for t in self._alive if _memory(t) == memory and id(t) not in self.fixed]
        if alone or self.views.are_all(root, made_here):
            return None
        if transformed:
            return (
                f"a transform of torch.func changes a tensor in place {said(where)}; a step has "
                "all rows, and what it does with them needs no vmap to fuse"
            )
        return (
            f"{called} changes a tensor in place that shares its memory with another {said(where)}"
            "; of a .clone() it fuses"
        )


def _memory(tensor: Tensor) -> int | None:
    """The piece of memory that the tensor looks at, if it is one."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else None
