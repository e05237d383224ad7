"""Steps with a `torch.autograd.Function`: every engine and view has its gradient, not another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import CaptureError, EngineError
from cello.program import capture
from tests.registry import Base

pytestmark = pytest.mark.filterwarnings("ignore::cello.EngineWarning")


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (v,) = ctx.saved_tensors
        return gradient / (1 + 2 * v.abs()) ** 2


class Scaled(torch.autograd.Function):
    """In the newer form, of several arguments and results."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, factor: float = 3.0) -> tuple[Tensor, Tensor]:
        return a * b, a - b

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.factor = inputs[2]

    @staticmethod
    def backward(ctx: Any, one: Tensor, other: Tensor) -> Any:
        return ctx.factor * one, other.sign(), None


class Looking(torch.autograd.Function):
    """Decides by numbers, and reads them."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        scale = 2.0 if v.sum() > 0 else v.detach().numpy().max()
        return v * float(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient.tanh()


class Reversed(torch.autograd.Function):
    """Gives what it is given, and the opposite of its gradient."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return v.view_as(v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return -gradient


class Nested(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return Spike.apply(v) * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * 0.5


class Firing(Base):
    state = ("h", "v")
    spike = Spike.apply  # as it is often kept

    def step(self, x: Tensor, h: Tensor, v: Tensor) -> Any:
        v = 0.9 * v + self.W(x) - h
        s = Spike.apply(v - 0.1)
        h = s
        return h, (h, v)


class Kept(Base):
    def __init__(self) -> None:
        super().__init__()
        self.spike = Spike.apply

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = 0.5 * h + self.spike(self.W(x)) * h.detach() + self.W(x)
        return h, (h,)


class OfSeveral(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        a, b = Scaled.apply(self.W(x), torch.tanh(h))
        h = torch.tanh(a + b)
        return h, (h,)


class Opaque(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        looked = Looking.apply(self.W(x) + h)
        h = torch.tanh(looked)
        return h, (h,)


class Opposite(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(Reversed.apply(h) + Nested.apply(self.W(x)))
        return h, (h,)


class Unseen(Base):
    """Its gradient goes no further than the step says."""

    def step(self, x: Tensor, h: Tensor) -> Any:
        with torch.no_grad():
            spike = Spike.apply(self.W(x))
        h = torch.tanh(spike + h + 0.1 * self.W(x))
        return h, (h,)


CELLS = [Firing, Kept, OfSeveral, Opaque, Opposite, Unseen]


def found(layer: cello.Recurrent, x: Tensor, engine: str) -> list[Tensor]:
    given = x.clone().requires_grad_()
    with cello.engine(engine):
        y, state = layer(given, lengths=[6, 2, 4])
    loss = (y * torch.arange(y.numel()).view(y.shape)).sum() + state[0].square().sum()
    return [y, *state, *torch.autograd.grad(loss, [given, *layer.parameters()])]


@pytest.mark.parametrize("kind", CELLS)
def test_every_engine_and_view_has_its_gradient(kind: type) -> None:
    torch.manual_seed(0)
    layer, x = cello.Recurrent(kind()).double(), torch.randn(6, 3, 3).double()
    expected = found(layer, x, "reference")
    assert any(grad.any() for grad in expected[2:])
    torch.testing.assert_close(found(layer, x, "auto"), expected)
    recorded = cello.record(layer, x, lengths=[6, 2, 4])
    torch.testing.assert_close(recorded.output, expected[0])

    flow = cello.flow(layer, x, lambda y: y.square().sum())
    given = x.clone().requires_grad_()
    y, _ = cello.Recurrent(layer.cell, engine="reference")(given)
    torch.testing.assert_close(flow["x"], torch.autograd.grad(y.square().sum(), given)[0])
    assert str(cello.diagnose(layer, x))

    name = layer.cell.state[-1]
    with cello.intervene(layer, {name: (2, 0, 0.25)}):
        mine = found(layer, x, "auto")
        torch.testing.assert_close(mine, found(layer, x, "reference"))
        assert (cello.record(layer, x)[name][2, :, 0] == 0.25).all()
    assert not torch.equal(mine[0], expected[0])


@pytest.mark.parametrize("kind", CELLS)
def test_it_is_the_same_where_apply_is_c(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """As since PyTorch 2.14; before, Python's `apply` calls one in C."""
    cell = kind()
    texts = [str(capture(cell))]
    monkeypatch.setattr("cello.program.trace.function_calls._APPLY", None)
    texts.append(str(capture(cell)))
    one, other = (text.replace("tanh, 3.0)", "tanh)") for text in texts)  # C gives defaults too
    assert one == other


class Passing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return v

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return -gradient


class Passed(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(Passing.apply(h) + self.W(x))
        return h, (h,)


def test_what_is_returned_as_it_is_given_is_no_operation_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    layer, x = cello.Recurrent(Passed()).double(), torch.randn(6, 3, 3).double()
    torch.testing.assert_close(found(layer, x, "auto"), found(layer, x, "reference"))
    monkeypatch.setattr("cello.program.trace.function_calls._APPLY", None)
    with pytest.raises(CaptureError, match=r"Passing\.apply returns what it is given, as it is"):
        capture(layer.cell)


def test_what_it_computes_is_written_explained_drawn_and_exported() -> None:
    layer, x = cello.Recurrent(Firing()), torch.randn(4, 2, 3)
    recording = cello.record(layer, x)
    assert "s = (v − 0.1 > 0)" in cello.equations(layer.cell).splitlines()
    assert "s[0] = (" in str(recording.explain(t=2))
    assert "&gt;" in cello.draw(layer.cell).svg
    assert "Spike.apply" in str(capture(layer.cell))


def test_what_decides_by_numbers_says_so_where_it_would_be_written() -> None:
    layer, x = cello.Recurrent(Opaque()), torch.randn(4, 2, 3)
    said = r"Looking\.apply, an autograd\.Function, decides by the values.*, `looked = Looking"
    recording = cello.record(layer, x)
    for view in (cello.equations, cello.draw):
        with pytest.raises(CaptureError, match=said):
            view(layer.cell)
    with pytest.raises(CaptureError, match=said):
        recording.explain(t=2)


def test_the_warning_names_the_line_and_what_fuses() -> None:
    with pytest.raises(EngineError, match=r"Spike\.apply, .*, `s = Spike.*; s \+ \(z - s\)"):
        cello.Recurrent(Firing(), engine="cpu")(torch.randn(4, 2, 3))


class Writing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.mark_dirty(v)
        return v.mul_(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return 2 * gradient


class Changed(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        a = self.W(x)
        h = torch.tanh(Writing.apply(a) + h)
        return h, (h,)


def test_one_that_writes_into_what_it_is_given_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"changes a tensor in place .*test_own_functions\.py:"):
        capture(Changed())


class Failing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        if v.sum() < 1e9:
            raise ValueError("too small")
        return v * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return 2 * gradient


class Catching(Base):
    def step(self, x: Tensor, h: Tensor) -> Any:
        a = self.W(x)
        try:
            a = Failing.apply(a)
        except ValueError:
            a = a + 1
        h = torch.tanh(a + h)
        return h, (h,)


def test_one_that_decides_by_numbers_to_raise_an_error_is_refused() -> None:
    said = r"Failing\.apply decides by the values in a tensor whether .*`a = Failing\.apply\(a\)`"
    with pytest.raises(CaptureError, match=said):
        capture(Catching())


def test_what_a_module_applies_is_known_by_its_own_parameters() -> None:
    class Applying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, v: Tensor) -> Any:
            return Scaled.apply(v, self.scale)[0]

    class Cell(Base):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Applying()

        def step(self, x: Tensor, h: Tensor) -> Any:
            h = self.inner(self.W(x) + h)
            return h, (h,)

    assert "inner.scale" in capture(Cell()).parameters
    assert "inner.scale" in str(cello.equations(Cell()))
