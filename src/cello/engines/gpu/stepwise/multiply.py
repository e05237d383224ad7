"""Products of float32, and of numbers of 16 bits on tensor cores with sums in float32."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Multiply", "MultiplyFewBits", "multiply_in"]


class Multiply:
    """Products of float32."""

    def prepared(self, matrix: Tensor) -> Tensor:
        """A matrix as products take it."""
        return matrix

    def __call__(self, factor: Tensor, matrix: Tensor, out: Tensor, *, add: bool) -> None:
        """Put a product into a block of float32, or add it."""
        if add:
            out.addmm_(factor, matrix)
        else:
            torch.mm(factor, matrix, out=out)


class MultiplyFewBits(Multiply):
    """Both factors are rounded to numbers of 16 bits, as the matrix is; sums are in float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def prepared(self, matrix: Tensor) -> Tensor:
        """A matrix as products take it: it has such numbers already."""
        return matrix.to(self.dtype)

    def __call__(self, factor: Tensor, matrix: Tensor, out: Tensor, *, add: bool) -> None:
        """Put a product into a block of float32, or add it."""
        factor = factor.to(self.dtype)
        if add:
            out.add_(torch.mm(factor, matrix, out_dtype=torch.float32))
        else:
            torch.mm(factor, matrix, out_dtype=torch.float32, out=out)


def multiply_in(dtype: torch.dtype, device: torch.device) -> Multiply:
    """How inputs of a dtype are multiplied; PyTorch has the products of few bits from 2.8 on."""
    can = device.type == "cuda" and hasattr(torch.ops.aten.mm, "dtype_out")
    return MultiplyFewBits(dtype) if can and dtype.itemsize == 2 else Multiply()
