"""PyTorch's own layers, modules and weights: made ours, and ours made of them.

Imports `convert.proof`, `convert.recurrence` and below; `cello.convert` hands both on.
"""

from cello.convert.pytorch.inwards import from_torch
from cello.convert.pytorch.outwards import to_torch

__all__ = ["from_torch", "to_torch"]
