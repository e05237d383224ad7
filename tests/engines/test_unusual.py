"""Steps that few would write, but may: every engine gives what the step itself gives."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from cello.engines.render import render
from cello.program import capture
from tests.registry import Base


def agree(cell: cello.Cell) -> None:
    """Both engines give one result and one gradient for every parameter, rows ending early too."""
    layer, x = cello.Recurrent(cell).double(), torch.randn(4, 3, 3, dtype=torch.float64)
    found = {}
    for engine in ("split", "reference"):
        with cello.engine(engine):
            y, state = layer(x, lengths=torch.tensor([4, 2, 3]))
        leaves = [p for p in layer.parameters() if p.requires_grad]
        loss = (y * torch.arange(y.numel()).reshape(y.shape)).sum() + state[0].square().sum()
        found[engine] = (y, *state, *torch.autograd.grad(loss, leaves))
    for ours, theirs in zip(*found.values(), strict=True):
        torch.testing.assert_close(ours, theirs)


class SizeOfStep(Base):
    """Computes with the number of rows of its step."""

    def step(self, x, h):
        many = torch.full((3,), len(x), dtype=x.dtype)
        h = torch.tanh(self.W(x) / len(x) + h * many)
        return h * x.shape[0], (h,)


class NothingFromInput(Base):
    def step(self, x, h):
        h = torch.tanh(self.W(h)) + torch.ones(len(h), 3, dtype=h.dtype)
        return h, (h,)


class OurNames(Base):
    """Its variables and parameters are called as a renderer might call its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
        self.d = nn.ModuleDict({"a-b": nn.Linear(3, 3), "1": nn.Linear(3, 3)})
        self.register_parameter("lambda", nn.Parameter(torch.randn(3)))

    def step(self, x, h):
        rows_ = self.d["a-b"](x) * 0.5 + self.a
        aten_add = self.d["1"](h) * 0.25 + self.b
        _aten_tanh = rows_ * 0.125 + getattr(self, "lambda")
        constant_1 = aten_add * 0.3
        _constant_5 = self.W(constant_1) * 0.7
        make = step = torch.tanh(_constant_5 * 1.5 + rows_ + _aten_tanh)
        h = make + step + torch.zeros(len(x), 3, dtype=x.dtype)
        return h, (h,)


class Counted(Base):
    """A product beside an integer, and gradients that count how often an index occurs."""

    def step(self, x, h):
        rows = F.embedding((x[:, 0] > 0).long(), self.W.weight, scale_grad_by_freq=True)
        h = torch.tanh(h @ self.W.weight + (x > 0).long()) + rows
        return h * self.W.bias, (h,)


@pytest.mark.parametrize("cell", [SizeOfStep, NothingFromInput, OurNames, Counted])
def test_engines_agree_on_unusual_steps(cell: type) -> None:
    agree(cell())


def test_a_sparse_buffer() -> None:
    class Sparse(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 4)
            self.W = nn.Linear(3, 4)
            self.register_buffer("R", torch.eye(4).to_sparse())

        def step(self, x: Tensor, h: Tensor) -> Any:
            h = torch.tanh(self.W(x) + torch.sparse.mm(self.R, h.t()).t())
            return h, (h,)

    layer, x = cello.Recurrent(Sparse()), torch.randn(5, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cello.EngineWarning)
        y = layer(x)[0]
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(x)[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [True, False])
def test_an_lstm_with_projections_inside_a_step(bias: bool) -> None:
    class Projecting(cello.Cell):
        state = ("h", "c")

        def __init__(self) -> None:
            super().__init__(3, 4, output_size=2, state_sizes={"h": 2, "c": 4})
            self.lstm = nn.LSTM(3, 4, proj_size=2, bias=bias)

        def step(self, x, h, c):
            y, (h, c) = self.lstm(x[None], (h[None], c[None]))
            return y[0], (h[0], c[0])

    cell = Projecting().double()
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    given = [x, *cell.parameters()]
    found = []
    for engine in ("cpu", "reference"):
        y, state = cello.Recurrent(cell, engine=engine)(x)
        loss = y.sin().sum() + state.c.square().sum()
        found.append([y, *state, *torch.autograd.grad(loss, given)])
    torch.testing.assert_close(*found)


class MatricesOfRows(cello.Cell):
    """Each row's matrix is multiplied by parameters, from both sides and with a bias."""

    state = ("S",)

    def __init__(self) -> None:
        super().__init__(3, 3, state_sizes={"S": (3, 3)})
        self.A, self.W = nn.Parameter(torch.randn(3, 3) / 2), nn.Linear(3, 3)

    def step(self, x: Tensor, S: Tensor) -> Any:
        S = torch.tanh(self.A @ S @ self.A.T + self.W(S)) * x.unsqueeze(2)
        return S.sum(1), (S,)


def test_products_of_parts_with_one_matrix_are_one_product() -> None:
    agree(MatricesOfRows())
    program = capture(MatricesOfRows())
    read_once = {v for op in program.ops for v in op.outputs} - {*program.results}
    needs = [*program.parameters.values(), program.x, *program.state.values()]
    text = inspect.getsource(render("step", program.ops, [], needs, program.results, read_once))
    assert text.count("_aten_matmul(") == 3
    assert "_aten_mm(" not in text
    assert "_aten_addmm(" not in text
