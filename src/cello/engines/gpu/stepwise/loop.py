"""The steps of a rendered loop, one after the other: products by PyTorch, functions by Triton."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.compiled import OPTIONS, StepsOnDevice, compiled, numbers_on
from cello.engines.gpu.stepwise.multiply import multiply_in
from cello.engines.gpu.stepwise.rendered import BlockProduct, Function, MemoryBlock, StepText
from cello.engines.gpu.stepwise.replays import Replays

__all__ = ["StepwiseLoop"]

_NUMBERS = 4096  # of a block, from which on a program has one row
_LINES = 300  # of a function, from which on four warps have too few registers for its numbers


class _Rows(NamedTuple):
    """Rows of a step: the first of them and how many; the same of the step before it."""

    first: int
    size: int
    first_before: int
    size_before: int


class StepwiseLoop:
    """A loop that runs step by step.

    Attributes:
        text: what it is rendered as.
        dtype: of the input and the weights; both are given in float32.
        functions: those of the text, once it is loaded.
        tile, warps: rows and warps of a program of a function.
        replays: calls that have been captured.
    """

    def __init__(self, text: StepText, dtype: torch.dtype) -> None:
        self.text, self.dtype = text, dtype
        self.functions: dict[str, Any] = {}
        self.tile = 1
        while self.tile < 16 and 2 * self.tile * text.widest <= _NUMBERS:
            self.tile *= 2
        is_large = text.widest * self.tile >= _NUMBERS or text.longest > _LINES
        self.warps = 8 if is_large else 4
        self.replays = Replays(text)
        self._tables: dict[torch.device, Tensor] = {}

    def load(self) -> None:
        """Read the text."""
        if not self.functions:
            runs = (run for phase in self.text.phases.values() for run in phase)
            names = [run.name for run in runs if isinstance(run, Function)]
            self.functions = compiled(self.text.source, names)

    def __call__(
        self,
        steps: StepTable,
        tensors: Mapping[Slot, Tensor],
        reset: Tensor | None,
        like: Tensor,
    ) -> None:
        """Run all steps.

        Args:
            steps: which rows each step has.
            tensors: contiguous, by slot; without elements for what there is not.
            reset: which rows are reset before their step, [N] bool.
            like: a tensor of the loop's dtype and device.
        """
        self.load()
        if like.device not in self._tables:
            self._tables[like.device] = numbers_on(like.device, self.text.tables)

        def prepare(given: Mapping[Slot, Tensor], given_reset: Tensor | None) -> Callable[[], None]:
            some = next(tensor for tensor in given.values() if tensor.numel())
            return _StepCall(self, steps, given, given_reset, some).run

        self.replays.run(prepare, steps, tensors, reset, like)

    def table(self, device: torch.device) -> Tensor:
        """The whole numbers that functions read."""
        return self._tables[device]


class _StepCall:
    """One call: its memory, and all that runs."""

    def __init__(
        self,
        loop: StepwiseLoop,
        steps: StepTable,
        tensors: Mapping[Slot, Tensor],
        reset: Tensor | None,
        like: Tensor,
    ) -> None:
        text = loop.text
        self.loop, self.text, self.steps, self.tensors, self.like = loop, text, steps, tensors, like
        self.backward = text.name == "backward"
        total, rows = steps.total, steps.rows
        on_device = StepsOnDevice(steps, like)
        self.memories: dict[str, Tensor] = {
            name: tensors[slot] if tensors[slot].numel() else like
            for name, slot in text.pointers.items()
        }
        self.memories |= {
            "p_own": like.new_empty(total, max(1, text.own)),
            "p_now": like.new_empty(rows, max(1, text.now)),
            "p_tables": loop.table(like.device),
            "p_steps": on_device.table,
            "p_time": on_device.time,
            "p_reset": like if reset is None else reset.contiguous().view(torch.uint8),
        }
        for size, *places in text.states.values():
            self.memories |= {place: like.new_empty(rows, size) for place in places}
        forced = tensors.get(Slot("forced", ""))
        self.changes = reset is not None, forced is not None and forced.numel() > 0
        self.tile = loop.tile
        self.multiply = multiply_in(loop.dtype, like.device)
        self.matrices: dict[Slot, Tensor] = {}
        self.options = {
            "OWN": text.own,
            "NOW": text.now,
            "REVERSE": steps.reverse,
            "RAGGED": steps.table is not None,
            "RESETS": self.changes[0],
            "FORCED": self.changes[1],
            "TILE": self.tile,
            "num_warps": loop.warps,
            **OPTIONS,
        }

    def run(self) -> None:
        """All phases."""
        rows, whole = self.steps.rows, _Rows(0, self.steps.total, 0, 0)
        runs = (run for phase in self.text.phases.values() for run in phase)
        products = [run for run in runs if isinstance(run, BlockProduct)]
        for slot in {slot for product in products for _, slot, *_ in product.factors}:
            self.matrices[slot] = self.multiply.prepared(self.tensors[slot])
        first, last = ("grad_final", "grad_start") if self.backward else ("start", "final")
        self._phase("before", whole)
        for state, (_, before, _) in self.text.states.items():
            self.memories[before].copy_(self.tensors[Slot(first, state)][:rows])
        for step in self._rows_of_steps():
            if any(self.changes) and not self.backward:
                self._phase("begin", step)
            self._phase("loop", step)
            self._change_places()
        for state, (_, before, _) in self.text.states.items():
            self.tensors[Slot(last, state)][:rows] = self.memories[before]
        self._phase("after", whole)
        self._sums()

    def _change_places(self) -> None:
        """The states after the step are those before the next."""
        memories = self.memories
        for _, before, after in self.text.states.values():
            memories[before], memories[after] = memories[after], memories[before]

    def _rows_of_steps(self) -> Iterator[_Rows]:
        """The rows of each step, in the order in which they run."""
        steps, T = self.steps, self.steps.length
        if steps.table is None:
            sizes, first = [steps.rows] * T, range(0, steps.total, max(1, steps.rows))
        else:
            sizes, first = steps.table.tolist()
        back = 1 if steps.reverse else -1
        for s in range(T):
            t = s if steps.reverse is self.backward else T - 1 - s
            before = t + back
            there = 0 <= before < T
            yield _Rows(
                first[t], sizes[t], first[before] if there else 0, sizes[before] if there else 0
            )

    def _phase(self, name: str, rows: _Rows) -> None:
        for run in self.text.phases.get(name, ()):
            if isinstance(run, Function):
                self._call(run, rows, in_loop=name in ("begin", "loop"))
            else:
                self._multiply(run, rows)

    def _call(self, function: Function, rows: _Rows, *, in_loop: bool) -> None:
        numbers = (*rows,) if in_loop else (self.steps.length, self.steps.total)
        programs = self.steps.rows if in_loop else self.steps.total
        self.loop.functions[function.name][-(-programs // self.tile),](
            *(self.memories[name] for name in function.pointers),
            *numbers,
            self.steps.rows,
            **self.options,
        )

    def _multiply(self, product: BlockProduct, rows: _Rows) -> None:
        out = self._block(product.block, rows)
        for number, (block, slot, transposed, k0, n0) in enumerate(product.factors):
            matrix = self.matrices[slot]
            matrix = matrix.view(matrix.shape[0], -1)
            matrix = matrix.t() if transposed else matrix
            part = matrix[k0 : k0 + block.length, n0 : n0 + product.block.length]
            factor = self._block(block, rows)
            self.multiply(factor, part, out, add=number > 0)

    def _block(self, block: MemoryBlock, rows: _Rows) -> Tensor:
        memory, end = self.memories[block.memory], block.start + block.length
        if block.rows == "":
            return memory.view(-1)[block.start : end].expand(rows.size, block.length)
        first = rows.first if block.rows == "row" else 0
        return memory.view(memory.shape[0], -1)[first : first + rows.size, block.start : end]

    def _sums(self) -> None:
        """Of all rows, in the row of the first sequence: the others are zero."""
        every = _Rows(0, self.steps.total, 0, 0)
        for one in self.text.sums:
            into = self.tensors[one.array][0, one.start : one.start + one.length]
            if isinstance(one.block, MemoryBlock):
                torch.sum(self._block(one.block, every), 0, out=into)
            else:
                into.fill_(one.block * self.steps.total)
