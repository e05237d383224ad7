"""The modules of a net one after the other, and those without a state as a step."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from cello.cells import Cell
from cello.layers import Stack

__all__ = ["RowWise", "computing_modules"]


class RowWise(Cell):
    """A module that works on each row by itself, as a step: the state that a Cell has is not used.

    Args:
        module: what runs.
        inputs: features of a row that it takes.
        outputs: those that it gives; 1 if that does not matter.
    """

    state = ("nothing",)

    def __init__(self, module: nn.Module, inputs: int, outputs: int = 1) -> None:
        super().__init__(inputs, 1, output_size=outputs, state_sizes={"nothing": 1})
        self.part = module
        self.train(module.training)

    def step(self, x: Tensor, nothing: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """One step: x [B, inputs] → what the module makes of it."""
        return self.part(x), (nothing,)


def computing_modules(net: nn.Module, *path: str) -> Iterator[tuple[tuple[str, ...], nn.Module]]:
    """Each module that computes something in eval mode, by the names on the way to it."""
    if isinstance(net, (Stack, nn.Sequential)):
        for name, module in net.named_children():
            yield from computing_modules(module, *path, name)
    elif not isinstance(net, (nn.Identity, nn.Dropout)):
        yield path, net
