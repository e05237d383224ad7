"""The gradient of a vector is a sum over all steps, which keeps its digits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import cello

I = 3  # noqa: E741 - the size that the equations name so
STEPS = 16_000


class Fading(cello.Cell):
    """Each step leaves a half of the state: the gradient of `b` is one term a step, all alike."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(I, I)
        self.b = nn.Parameter(torch.zeros(I))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = 0.5 * h + x + self.b
        return h, (h,)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_sum_of_many_steps_keeps_its_digits(rows: int) -> None:
    cell, x = Fading(), torch.zeros(STEPS, rows, I)
    y, _ = cello.Recurrent(cell, engine="cpu")(x)
    (found,) = torch.autograd.grad(y.sum() / 10, [cell.b])
    wanted = rows * 0.2 * (STEPS - 1 + 0.5**STEPS)
    # One sum of all of these terms, each of them 0.2, would be 2e-4 of it beside that.
    torch.testing.assert_close(found, torch.full_like(found, wanted), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("length", [0, 1, 256, 257])
@pytest.mark.parametrize("kind", [cello.GRU, cello.LSTM])
def test_no_step_is_lost_between_sums(kind: type[nn.Module], length: int) -> None:
    layer, x = kind(I, I), torch.randn(length, 2, I)
    found, wanted = [], []
    for one, given, grads in (
        (layer, x, found),
        (copy.deepcopy(layer).double(), x.double(), wanted),
    ):
        with cello.engine("auto" if one is layer else "reference"):
            y = one(given)[0]
        grads += torch.autograd.grad(y.sum(), list(one.parameters()))
    for ours, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-4)
