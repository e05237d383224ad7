"""Capturing a step: what it writes down, what it refuses, and that it leaves no trace."""

from __future__ import annotations

import gc
import random
import weakref
from threading import Lock, Thread

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello
from cello.errors import CaptureError, CellError
from cello.program import BATCH, capture, program_of, split
from tests.registry import CAPTURED, Base, BranchingCell, LeakyCell, make


def targets(ops: list) -> list[str]:
    return [op.target._opname for op in ops]


def test_names_are_the_local_variables() -> None:
    program = capture(LeakyCell())
    assert list(program.names) == ["x", "a", "g", "h", "h_prev"]
    assert list(capture(cello.LSTMCell(3, 2)).names) == (
        "x z_i z_f z z_o i f g o h c h_prev c_prev".split()
    )
    assert list(capture(cello.GRUCell(3, 2)).names) == (
        "x x_r x_z x_n h_r h_z h_n r z n h h_prev".split()
    )


def test_states_keep_their_names_whatever_the_step_calls_them() -> None:
    class Renaming(Base):
        def step(self, x, h):
            old = h
            new = torch.tanh(self.W(x) + old)
            return torch.relu(new), (new,)

    program = capture(Renaming())
    assert list(program.names) == ["x", "new", "h", "y", "h_prev"]
    assert program.names["new"] is program.names["h"]


def test_shapes_hold_for_every_batch_size() -> None:
    class Reshaping(Base):
        def step(self, x, h):
            pair = x.view(x.shape[0], 3, 1).expand(len(x), 3, 2)
            noise = torch.zeros(x.shape[0], 3)
            h = pair.sum(-1) + h + noise
            return h, (h,)

    program = capture(Reshaping())
    assert program.names["pair"].shape == (BATCH, 3, 2)
    assert any(BATCH in op.args[0] for op in program.ops if op.target._opname == "zeros")
    layer = cello.Recurrent(Reshaping(), engine="split")
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(layer(x)[0], 2 * x.cumsum(0))


@pytest.mark.parametrize("name", CAPTURED)
def test_every_operation_knows_its_line(name: str) -> None:
    for op in capture(make(name), dtype=torch.float64).ops:
        file, line = op.where.rsplit(":", 1)
        assert file.endswith(".py")
        assert line.isdigit()


class InPlaceOnState(Base):
    def step(self, x, h):
        h.add_(x)
        return h, (h,)


class InPlaceOnView(Base):
    def step(self, x, h):
        a = self.W(x)
        a.t()[0] = 0.0
        h = a + h
        return h, (h,)


class Rows(Base):
    def step(self, x, h):
        h = h.view(-1).roll(1).view(len(x), 3)
        return h, (h,)


class DecidesByBatch(Base):
    def step(self, x, h):
        h = h + 1 if len(x) > 6 else torch.tanh(h)
        return h, (h,)


class Counting(Base):
    calls = 0

    def step(self, x, h):
        self.calls += 1
        h = h + x
        return h, (h,)


class MovingBuffer(Base):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def step(self, x, h):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        h = h + x - self.mean
        return h, (h,)


class ChangedParameter(Base):
    def step(self, x, h):
        with torch.no_grad():
            self.W.weight.mul_(0.5)
        h = h + self.W(x)
        return h, (h,)


class Selecting(Base):
    def step(self, x, h):
        h = h + x[x > 0].sum()
        return h, (h,)


class Logging(Base):
    def __init__(self) -> None:
        super().__init__()
        self.log: list = []
        self.deep = {"all": self.log}

    def step(self, x, h):
        self.deep["all"].append(1)
        h = h + x
        return h, (h,)


class BehindTheBack(Base):
    def step(self, x, h):
        a = self.W(x)
        with torch.no_grad():
            a.clamp_(-1, 1)
        h = h + a
        return h, (h,)


class ToList(Base):
    def step(self, x, h):
        h = h + (1.0 if x.tolist()[0][0] > 0 else 2.0)
        return h, (h,)


class ToNumpy(Base):
    def step(self, x, h):
        h = h + float(x.detach().numpy().sum())
        return h, (h,)


class Gradient(Base):
    def step(self, x, h):
        with torch.enable_grad():
            z = h.detach().requires_grad_()
            (g,) = torch.autograd.grad(self.W(z).tanh().sum(), z, create_graph=True)
        h = x - g
        return h, (h,)


class PythonsDice(Base):
    def step(self, x, h):
        h = h + x if random.random() < 0.5 else h - x
        return h, (h,)


class Averaging(Base):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("spread", torch.ones(3))

    def step(self, x, h):
        h = h + F.batch_norm(x, self.mean, self.spread, training=True)
        return h, (h,)


class Normalizing(Base):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def step(self, x, h):
        h = h + self.norm(self.W(x))
        return h, (h,)


class Complex(Base):
    def step(self, x, h):
        z = torch.complex(h, x) * self.W.weight[0]
        return z.abs(), (z.real,)


class Narrowing(Base):
    def step(self, x, h):
        count = (x > 0).int()
        count += (h > 0).long()
        h = h + count
        return h, (h,)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (InPlaceOnState, r"add_ changes the state h in place \(.*test_capture\.py:\d+\)"),
        (InPlaceOnView, r"changes a tensor in place that shares its memory"),
        (Rows, r"one axis holds the rows and 3 elements of each, B·3 in all.*`h = h.view\(-1\)"),
        (DecidesByBatch, r"depends on the batch size"),
        (Counting, r"it changes the cell itself \(calls\)"),
        (MovingBuffer, r"it changes the cell itself \(mean\)"),
        (ChangedParameter, r"mul_ changes W\.weight in place"),
        (
            BranchingCell,
            r"by the values in a tensor \(as `if`, float\(\) and .item\(\) do; .*registry\.py:\d+",
        ),
        (Selecting, r"decides by the values in a tensor"),
        (Logging, r"it changes the cell itself \(log\)"),
        (BranchingCell, r"\), `.*`; torch\.where\(condition, a, b\), which computes both, fuses"),
        (Normalizing, r"batch norm in training computes with all rows .*, `h = .*`; in evaluation"),
        (BehindTheBack, r"clamp_ changes a tensor in place behind the back of its gradient"),
        (ToList, r"reads the values in a tensor, with tolist \(.*test_capture\.py:\d+\)"),
        (ToNumpy, r"reads the values in a tensor, with numpy"),
        (Gradient, r"computes gradients, whose own gradients are not operations, with grad"),
        (PythonsDice, r"it draws random numbers from random; those of PyTorch"),
        (Averaging, r"it changes the cell itself \(spread\)"),
        (Narrowing, r"add_ changes a tensor in place, but not its dtype"),
    ],
)
def test_refusals_say_why(cell: type, message: str) -> None:
    made = cell()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(CaptureError, match=message):
        capture(made)
    for name, value in made.state_dict().items():
        assert torch.equal(value, before[name])
    assert getattr(made, "calls", 0) == 0
    assert getattr(made, "log", []) == []


def test_complex_numbers_run_split_and_say_what_fuses() -> None:
    cell, x = Complex(), torch.randn(4, 2, 3)
    with pytest.warns(cello.EngineWarning, match=r"complex numbers do not fuse.*`z = torch\.compl"):
        y, _ = cello.Recurrent(cell)(x)
    torch.testing.assert_close(y, cello.Recurrent(cell, engine="reference")(x)[0])


def test_random_numbers_of_another_thread_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    step, first = LeakyCell.step, Lock()

    def meanwhile(cell: LeakyCell, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        if first.acquire(blocking=False):
            thread = Thread(target=random.random)
            thread.start()
            thread.join()
        return step(cell, x, h)

    monkeypatch.setattr(LeakyCell, "step", meanwhile)
    assert capture(LeakyCell()).cell == "LeakyCell"
    assert first.locked()


def test_hooks_inside_are_refused() -> None:
    cell = LeakyCell()
    seen: list[int] = []
    cell.W.register_forward_hook(lambda *_: seen.append(1))
    with pytest.raises(CaptureError, match="its module W has forward hooks"):
        capture(cell)
    with pytest.warns(cello.EngineWarning, match="forward hooks"):
        cello.Recurrent(cell)(torch.zeros(4, 1, 3))
    assert len(seen) == 4


def test_an_error_in_the_step_names_its_line() -> None:
    class Broken(Base):
        def step(self, x, h):
            return self.W(x) @ h, (h,)

    with pytest.raises(
        CaptureError, match=r"Broken.step cannot be captured: .*test_capture\.py:\d+"
    ):
        capture(Broken())


def test_a_broken_contract_is_not_hidden() -> None:
    class NoTuple(Base):
        def step(self, x, h):
            return h, h

    with pytest.raises(CellError, match=r"must end in `return output, \(h,\)`"):
        capture(NoTuple())


def test_capture_draws_no_random_numbers_and_keeps_no_gradients() -> None:
    class Noisy(Base):
        def step(self, x, h):
            h = F.dropout(self.W(x), 0.5, self.training) + torch.rand_like(h)
            return h, (h,)

    before = torch.get_rng_state()
    cell = Noisy()
    after_init = torch.get_rng_state()
    program = capture(cell)
    assert torch.equal(torch.get_rng_state(), after_init)
    assert not torch.equal(before, after_init)
    assert all(parameter.grad is None for parameter in cell.parameters())
    assert "bernoulli" in targets(split(program).before)
    assert "rand" in targets(split(program).before)


def test_programs_are_kept_as_long_as_the_cell() -> None:
    cell = cello.ElmanCell(3, 2)
    cpu = torch.device("cpu")
    first = program_of(cell, torch.float32, cpu)
    assert program_of(cell, torch.float32, cpu) is first
    assert program_of(cell.double(), torch.float64, cpu) is not first
    watch = weakref.ref(cell)
    del cell
    gc.collect()
    assert watch() is None


def test_a_step_is_captured_in_code_that_dynamo_looks_into() -> None:
    def f(x: Tensor) -> tuple[int, Tensor]:
        torch._dynamo.graph_break()
        return len(capture(cello.ElmanCell(2, 3)).ops), x + 1

    torch._dynamo.reset()
    assert torch.compile(f, backend="eager")(torch.ones(1))[0] == f(torch.ones(1))[0]
    torch._dynamo.reset()
