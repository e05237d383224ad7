"""Layers that run the compiled loops or fail, for tests of what surrounds these."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import cello
from tests.registry import make

DOUBLE = torch.float64


def layer_of(name: str = "gru", **options) -> Any:
    """A layer that runs the compiled loops or fails."""
    if name == "drop-in":
        return OnTheCompiledEngine(3, 4, num_layers=2, bidirectional=True).double()
    return cello.Recurrent(make(name), engine="cpu", **options)


class OnTheCompiledEngine(cello.GRU):
    def forward(self, *args, **kwargs):
        with cello.engine("cpu"):
            return super().forward(*args, **kwargs)


def numbers(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, requires_grad=grad)


def close(ours, theirs) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
