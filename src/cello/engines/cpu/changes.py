"""What the user may change in place while the backward loop still has to read it: the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Watch", "kept_apart"]

_NOTHING = torch.empty(0)


class Watch:
    """Tells whether a tensor has been changed in place since; keeps no memory of its."""

    __slots__ = ("_counter", "_version")

    def __init__(self, tensor: Tensor) -> None:
        self._counter = tensor.detach()  # has the version counter of the tensor,
        self._counter.data = _NOTHING  # and still has it with other memory
        self._version = tensor._version

    @property
    def changed(self) -> bool:
        """Whether the tensor, or a view of it, has been changed."""
        return self._counter._version != self._version


def kept_apart(tensor: Tensor) -> tuple[Tensor, Watch]:
    """A tensor of the same memory that autograd lets be changed, and what tells if it was."""
    return tensor.data, Watch(tensor)
