"""Every entry of the table of operations: its value, every gradient, its formula."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: F401 - the cases name it

import cello
from cello.program import Op
from cello.program.kernel import rules as kernel
from cello.program.operations import OPERATIONS
from cello.see.arithmetic import reductions
from cello.see.formulas import symbols

aten = torch.ops.aten

# By its name: a step's output [B, 4], of the cell c, the input a [B, 4] and the state b [B, 4].
CASES = {
    # Element by element, at its kinks: tests/engines/cpu/c/test_kinks.py.
    "abs": "a.abs() * b",
    "exp": "torch.exp(a) * b",
    "expm1": "torch.expm1(a) * b",
    "log": "torch.log(a.abs() + 1)",
    "log1p": "torch.log1p(a.abs())",
    "log2": "torch.log2(a.abs() + 1)",
    "log10": "torch.log10(a.abs() + 1)",
    "sin": "torch.sin(a) * b",
    "cos": "torch.cos(a) * b",
    "tan": "torch.tan(a) * b",
    "sinh": "torch.sinh(a) * b",
    "cosh": "torch.cosh(a) * b",
    "tanh": "torch.tanh(a) * b",
    "sigmoid": "torch.sigmoid(a) * b",
    "erf": "torch.erf(a) * b",
    "floor": "torch.floor(a * 3) * b",
    "ceil": "torch.ceil(a * 3) * b",
    "trunc": "torch.trunc(a * 3) * b",
    "frac": "torch.frac(a * 3) * b",
    "sign": "torch.sign(a) * b",
    "sgn": "torch.sgn(a) * b",
    "neg": "-a",
    "sqrt": "torch.sqrt(a.abs())",
    "rsqrt": "torch.rsqrt(a.abs())",
    "reciprocal": "torch.reciprocal(a)",
    "isnan": "torch.where(torch.isnan(a), b, a)",
    "isinf": "torch.where(torch.isinf(a), b, a)",
    "logit": "torch.logit(torch.sigmoid(a))",
    "relu": "torch.relu(a) * b",
    "leaky_relu": "F.leaky_relu(a, 0.3) * b",
    "elu": "F.elu(a) * b",
    "celu": "F.celu(a, 0.5) * b",
    "softplus": "F.softplus(a) * b",
    "gelu": "F.gelu(a) * b",
    "silu": "F.silu(a) * b",
    "mish": "F.mish(a) * b",
    "hardshrink": "F.hardshrink(a) * b",
    "softshrink": "F.softshrink(a) * b",
    "threshold": "F.threshold(a, 0.3, -0.1) * b",
    "add": "torch.add(a, b, alpha=0.5)",
    "sub": "torch.sub(a, b, alpha=2)",
    "rsub": "torch.rsub(a, 1.5)",
    "mul": "a * 0.5 * b",
    "div": "a / (b * b + 1)",
    "fmod": "torch.fmod(a, 0.7) * b",
    "remainder": "torch.remainder(a, 0.7) * b",
    "pow": "a**2",
    "exp2": "torch.exp2(a) * b",
    "lerp": "torch.lerp(a, b, c.v)",
    "addcmul": "torch.addcmul(a, b, c.v, value=0.5)",
    "addcdiv": "torch.addcdiv(a, b, c.v)",
    "logaddexp": "torch.logaddexp(a, b)",
    "clamp": "torch.clamp(a, -0.5, 0.5)",
    "clamp_min": "torch.clamp_min(a, 0.1)",
    "clamp_max": "torch.clamp_max(a, 0.1)",
    "lt": "torch.where(a < b, a, 0.5)",
    "le": "torch.where(a <= b, a, 0.5)",
    "gt": "torch.where(a > b, a, 0.5)",
    "ge": "torch.where(a >= b, a, 0.5)",
    "eq": "torch.where(a == b, 0.5, a)",
    "ne": "torch.where(a != b, a, 0.5)",
    "where": "torch.where(a > 0, a, b)",
    "masked_fill": "a.masked_fill(b > 0.1, 0.7)",
    "logical_and": "torch.where(torch.logical_and(a > 0, b > 0), a, b)",
    "logical_or": "torch.where(torch.logical_or(a > 0, b > 0), a, b)",
    "logical_xor": "torch.where(torch.logical_xor(a > 0, b > 0), a, b)",
    "logical_not": "torch.where(torch.logical_not(a > 0), a, b)",
    "bitwise_and": "torch.where((a > 0) & (b > 0), a, b)",
    "bitwise_or": "torch.where((a > 0) | (b > 0), a, b)",
    "bitwise_xor": "torch.where((a > 0) ^ (b > 0), a, b)",
    "bitwise_not": "torch.where(~(a > 0), a, b)",
    "erfc": "torch.erfc(a) * b",
    "asin": "torch.asin(torch.tanh(a)) * b",
    "acos": "torch.acos(torch.tanh(a)) * b",
    "atan": "torch.atan(a) * b",
    "asinh": "torch.asinh(a) * b",
    "acosh": "torch.acosh(a.abs() + 1.5) * b",
    "atanh": "torch.atanh(torch.tanh(a)) * b",
    "atan2": "torch.atan2(a, b)",
    "hypot": "torch.hypot(a, b)",
    "copysign": "torch.copysign(a, b)",
    "sinc": "torch.sinc(a) * b",
    "round": "torch.round(a * 3) * b",
    "deg2rad": "torch.deg2rad(a) * b",
    "rad2deg": "torch.rad2deg(a) * b",
    "nan_to_num": "torch.nan_to_num(a, 0.5) * b",
    "logaddexp2": "torch.logaddexp2(a, b)",
    "xlogy": "torch.xlogy(a, b.abs() + 1)",
    "heaviside": "torch.heaviside(a.detach(), b.detach()) * b",
    "fmax": "torch.fmax(a, b)",
    "fmin": "torch.fmin(a, b)",
    "mse_loss": 'F.mse_loss(a, b, reduction="none")',
    "smooth_l1_loss": 'F.smooth_l1_loss(a, b, reduction="none")',
    "huber_loss": 'F.huber_loss(a, b, reduction="none")',
    "fill": "torch.fill(a, 0.5) * b",
    "bernoulli": "a * torch.bernoulli(torch.full_like(a, 0.5))",
    "log_sigmoid_forward": "F.logsigmoid(a)",
    "hardswish": "F.hardswish(a)",
    "floor_divide": "a * (b.detach() // 0.7)",
    "_prelu_kernel": "F.prelu(a, c.v)",
    "hardsigmoid": "F.hardsigmoid(a)",
    "hardtanh": "F.hardtanh(a)",
    "maximum": "torch.maximum(a, b)",
    "minimum": "torch.minimum(a, b)",
    "detach": "a.detach() * b",
    "clone": "a.clone() * b",
    "alias": "aten.alias(a) * b",
    "_to_copy": "a.double().to(a.dtype) * b",
    "lift_fresh": "torch.tensor(0.3) * a",
    "split": "torch.cat(a.split(2, 1)[::-1], 1)",
    "split_with_sizes": "torch.cat(a.split([1, 3], 1)[::-1], 1)",
    "slice": "a[:, 1:3].repeat_interleave(2, 1)",
    "unbind": "a.unbind(1)[3].unsqueeze(1) * b",
    "select": "a[:, 2][:, None] * b",
    "cat": "torch.cat([a[:, 2:], b[:, :2]], 1)",
    "stack": "torch.stack([a, b], 1).sum(1)",
    "t": "a @ c.M.t()",
    "transpose": "a.view(-1, 2, 2).transpose(1, 2).flatten(1)",
    "permute": "a.view(-1, 2, 2).permute(0, 2, 1).flatten(1)",
    "view": "a.view(-1, 2, 2).softmax(-1).flatten(1)",
    "_unsafe_view": "aten._unsafe_view(a, [-1, 2, 2]).sum(1).repeat_interleave(2, 1)",
    "squeeze": "a[:, 1:2].squeeze(1)[:, None] * b",
    "unsqueeze": "a.sum(1).unsqueeze(1) * b",
    "expand": "a[:, 1:2].expand(-1, 4) * b",
    "flip": "a.flip(1) * b",
    "roll": "a.roll(1, 1) * b",
    "repeat": "a[:, :2].repeat(1, 2) * b",
    "diagonal": "a.view(-1, 2, 2).diagonal(0, 1, 2).repeat(1, 2)",
    "unfold": "a.unfold(1, 2, 2).flatten(1)",
    "tril": "a @ c.M.tril()",
    "triu": "a @ c.M.triu()",
    "diag_embed": "a @ torch.diag_embed(c.v)",
    "constant_pad_nd": "F.pad(a[:, 1:], (0, 1)) * b",
    "rot90": "torch.rot90(a.view(-1, 2, 2), 1, [1, 2]).flatten(1) * b",
    "channel_shuffle": "F.channel_shuffle(a[:, :, None, None], 2).flatten(1) * b",
    "pixel_shuffle": "F.pixel_shuffle(a.view(-1, 4, 1, 1), 2).flatten(1) * b",
    "pixel_unshuffle": "F.pixel_unshuffle(a.view(-1, 1, 2, 2), 2).flatten(1) * b",
    "replication_pad1d": "F.pad(a[:, None, 1:3], (1, 1), mode='replicate')[:, 0] * b",
    "replication_pad2d": "F.pad(a.view(-1, 1, 4, 1), (0, 0, 1, 0), 'replicate')[:, 0, 1:, 0] * b",
    "replication_pad3d": "aten.replication_pad3d(a.view(-1, 1, 4, 1, 1), [0] * 6).flatten(1) * b",
    "reflection_pad1d": "F.pad(a[:, None, 1:3], (1, 1), mode='reflect')[:, 0] * b",
    "reflection_pad2d": "F.pad(a.view(-1, 1, 4, 1), (0, 0, 1, 0), 'reflect')[:, 0, 1:, 0] * b",
    "reflection_pad3d": "aten.reflection_pad3d(a.view(-1, 1, 4, 1, 1), [0] * 6).flatten(1) * b",
    "slice_scatter": "torch.slice_scatter(a, b[:, :2], 1, 1, 3)",
    "select_scatter": "torch.select_scatter(a, b[:, 0], 1, 2)",
    "diagonal_scatter": "a.view(-1, 2, 2).diagonal_scatter(b[:, :2], 0, 1, 2).flatten(1)",
    "index_fill": "torch.index_fill(a, 1, torch.tensor([0, 2]), 0.5) * b",
    "index_put": "aten.index_put(a, [None, torch.tensor([0, 2])], b[:, :2]) * b",
    "index_copy": "torch.index_copy(a, 1, torch.tensor([0, 2]), b[:, :2])",
    "embedding": "F.embedding((a > 0).long()[:, 0], c.M) * b",
    "index_select": "a.index_select(1, torch.tensor([2, 0, 0, 1])) * b",
    "gather": "a.gather(1, (b > 0).long())",
    "mm": "a @ c.M",
    "mv": "(a @ c.v)[:, None] * b",
    "addmm": "torch.addmm(b, a, c.M)",
    "dot": "a * torch.dot(c.v, c.v)",
    "sum": "a.sum(1, keepdim=True) * b",
    "mean": "a.mean(1, keepdim=True) * b",
    "var": "a.var(1, keepdim=True) * b",
    "std": "a.std(1, keepdim=True) * b",
    "max": "a.max(1, keepdim=True)[0] * b",
    "min": "a.min(1, keepdim=True)[0] * b",
    "logsumexp": "a.logsumexp(1, keepdim=True) * b",
    "prod": "a.prod(1, keepdim=True) * b",
    "amax": "a.amax(1, keepdim=True) * b",
    "amin": "a.amin(1, keepdim=True) * b",
    "linalg_vector_norm": "a.norm(dim=1, keepdim=True) * b",
    "var_mean": "torch.var_mean(a, dim=1, keepdim=True)[0] * b",
    "std_mean": "torch.std_mean(a, dim=1, keepdim=True)[1] * b",
    "cumsum": "a.cumsum(1) * b",
    "_safe_softmax": "aten._safe_softmax(a, 1) * b",
    "_softmax": "a.softmax(1)",
    "_log_softmax": "a.log_softmax(1)",
    "native_layer_norm": "F.layer_norm(a, (4,), eps=0.1)",
    "empty": "torch.where(torch.isnan(a), torch.empty_like(a), a)",
    "zeros": "a + a.new_zeros(a.shape)",
    "ones": "a * torch.ones_like(a)",
    "full": "a * torch.full_like(a, 0.3)",
    "rand": "a * torch.rand_like(a)",
    "randn": "a + 0 * torch.randn_like(a)",  # one draw for all steps is not many small ones
    # Made of others.
    "glu": "F.glu(torch.cat([a, b], 1), 1)",
    "native_batch_norm": "c.batch_norm(a) * b",
    "native_group_norm": "F.group_norm(a, 2) * b",
    "bmm": "torch.bmm(a.view(-1, 2, 2), b.view(-1, 2, 2)).flatten(1)",
    "baddbmm": "torch.baddbmm(a.view(-1, 2, 2), b[:, :2, None], b[:, None, 2:]).flatten(1)",
    "_trilinear": "torch.bilinear(a, b, c.K, c.v)",
    "linalg_cross": "torch.cross(a[:, :3], b[:, :3], dim=1).sum(1, keepdim=True) * b",
    "_cdist_forward": "torch.cdist(a[:, None], b[:, None])[:, 0] * b",
    "convolution": "F.conv1d(a[:, None], c.K[:1, :1, :3], padding=1)[:, 0] * b",
    "avg_pool2d": "F.avg_pool1d(a[:, None], 2)[:, 0].repeat(1, 2) * b",
    "avg_pool3d": "F.avg_pool3d(a[:, None, None, None], (1, 1, 2)).flatten(1).repeat(1, 2) * b",
    "max_pool2d_with_indices": "F.max_pool1d(a[:, None], 2)[:, 0].repeat(1, 2) * b",
    "norm": "F.pairwise_distance(a, b)[:, None] * b",
    "cumprod": "a.cumprod(1) * b",
    "logcumsumexp": "torch.logcumsumexp(a, 1) * b",
    "cummax": "torch.cummax(a, 1)[0] * b",
    "cummin": "torch.cummin(a, 1)[0] * b",
    "any": "torch.any(a > 0.5, 1, keepdim=True).to(a.dtype) * b",
    "all": "torch.all(a > -1, 1, keepdim=True).to(a.dtype) * b",
    "count_nonzero": "torch.count_nonzero(a > 0, 1)[:, None].to(a.dtype) * b",
    "aminmax": "torch.aminmax(a, dim=1, keepdim=True)[1] * b",
    "nansum": "torch.nansum(a, 1, keepdim=True) * b",
    "argmax": "torch.argmax(a, 1, keepdim=True).to(a.dtype) * b",
    "argmin": "torch.argmin(a, 1, keepdim=True).to(a.dtype) * b",
    "index": "a[:, [2, 0, 0, 1]] * b",
    # Made like another.
    "empty_like": "torch.where(torch.isnan(a), torch.empty_like(a), a)",
    "new_empty": "torch.where(torch.isnan(a), a.new_empty(a.shape), a)",
    "zeros_like": "a + torch.zeros_like(a)",
    "new_zeros": "a + a.new_zeros(a.shape)",
    "ones_like": "a * torch.ones_like(a)",
    "new_ones": "a * a.new_ones(a.shape)",
    "full_like": "a * torch.full_like(a, 0.3)",
    "new_full": "a * a.new_full(a.shape, 0.3)",
    "rand_like": "a * torch.rand_like(a)",
    "randn_like": "a + 0 * torch.randn_like(a)",
}

# How those are written that are spelled out.
FORMULAS = {
    "fill": "0.5·h_prev",
    "neg": "−x",
    "sqrt": "√(|x|)",
    "rsqrt": "1 / √(|x|)",
    "reciprocal": "1 / x",
    "log_sigmoid_forward": "log(σ(x))",
    "add": "x + 0.5·h_prev",
    "sub": "x − 2·h_prev",
    "rsub": "1.5 − x",
    "mul": "0.5·x ⊙ h_prev",
    "div": "x / (h_prev ⊙ h_prev + 1)",
    "pow": "x²",
    "lerp": "x + v ⊙ (h_prev − x)",
    "addcmul": "x + 0.5·h_prev ⊙ v",
    "addcdiv": "x + h_prev / v",
    "clamp": "clamp(x, −0.5, 0.5)",
    "clamp_min": "max(x, 0.1)",
    "clamp_max": "min(x, 0.1)",
    "lt": "x if x < h_prev else 0.5",
    "le": "x if x ≤ h_prev else 0.5",
    "gt": "x if x > h_prev else 0.5",
    "ge": "x if x ≥ h_prev else 0.5",
    "eq": "0.5 if x = h_prev else x",
    "ne": "x if x ≠ h_prev else 0.5",
    "where": "x if x > 0 else h_prev",
    "masked_fill": "0.7 if h_prev > 0.1 else x",
}


class OneCell(cello.Cell):
    """A step of one operation."""

    state = ("h",)

    def __init__(self, operation: Callable[[OneCell, Tensor, Tensor], Tensor]) -> None:
        super().__init__(4, 4)
        self.M = nn.Parameter(torch.randn(4, 4))
        self.v = nn.Parameter(torch.randn(4))
        self.K = nn.Parameter(torch.randn(4, 4, 4))
        self.batch_norm = nn.BatchNorm1d(4).eval()
        self.register_buffer("order", torch.tensor([2, 0, 3, 1]))
        self.operation = operation

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        y = self.operation(self, x, h)
        return y, (torch.sin(y),)


def one(name: str) -> OneCell:
    torch.manual_seed(3)
    return OneCell(eval(f"lambda c, a, b: {CASES[name]}", globals()))


def test_every_entry_has_a_case() -> None:
    assert CASES.keys() == OPERATIONS.keys()
    assert FORMULAS.keys() == {n for n, entry in OPERATIONS.items() if callable(entry.written)}


def test_every_rule_is_named_by_an_entry() -> None:
    rules = {entry.rule for entry in OPERATIONS.values()}
    assert kernel.RULES.keys() <= rules | {entry.kind for entry in OPERATIONS.values()}
    assert reductions.RULES.keys() | symbols.RULES.keys() | reductions.WITH_OTHERS <= rules


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_entry_has_what_a_fused_loop_needs(name: str) -> None:
    entry, packet = OPERATIONS[name], getattr(aten, name)
    target = getattr(packet, packet.overloads()[0])
    known = kernel.rule_of(Op(target, (), {}, (), False, "")) is not None
    assert known or entry.composed or entry.like or torch.Tag.nondeterministic_seeded in target.tags
    assert not entry.rule or entry.rule in kernel.RULES


@pytest.mark.parametrize("name", CASES)
def test_an_operation(name: str) -> None:
    cell = one(name)
    program = cello.program.capture(cell)
    like = OPERATIONS[name].like
    assert any(op.target in (like, *overloads(name)) for op in program.ops)
    theirs = outcome(cell, "reference")
    torch.testing.assert_close(outcome(cell, "split"), theirs)
    formula = cello.equations(cell)
    if name in FORMULAS:
        assert f"y = {FORMULAS[name]}\n" in formula
    else:
        assert formula.startswith("y = ")
        assert OPERATIONS[name].written in formula.splitlines()[0]


def overloads(name: str) -> list[object]:
    packet = getattr(aten, name)
    return [getattr(packet, overload) for overload in packet.overloads()]


def outcome(cell: cello.Cell, engine: str) -> list[Tensor | None]:
    """The results and every gradient."""
    torch.manual_seed(2)
    layer = cello.Recurrent(copy.deepcopy(cell))
    x, start = torch.randn(3, 5, 4).requires_grad_(), torch.randn(5, 4).requires_grad_()
    torch.manual_seed(4)
    with cello.engine(engine):
        y, (end,) = layer(x, (start,))
    needed = [x, start, *layer.parameters()]
    total = y.square().sum() + end.sum()
    grads = torch.autograd.grad(total, needed, materialize_grads=True, allow_unused=True)
    return [y, end, *grads]
