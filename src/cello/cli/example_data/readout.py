"""The readout: an `nn.Linear` on top of a net, shown like a layer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import linear

from cello.cells import Cell
from cello.errors import CaptureError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack

if TYPE_CHECKING:
    from torch import Tensor

    from cello.see import Explanation

__all__ = ["Readout", "readout_of"]


class _ReadoutCell(Cell):
    """A linear module as a cell, which keeps its output but never looks at it."""

    state = ("output",)

    def __init__(self, module: nn.Linear) -> None:
        super().__init__(module.in_features, module.out_features)
        self.W, self.b = module.weight, module.bias

    def step(self, x: Tensor, output: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        output = linear(x, self.W, self.b)
        return output, (output,)


@dataclass(frozen=True)
class Readout:
    """What turns the output of the last layer into that of the net.

    Attributes:
        name: its place in the net.
        module: itself.
        reads: what it reads, in words of a recording; "x" if that has no name there.
    """

    name: str
    module: nn.Linear
    reads: str

    @property
    def heading(self) -> str:
        """Its place, and what it is."""
        return f"{self.name}: {self.module}"

    @property
    def equation(self) -> str:
        """What it computes."""
        return f"output = W {self.reads}" + (" + b" if self.module.bias is not None else "")

    def explain(self, x: Tensor, t: int, unit: int, digits: int) -> Explanation:
        """The arithmetic of one step, from what the module read, [T, B, in_features].

        Raises:
            ArgumentError: there is no such unit.
        """
        from cello.see import record

        recording = record(Recurrent(_ReadoutCell(self.module)), x)
        return recording.explain(t, unit, digits=digits)


def readout_of(net: nn.Module) -> Readout | None:
    """The readout of a net, if there is one."""
    if not isinstance(net, Stack) or len(net) < 2 or not isinstance(net[-1], nn.Linear):
        return None
    return Readout(str(len(net) - 1), net[-1], _name_of_output(net[-2]))


def _name_of_output(module: nn.Module) -> str:
    """What a recording calls the output of a layer."""
    if isinstance(module, Recurrent):
        cells = [module.cell]
    elif isinstance(module, Bidirectional) and module.join == "concat":
        cells = [module.forward_layer.cell, module.backward_layer.cell]
    elif isinstance(module, DropIn):
        cells = list(module.cells().values())[-2 if module.bidirectional else -1 :]
    else:
        return "x"
    names = [_of_cell(cell) for cell in cells]
    return names[0] if len(names) == 1 else f"[forward.{names[0]}, backward.{names[1]}]"


def _of_cell(cell: Cell) -> str:
    from cello.program import program_of

    like = next(cell.parameters())
    with suppress(CaptureError):
        program = program_of(cell, like.dtype, like.device)
        return [name for name, value in program.names.items() if value is program.output][-1]
    return "y"
