"""Numbers that stand in a file, as a part of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Held"]


class Held(nn.Module):
    """A tensor that a network holds; more than one real number are weights, which train.

    Args:
        shape: of the tensor.
        dtype: the name of its kind, such as "float32" or "int64".

    Called without an input.

    >>> Held([2], "int64")()
    tensor([0, 0])
    """

    def __init__(self, shape: Sequence[int], dtype: str = "float32") -> None:
        super().__init__()
        self.shape, self.dtype = list(shape), dtype
        value = torch.zeros(self.shape, dtype=getattr(torch, dtype))
        if value.is_floating_point() and value.numel() > 1:
            self.value: Tensor = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    @classmethod
    def of(cls, value: Tensor) -> Held:
        """One that holds these numbers."""
        made = cls(list(value.shape), str(value.dtype).removeprefix("torch."))
        with torch.no_grad():
            made.value.copy_(value)
        return made

    def config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"shape": self.shape, "dtype": self.dtype}

    def forward(self) -> Tensor:
        """The tensor."""
        return self.value
