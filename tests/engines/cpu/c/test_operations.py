"""Each operation that a fused loop is to have, by itself, against PyTorch: values and gradients.

An operation gets features of its own, of which it makes as many, so that a cell holds several of
them and costs one compilation: which one errs is told by the features that differ. `test_kinks` has
the pointwise ones at awkward numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: F401 - the operations name it

import cello
from tests.engines.test_matrix import outcome, sample

WIDTH = 4  # features of each operation
Operation = Callable[["ManyCell", Tensor, Tensor], Tensor]


class ManyCell(cello.Cell):
    """Applies each of its operations to a part of the features."""

    state = ("h",)

    def __init__(self, operations: list[Operation]) -> None:
        units = WIDTH * len(operations)
        super().__init__(3, units)
        self.W = nn.Linear(3, units)
        self.r = nn.Parameter(torch.randn(units))
        self.M = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.N = nn.Parameter(torch.randn(WIDTH, 2 * WIDTH))
        self.v = nn.Parameter(torch.randn(WIDTH))
        self.q = nn.Parameter(torch.tensor(0.7))
        self.dense = nn.Linear(WIDTH, WIDTH)
        self.layer_norm, self.rms_norm = nn.LayerNorm(WIDTH, 0.1), nn.RMSNorm(WIDTH, 0.1)
        self.register_buffer("fixed", torch.tensor([0.5, -0.5, 1.0, 2.0]))
        self.operations = operations

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        z = self.W(x) + self.r * h
        a, b = z.split(WIDTH, 1), h.split(WIDTH, 1)
        parts = zip(self.operations, a, b, strict=True)
        y = torch.cat([f(self, one, other) for f, one, other in parts], 1)
        return y, (torch.sin(y),)


# c is the cell, a and b are [B, WIDTH]. Where a function jumps, it does not jump at 0.
OPERATIONS = {
    "arithmetic": """
        a + b; a - b; a * b; a / (b.abs() + 1); -a; 2 - a; 3 / (a.abs() + 1); a + c.q; c.q * a;
        torch.add(a, b, alpha=0.3); torch.sub(a, b, alpha=2); torch.rsub(a, 1.5); a / 3;
        torch.remainder(a, 0.7); torch.fmod(a, 0.7); (a.detach() // 0.7) * b; torch.lerp(a, b, c.v);
        torch.div(a, 0.7, rounding_mode="trunc"); torch.addcmul(a, b, c.v, value=0.5);
        torch.addcdiv(a, b, c.v.abs() + 1); c.v * a; c.fixed * a; torch.tensor(0.3) * a
    """,
    "comparisons": """
        torch.where(a > b, a, b * b); torch.where(a <= 0.3, b, 0.5); torch.clamp(a, -0.5, 0.4);
        torch.where((a < 0.5) & (b >= 0.1), a, b); torch.where((a != 0.5) | (b == 0.2), b, a);
        torch.where(~(a > 0.2), a, b); torch.where((a > 0.2) ^ (b > 0.1), a, b); a.clamp(min=0.1);
        a.clamp(max=0.2); torch.clamp(a, b - 1, b + 0.1); torch.maximum(a, b);
        torch.minimum(a, b); torch.max(a, b); torch.min(a, b); a.abs(); a.sign() * b;
        a.masked_fill(b > 0.1, 0.7); (a > 0.3).to(a.dtype) * b; torch.where(torch.isnan(a), b, a);
        torch.where(torch.isinf(a), b, a); torch.where(torch.logical_xor(a > 0, b > 0), a, 0.1)
    """,
    "functions": """
        torch.exp(a); torch.exp2(a); torch.expm1(a); torch.log(a.abs() + 0.1);
        torch.log1p(a.abs()); torch.log2(a.abs() + 0.1); torch.log10(a.abs() + 0.1);
        torch.sqrt(a.abs() + 0.1); torch.rsqrt(a.abs() + 0.1); torch.reciprocal(a.abs() + 0.1);
        a**2; a**3; a**4; (a.abs() + 0.1) ** -0.5; (a.abs() + 0.1) ** 0.5; (a.abs() + 0.1) ** -1.0;
        (a.abs() + 0.1) ** 1.7; 1.3**a; (a.abs() + 0.1) ** b; a.square(); torch.logaddexp(a, b);
        torch.logit(torch.sigmoid(a)); torch.logit(torch.sigmoid(a), 0.3)
    """,
    "more functions": """
        torch.sin(a); torch.cos(a); torch.tan(torch.tanh(a)); torch.sinh(a); torch.cosh(a);
        torch.tanh(a); torch.erf(a); torch.floor(a) * b; torch.ceil(a) * b;
        torch.trunc(a) * b; torch.frac(a)
    """,
    "activations": """
        torch.sigmoid(a); torch.relu(a); F.leaky_relu(a); F.leaky_relu(a, 0.3); F.elu(a);
        F.elu(a, 0.4); F.celu(a); F.celu(a, 0.5); F.selu(a); F.gelu(a);
        F.gelu(a, approximate="tanh"); F.silu(a); F.mish(a); F.softplus(a);
        F.softplus(a, 2.0, 0.5); F.softsign(a); F.hardsigmoid(a); F.hardtanh(a);
        F.hardtanh(a, -0.2, 0.5); F.hardswish(a); F.relu6(a); F.logsigmoid(a); F.tanhshrink(a);
        F.hardshrink(a, 0.3); F.softshrink(a, 0.3); F.threshold(a, 0.3, -0.1);
        F.prelu(a, c.q.view(1)); F.prelu(a, c.v)
    """,
    "pieces": """
        torch.cat(a.chunk(2, 1)[::-1], 1); torch.cat(a.split([1, 3], 1)[::-1], 1);
        torch.cat([a[:, 2:], b[:, :2]], 1); torch.cat([a[:, -1:], a[:, :-1]], 1);
        torch.stack([a, b], 1).sum(1); torch.stack([a, b], 1).amax(1); a[:, 1:2] * b;
        torch.stack([a, b], 1)[:, 1]; a[:, 2][:, None] * b; a.unbind(1)[3].unsqueeze(1) * b;
        a.select(1, -1).unsqueeze(1) + b; a.reshape(-1, 2, 2).softmax(-1).flatten(1);
        a.unflatten(1, (2, 2)).reshape(-1, 4); a.detach() * b; a.clone();
        torch.stack([a[:, 3], b[:, 0], a.sum(1), b[:, 0]], 1) * a;
        torch.zeros_like(a) + b; torch.ones_like(a) * b; torch.full_like(a, 0.3) * b;
        a.new_zeros(a.shape) + b; F.dropout(a, 0.3, training=False)
    """,
    "products": """
        a @ c.M; a @ c.M.t(); a @ c.M.T; torch.mm(a, c.M); torch.matmul(a, c.M); F.linear(a, c.M);
        F.linear(a, c.M, c.v); c.dense(a); torch.addmm(c.v, a, c.M); torch.addmm(b, a, c.M);
        torch.addmm(c.v, a, c.M, beta=0.5, alpha=2.0); (a @ c.N)[:, 1:5]; a @ c.N[:, 2:6];
        a @ c.M @ c.M; c.dense(torch.tanh(c.dense(a))); a @ c.M.tril(); a @ (c.M - c.M.t());
        a @ torch.diag(c.v); (a @ c.v)[:, None] * b; a * torch.softmax(c.v, 0); a * c.M[1];
        torch.tanh(a @ c.M) @ c.N[:, ::2]
    """,
    "reductions": """
        a.sum(1, keepdim=True) * b; a.sum(-1).unsqueeze(-1) * b; a.mean(1, keepdim=True) * b;
        a.mean(-1)[:, None] * b; a.amax(1, keepdim=True) * b; a.amin(-1, keepdim=True) * b;
        a.max(1, keepdim=True).values * b; a.min(1, keepdim=True)[0] * b;
        a.var(1, keepdim=True) * b; a.var(1, keepdim=True, unbiased=False) * b;
        a.std(1, keepdim=True) * b; torch.var_mean(a, dim=1, keepdim=True)[0] * b;
        torch.std_mean(a, dim=1, keepdim=True)[1] * b; a.norm(dim=1, keepdim=True) * b;
        a.norm(p=1, dim=1, keepdim=True) * b; a.logsumexp(1, keepdim=True) * b;
        F.normalize(a, dim=1); (a * b).sum(1, keepdim=True) * b; torch.softmax(a, 1);
        F.log_softmax(a, -1); F.softmin(a, -1); c.layer_norm(a); F.layer_norm(a, (WIDTH,), eps=0.1);
        c.rms_norm(a); F.rms_norm(a, (WIDTH,), eps=0.1)
    """,
}


def groups() -> Iterator[object]:
    """Twelve at a time: a compiler takes longer for many more together than for each apart."""
    for name, text in OPERATIONS.items():
        texts = [line.strip() for line in text.split(";")]
        for first in range(0, len(texts), 12):
            yield pytest.param(texts[first : first + 12], id=f"{name} {first // 12 + 1}")


@pytest.mark.parametrize("texts", list(groups()))
def test_operations_are_those_of_pytorch(texts: list[str]) -> None:
    torch.manual_seed(1)
    cell = ManyCell([eval(f"lambda c, a, b: {text}", globals()) for text in texts]).double()
    sizes = [4, 4, 2, 1]
    given = sample(cell, sizes, torch.float64, resets=True)
    ours = outcome(cell, "cpu", sizes, given, False, None)
    theirs = outcome(cell, "reference", sizes, given, False, None)
    for part, name in ((0, "output"), (0, "h"), (1, "W.bias"), (1, "W.weight"), (1, "r")):
        mine, value = ours[part][name], theirs[part][name]
        axis = 0 if name.startswith("W") else -1
        pieces = zip(texts, mine.split(WIDTH, axis), value.split(WIDTH, axis), strict=True)
        for text, piece, expected in pieces:
            torch.testing.assert_close(
                piece,
                expected,
                rtol=1e-10,
                atol=1e-10,
                msg=lambda m, t=f"{name} of {text}": f"{t}: {m}",
            )
    for name, value in theirs[1].items():  # parameters that many operations share
        torch.testing.assert_close(ours[1][name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    "text",
    [
        "h.amax(1)", "h.amin(1)", "h.view(-1, 2, 3).amax((1, 2))",
        "h.view(-1, 2, 3).amin(1).sum(1)",
        "torch.stack([h[:, :2], h[:, 2:4], h[:, 4:]], 1).amax(1).sum(1)",
        "torch.stack([h.amax(1), h.sum(1), h[:, 0]], 1).amax(1)",
    ],
)  # fmt: skip
def test_the_gradient_of_an_extreme_goes_evenly_to_all_that_are_it(text: str) -> None:
    extreme = eval(f"lambda h: {text}", globals())

    class Extreme(cello.Cell):
        state = ("h",)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            parts = torch.cat([h[:, :2].sin(), h[:, 2:].sin()], 1)  # so that it is cut
            return extreme(h)[:, None] + x, (parts,)

    layer = cello.Recurrent(Extreme(1, 6))
    h = torch.tensor([[0.0] * 6, [1.0, 0, 1, 1, 0, 0], [0.0, 2, 0, 2, 0, 0]]).double()
    found = []
    for name in ("reference", "cpu"):
        start = h.clone().requires_grad_()
        with cello.engine(name):
            layer(torch.zeros(1, 3, 1).double(), (start,))[0].sum().backward()
        found.append(start.grad)
    torch.testing.assert_close(found[1], found[0])
