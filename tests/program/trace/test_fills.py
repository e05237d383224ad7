"""Tensors of one number whose rows do not stand first, such as the state that no one gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import cello


class Without(cello.Cell):
    """Layers that are given no state, and one that is given ones."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.two = nn.LSTM(3, 4, num_layers=2)
        self.given = nn.GRU(4, 4)

    def step(self, x: Tensor, h: Tensor) -> Any:
        y, _ = self.two(x.unsqueeze(0))
        ones = torch.ones(1, x.size(0), 4)
        z, _ = self.given(y, ones)
        h = torch.tanh(h + z[0])
        return h, (h,)


def test_layers_without_a_state_are_fused_inside_a_step() -> None:
    torch.manual_seed(0)
    layer, x = cello.Recurrent(Without()), torch.randn(5, 2, 3)
    found = {}
    for engine in ("cpu", "reference"):
        given = x.clone().requires_grad_()
        with cello.engine(engine):
            y, _ = layer(given)
        grads = torch.autograd.grad(y.square().sum(), [given, *layer.parameters()])
        found[engine] = [y, *grads]
    torch.testing.assert_close(found["cpu"], found["reference"])
