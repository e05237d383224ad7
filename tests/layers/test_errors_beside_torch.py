"""Errors where users come from PyTorch: what catches its errors, argument names, nn.Sequential."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

import cello
from cello.errors import ArgumentError, CelloError, DtypeError, ShapeError
from tests.layers.test_errors import GRU, LAYER, X


def test_what_catches_pytorchs_errors_catches_ours() -> None:
    lstm, theirs = cello.LSTM(3, 4), nn.LSTM(3, 4)
    linear = nn.Linear(3, 4)
    cases: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: lstm(X[..., :2]), lambda: theirs(X[..., :2])),
        (lambda: LAYER(X[..., :2]), lambda: linear(X[..., :2])),
        (lambda: lstm(X.double()), lambda: theirs(X.double())),
        (lambda: LAYER(X.double()), lambda: linear(X.double())),
        (lambda: LAYER(X.to("meta")), lambda: linear(X.to("meta"))),
        (lambda: LAYER([1.0]), lambda: linear([1.0])),
        (lambda: lstm(X, torch.zeros(1, 2, 5)), lambda: nn.GRU(3, 4)(X, torch.zeros(1, 2, 5))),
        (lambda: cello.LSTMCell(3, 0), lambda: nn.LSTM(3, 0)),
        (lambda: cello.LSTMCell(3, 4.0), lambda: nn.LSTM(3, 4.0)),
    ]
    for ours, pytorchs in cases:
        with pytest.raises((ValueError, RuntimeError, TypeError)) as raised:
            pytorchs()
        with pytest.raises(raised.type) as found:
            ours()
        assert isinstance(found.value, CelloError)
    for kind in (ArgumentError, ShapeError, DtypeError):
        assert issubclass(kind, ValueError)  # as before
        assert issubclass(kind, RuntimeError)


@pytest.mark.parametrize("kind", [cello.RNN, cello.LSTM, cello.GRU])
def test_a_drop_in_calls_its_arguments_as_its_namesake_does(kind: type) -> None:
    layer, batch_first = kind(3, 4), kind(3, 4, batch_first=True)
    y, state = layer(input=X, hx=layer(input=X)[1])
    lengths, reset = torch.tensor([5, 1]), torch.zeros(2, 5).bool()
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: layer(X[..., :2]), r"input must have 3 features .* got \[5, 2, 2\]"),
        (lambda: layer(input=X[0, 0]), r"input must be \[T, B, 3\], .* got \[3\]"),
        (lambda: batch_first(X[0, 0]), r"input must be \[B, T, 3\], .* got \[3\]"),
        (lambda: layer(X.double()), "input must have the dtype of"),
        (lambda: layer([1.0]), "input must be a tensor or a PackedSequence, got list"),
        (
            lambda: layer((y, state)),
            r"input must be .* got the pair \(output, state\) that a recur",
        ),
        (lambda: layer(X[:, 0], lengths=lengths), r"an unbatched input \[5, 3\]; cut input"),
        (lambda: layer(X, reset=reset), r"reset must be \[5, 2\] to fit input, got \[2, 5\]"),
        (lambda: layer(X, hx=5), "hx must be "),
    ]
    for call, message in calls:
        with pytest.raises(ArgumentError, match=message):
            call()
    net = cello.Stack(layer)  # whose own argument is x
    with pytest.raises(ShapeError, match="x must have 3 features"):
        net(X[..., :2])


@pytest.mark.parametrize(
    "layer",
    [
        cello.Recurrent(cello.ElmanCell(3, 4)),
        cello.Bidirectional(cello.ElmanCell(3, 2)),
        cello.Stack(cello.LSTM(3, 4)),
    ],
)
def test_what_takes_a_layers_pair_for_a_tensor_points_to_stack(layer: nn.Module) -> None:
    after = [
        nn.Linear(4, 2), nn.ReLU(), nn.Dropout(), nn.LayerNorm(4), nn.Conv1d(2, 2, 1),
        nn.Softmax(-1), nn.Flatten(), nn.BatchNorm1d(2), nn.GRU(4, 2),
        cello.Recurrent(cello.GRUCell(4, 2)), cello.GRU(4, 2), cello.Stack(nn.Linear(4, 2)),
    ]  # fmt: skip
    for module in after:
        is_kept = not isinstance(
            module, (nn.Flatten, nn.GRU)
        )  # a Stack makes a layer of ours of it
        nets = [cello.Stack(nn.Sequential(layer), module)] if is_kept else []
        for net in (nn.Sequential(layer, module), *nets):
            with pytest.raises(DtypeError, match=r"the pair \(output, state\) .* cello.Stack"):
                net(X)
        if isinstance(module, nn.Flatten):  # that mixes steps
            continue
        assert cello.Stack(layer, module)(X).output.dim() == 3
    with pytest.raises(DtypeError, match=r"the pair .* cello\.Stack"):
        nn.Sequential(GRU, cello.GRUCell(4, 2))(X[0])


def test_the_pair_of_a_layer_is_a_tuple_like_any_other() -> None:
    pair = LAYER(X)
    y, state = pair
    assert pair == (y, state)
    assert pair.output is pair[0] is y
    assert pair.state is pair[1] is state
    assert not hasattr(pair, "dim")
    assert getattr(pair, "shape", None) is None
    with pytest.raises(AttributeError, match=r"^the pair \(output, state\) has no attribute 'oh'"):
        pair.oh  # noqa: B018
    again = pickle.loads(pickle.dumps(pair))
    assert type(again) is type(pair)
    assert torch.equal(again.state.c, state.c)
    file = io.BytesIO()
    torch.save(pair, file)
    file.seek(0)
    assert type(torch.load(file, weights_only=True)) is type(pair)
    doubled = tree_map(lambda leaf: 2 * leaf, pair)
    assert type(doubled) is type(pair)
    assert torch.equal(doubled.output, 2 * y)
    rows = torch.func.vmap(LAYER)(X[:, :, None].transpose(0, 1))
    torch.testing.assert_close(rows.output[:, :, 0].transpose(0, 1), y)
