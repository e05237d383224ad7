"""A loop as one kernel for all its steps, and functions for what runs before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.compiled import StepsOnDevice, compiled, numbers_on, precision
from cello.engines.gpu.write import TritonText

__all__ = ["SPILLED", "STAGES", "TILE", "WholeLoop"]

TILE, _WARPS = 16, 8  # rows and warps of a program
#: Steps whose loads Triton may begin ahead: its own number, and none, which takes fewer registers.
STAGES = (3, 1)
#: Bytes of a thread without a register, up to which one kernel costs less than launches do.
SPILLED = 64


class WholeLoop:
    """A loop whose states stay in registers, and whose weights stay at hand.

    Attributes:
        text: what it is rendered as.
        dtype: of the input and the weights; both are given in float32.
        functions: those of the text, once it is loaded.
        stages: steps whose loads Triton may begin ahead.
        unfit: why it is not to run on the card it was compiled for, None if it may.
    """

    tile = TILE

    def __init__(self, text: TritonText, dtype: torch.dtype) -> None:
        self.text, self.dtype = text, dtype
        self.functions: dict[str, Any] = {}
        self.stages = STAGES[0]
        self.unfit: str | None = None
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
            "num_warps": _WARPS,
        }
        if like.device.type == "cuda":
            options["num_stages"] = self.stages
        spilled = 0
        for name, function in self.functions.items():
            rows = steps.total if name in ("before", "after") else steps.rows
            made = function[-(-rows // TILE),](*arguments, **options)
            spilled = max(spilled, 4 * getattr(made, "n_spills", 0))
        if spilled > SPILLED:
            self._take_less(spilled)

    def _take_less(self, spilled: int) -> None:
        """Another plan for the next call."""
        if self.stages != STAGES[-1]:
            self.stages = STAGES[-1]
        else:
            self.unfit = f"one kernel finds no register for {spilled} bytes of each thread"
