"""Every entry of the table of operations: its value, every gradient, its formula."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: F401 - the cases name it

import cello
from cello.program.operations import OPERATIONS

aten = torch.ops.aten

# By its name: a step's output [B, 4], of the cell c, the input a [B, 4] and the state b [B, 4].
CASES = {
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
    "embedding": "F.embedding((a > 0).long()[:, 0], c.M) * b",
    "index_select": "a.index_select(1, c.order)",
    "gather": "a.gather(1, (b > 0).long())",
    "mm": "a @ c.M",
    "mv": "(a @ c.v)[:, None] * b",
    "addmm": "torch.addmm(b, a, c.M)",
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
    "_softmax": "a.softmax(1)",
    "_log_softmax": "a.log_softmax(1)",
    "native_layer_norm": "F.layer_norm(a, (4,), eps=0.1)",
    "empty": "torch.where(torch.isnan(a), torch.empty_like(a), a)",
    "zeros": "a + a.new_zeros(a.shape)",
    "ones": "a * torch.ones_like(a)",
    "full": "a * torch.full_like(a, 0.3)",
    "rand": "a * torch.rand_like(a)",
    "randn": "a + 0 * torch.randn_like(a)",  # one draw for all steps is not many small ones
}

# Names that a trace of this PyTorch does not have: it hands on what they are made of.
NEVER_TRACED = {"chunk", "reshape", "contiguous", "narrow", "movedim", "swapaxes"}


class OneCell(cello.Cell):
    """A step of one operation."""

    state = ("h",)

    def __init__(self, operation: Callable[[OneCell, Tensor, Tensor], Tensor]) -> None:
        super().__init__(4, 4)
        self.M = nn.Parameter(torch.randn(4, 4))
        self.v = nn.Parameter(torch.randn(4))
        self.register_buffer("order", torch.tensor([2, 0, 3, 1]))
        self.operation = operation

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        y = self.operation(self, x, h)
        return y, (torch.sin(y),)


def one(name: str) -> OneCell:
    torch.manual_seed(3)
    return OneCell(eval(f"lambda c, a, b: {CASES[name]}", globals()))


def test_every_entry_has_a_case() -> None:
    assert CASES.keys() | NEVER_TRACED == OPERATIONS.keys()
    assert not CASES.keys() & NEVER_TRACED


@pytest.mark.parametrize("name", CASES)
def test_an_operation(name: str) -> None:
    cell = one(name)
    program = cello.program.capture(cell)
    ops = [op for op in program.ops if op.target._opname == name]
    assert ops
    outcomes = []
    x, start = torch.randn(3, 5, 4), torch.randn(5, 4)
    for engine in ("reference", "split"):
        layer = cello.Recurrent(copy.deepcopy(cell))
        given = [x.clone().requires_grad_(), start.clone().requires_grad_()]
        torch.manual_seed(4)
        with cello.engine(engine):
            y, (end,) = layer(given[0], (given[1],))
        needed = [*given, *layer.parameters()]
        total = y.square().sum() + end.sum()
        outcomes.append(
            [y, end, *torch.autograd.grad(total, needed, materialize_grads=True, allow_unused=True)]
        )
    for ours, theirs in zip(outcomes[1], outcomes[0], strict=True):
        torch.testing.assert_close(ours, theirs)
    formula = cello.equations(cell).splitlines()[0]
    assert formula.startswith("y = ")
    assert OPERATIONS[name].written in formula
