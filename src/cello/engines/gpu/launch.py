"""A loop in Triton, called as one kernel or step by step, whichever a card takes less time for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from math import inf
from types import SimpleNamespace

import torch
from torch import Tensor

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.card import card_of, why_not_whole
from cello.engines.gpu.stepwise.loop import StepwiseLoop
from cello.engines.gpu.stepwise.rendered import StepText
from cello.engines.gpu.whole import WholeLoop
from cello.engines.gpu.write import TritonText

__all__ = ["TritonLibrary", "as_for"]

_rows: ContextVar[int | None] = ContextVar("cello_gpu_rows", default=None)


@contextmanager
def as_for(rows: int) -> Iterator[None]:
    """Run loops in the block the way that is chosen for so many rows."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def too_much() -> type[Exception]:
    """What Triton raises where a function takes more than the card has."""
    from triton.runtime.errors import OutOfResources

    kind: type[Exception] = OutOfResources
    return kind


class TritonLibrary:
    """A loop in Triton.

    Attributes:
        rendered: `slots`, the pointers that a call takes, in order.
        whole: the loop as one kernel.
        stepwise: the loop step by step.
    """

    def __init__(self, whole: TritonText, stepwise: StepText, dtype: torch.dtype) -> None:
        slots = (*whole.slots, *stepwise.pointers.values())
        self.rendered = SimpleNamespace(slots=tuple(dict.fromkeys(slots)))
        self.whole, self.stepwise = WholeLoop(whole, dtype), StepwiseLoop(stepwise, dtype)

    def __call__(self, steps: StepTable, tensors: Sequence[Tensor], reset: Tensor | None) -> None:
        """Run all steps.

        Args:
            steps: which rows each step has.
            tensors: contiguous, in the order of `slots`; without elements for what there is not.
            reset: which rows are reset before their step, [N] bool.
        """
        if steps.length == 0 or steps.rows == 0:
            return
        by_slot: dict[Slot, Tensor] = dict(zip(self.rendered.slots, tensors, strict=True))
        like = next(tensor for tensor in tensors if tensor.numel())
        rows = _rows.get() or steps.rows
        loop = self.way(rows, like.device)
        is_gpu = like.device.type == "cuda"
        with torch.no_grad(), torch.cuda.device(like.device) if is_gpu else nullcontext():
            try:
                loop(steps, by_slot, reset, like)
            except too_much() as error:
                if loop is not self.whole:
                    raise
                self.whole.take_less(inf, f"takes more than the card has: {error}")
                self.stepwise(steps, by_slot, reset, like)

    def way(self, rows: int, device: torch.device) -> WholeLoop | StepwiseLoop:
        """How it runs for so many rows."""
        reason = self.whole.unfit or why_not_whole(
            self.whole.text, self.stepwise.text, rows, card_of(device)
        )
        return self.whole if reason is None else self.stepwise
