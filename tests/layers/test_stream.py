"""One step at a time: the compiled step and the cell's own, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

import cello
from cello.errors import ArgumentError, DtypeError, ShapeError


def layer_of(engine: str = "auto", **options: object) -> cello.Recurrent:
    return cello.Recurrent(cello.LSTMCell(3, 4, **options), engine=engine)


def steps(stepper: cello.Stepper, x: Tensor) -> Tensor:
    return torch.stack([stepper(x_t) for x_t in x])


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_state_can_be_taken_and_put_back(engine: str) -> None:
    stepper, x = layer_of(engine).stream(2), torch.randn(5, 2, 3)
    stepper(x[0])
    kept = stepper.state
    first = steps(stepper, x)
    assert kept.h.shape == kept.c.shape == (2, 4)
    stepper.state = kept
    torch.testing.assert_close(steps(stepper, x), first, rtol=0, atol=0)


NETS: dict[str, Callable[[], nn.Module]] = {
    "Elman": lambda: cello.Recurrent(cello.ElmanCell(3, 4)),
    "Jordan": lambda: cello.Recurrent(cello.JordanCell(3, 4, output_size=2)),
    "LSTM": lambda: cello.Recurrent(cello.LSTMCell(3, 5), initial_state="learned"),
    "foreign": lambda: cello.Recurrent(nn.GRUCell(3, 17)),
    "cello.RNN": lambda: cello.RNN(3, 4),
    "cello.LSTM": lambda: cello.LSTM(3, 5, num_layers=2, proj_size=2, batch_first=True),
    "cello.GRU": lambda: cello.GRU(3, 17, num_layers=3),
    "Stack": lambda: cello.Stack(
        cello.Recurrent(cello.LSTMCell(3, 5)),
        nn.Tanh(),
        cello.Stack(cello.GRU(5, 4, num_layers=2), nn.Identity(), cello.RNN(4, 3)),
        cello.Recurrent(cello.JordanCell(3, 4, output_size=2)),
    ),
}


def flat(state: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(state) if leaf is not None]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("rows", [None, 1, 3])
def test_after_a_history_to_the_bit(name: str, engine: str, rows: int | None) -> None:
    net, B = NETS[name](), [] if rows is None else [rows]
    x = torch.randn(9, *B, 3)

    def run(part: Tensor, state: object = None) -> tuple[Tensor, object]:
        turn = bool(B) and getattr(net, "batch_first", False)
        y, state = net(part.transpose(0, 1) if turn else part, state)
        return (y.transpose(0, 1) if turn else y), state

    with cello.engine(engine):
        whole, last = run(x)
        _, state = run(x[:4])
        stepper = net.stream(state=state)
        assert stepper.batch_size == (rows or 1)
        assert [part.tolist() for part in flat(stepper.state)] == [p.tolist() for p in flat(state)]
        assert torch.equal(steps(stepper, x[4:7]), whole[4:7])
        rest, end = run(x[7:], stepper.state)  # what the stepper returns is the layer's own
        assert torch.equal(rest, whole[7:])
        assert type(end) is type(last) is type(stepper.state)
        assert all(map(torch.equal, flat(end), flat(last)))
        stepper.state = state
        assert torch.equal(steps(stepper, x[4:]), whole[4:])
        stepper.reset()
        assert torch.equal(steps(stepper, x), whole)
        if name == "Stack":  # an entry that is None begins anew
            stepper.state = (None, None, (None, None, None), state[3])
            assert torch.equal(stepper(x[0]), run(x[:1], (None,) * 3 + (state[3],))[0][0])


def test_ordinary_modules_of_a_stack_round_in_their_own_way() -> None:
    net = cello.Stack(nn.Embedding(9, 3), cello.LSTM(3, 4, num_layers=2), nn.Linear(4, 2))
    words = torch.randint(9, (8, 1))
    whole, _ = net(words)
    _, state = net(words[:5])
    stepper = net.stream(state=state)
    found = torch.stack([stepper(words[5])[0], stepper(words[6, 0]), stepper(words[7, 0])])
    torch.testing.assert_close(found, whole[5:, 0])
    torch.testing.assert_close(net(words[:0], stepper.state)[1][1], net(words)[1][1])


def test_the_form_of_the_state_is_that_of_the_inputs() -> None:
    layer = cello.GRU(3, 4)
    stepper = layer.stream()
    assert stepper.state.shape == (1, 1, 4)
    stepper(torch.randn(3))
    assert stepper.state.shape == (1, 4)
    layer(torch.randn(5, 3), stepper.state)
    stepper(torch.randn(1, 3))
    assert stepper.state.shape == (1, 1, 4)


def test_a_stepper_has_a_state_of_its_own() -> None:
    for engine in ("cpu", "reference"):
        layer = layer_of(engine)
        _, state = layer(torch.randn(5, 2, 3))
        stepper = layer.stream(state=state)
        assert not stepper.state.h.requires_grad
        kept = stepper.state
        expected = stepper(torch.ones(2, 3))
        with torch.no_grad():
            for part in (*state, *stepper.state):
                part.zero_()
        stepper.state = kept
        assert torch.equal(stepper(torch.ones(2, 3)), expected)


@pytest.mark.parametrize(
    ("name", "state", "options", "kind", "message"),
    [
        ("Elman", torch.zeros(2, 5), {}, ShapeError, r"state.h must be \[2, 4\], got \[2, 5\]"),
        ("Elman", torch.zeros(5), {}, ShapeError, r"state.h must be \[4\], got \[5\]"),
        ("Elman", torch.zeros(2, 4).double(), {}, DtypeError, "state.h must have the dtype of x"),
        ("LSTM", (torch.zeros(2, 5),), {}, DtypeError, r"a tuple \(h, c\), got a tuple of 1"),
        ("LSTM", "h", {}, DtypeError, r"a tuple \(h, c\), got str"),
        ("Elman", torch.zeros(2, 4), {"batch_size": 3}, ArgumentError, "is one of 2 sequences"),
        ("Elman", torch.zeros(4), {"batch_size": 3}, ShapeError, r"be \[3, 4\], got \[4\]"),
        (
            "cello.GRU",
            torch.zeros(2, 1, 17),
            {},
            ShapeError,
            r"h_0 must be \[3, 1, 17\], got \[2, ",
        ),
        ("cello.LSTM", torch.zeros(2, 1, 2), {}, DtypeError, r"hx must be a tuple \(h_0, c_0\)"),
        ("Stack", (None,) * 3, {}, DtypeError, "for each of the 4 modules .* got a tuple of 3"),
        ("Stack", (None, None, (None,), None), {}, DtypeError, "3 modules .* got a tuple of 1"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(
    name: str, state: object, options: dict[str, int], kind: type[Exception], message: str
) -> None:
    net = NETS[name]()
    with pytest.raises(kind, match=message):
        net.stream(**options, state=state)
    if not options:
        stepper = net.stream(2 if name == "Elman" and state.dim() == 2 else 1)
        before = flat(stepper.state)
        with pytest.raises(kind, match=message):
            stepper.state = state
        assert all(map(torch.equal, before, flat(stepper.state)))


def test_what_comes_out_stays_as_it_is() -> None:
    stepper, x = layer_of().stream(), torch.randn(4, 1, 3)
    kept = [stepper(x_t) for x_t in x]
    copies = [y.clone() for y in kept]
    steps(stepper, x)
    assert all(torch.equal(y, copy) for y, copy in zip(kept, copies, strict=True))


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_inputs_may_lie_in_memory_as_they_like(engine: str) -> None:
    layer, x = layer_of(), torch.randn(3, 4)
    with cello.engine(engine):
        found = layer.stream(4)(x.t())
        torch.testing.assert_close(found, layer.stream(4)(x.t().contiguous()))


def test_weights_that_change_count_from_the_next_step() -> None:
    layer, x = layer_of(), torch.randn(3, 1, 3)
    stepper = layer.stream()
    changes = [
        lambda: layer.cell.R.detach().mul_(2),
        lambda: layer.load_state_dict(layer_of().state_dict()),
        lambda: layer.load_state_dict(layer_of().state_dict(), assign=True),
        lambda: setattr(layer.cell, "W", nn.Parameter(torch.randn(16, 3))),
    ]
    for change in changes:
        before = stepper.state
        change()
        expected, _ = layer(x[:1], before)
        torch.testing.assert_close(stepper(x[0]), expected[0])


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("name", ["Elman", "cello.LSTM", "Stack"])
def test_a_stepper_follows_its_layer_to_another_dtype(name: str, engine: str) -> None:
    net, x = NETS[name](), torch.randn(4, 3)
    with cello.engine(engine):
        stepper = net.stream()
        for x_t in x[:2]:
            stepper(x_t)
        begun = tree_map(lambda part: part if part is None else part.double(), stepper.state)
        net.double()
        assert all(map(torch.equal, flat(stepper.state), flat(begun)))
        expected = net(x[2:].double(), begun)[0]
        found = torch.stack([stepper(x_t.double()) for x_t in x[2:]])
        torch.testing.assert_close(found, expected)
        with pytest.raises(DtypeError, match=r"torch\.float64, got torch\.float32"):
            stepper(x[0])
        net.float()
        assert stepper(x[0]).dtype == torch.float32


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_layer_brought_to_another_dtype_takes_no_more_of_the_old(engine: str) -> None:
    layer, x = layer_of(), torch.randn(1, 3)
    with cello.engine(engine):
        stepper = layer.stream()
        stepper(x)
        layer.double()
        with pytest.raises(DtypeError, match=r"torch\.float64, got torch\.float32"):
            stepper(x)


def test_a_change_of_engine_on_the_way_keeps_the_state() -> None:
    layer, x = layer_of(), torch.randn(6, 1, 3)
    stepper = layer.stream()
    found = [stepper(x[0]), stepper(x[1])]
    with cello.engine("reference"):
        found += [stepper(x[2]), stepper(x[3])]
    found += [stepper(x[4]), stepper(x[5, 0])[None]]
    torch.testing.assert_close(torch.stack(found), layer(x)[0])


def test_weights_made_in_inference_mode_are_read_at_every_step() -> None:
    with torch.inference_mode():
        layer = layer_of()
        stepper, x = layer.stream(), torch.randn(2, 1, 3)
        stepper(x[0])
        layer.cell.R.mul_(2)
        before = stepper.state
        torch.testing.assert_close(stepper(x[1]), layer(x[1:], before)[0][0])


class Mode(cello.Cell):
    """Has another step while it is trained."""

    state = ("h",)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        h = h + x if self.training else h - x
        return h, (h,)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_stepper_is_in_the_mode_of_its_layer(engine: str) -> None:
    layer, x = cello.Recurrent(Mode(3, 3), engine=engine), torch.ones(1, 3)
    for begin, then in ((False, True), (True, False)):
        stepper = layer.train(begin).stream()
        layer.train(then)
        seen = [stepper(x)]
        layer.train(begin)
        seen += [stepper(x), stepper(x)]
        first = 1 if then else -1
        assert [y[0, 0].item() for y in seen] == [first, 0, -first]
        layer.train(then)
        stepper.reset()
        assert stepper(x)[0, 0] == first


class Hands(cello.Cell):
    """Hands on its input: as the next state, and the old state as the output."""

    state = ("h",)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        return h, (x,)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_what_goes_in_and_comes_out_may_be_overwritten(engine: str) -> None:
    stepper = cello.Recurrent(Hands(3, 3), engine=engine).stream()
    buffer, seen = torch.zeros(1, 3), []
    for t in range(1, 4):
        y = stepper(buffer.fill_(t))
        seen.append(y.clone())
        y.zero_()
        stepper.state.h.zero_()
    assert torch.cat(seen)[:, 0].tolist() == [0, 1, 2]
    assert stepper.state.h.tolist() == [[3, 3, 3]]


def test_a_condition_on_a_parameter_holds_in_every_step() -> None:
    class Where(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 3)
            self.p = nn.Parameter(torch.tensor([-1.0, 0.5, 2.0]))

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = torch.where((x > 0) ^ (self.p > 0), x, h)
            return h, (h,)

    layer, x = cello.Recurrent(Where(), engine="cpu"), torch.randn(6, 1, 3)
    y, _ = layer(x)
    torch.testing.assert_close(steps(layer.stream(), x), y.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("layer", [cello.Recurrent(cello.GRUCell(3, 4)), cello.GRU(3, 4)])
def test_slips_with_a_state_are_told(layer: nn.Module) -> None:
    with pytest.raises(ArgumentError, match=r"got (State|Tensor); pass a state as state="):
        layer.stream(layer(torch.zeros(2, 1, 3))[1])
    with pytest.raises(ArgumentError, match="at least one sequence, the state has none"):
        layer.stream(state=layer(torch.zeros(2, 0, 3))[1])
