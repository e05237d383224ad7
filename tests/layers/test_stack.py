"""Stacks, both directions, streaming: networks out of layers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from cello.errors import DtypeError
from cello.layers import StackState


def network() -> cello.Stack:
    return cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)),
        nn.Linear(8, 5),
        cello.Recurrent(cello.JordanCell(5, 4, output_size=2)),
        cello.GRU(2, 3, num_layers=2),
        nn.Tanh(),
    ).double()


def by_hand(net: cello.Stack, x: Tensor) -> Tensor:
    for module in net:
        x = module(x)
        x = x[0] if isinstance(x, tuple) else x
    return x


def test_stack_is_its_modules_one_after_another() -> None:
    net, x = network(), torch.randn(6, 2, 3, dtype=torch.float64)
    y, state = net(x)
    torch.testing.assert_close(y, by_hand(net, x))
    assert isinstance(state, StackState)
    assert [part is None for part in state] == [False, True, False, False, True]
    assert state[0].forward.c.shape == (2, 4)
    assert state[2].y.shape == (2, 2)
    assert state[3].shape == (2, 2, 3)


def test_stack_with_lengths_is_a_loop_over_sequences() -> None:
    net, x = network(), torch.randn(6, 3, 3, dtype=torch.float64)
    lengths = torch.tensor([2, 6, 4])
    y, state = net(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        single, end = net(x[:length, row : row + 1])
        torch.testing.assert_close(y[:length, row], single[:, 0])
        assert not y[length:, row].any()
        torch.testing.assert_close(state[0].backward.h[row], end[0].backward.h[0])
        torch.testing.assert_close(state[3][:, row], end[3][:, 0])
    packed, _ = net(pack_padded_sequence(x, lengths, enforce_sorted=False))
    torch.testing.assert_close(pad_packed_sequence(packed)[0], y)


def test_stack_batch_first_and_unbatched() -> None:
    net, x = network(), torch.randn(6, 2, 3, dtype=torch.float64)
    y, _ = net(x)
    turned = cello.Stack(*net, batch_first=True)
    torch.testing.assert_close(turned(x.transpose(0, 1))[0], y.transpose(0, 1))
    torch.testing.assert_close(net(x[:, 1])[0], y[:, 1])
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3, 0] = True
    expected, _ = net(x, reset=reset)
    again, _ = turned(x.transpose(0, 1), reset=reset.T)
    torch.testing.assert_close(again, expected.transpose(0, 1))


def test_a_state_for_a_module_that_has_none_is_refused() -> None:
    net, x = cello.Stack(cello.GRU(3, 4), nn.Linear(4, 4)), torch.randn(7, 2, 3)
    y, state = net(x)
    torch.testing.assert_close(net(x, (state[0], None))[0], net(x, (state[0], ()))[0])
    message = (
        r"^state\[1\] must be None, for module 1 of the Stack \(Linear\) has no state; "
        r"got a tensor of shape \[1, 2, 4\]$"
    )
    for call in (lambda s: net(x, s), lambda s: net.stream(state=s)):
        with pytest.raises(DtypeError, match=message):
            call((state[0], state[0]))
        for pair in (net(x), (y, state)):  # as it is, and as a graph returns it
            with pytest.raises(DtypeError, match=r"^state must be a state alone, got the pair"):
                call(pair)
    twice = cello.Stack(cello.GRU(3, 4), cello.Stack(cello.GRU(4, 4), nn.Tanh()))
    y, state = twice(x)
    torch.testing.assert_close(twice(x[3:], tuple(twice(x[:3])[1]))[0], y[3:])


def test_state_carries_a_stack_over_pieces() -> None:
    net = cello.Stack(cello.LSTM(3, 4), nn.Linear(4, 4), cello.Recurrent(cello.GRUCell(4, 2)))
    x = torch.randn(7, 2, 3)
    whole, end = net(x)
    first, state = net(x[:3])
    second, last = net(x[3:], state.detach())
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(last[2].h, end[2].h)
    assert not state.detach()[0][0].requires_grad


def test_only_the_steps_of_sequences_reach_ordinary_modules() -> None:
    seen: list[tuple[int, ...]] = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return x

    net = cello.Stack(Watch(), cello.Recurrent(cello.ElmanCell(3, 4)), Watch())
    x = torch.randn(6, 3, 3)
    net(x)
    net(x, lengths=torch.tensor([2, 6, 0]))
    assert seen == [(6, 3, 3), (6, 3, 4), (8, 3), (8, 4)]


def test_embedding_first() -> None:
    net = cello.Stack(nn.Embedding(10, 3), cello.Recurrent(cello.ElmanCell(3, 4)))
    ids = torch.randint(10, (6, 2))
    y, _ = net(ids)
    torch.testing.assert_close(y, net[1](net[0](ids))[0])
    ragged, _ = net(ids, lengths=torch.tensor([6, 3]))
    torch.testing.assert_close(ragged[:3], y[:3])
    assert not ragged[3:, 1].any()


def test_targets_go_to_the_layer_with_feedback() -> None:
    jordan = cello.Recurrent(cello.JordanCell(4, 5, output_size=2))
    net = cello.Stack(nn.Linear(3, 4), jordan)
    x, targets = torch.randn(5, 2, 3), torch.randn(5, 2, 2)
    torch.testing.assert_close(net(x, targets=targets)[0], jordan(net[0](x), targets=targets)[0])


def test_a_torch_layer_in_a_stack_becomes_ours_and_shares_parameters() -> None:
    theirs = nn.LSTM(3, 4)
    net = cello.Stack(theirs)
    assert type(net[0]) is cello.LSTM
    assert net[0].weight_hh_l0 is theirs.weight_hh_l0


def test_stacks_nest_copy_and_pickle() -> None:
    inner = network()
    net = cello.Stack(inner, nn.Linear(3, 2).double())
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    y, state = net(x)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        again, _ = twin(x)
        assert torch.equal(again, y)
    restored = pickle.loads(pickle.dumps(state[0][2]))
    assert torch.equal(restored.y, state[0][2].y)


# ---------------------------------------------------------------- both directions


@pytest.mark.parametrize("join", ["concat", "sum", "mean"])
def test_bidirectional_is_two_layers(join: str) -> None:
    there, back = cello.ElmanCell(3, 4), cello.GRUCell(3, 4)
    layer = cello.Bidirectional(there, back, join=join)
    x, lengths = torch.randn(5, 2, 3), torch.tensor([5, 3])
    y, state = layer(x, lengths=lengths)
    a, end = cello.Recurrent(there)(x, lengths=lengths)
    b, first = cello.Recurrent(back, reverse=True)(x, lengths=lengths)
    expected = {"concat": torch.cat([a, b], -1), "sum": a + b, "mean": (a + b) / 2}[join]
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state.forward.h, end.h)
    torch.testing.assert_close(state.backward.h, first.h)
    torch.testing.assert_close(state.backward.h[1], b[0, 1])
    assert layer.output_size == y.shape[-1]


def test_bidirectional_makes_a_fresh_second_cell() -> None:
    layer = cello.Bidirectional(cello.LSTMCell(3, 4, peephole=True, forget_bias=2.0))
    there, back = layer.forward_layer.cell, layer.backward_layer.cell
    assert there.config() == back.config()
    assert not torch.equal(there.W, back.W)
    assert back.b[4:8].mean() > 1.0

    class Mine(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 4)
            self.W = nn.Linear(3, 4)

        def step(self, x, h):
            h = torch.tanh(self.W(x)) + h
            return h, (h,)

    layer = cello.Bidirectional(Mine())
    assert not torch.equal(layer.forward_layer.cell.W.weight, layer.backward_layer.cell.W.weight)


def test_bidirectional_carries_states_in() -> None:
    layer = cello.Bidirectional(cello.ElmanCell(3, 4), initial_state="learned")
    x = torch.randn(5, 2, 3)
    y, state = layer(x)
    assert not torch.equal(layer(x, state)[0], y)
    assert torch.equal(layer(x, (None, None))[0], y)
    assert state.detach().forward.h.requires_grad is False
    single, end = layer(x[:, 0])
    torch.testing.assert_close(single, y[:, 0])
    assert end.backward.h.shape == (4,)


# ---------------------------------------------------------------- one step at a time


@pytest.mark.parametrize(
    "net",
    [
        cello.Recurrent(cello.LSTMCell(3, 4, projection_size=2), initial_state="learned"),
        cello.Recurrent(nn.GRUCell(3, 4)),
        cello.LSTM(3, 4, num_layers=2),
        cello.Stack(nn.Linear(3, 3), cello.GRU(3, 4), cello.Recurrent(cello.JordanCell(4, 3, 2))),
    ],
)
def test_streaming_gives_the_numbers_of_the_layer(net: nn.Module) -> None:
    x = torch.randn(6, 2, 3)
    stepper = net.stream(batch_size=2)
    one_by_one = torch.stack([stepper(x_t) for x_t in x])
    torch.testing.assert_close(one_by_one, net(x)[0])
    assert not one_by_one.requires_grad
    stepper.reset()
    torch.testing.assert_close(stepper(x[0]), net(x[:1])[0][0])
    stepper.reset(torch.tensor([True, False]))
    again = stepper(x[1])
    torch.testing.assert_close(again[0], net(x[1:2])[0][0, 0])
    torch.testing.assert_close(again[1], net(x[:2])[0][1, 1])


def test_streaming_a_single_sequence() -> None:
    layer = cello.Recurrent(cello.GRUCell(3, 4))
    stepper = layer.stream()
    x = torch.randn(5, 3)
    one_by_one = torch.stack([stepper(x_t) for x_t in x])
    torch.testing.assert_close(one_by_one, layer(x)[0])
    net = cello.Stack(nn.Embedding(7, 3), layer)
    ids = torch.randint(7, (5,))
    stepper = net.stream()
    one_by_one = torch.stack([stepper(i) for i in ids])
    torch.testing.assert_close(one_by_one, layer(net[0](ids))[0])
    assert stepper.state[1].h.shape == (1, 4)


def test_what_goes_wrong_in_a_module_says_in_which() -> None:
    net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="cannot be multiplied") as caught:
        net(torch.zeros(5, 2, 3))
    (note,) = caught.value.__notes__
    assert note.startswith("in module 1 of the Stack, Linear(in_features=3")
    assert note.endswith("which was given [5, 2, 4]")


def test_states_are_saved_and_loaded_as_weights_are(tmp_path: Path) -> None:
    net = cello.Stack(cello.Bidirectional(cello.LSTMCell(3, 4)), nn.Linear(8, 2))
    _, state = net(torch.randn(5, 2, 3))
    torch.save(state.detach(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert isinstance(loaded, cello.layers.StackState)
    assert torch.equal(loaded[0].backward.c, state[0].backward.c)
    net(torch.randn(5, 2, 3), loaded)
