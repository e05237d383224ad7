"""A step of another device, traced on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cello.program.graph import map_leaves

__all__ = ["OtherDevice"]


class OtherDevice:
    """Runs operations on the CPU, wherever the step will run later.

    Args:
        device: where that is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stand_ins: dict[int, tuple[Tensor, Tensor]] = {}  # by the id of what is elsewhere

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation."""
        kwargs = map_leaves(self._stand_in, kwargs)
        if any(argument.name == "device" for argument in func._schema.arguments):
            kwargs["device"] = torch.device("cpu")
        return func(*map_leaves(self._stand_in, list(args)), **kwargs)

    def device_of(self, leaf: Any) -> Any:
        """The device that the step will run on, where it asked for that of its input."""
        return self.device if isinstance(leaf, torch.device) else leaf

    def _stand_in(self, leaf: Any) -> Any:
        """For a tensor of another device, one like it on the CPU."""
        if not isinstance(leaf, Tensor) or leaf.device.type == "cpu":
            return leaf
        if id(leaf) not in self._stand_ins:
            self._stand_ins[id(leaf)] = leaf, torch.zeros_like(leaf, device="cpu")
        return self._stand_ins[id(leaf)][1]
