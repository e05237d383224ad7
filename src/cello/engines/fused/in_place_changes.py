"""What the user may change in place while the backward loop still has to read it: the outputs."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["kept_apart"]

_NOTHING = torch.empty(0)


def kept_apart(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A tensor of the same memory that autograd lets be changed, and one without any.

    The `_version` of the second is that of `tensor` now, and grows when `tensor`, or a view of it,
    is changed in place.
    """
    counter = tensor.detach()  # it counts changes together with the tensor,
    counter.data = _NOTHING  # and goes on with it over other memory
    return tensor.data, counter
