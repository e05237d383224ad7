"""A rendered loop as a function that can be called: Triton compiles it when it first runs."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.step_table import StepTable
from cello.engines.gpu.write import TritonText

__all__ = ["TritonLibrary"]

_serial = count()
_TILE, _WARPS = 16, 8  # rows and warps of a program


class TritonLibrary:
    """A loop in Triton."""

    def __init__(self, rendered: TritonText) -> None:
        self.rendered = rendered
        self.functions: dict[str, Any] = {}
        self._tables: dict[torch.device, Tensor] = {}

    def load(self) -> None:
        """Read the text."""
        if not self.functions:
            from cello.engines.gpu.language import FUNCTIONS

            text = self.rendered.source
            file = f"<cello gpu {next(_serial)}>"
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
            scope = dict(FUNCTIONS)
            exec(compile(text, file, "exec"), scope)
            self.functions = {name: scope[name] for name in self.rendered.phases}

    def __call__(self, steps: StepTable, tensors: Sequence[Tensor], reset: Tensor | None) -> None:
        """Run all steps.

        Args:
            steps: which rows each step has.
            tensors: contiguous, in the order of `TritonText.slots`; without elements for what
                there is not.
            reset: which rows are reset before their step, [N] bool.
        """
        self.load()
        if steps.length == 0 or steps.rows == 0:
            return
        kinds = [slot.kind for slot in self.rendered.slots]
        some = next(tensor for tensor in tensors if tensor.numel())
        device = some.device
        table = time = some
        if steps.table is not None:
            table = steps.table.to(device)
            time = torch.repeat_interleave(torch.arange(steps.length, device=device), table[0])
        arguments = (
            *(tensor if tensor.numel() else some for tensor in tensors),
            some.new_empty(max(1, steps.total * self.rendered.own)),
            self._table(device),
            table,
            time,
            some if reset is None else reset.contiguous().view(torch.uint8),
            steps.length,
            steps.rows,
            steps.total,
        )
        options = {
            "OWN": self.rendered.own,
            "REVERSE": steps.reverse,
            "RAGGED": steps.table is not None,
            "RESETS": reset is not None,
            "FORCED": tensors[kinds.index("forced")].numel() > 0,
            "TILE": _TILE,
            # Three products in TF32 round as one in float32 does.
            "PRECISION": "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3",
            "num_warps": _WARPS,
        }
        for name, function in self.functions.items():
            rows = steps.total if name in ("before", "after") else steps.rows
            function[-(-rows // _TILE),](*arguments, **options)

    def _table(self, device: torch.device) -> Tensor:
        found = self._tables.get(device)
        if found is None:
            numbers = self.rendered.tables or (0,)
            found = self._tables[device] = torch.tensor(numbers, dtype=torch.int32, device=device)
        return found
