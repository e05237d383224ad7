"""Text in Triton as functions that can be called: Triton compiles each when it first runs."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import torch
from torch import Tensor

from cello.engines.fused.step_table import StepTable

__all__ = ["OPTIONS", "StepsOnDevice", "compiled", "may_be_tf32", "numbers_on", "precision"]

#: What every function is compiled with. Where multiplications and additions become one, a number
#: depends on what else its function computes; and it takes more registers.
OPTIONS = {"enable_fp_fusion": False}

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


def precision(dtype: torch.dtype) -> str:
    """How products are computed: three in TF32 round as one in float32 does.

    A number of 16 bits is one of TF32, so there one product will do. AMD's cards multiply float32
    itself.
    """
    if torch.version.hip is not None:
        return "ieee"
    return "tf32" if dtype.itemsize == 2 or may_be_tf32() else "tf32x3"


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
            numbers = steps.table.numpy().tobytes()
            self.table, self.time = _on_device(numbers, steps.length, steps.total, like.device)


@lru_cache(maxsize=64)
def _on_device(
    numbers: bytes, length: int, total: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The two of them; kept, for while a CUDA graph is captured nothing comes from the host."""
    table = torch.frombuffer(bytearray(numbers), dtype=torch.int64).view(2, length)
    # On the host, for copies from there are whole on every stream that reads them.
    time = torch.repeat_interleave(torch.arange(length), table[0], output_size=total)
    return table.to(device), time.to(device)
