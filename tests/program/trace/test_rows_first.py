"""Steps whose tensors do not have their rows first: fused, and equal to the step itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from cello.errors import CaptureError
from cello.program import capture

Step = Callable[["Memory", Tensor, Tensor], Tensor]


class Memory(cello.Cell):
    """A state of four slots of six units, and one of many ways to read it."""

    state = ("h",)

    def __init__(self, way: str) -> None:
        super().__init__(3, 6, state_sizes={"h": (4, 6)})
        self.way = way
        self.W, self.R = nn.Linear(3, 6), nn.Linear(2, 2)
        self.norm = nn.LayerNorm(6)
        self.u = nn.Parameter(torch.randn(4, 1, 6))
        self.v = nn.Parameter(torch.randn(6))
        self.attention = nn.MultiheadAttention(6, 2, batch_first="first" in way)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        y = WAYS[self.way](self, self.W(x), h)
        new = torch.tanh(y + self.W(x)).unsqueeze(1)
        h = torch.cat([h[:, 1:], new], 1)
        return y, (h,)


def _attention(cell: Memory, x: Tensor, h: Tensor, **options: Any) -> Tensor:
    """As `nn.MultiheadAttention` wants it: [slots, B, units]."""
    slots = h.transpose(0, 1)
    return cell.attention(x.unsqueeze(0), slots, slots, **options)[0].squeeze(0)


def _heads(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    """Of each row, its heads as rows of their own."""
    rows = len(x)
    key = h.view(rows, 4, 2, 3).permute(0, 2, 1, 3).reshape(rows * 2, 4, 3)
    query = x.view(rows * 2, 3).unsqueeze(1)
    weights = torch.softmax(torch.bmm(query, key.transpose(1, 2)) + 0.5, -1)
    return torch.bmm(weights, key).view(rows, 6)


def _linear(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    each = cell.R(x.view(-1, 2))  # [B · 3, 2]
    each = each - each.mean(1, keepdim=True) + each.amax(-1, keepdim=True)
    return torch.sigmoid(each).reshape(len(x), -1) + h.sum(1)


def _scores(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    slots = h.permute(1, 0, 2)  # [4, B, 6]
    slots = cell.norm(slots * cell.v + cell.u) + x
    scores = (slots * x).sum(-1)  # [4, B]
    return (scores.softmax(0).unsqueeze(-1) * slots).sum(0)


def _columns(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    return (cell.W.weight @ (cell.W.weight.t() @ x.t())).t() + h[:, -1]


def _below(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    """Rows of two tensors one below the other, through one matrix."""
    both = torch.cat([x, h[:, 0]], 0) @ cell.attention.out_proj.weight
    one, other = both.split(len(x), 0)
    return one * torch.tanh(other)


def _stacked(cell: Memory, x: Tensor, h: Tensor) -> Tensor:
    parts = torch.stack([x, *h.unbind(1)[:2]])  # [3, B, 6]
    first, *rest = (parts * 2).unbind(0)
    return first + torch.cat([p.unsqueeze(0) for p in rest]).expand(2, -1, -1)[1:].squeeze(0)


WAYS: dict[str, Any] = {
    "attention": _attention,
    "attention first": lambda cell, x, h: cell.attention(x.unsqueeze(1), h, h)[0][:, 0],
    "attention alone": lambda cell, x, h: _attention(cell, x, h, need_weights=False),
    "scaled": lambda cell, x, h: F.scaled_dot_product_attention(x[:, None], h, h)[:, 0],
    "heads": _heads,
    "linear": _linear,
    "scores": _scores,
    "columns": _columns,
    "below": _below,
    "stacked": _stacked,
    "widened": lambda cell, x, h: torch.unbind(x + (h[:, 0] - x) * cell.u, 0)[2] * cell.u.sum(),
    "flat": lambda cell, x, h: x.view(-1).tanh().view(len(x), 6) + h[:, 0],
}


@pytest.mark.parametrize("way", WAYS)
def test_fused_as_the_step_says(way: str) -> None:
    cell = Memory(way).double()
    x = torch.randn(6, 3, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for engine in ("reference", "split", "cpu"):
        y, state = cello.Recurrent(cell, engine=engine)(x, lengths=[6, 2, 4])
        leaves = [x, *cell.parameters()]
        loss = y.square().sum() + state.h.sin().sum()
        found.append([y, *state, *torch.autograd.grad(loss, leaves, materialize_grads=True)])
    for some in found[1:]:
        for mine, expected in zip(some, found[0], strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_a_single_row_is_one_of_many(way: str) -> None:
    layer, x = cello.Recurrent(Memory(way), engine="cpu"), torch.randn(5, 3, 3)
    whole, _ = layer(x)
    assert torch.equal(layer(x[:, 1:2])[0], whole[:, 1:2])


def test_they_are_recorded_and_written() -> None:
    cell = Memory("heads")
    assert "softmax" in str(cello.equations(cell))
    recording = cello.record(cello.Recurrent(cell), torch.randn(4, 3, 3))
    assert "y" in recording.names
    assert "tanh" in str(recording.explain(t=1))


class Mixing(Memory):
    """Each row reads the one before."""

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        y = self.W(x).view(-1, 2).roll(1, 0).view(-1, 6)
        return y, (h + y.unsqueeze(1),)


def test_rows_that_mix_are_refused() -> None:
    with pytest.raises(CaptureError, match=r"one axis holds the rows and 3 elements of each"):
        capture(Mixing("heads"))
