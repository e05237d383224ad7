"""A loop as one kernel for all its steps, and functions for what runs before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.slots import Slot
from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.compiled import StepsOnDevice, compiled, numbers_on
from cello.engines.gpu.write import TritonText

__all__ = ["TILE", "WholeLoop"]

TILE, _WARPS = 16, 8  # rows and warps of a program


class WholeLoop:
    """A loop whose states stay in registers, and whose weights stay at hand."""

    tile = TILE

    def __init__(self, text: TritonText) -> None:
        self.text = text
        self.functions: dict[str, Any] = {}
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
            # Three products in TF32 round as one in float32 does.
            "PRECISION": "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3",
            "num_warps": _WARPS,
        }
        for name, function in self.functions.items():
            rows = steps.total if name in ("before", "after") else steps.rows
            function[-(-rows // TILE),](*arguments, **options)
