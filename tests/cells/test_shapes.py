"""States, inputs and outputs of any shape, and several inputs a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from cello.convert import load_model, save_model
from cello.errors import CellError, CelloError, DtypeError, RangeError
from tests.registry import make


class Grid(cello.Cell):
    """A state, an input and an output of channels by places."""

    state = ("h", "c")

    def __init__(self, channels: int = 2, places: int = 5) -> None:
        super().__init__(
            (channels, places),
            4,
            output_size=(3, places),
            state_sizes={"h": (3, places), "c": (3, places)},
        )
        self.mix = nn.Conv1d(channels + 3, 9, 3, padding=1)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        i, f, g = self.mix(torch.cat([x, h], dim=1)).chunk(3, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.tanh(c)
        return h, (h, c)


class Clinical(cello.Cell):
    """Values of which some are missing, the time since the last ones, a word, a fixed context."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__({"value": 3, "mask": 3, "gap": 1, "word": "integer", "who": 2}, 4)
        self.table = nn.Embedding(10, 4)
        self.W = nn.Linear(5, 4)
        self.R = nn.Linear(4, 4, bias=False)

    def step(self, x: dict[str, Tensor], h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        value = x["value"] * x["mask"]
        decay = torch.exp(-torch.relu(x["gap"]))
        z = self.W(torch.cat([value, x["who"]], dim=1)) + self.R(decay * h)
        h = torch.tanh(z + self.table(x["word"]))
        return h, (h,)


T, B = 6, 3


def clinical_input() -> dict[str, Tensor]:
    torch.manual_seed(4)
    return {
        "value": torch.randn(T, B, 3).double().requires_grad_(),
        "mask": torch.rand(T, B, 3) > 0.4,
        "gap": torch.rand(T, B, 1).double().requires_grad_(),
        "word": torch.randint(0, 10, (T, B)),
        "who": torch.randn(B, 2).double().requires_grad_(),  # the same at all steps
    }


def by_hand(cell: cello.Cell, x: Any, at: Any) -> Tensor:
    """The outputs of a loop over the step."""
    state = cell.zero_state(B, dtype=torch.float64)
    outputs = []
    for t in range(T):
        y, state = cell(at(x, t), state)
        outputs.append(y)
    return torch.stack(outputs)


def at_step(x: dict[str, Tensor], t: int) -> dict[str, Tensor]:
    return {name: part if name == "who" else part[t] for name, part in x.items()}


@pytest.mark.parametrize("engine", ["reference", "split", "cpu"])
def test_named_inputs_and_their_gradients(engine: str) -> None:
    cell, x = Clinical().double(), clinical_input()
    y, _ = cello.Recurrent(cell, engine=engine)(x)
    expected = by_hand(cell, x, at_step)
    torch.testing.assert_close(y, expected)
    leaves = [*(part for part in x.values() if part.requires_grad), *cell.parameters()]
    weights = torch.randn_like(y)
    ours, theirs = (torch.autograd.grad((out * weights).sum(), leaves) for out in (y, expected))
    torch.testing.assert_close(ours, theirs)


def test_named_inputs_with_lengths_batch_first_and_alone() -> None:
    layer, x = cello.Recurrent(Clinical().double()), clinical_input()
    y, final = layer(x)
    short, end = layer(x, lengths=[6, 2, 0])
    torch.testing.assert_close(short[:2, 1], y[:2, 1])
    torch.testing.assert_close(end.h[1], y[1, 1])
    assert not short[2:, 1].any()
    turned = cello.Recurrent(layer.cell, batch_first=True)
    flipped = {name: part if name == "who" else part.transpose(0, 1) for name, part in x.items()}
    torch.testing.assert_close(turned(flipped)[0].transpose(0, 1), y)
    single, last = layer({n: part[1] if n == "who" else part[:, 1] for n, part in x.items()})
    torch.testing.assert_close(single, y[:, 1])
    torch.testing.assert_close(last.h, final.h[1])


def test_inputs_stream_record_and_explain() -> None:
    layer, x = cello.Recurrent(Clinical().double()), clinical_input()
    y = layer(x)[0]
    stepper = layer.stream(B)
    assert torch.equal(torch.stack([stepper(at_step(x, t)) for t in range(T)]), y)
    alone = layer.stream()
    one = {name: part[0] for name, part in at_step(x, 0).items()}
    assert torch.equal(alone(one), y[0, 0])
    recording = cello.record(layer, x)
    assert recording["x_word"].tolist() == x["word"].tolist()
    assert recording["x_gap"].shape == (T, B, 1)
    assert torch.equal(recording["value"], (x["value"] * x["mask"]).detach())
    assert "decay = exp(−relu(" in str(recording.explain(t=1, unit=0, batch=2))
    assert "x_mask = x[3:6]" in cello.equations(layer)
    assert "x_gap" in cello.draw(layer.cell).svg


def test_a_tuple_of_inputs() -> None:
    layer = cello.Recurrent(make("two-inputs"))
    value, gap = torch.randn(T, B, 2).double(), torch.rand(T, B, 1).double()
    y, _ = layer((value, gap))
    torch.testing.assert_close(
        y, by_hand(layer.cell, (value, gap), lambda x, t: (x[0][t], x[1][t]))
    )
    assert torch.equal(layer(torch.cat([value, gap], dim=-1))[0], y)  # side by side


def test_a_grid_through_time() -> None:
    layer = cello.Recurrent(Grid().double())
    x = torch.randn(T, B, 2, 5).double()
    y, state = layer(x)
    torch.testing.assert_close(y, by_hand(layer.cell, x, lambda x, t: x[t]))
    assert (y.shape, state.c.shape) == ((T, B, 3, 5), (B, 3, 5))
    torch.testing.assert_close(
        layer(x[:2], layer(x[2:], state)[1])[1], layer(torch.cat([x[2:], x[:2]]), state)[1]
    )
    single, end = layer(x[:, 1])
    torch.testing.assert_close(single, y[:, 1])
    assert end.h.shape == (3, 5)
    lengths = torch.tensor([6, 3, 1])
    padded, _ = layer(x, lengths=lengths)
    packed, _ = layer(pack_padded_sequence(x, lengths))
    torch.testing.assert_close(pad_packed_sequence(packed)[0], padded)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3] = True
    torch.testing.assert_close(layer(x, reset=reset)[0][3:], layer(x[3:])[0])
    stepper = layer.stream(state=state)
    torch.testing.assert_close(stepper(x[0]), layer(x[:1], state)[0][0])
    assert stepper.state.c.shape == (B, 3, 5)
    recording = cello.record(layer, x)
    assert recording["c"].shape == recording["c_prev"].shape == (T, B, 3, 5)
    assert recording["x"].shape == (T, B, 2, 5)


def test_grids_in_stacks_both_ways_with_learned_states() -> None:
    both = cello.Bidirectional(Grid(), initial_state="learned")
    assert both.output_size == (6, 5)
    net = cello.Stack(both, cello.Recurrent(Grid(6)), nn.Flatten(2), nn.Linear(15, 2)).double()
    x = torch.randn(T, B, 2, 5).double()
    y, state = net(x)
    assert y.shape == (T, B, 2)
    assert state[0].backward.c.shape == (B, 3, 5)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    again, _ = net(x, state)
    assert not torch.equal(again, y)


def test_a_saved_cell_keeps_its_shapes(tmp_path: Any) -> None:
    net = cello.Stack(cello.Recurrent(Wide((2, 3), {"S": (2, 3)})))
    save_model(net, tmp_path / "net")
    again = load_model(tmp_path / "net", cells=[Wide])
    assert again[0].cell.input_size == (2, 3)
    assert again[0].cell.state_sizes == {"S": (2, 3)}


class Wide(cello.Cell):
    state = ("S",)

    def __init__(self, input_size: Any, state_sizes: Any) -> None:
        super().__init__(input_size, 2, output_size=(2, 3), state_sizes=state_sizes)

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        S = 0.5 * S + x
        return S, (S,)


class Odd(Wide):
    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        return x, (x,)


def wrong(**parts: Any) -> dict[str, Any]:
    return {**clinical_input(), **parts}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"value": torch.zeros(T, B, 3)}, r"x must be a dict of \['value', 'mask', .* a dict of"),
        (5, "x must be a dict of .* got int"),
        (wrong(word=torch.zeros(T, B)), r"x\['word'\] must be a tensor of integers, got"),
        (wrong(word=torch.full((T, B), 2**60)), r"x\['word'\] must hold whole numbers up to"),
        (torch.full((T, B, 10), 0.5).double(), r"x\['word'\] must hold whole numbers, side .* 0.5"),
        (wrong(value=torch.zeros(T, B, 2)), r"x\['value'\] must be \[…, 3\], got \[6, 3, 2\]"),
        (
            wrong(value=torch.zeros(T, B, 3)),
            r"x\['value'\] must have the dtype .* got torch",
        ),
        (wrong(gap=torch.zeros(T, 2, 1).double()), r"x\['gap'\] must have the steps .* \[6, 3\]"),
        (wrong(who=torch.zeros(2).double()), r"x\['who'\] must have the steps and the batch of"),
        (wrong(mask=None), r"x\['mask'\] must be a tensor, got NoneType"),
    ],
)
def test_inputs_that_do_not_fit(x: Any, message: str) -> None:
    with pytest.raises(CelloError, match=message):
        cello.Recurrent(Clinical().double())(x)


def test_a_stepper_refuses_a_word_that_is_no_whole_number() -> None:
    stepper = cello.Recurrent(Clinical().double()).stream(B)
    with pytest.raises(CelloError, match=r"x\['word'\] must hold whole numbers"):
        stepper(torch.full((B, 10), 0.5).double())


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("words", "input_size must be an int or a tuple .*; got str 'words'"),
        ({"a b": 3}, "input_size must have names of variables"),
        ((3, (4,)), "input_size must be an int or a tuple"),
        ({}, "input_size must be an int"),
        ((2, 0), r"input_size\[1\] must be at least 1, got 0"),
        (True, "input_size must be an int"),
    ],
)
def test_sizes_that_are_none(size: Any, message: str) -> None:
    with pytest.raises(CelloError, match=message):
        Wide(size, None)


def test_a_state_of_another_shape_than_declared() -> None:
    layer = cello.Recurrent(Odd((2, 3), {"S": (3, 2)}))
    with pytest.raises(CellError, match=r"the next state S with shape \[.*, 3, 2\], got a tensor"):
        layer(torch.zeros(T, B, 2, 3))
    good = cello.Recurrent(Wide((2, 3), {"S": (2, 3)}))
    with pytest.raises(CelloError, match=r"state.S must be \[3, 2, 3\], got \[3, 6\]"):
        good(torch.zeros(T, B, 2, 3), (torch.zeros(B, 6),))
    with pytest.raises(CelloError, match=r"x must be \[…, 2, 3\], got \[6, 3, 6\]"):
        good(torch.zeros(T, B, 6))
    with pytest.raises(DtypeError, match="x must be a tensor, got dict"):
        good({"x": torch.zeros(T, B, 2, 3)})


def test_gradients_of_gradients_of_a_grid() -> None:
    layer = cello.Recurrent(Grid(places=3).double())
    x = torch.randn(2, 1, 2, 3).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_questions_about_a_grid() -> None:
    layer, x = cello.Recurrent(Grid().double()), torch.randn(T, B, 2, 5).double()
    found = cello.flow(layer, x, lambda result: result[0].sum())
    assert found.gradients["c_prev"].shape == (T, B, 3, 5)
    assert found.memory().horizon("c").shape == (15,)
    assert "steps" in str(cello.diagnose(layer, x))


def test_export_with_several_inputs() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = cello.Recurrent(Clinical().double())

        def forward(self, *parts: Tensor) -> Tensor:
            return self.layer(dict(zip(self.layer.input_size, parts, strict=True)))[0]

    net, x = Whole(), tuple(part.detach() for part in clinical_input().values())
    exported = torch.export.export(net, x).module()
    torch.testing.assert_close(exported(*x), net(*x))


@pytest.mark.parametrize("number", [-1, 10])
def test_a_number_that_the_embedding_lacks_is_an_error(number: int) -> None:
    x = clinical_input() | {"word": torch.full((T, B), number)}
    layer = cello.Recurrent(Clinical().double(), engine="cpu")
    said = r"no row in the table .*test_shapes\.py:\d+\), `.*word"
    with pytest.raises(RangeError, match=said):
        layer(x)
    with pytest.raises(IndexError):
        layer.stream(B)({name: part if name == "who" else part[0] for name, part in x.items()})
    layer(clinical_input())
