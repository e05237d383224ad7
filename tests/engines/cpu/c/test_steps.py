"""Small steps, each of one expression: all but a few run fused, and as PyTorch runs them.

Those that people write, and the case of every operation in the table.

Half of the numbers are halves, so that they meet kinks and each other. An expression gets features
of its own, so that a cell holds several of them and costs one compilation.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: F401 - the expressions name it

import cello
from cello.engines import Run, run
from cello.errors import CaptureError
from cello.program.kernel import lower
from tests.engines.cpu.c.expressions import EXPRESSIONS
from tests.program.test_operations import CASES

aten = torch.ops.aten
WIDTH, AT_ONCE = 4, 10

TEXTS = [line.strip() for line in EXPRESSIONS.splitlines() if line.strip(" #") == line.strip()]
TEXTS = list(dict.fromkeys(text for text in (*TEXTS, *CASES.values()) if text))

#: Those that have no fused form. It may only become smaller.
NOT_FUSED = {
    "torch.float_power(a.abs() + 1, 1.5).to(a.dtype)",
    "a[:, c.order] * b",
    "torch.take_along_dim(a, (b > 0).long(), 1)",
    "torch.ops.aten.index_put(a, [None, torch.tensor([0, 2])], b[:, :2], True)",
    "torch.index_add(a, 1, torch.tensor([0, 2]), b[:, :2])",
    "torch.sort(a, 1)[0] * b",
    "torch.topk(a, 2, 1)[0].repeat(1, 2) * b",
    "torch.median(a, 1, keepdim=True)[0] * b",
    "a.double().to(a.dtype) * b",
}


def assigned(a: Tensor, where: Any, what: Any) -> Tensor:
    """A tensor into parts of which something else is written."""
    made = a.clone()
    made[where] = what
    return made


def rewritten(a: Tensor, b: Tensor) -> Tensor:
    """Parts that see each other's writes, and the whole's."""
    made = a.clone()
    left, right = made[:, :2], made[:, 2:]
    left.mul_(b[:, :2])
    made.add_(1.0)
    right[:, 0] = left[:, 1]
    made[:, 3].copy_(b[:, 0] > 0)
    return made * left.sum(1, keepdim=True)


class Expressions(cello.Cell):
    """Computes each expression of features of its own; the state goes on as it is."""

    state = ("h",)

    def __init__(self, texts: list[str]) -> None:
        super().__init__(2 * WIDTH * len(texts), WIDTH * len(texts))
        self.M, self.v = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
        self.K, self.heads = nn.Parameter(torch.randn(4, 4, 4)), nn.Parameter(torch.randn(2, 2, 2))
        self.filter = nn.Parameter(torch.randn(1, 1, 3))
        self.register_buffer("order", torch.tensor([2, 0, 3, 1]))
        self.dense, self.bilinear = nn.Linear(4, 4), nn.Bilinear(4, 4, 4)
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.layer_norm, self.rms_norm = nn.LayerNorm(4, 0.1), nn.RMSNorm(4, 0.1)
        self.batch_norm = nn.BatchNorm1d(4).eval()
        self.plain_batch_norm = nn.BatchNorm1d(4, affine=False).eval()
        self.group_norm = nn.GroupNorm(2, 4)
        self.operations = [eval(f"lambda c, a, b: {text}", globals()) for text in texts]

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a, b = (part.split(WIDTH, 1) for part in x.chunk(2, 1))
        parts = [f(self, *ab) for f, *ab in zip(self.operations, a, b, strict=True)]
        return torch.cat(parts, 1), (h * 0.5,)


def groups() -> list[list[str]]:
    fused = [text for text in TEXTS if text not in NOT_FUSED]
    return [fused[first : first + AT_ONCE] for first in range(0, len(fused), AT_ONCE)]


def outcome(cell: Expressions, x: Tensor, engine: str) -> tuple[Tensor, dict[str, Tensor | None]]:
    """The output, and the gradients."""
    given = x.clone().requires_grad_()
    state = (x.new_zeros(len(x), cell.hidden_size),)
    torch.manual_seed(4)
    y = run(Run(given, [len(x)], state, state, cell=cell), engine).output
    leaves = {"x": given, **dict(cell.named_parameters())}
    cotangent = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view(y.shape)
    found = torch.autograd.grad(y, list(leaves.values()), cotangent, allow_unused=True)
    return y, dict(zip(leaves, found, strict=True))


def test_nine_of_ten_that_people_write_are_fused() -> None:
    lines = [line.strip() for line in EXPRESSIONS.splitlines()]
    own = {line for line in lines if line and not line.startswith("#")}
    assert len(own) >= 145
    assert len(own - NOT_FUSED) >= 0.9 * len(own)


@pytest.mark.parametrize("texts", groups(), ids=lambda texts: texts[0])
def test_they_are_fused_and_those_of_pytorch(texts: list[str]) -> None:
    torch.manual_seed(1)
    cell = Expressions(texts).double()
    x = torch.randn(24, cell.input_size, dtype=torch.float64)
    x[12:] = (x[12:] * 2).round() / 2
    (y, grads), (their_y, theirs) = (outcome(cell, x, name) for name in ("cpu", "reference"))
    parts = zip(
        texts,
        *(part.split(WIDTH, 1) for part in (y, their_y)),
        *(
            zip(*(p.split(WIDTH, 1) for p in g["x"].chunk(2, 1)), strict=True)
            for g in (grads, theirs)
        ),
        strict=True,
    )
    for text, mine, value, my_grads, their_grads in parts:
        for name, ours, expected in zip(
            ("y", "da", "db"), (mine, *my_grads), (value, *their_grads), strict=True
        ):
            torch.testing.assert_close(
                ours, expected, rtol=1e-9, atol=1e-9, equal_nan=True,
                msg=lambda m, t=f"{name} of {text}": f"{t}: {m}",
            )  # fmt: skip
    for name, value in theirs.items():
        mine = grads[name]
        if value is None or mine is None:
            rest = value if mine is None else mine
            assert rest is None or not rest.any(), name
        else:
            torch.testing.assert_close(
                mine, value, rtol=1e-8, atol=1e-8, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.filterwarnings("ignore::cello.EngineWarning")
@pytest.mark.parametrize("text", sorted(NOT_FUSED))
def test_those_that_are_not_fused_are_right_all_the_same(text: str) -> None:
    torch.manual_seed(1)
    cell = Expressions([text])
    with pytest.raises(CaptureError):
        lower(cello.program.capture(cell))
    x = torch.randn(3, 5, cell.input_size)
    layer = cello.Recurrent(cell)
    with cello.engine("reference"):
        expected = layer(x)[0]
    torch.testing.assert_close(layer(x)[0], expected)
