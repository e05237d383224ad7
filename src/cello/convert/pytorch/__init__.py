"""PyTorch's own layers, modules and weights: made ours, and ours made of them.

Imports `convert.proof`, `convert.recurrence` and below; `cello.convert` hands both on.
"""

from cello.convert.pytorch.from_pytorch import from_torch
from cello.convert.pytorch.to_pytorch import to_torch

__all__ = ["from_torch", "to_torch"]
