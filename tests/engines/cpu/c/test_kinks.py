"""Every pointwise operation where it is awkward, against PyTorch: value and gradients.

At the kinks of all of them and their neighbours, at zeros, infinities and NaN, at the largest and
smallest numbers, for cotangents of 1, 0, infinity and another: NaN where PyTorch has NaN, and the
same number but for rounding elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: F401 - the operations name it

import cello
from cello.engines import Run, run
from cello.program import capture
from cello.program.operations import OPERATIONS

WIDTH = 2  # features of each operation
Operation = Callable[..., Tensor]

# Of a alone, of both and of all three; q and w are parameters of the cell, of one number and more.
ONE = """
    -a; a + 0.3; 2 - a; a / 3; 3 / a; a * 0.3; torch.rsub(a, 1.5); a.abs(); a.sign(); a.sgn();
    a % 0.1; torch.remainder(a, 0.7); torch.remainder(a, -0.1); torch.fmod(a, 0.1);
    torch.remainder(1.0, a.detach()); a.detach() // 0.1; 1.0 // a.detach();
    torch.div(a, 0.1, rounding_mode="trunc"); torch.div(a, -0.7, rounding_mode="floor");
    torch.clamp(a, -0.5, 0.5); torch.clamp(a, 0.5, -0.5); a.clamp(min=0.1); a.clamp(max=0.2);
    a.clamp(min=math.nan); a.clamp(max=math.nan); a.clamp(-1, math.nan); torch.clamp_min(a, 0.1);
    torch.clamp_max(a, 0.2); torch.where(a <= 0.3, a, 0.5); (a > 0.3).to(a.dtype);
    torch.where(torch.isnan(a), 0.5, a); torch.where(torch.isinf(a), 0.5, a);
    torch.where(torch.isfinite(a), a, 0.5); torch.where(torch.logical_not(a), 0.5, a);
    torch.exp(a); torch.exp2(a); torch.expm1(a); torch.log(a); torch.log1p(a); torch.log2(a);
    torch.log10(a); torch.sqrt(a); torch.rsqrt(a); torch.reciprocal(a); a.square(); a**0; a**1;
    a**2; a**3; a**4; a**5; a**-0.5; a**0.5; a**-1.0; a**1.7; a**-2; a**-3; 1.3**a; 0.0**a;
    (-2.0)**a; 1.0**a; torch.logit(a); torch.logit(a, 0.3); torch.logit(a, 0.0); torch.sin(a);
    torch.cos(a); torch.tan(a); torch.sinh(a); torch.cosh(a); torch.tanh(a); torch.erf(a);
    torch.floor(a); torch.ceil(a); torch.trunc(a); torch.frac(a); torch.sigmoid(a); torch.relu(a);
    F.leaky_relu(a); F.leaky_relu(a, -0.3); F.elu(a); F.elu(a, 0.4); F.celu(a); F.celu(a, 0.5);
    F.selu(a); F.gelu(a); F.gelu(a, approximate="tanh"); F.silu(a); F.mish(a); F.softplus(a);
    F.softplus(a, 2.0, 0.5); F.softplus(a, -1.0); F.softsign(a); F.hardsigmoid(a); F.hardtanh(a);
    F.hardtanh(a, -0.2, 0.5); F.hardswish(a); F.relu6(a); F.logsigmoid(a); F.tanhshrink(a);
    F.hardshrink(a); F.hardshrink(a, 0.3); F.hardshrink(a, 0.0); F.softshrink(a);
    F.softshrink(a, 0.3); F.softshrink(a, 0.0); F.threshold(a, 0.3, -0.1); F.prelu(a, q);
    F.prelu(a, w); torch.round(a); torch.round(a, decimals=1); torch.round(a, decimals=-1);
    torch.erfc(a); torch.asin(a); torch.acos(a); torch.atan(a); torch.asinh(a); torch.acosh(a);
    torch.atanh(a); torch.sinc(a); torch.deg2rad(a); torch.rad2deg(a); torch.nan_to_num(a);
    torch.nan_to_num(a, 0.3, 0.5, -0.5); torch.fill(a, 0.3); torch.special.xlogy(a, 0.3)
"""
MORE = """
    a + b; a - b; a * b; a / b; torch.add(a, b, alpha=0.3); torch.sub(a, b, alpha=2);
    torch.remainder(a, b); torch.fmod(a, b); a.detach() // b.detach();
    torch.div(a, b, rounding_mode="trunc"); torch.div(a, b, rounding_mode="floor");
    torch.lerp(a, b, c); torch.lerp(a, b, 0.3); torch.lerp(a, b, 0.7); torch.addcmul(a, b, c);
    torch.addcmul(a, b, c, value=0.5); torch.addcdiv(a, b, c); torch.addcdiv(a, b, c, value=-2);
    torch.where(a > b, a, b * b); torch.where((a < 0.5) & (b >= 0.1), a, b);
    torch.where((a != 0.5) | (b == 0.3), b, a); torch.where(~(a > 0.1), a, b);
    torch.where((a > 0.1) ^ (b > 0.1), a, b); torch.where(torch.logical_and(a, b), a, b);
    torch.where(torch.logical_or(a, b), a, b); torch.where(torch.logical_xor(a, b), a, b);
    torch.where(torch.logical_xor(a > 0, b > 0), a, b); a.masked_fill(b > 0.1, 0.7);
    torch.clamp(a, b, c); torch.clamp(a, min=b); torch.clamp(a, max=b); torch.maximum(a, b);
    torch.minimum(a, b); torch.max(a, b); torch.min(a, b); a**b; torch.logaddexp(a, b);
    torch.logaddexp2(a, b); torch.xlogy(a, b); torch.heaviside(a.detach(), b.detach());
    torch.atan2(a, b); torch.hypot(a, b); torch.copysign(a, b); torch.fmax(a, b); torch.fmin(a, b);
    F.mse_loss(a, b, reduction="none"); F.smooth_l1_loss(a, b, reduction="none");
    F.smooth_l1_loss(a, b, reduction="none", beta=0.3); F.huber_loss(a, b, reduction="none");
    F.huber_loss(a, b, reduction="none", delta=0.3)
"""

# Where PyTorch's own kernels differ, either is right.
ONE_BY_ONE = {  # not as its kernels for many numbers at once
    "%|remainder|fmod": "there, what a large quotient leaves is NaN",
    "sinh|cosh": "there, they overflow where e^x does, before they must",
}
# Whether a product that is added overflows by itself depends on the processor: it does here.
WRITTEN_OUT = {
    "torch.add(a, b, alpha=0.3)": "a + b * 0.3",
    "torch.sub(a, b, alpha=2)": "a - b * 2",
    "torch.addcmul(a, b, c)": "a + b * c",
    "torch.addcmul(a, b, c, value=0.5)": "a + b * 0.5 * c",
    "torch.lerp(a, b, 0.3)": "a + 0.3 * (b - a)",
    "torch.lerp(a, b, 0.7)": "b - (b - a) * (1 - 0.7)",
    "torch.lerp(a, b, c)": "torch.where(c.abs() < 0.5, a + c * (b - a), b - (b - a) * (1 - c))",
}


def some(text: str, count: int) -> list[tuple[str, ...]]:
    """The operations, so many at a time."""
    parts = [part.strip() for part in text.split(";")]
    return [tuple(parts[first : first + count]) for first in range(0, len(parts), count)]


class Parts(cello.Cell):
    """Applies each of its operations to features of its own."""

    state = ("h",)

    def __init__(self, operations: tuple[str, ...]) -> None:
        units = WIDTH * len(operations)
        super().__init__(3 * units, units)
        self.q = nn.Parameter(torch.tensor([0.25]))
        self.w = nn.Parameter(torch.full((WIDTH,), 0.3))
        self.operations = [operation(text) for text in operations]

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        operands = (part.split(WIDTH, 1) for part in x.chunk(3, 1))
        parts = zip(self.operations, *operands, strict=True)
        return torch.cat([f(self.q, self.w, *abc) for f, *abc in parts], 1), (h * 0.5,)


def operation(text: str) -> Operation:
    made: Operation = eval(f"lambda q, w, a, b, c: {text}", globals())
    return made


def awkward(dtype: torch.dtype, kinks: list[float], *, neighbours: bool) -> Tensor:
    """These numbers, the extreme ones, and all of them with the other sign."""
    limits = torch.finfo(dtype)
    extreme = [math.inf, math.nan, limits.max, limits.tiny, limits.tiny / 8]
    numbers = torch.tensor(kinks, dtype=dtype)
    if neighbours:
        ends = torch.full_like(numbers, math.inf)
        numbers = torch.cat([torch.nextafter(numbers, end) for end in (-ends, numbers, ends)])
    numbers = torch.cat([torch.tensor(extreme, dtype=dtype), numbers])
    return torch.cat([numbers, -numbers])


def given(dtype: torch.dtype, several: bool) -> tuple[list[Tensor], Tensor]:
    """a, b and c, and a cotangent for each: a multiple of what any processor takes at once."""
    if several:
        numbers = awkward(dtype, [0, 0.1, 0.3, 0.5, 1, 3], neighbours=False)
        a, b = torch.cartesian_prod(numbers, numbers).T
        c = numbers.repeat(len(numbers))[torch.randperm(len(a))]
    else:
        kinks = [0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 6, 20, 88, 89, 104, 700, 710]
        a = b = c = awkward(dtype, kinks, neighbours=True)
    cotangents = torch.tensor([1, 0, math.inf, -2.5], dtype=dtype)
    g = cotangents.repeat_interleave(len(a))
    operands = [part.repeat(4) for part in (a, b, c)]
    more = -len(g) % 64
    return [torch.cat([part, part[:more]]) for part in operands], torch.cat([g, g[:more]])


def ours(cell: Parts, operands: list[Tensor], g: Tensor) -> Iterator[list[Tensor]]:
    """For each operation the value and the three gradients, in the order of what was given."""
    count = len(cell.operations)

    def columns(part: Tensor) -> Tensor:
        return part.reshape(-1, WIDTH).repeat(1, count)

    x = torch.cat([columns(part) for part in operands], 1).requires_grad_()
    state = (x.new_zeros(len(x), cell.hidden_size),)
    y = run(Run(x, [len(x)], state, state, cell=cell), "cpu").output
    (gradient,) = torch.autograd.grad(y, x, columns(g))
    found = zip(y.split(WIDTH, 1), *(p.split(WIDTH, 1) for p in gradient.chunk(3, 1)), strict=True)
    for parts in found:
        yield [part.reshape(-1) for part in parts]


def theirs(function: Operation, cell: Parts, operands: list[Tensor], g: Tensor) -> list[Tensor]:
    # oneDNN's gelu is another one, which makes NaN of infinity.
    with torch.backends.mkldnn.flags(enabled=False):
        leaves = [part.detach().requires_grad_() for part in operands]
        y = function(cell.q, cell.w[:1], *leaves)
        found: Any = [None] * 3
        if y.requires_grad:
            found = torch.autograd.grad(y, leaves, g, allow_unused=True)
    return [y, *(torch.zeros_like(g) if part is None else part for part in found)]


def apart(numbers: Tensor) -> Tensor:
    """The same numbers, not side by side: kernels take them one by one."""
    return torch.stack([numbers, numbers], 1)[:, 0]


def close(mine: Tensor, value: Tensor) -> Tensor:
    eps = torch.finfo(value.dtype).eps
    few = 4 if value.dtype == torch.float32 else 100
    return torch.isclose(mine, value, rtol=200 * eps, atol=few * eps, equal_nan=True)


def groups() -> list[Any]:
    found = []
    for several, text in enumerate((ONE, MORE)):
        for number, part in enumerate(some(text, 12), 1):
            name = f"{'of several' if several else 'of one'} {number}"
            found.append(pytest.param(part, bool(several), id=name))
    return found


@pytest.mark.filterwarnings("ignore:TF32 acceleration:UserWarning")  # of leaving oneDNN out
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("operations", "several"), groups())
def test_awkward_numbers(operations: tuple[str, ...], several: bool, dtype: torch.dtype) -> None:
    cell = Parts(operations).to(dtype)
    operands, g = given(dtype, several)
    for text, function, found in zip(
        operations, cell.operations, ours(cell, operands, g), strict=True
    ):
        expected = [theirs(function, cell, operands, g)]
        if any(re.search(name, text) for name in ONE_BY_ONE):
            expected.append(theirs(function, cell, [apart(part) for part in operands], apart(g)))
        if text in WRITTEN_OUT:
            value = operation(WRITTEN_OUT[text])(None, None, *operands)
            expected.append([value, *expected[0][1:]])
        for part, mine, *values in zip(("y", "da", "db", "dc"), found, *expected, strict=True):
            wrong = ~torch.stack([close(mine, value) for value in values]).any(0)
            rows = torch.stack([*operands, g, mine, *values])[:, wrong].T.tolist()
            assert not rows, f"{part} of {text}: a, b, c, cotangent, ours, theirs: {rows[:5]}"


def test_every_pointwise_operation_is_among_them() -> None:
    cells = [Parts(operations) for operations in some(f"{ONE};{MORE}", 20)]
    seen = {op.target._opname for cell in cells for op in capture(cell).ops}
    assert {name for name, entry in OPERATIONS.items() if entry.formula} <= seen
