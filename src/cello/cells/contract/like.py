"""Which dtype and device a module computes with, under autocast too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

__all__ = ["a_tensor_of", "autocast_active", "autocast_dtype", "like_of"]


def a_tensor_of(module: nn.Module) -> Tensor | None:
    """A floating point parameter of the module, or else a buffer: its dtype and device count."""
    found = _floating(module, "_parameters")
    return found if found is not None else _floating(module, "_buffers")


def like_of(module: nn.Module) -> Tensor:
    """As `a_tensor_of`, but always one with numbers; of the default dtype if there is none."""
    found = a_tensor_of(module)
    if found is None:
        return torch.zeros(())
    lazy = (UninitializedBuffer, UninitializedParameter)
    if isinstance(found, lazy):  # not is_lazy, which Dynamo does not trace
        return torch.zeros((), dtype=found.dtype, device=found.device)
    return found


def _floating(module: nn.Module, kind: str) -> Tensor | None:
    tensors: dict[str, Tensor | None] = vars(module)[kind]
    for tensor in tensors.values():
        if tensor is not None and tensor.is_floating_point():
            return tensor
    for child in module._modules.values():
        if child is not None and (found := _floating(child, kind)) is not None:
            return found
    return None


def autocast_active(device: torch.device) -> bool:
    """Whether operations on `device` now choose their dtype by themselves."""
    kind = device.type
    available = kind == "cpu" or torch.amp.is_autocast_available(kind)
    return available and torch.is_autocast_enabled(kind)


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """The dtype to which autocast now brings what goes into products, if it touches x at all."""
    if x.dtype == torch.float64 or not x.is_floating_point() or not autocast_active(x.device):
        return None
    return torch.get_autocast_dtype(x.device.type)
