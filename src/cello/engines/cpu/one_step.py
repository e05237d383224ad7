"""One step a call, for streaming: the fused loop with its weights packed beforehand."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cello.cells import Cell
from cello.engines.cpu.engine import shared_tensors
from cello.engines.cpu.plan import Plan, plan_of
from cello.errors import CaptureError, CompilerError
from cello.program import program_of
from cello.program.kernel.shapes import features

__all__ = ["OneStep", "one_step"]

_BEFORE = 6  # pointers that every kernel takes before its own


class OneStep:
    """Runs the step of a cell for `rows` rows: called as `step(x, state)`, returns (y, state).

    What it reads of the cell besides tensors is what it was when this was made. Weights are packed
    again when an operation has changed them; a change behind PyTorch's back, through `.data`, is
    seen by the next `OneStep` only.
    """

    def __init__(self, cell: Cell, plan: Plan, rows: int) -> None:
        self.cell, self.plan, self.rows = cell, plan, rows
        self.training = cell.training
        self.sources = [*cell.parameters(), *cell.buffers()]
        self.loop = plan.forward(save=False)
        self.loop.library.load()
        self.width = features(plan.program.output)[0]
        self.sizes = [features(value)[0] for value in plan.program.state.values()]
        self.numbers = array("q", [1, rows, 0, 1, 1, 1])
        self.pack()

    def pack(self) -> None:
        """Take the weights as they are now."""
        library, program = self.loop.library, self.plan.program
        self.versions = [tensor._version for tensor in self.sources]
        known = shared_tensors(self.plan, self.cell)
        self.shared = [known[value].detach().contiguous() for value in self.plan.shared]
        self.workspace = library.new_workspace(self.rows)
        states = list(program.state)
        places: dict[Any, int] = {}
        pointers = [0] * _BEFORE
        pointers[5] = (self.workspace.data_ptr() + 63) // 64 * 64
        for slot in self.loop.rendered.slots:
            if slot.kind in ("vector", "matrix"):
                tensor = self.shared[self.plan.shared.index(slot.of)]  # type: ignore[arg-type]
                pointers.append(tensor.data_ptr())
            else:
                places[slot.kind, str(slot.of)] = len(pointers)
                pointers.append(0)
        self.addresses = array("Q", pointers)
        self.x, self.y = places.get(("array", "x")), places["array", "y"]
        self.states = [
            (places["start", name], places["initial", name], places["final", name])
            for name in states
        ]
        library.pack(self.addresses, self.numbers)

    def __call__(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One step of all rows; the tensors that come back are new."""
        if [tensor._version for tensor in self.sources] != self.versions:
            self.pack()
        x = x if x.is_contiguous() else x.contiguous()
        addresses, new = self.addresses, x.new_empty
        y = new((self.rows, self.width))
        if self.x is not None:
            addresses[self.x] = x.data_ptr()
        addresses[self.y] = y.data_ptr()
        made = []
        for (start, initial, final), part, size in zip(self.states, state, self.sizes, strict=True):
            part = part if part.is_contiguous() else part.contiguous()
            result = new((self.rows, size))
            addresses[start] = addresses[initial] = part.data_ptr()
            addresses[final] = result.data_ptr()
            made.append(result)
        self.loop.library.run(addresses, self.numbers)
        return y, made


def one_step(cell: Cell, rows: int, dtype: torch.dtype, device: torch.device) -> OneStep | None:
    """A compiled step of `cell`, or None where the step itself has to run."""
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return None
    try:
        plan = plan_of(program_of(cell, dtype, device, one_row=rows == 1), cell.feedback)
        if plan.draw is not None or len(features(plan.program.output)) != 1:
            return None
        return OneStep(cell, plan, rows)
    except (CaptureError, CompilerError):
        return None
