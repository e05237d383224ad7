"""Text in Triton as functions that can be called: Triton compiles each when it first runs."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.step_table import StepTable

__all__ = ["StepsOnDevice", "compiled", "may_be_tf32", "numbers_on", "precision"]

_serial = count()


def compiled(text: str, names: Iterable[str]) -> dict[str, Any]:
    """The functions of these names."""
    from cello.engines.gpu.language import FUNCTIONS

    file = f"<cello gpu {next(_serial)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = dict(FUNCTIONS)
    exec(compile(text, file, "exec"), scope)
    return {name: scope[name] for name in names}


def numbers_on(device: torch.device, numbers: Sequence[int]) -> Tensor:
    """Whole numbers that functions read, none of them if there are none."""
    return torch.tensor(numbers or (0,), dtype=torch.int32, device=device)


def precision() -> str:
    """How float32 is multiplied: three products in TF32 round as one in float32 does.

    AMD's cards multiply float32 itself.
    """
    if torch.version.hip is not None:
        return "ieee"
    return "tf32" if may_be_tf32() else "tf32x3"


def may_be_tf32() -> bool:
    """Whether PyTorch allows TF32 in products of float32, by whichever of its two switches."""
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        return bool(matmul.fp32_precision == "tf32")
    return bool(matmul.allow_tf32)


class StepsOnDevice:
    """Which rows each step has, as functions read it.

    Attributes:
        table: see `StepTable`; anything where each step has all rows.
        time: of each row its step; anything where each step has all rows.
    """

    def __init__(self, steps: StepTable, like: Tensor) -> None:
        self.table = self.time = like
        if steps.table is not None:
            self.table = steps.table.to(like.device)
            every = torch.arange(steps.length, device=like.device)
            self.time = torch.repeat_interleave(every, self.table[0], output_size=steps.total)
