"""Matrix memories and maps, as people write them in many ways: fused, and equal to the step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import cello

Times = Callable[[Tensor, Tensor], Tensor]

WAYS: dict[str, Times] = {
    "einsum": lambda S, k: torch.einsum("bij,bj->bi", S, k),
    "matmul": lambda S, k: (S @ k.unsqueeze(-1)).squeeze(-1),
    "bmm": lambda S, k: torch.bmm(S.transpose(1, 2), k.view(-1, 6, 1)).view(-1, 6),
}


class Matrix(cello.Cell):
    """The delta rule."""

    state = ("S",)

    def __init__(self, times: Times) -> None:
        super().__init__(3, 6, state_sizes={"S": (6, 6)})
        self.W, self.times = nn.Linear(3, 6), times

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        k = torch.tanh(self.W(x))
        S = 0.5 * S + torch.einsum("bi,bj->bij", k - self.times(S, k), k)
        return self.times(S, k), (S,)


class Map(cello.Cell):
    """A convolution that has more windows than a loop may have vectors."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__((1, 6, 6), 36, output_size=(1, 6, 6), state_sizes={"h": (1, 6, 6)})
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = torch.tanh(x + self.conv(h))
        return h, (h,)


CELLS: dict[str, Callable[[], cello.Cell]] = {
    **{way: lambda times=times: Matrix(times) for way, times in WAYS.items()},  # type: ignore[misc]
    "map": Map,
}


@pytest.mark.parametrize("name", CELLS)
def test_fused_as_the_step_says(name: str) -> None:
    cell = CELLS[name]().double()
    sizes = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
    x = torch.randn(5, 3, *sizes, dtype=torch.float64, requires_grad=True)
    found = []
    for engine in ("reference", "cpu"):
        y, state = cello.Recurrent(cell, engine=engine)(x, lengths=[5, 1, 4])
        loss = y.square().sum() + sum(part.sin().sum() for part in state)
        found.append([y, *state, *torch.autograd.grad(loss, [x, *cell.parameters()])])
    for expected, mine in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
    layer = cello.Recurrent(cell, engine="cpu")
    assert torch.equal(layer(x[:, 2:])[0], layer(x)[0][:, 2:])
