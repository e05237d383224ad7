"""A loop as one kernel for all its steps, and functions for what runs before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.compiled import OPTIONS, StepsOnDevice, compiled, numbers_on, precision
from cello.engines.gpu.write import TritonText

__all__ = ["SPILLED", "TILE", "WholeLoop", "plans"]

TILE = 16  # rows of a program
#: Bytes of a thread without a register, up to which one kernel costs less than launches do.
SPILLED = 64
#: What a kernel is compiled with, tried in turn until all that a thread has finds a register.
#: NVIDIA's assembler keeps half of them for a second program if it is not told otherwise; loads
#: that begin steps ahead take some.
_PLANS = ({"num_stages": 3}, {"num_stages": 3, "maxnreg": 255}, {"num_stages": 1})


def plans(*, amd: bool = torch.version.hip is not None) -> list[dict[str, int]]:
    """Options of Triton's compiler for one kernel, in the order in which they are tried."""
    return [plan for plan in _PLANS if not (amd and "maxnreg" in plan)]


class WholeLoop:
    """A loop whose states stay in registers, and whose weights stay at hand.

    Attributes:
        text: what it is rendered as.
        dtype: of the input and the weights; both are given in float32.
        functions: those of the text, once it is loaded.
        tile, warps: rows and warps of a program.
        plan: which of the plans it is compiled by.
        unfit: why it is not to run on the card it was compiled for, None if it may.
    """

    tile, warps = TILE, 8

    def __init__(self, text: TritonText, dtype: torch.dtype) -> None:
        self.text, self.dtype = text, dtype
        self.functions: dict[str, Any] = {}
        self.plan = 0
        self.unfit: str | None = None
        self._spilled: dict[int, float] = {}  # bytes of a thread, by plan
        self._tables: dict[torch.device, Tensor] = {}

    def load(self) -> None:
        """Read the text."""
        if not self.functions:
            self.functions = compiled(self.text.source, self.text.phases)

    def __call__(
        self, steps: StepTable, tensors: Mapping[Slot, Tensor], reset: Tensor | None, like: Tensor
    ) -> None:
        """Run all steps, see `StepwiseLoop`."""
        self.load()
        if like.device not in self._tables:
            self._tables[like.device] = numbers_on(like.device, self.text.tables)
        on_device = StepsOnDevice(steps, like)
        given = [tensors[slot] for slot in self.text.slots]
        arguments = (
            *(tensor if tensor.numel() else like for tensor in given),
            like.new_empty(max(1, steps.total * self.text.own)),
            self._tables[like.device],
            on_device.table,
            on_device.time,
            like if reset is None else reset.contiguous().view(torch.uint8),
            steps.length,
            steps.rows,
            steps.total,
        )
        options = {
            "OWN": self.text.own,
            "REVERSE": steps.reverse,
            "RAGGED": steps.table is not None,
            "RESETS": reset is not None,
            "FORCED": tensors[Slot("forced", "")].numel() > 0,
            "TILE": TILE,
            "PRECISION": precision(self.dtype),
            "num_warps": self.warps,
            **OPTIONS,
        }
        if like.device.type == "cuda":
            options |= plans()[self.plan]
        spilled = 0
        for name, function in self.functions.items():
            rows = steps.total if name in ("before", "after") else steps.rows
            parts = steps.sums // steps.rows if name == "sums" else 1
            made = function[-(-rows // TILE), parts](*arguments, **options)
            spilled = max(spilled, 4 * getattr(made, "n_spills", 0))
        if spilled:
            self.take_less(spilled, f"finds no register for {spilled} bytes of each thread")

    def take_less(self, spilled: float, reason: str) -> None:
        """Another plan for the next call; where all spill, the one that spills least.

        Args:
            spilled: bytes of a thread; infinity where the kernel did not run.
            reason: what was wrong with it.
        """
        self._spilled[self.plan] = spilled
        least = min(self._spilled, key=lambda plan: self._spilled[plan])
        if len(self._spilled) < len(plans()):
            self.plan = len(self._spilled)
        elif self._spilled[least] <= SPILLED:
            self.plan = least
        else:
            self.unfit = f"one kernel {reason}"
