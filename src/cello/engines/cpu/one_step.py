"""One step a call, for streaming: the fused loop with weights packed and memory laid out before."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from cello.cells import Cell
from cello.cells.contract.shapes import width_of
from cello.engines.cpu.engine import CpuPlan, cpu_plan
from cello.engines.fused.op.memory_layout import plain
from cello.engines.fused.run_plan import shared_tensors
from cello.errors import CaptureError, CompilerError
from cello.program import program_of
from cello.program.kernel.shapes import features

__all__ = ["OneStep", "one_step"]

_BEFORE = 6  # pointers that every kernel takes before its own


class OneStep:
    """Runs the step of a cell for `rows` rows: called as `step(x)`, returns the output.

    The state is kept in two sets of buffers, read and written in turn. What the step reads of the
    cell besides tensors is what it was when this was made. Weights are packed again when an
    operation has changed them, or when another tensor is in their place; a change behind PyTorch's
    back, through `.data`, is seen by the next `OneStep` only.
    """

    def __init__(self, cell: Cell, plan: CpuPlan, rows: int, dtype: torch.dtype) -> None:
        self.cell, self.plan, self.rows, self.dtype = cell, plan, rows, dtype
        self.training = cell.training
        self.loop = plan.forward(save=False)
        self.loop.library.load()
        self.numbers = array("q", [1, rows, 0, 1, 1, 1])
        width, size = features(plan.program.output)[0], width_of(cell.input_size)
        # The shapes that come in, and what goes out; a single row may come without its axis.
        self.like: dict[Any, Tensor] = {(rows, size): torch.empty(rows, width, dtype=dtype)}
        if rows == 1:
            self.like[size,] = torch.empty(width, dtype=dtype)
        sizes = [features(value)[0] for value in plan.program.state.values()]
        self.buffers = [[torch.zeros(rows, n, dtype=dtype) for n in sizes] for _ in range(2)]
        self.turn = 0  # which of the buffers hold the state
        self.places: list[tuple[Any, str]] = [
            (group, name)
            for module in cell.modules()
            for group in (module._parameters, module._buffers)
            for name, tensor in group.items()
            if tensor is not None
        ]
        floating = ((g, n) for g, n in self.places if g[n].is_floating_point())
        self.sample = next(floating, ({"": torch.empty(0)}, ""))
        self.own_dtype = self._dtype_now()
        self.pack()

    def pack(self) -> None:
        """Take the weights as they are now."""
        self.sources = [(g, name, g[name], g[name]._version) for g, name in self.places]
        known = self.known = shared_tensors(self.plan, self.cell)
        shared = plain([known[value].detach() for value in self.plan.shared], self.dtype)
        self.shared = dict(zip(self.plan.shared, shared, strict=True))
        library = self.loop.library
        self.workspace = library.new_workspace()
        self.calls = [self._pointers(*self.buffers), self._pointers(*reversed(self.buffers))]
        library.pack(self.calls[0], self.numbers)

    def _pointers(self, now: Sequence[Tensor], then: Sequence[Tensor]) -> array[int]:
        """What the loop is called with; the places of x and y are left open."""
        names = list(self.plan.program.state)
        begin, end = (dict(zip(names, part, strict=True)) for part in (now, then))
        known: dict[Any, dict[Any, Tensor]] = {"start": begin, "initial": begin, "final": end}
        known |= {"vector": self.shared, "matrix": self.shared}
        call = [0] * _BEFORE
        call[5] = (self.workspace.data_ptr() + 63) // 64 * 64
        self.x: int | None = None
        self.y = 0
        for place, slot in enumerate(self.loop.rendered.slots, _BEFORE):
            of: Any = slot.of
            call.append(known[slot.kind][of].data_ptr() if slot.kind in known else 0)
            if slot.kind == "array":
                self.x, self.y = (place, self.y) if str(of) == "x" else (self.x, place)
        return array("Q", call)

    @property
    def state(self) -> list[Tensor]:
        """A copy of the state, each part [rows, size]."""
        return [part.clone() for part in self.buffers[self.turn]]

    @state.setter
    def state(self, parts: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for buffer, part in zip(self.buffers[self.turn], parts, strict=True):
                buffer.copy_(part)

    def _dtype_now(self) -> torch.dtype:
        """That of the cell."""
        group, name = self.sample
        return group[name].dtype

    def __call__(self, x: Tensor) -> Tensor | None:
        """One step of all rows: the output, a new tensor; None if it cannot run now, on this x."""
        like = self.like.get(x.shape)
        if (
            like is None
            or x.dtype is not self.dtype
            or type(x) not in (Tensor, Parameter)
            or not x.is_cpu
            or x.layout is not torch.strided
            or self.cell.training != self.training
            or self._dtype_now() is not self.own_dtype
        ):
            return None
        for group, name, source, version in self.sources:
            if group[name] is not source or source._version != version:
                self.pack()
                break
        if self.plan.widen is not None:
            with torch.no_grad():
                x, _ = self.plan.widen(x.reshape(self.rows, -1), self.known)
        x = x if x.is_contiguous() else x.contiguous()
        y = torch.empty_like(like)
        call = self.calls[self.turn]
        if self.x is not None:
            call[self.x] = x.data_ptr()
        call[self.y] = y.data_ptr()
        self.loop.library.run(call, self.numbers)
        self.turn = 1 - self.turn
        return y


def one_step(cell: Cell, rows: int, dtype: torch.dtype, device: torch.device) -> OneStep | None:
    """A compiled step of `cell`, or None where the step itself has to run."""
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return None
    try:
        plan = cpu_plan(program_of(cell, dtype, device, rows=(rows,)), cell.feedback)
        tensors = [*cell.parameters(), *cell.buffers()]
        if plan.draw is not None or len(features(plan.program.output)) != 1:
            return None
        if any(tensor.is_inference() for tensor in tensors):  # nobody counts their changes
            return None
        return OneStep(cell, plan, rows, dtype)
    except (CaptureError, CompilerError):
        return None
