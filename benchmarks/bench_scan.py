"""minGRU, whose state enters element by element, against a parallel scan over time in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import cello
from benchmarks.case import Case, Group
from benchmarks.passes import allowed, backward, sizes_of
from cello import zoo

SIZES = [(1, 1000, 16), (1, 1000, 128), (4, 1000, 32), (1, 16000, 16), (1, 16000, 128)]  # B, T, H


def scanned(cell: zoo.MinGRUCell, x: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """All steps of h = a h + b by doubling: log2 T rounds over whole tensors."""
    z_z, b = F.linear(x, cell.W, cell.b).chunk(2, dim=-1)
    z = torch.sigmoid(z_z)
    a, h, step = 1 - z, z * b, 1
    while step < len(x):
        h = torch.cat([h[:step], a[step:] * h[:-step] + h[step:]])
        a = torch.cat([a[:step], a[step:] * a[:-step]])
        step *= 2
    return h, (h[-1],)


def plain(cell: Any, x: Tensor) -> Callable[[], Any]:
    """Forward and backward of the scan."""
    return backward(partial(scanned, cell), cell, x)


def cases() -> Iterator[Case]:
    for batch, steps, hidden in SIZES:
        torch.manual_seed(0)
        cell = zoo.MinGRUCell(hidden, hidden)
        x = torch.randn(steps, batch, hidden)
        yield Case(
            "minGRU",
            backward(cello.Recurrent(cell), cell, x.clone()),
            plain(cell, x.clone()),
            sizes_of(x),
            rtol=1e-4,
            atol=partial(allowed, plain, cell, x.clone()),
            group=Group("a scan by doubling"),
            quick=steps == 1000 and hidden == 16,
        )
