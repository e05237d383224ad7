"""Networks by kind and by size."""

import re

import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError
from cello.layers.encoders import KHot, Log, OneHot, Projection
from cello.tasks.networks import (
    CAUSAL_KINDS,
    NETWORK_KINDS,
    build_network,
    fitting_hidden_size,
)


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("kind", NETWORK_KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_every_kind_tags(kind: str, layers: int):
    net = build_network(kind, KHot(7), 5, 3, layers=layers, dropout=0.5)
    ids = torch.tensor([[[0, 2], [3, -1]], [[1, 6], [-1, -1]], [[4, 5], [0, 1]]])
    lengths = torch.tensor([3, 1])
    logits, state = net(ids, lengths=lengths)
    assert logits.shape == (3, 2, 3)
    assert not logits[1:, 1].any()
    logits[:, 0].logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net(ids, state.detach())
    net.eval()
    alone, _ = net(ids[:1, 1:])
    torch.testing.assert_close(alone[0, 0], net(ids, lengths=lengths)[0][0, 1])


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_who_sees_what_comes_later(kind: str):
    net = build_network(kind, OneHot(4), 5, 3)
    ids = torch.tensor([[0], [1], [2]])
    changed = torch.tensor([[0], [1], [3]])
    same = torch.equal(net(ids)[0][:2], net(changed)[0][:2])
    assert same == (kind in CAUSAL_KINDS)


def test_what_the_kinds_are():
    layers = {kind: build_network(kind, OneHot(4), 5, 3)[1] for kind in NETWORK_KINDS}
    assert isinstance(layers["elman"].cell, cello.ElmanCell)
    assert isinstance(layers["jordan"].cell, cello.JordanCell)
    assert isinstance(layers["bi-elman"], cello.Bidirectional)
    assert type(layers["lstm"]) is type(layers["bi-lstm"]) is cello.LSTM
    assert type(layers["gru"]) is type(layers["bi-gru"]) is cello.GRU
    assert [layers[kind].bidirectional for kind in ("lstm", "bi-lstm")] == [False, True]


def test_layers_have_parameters_of_their_own():
    net = build_network("elman", OneHot(4), 5, 3, layers=3)
    assert count(net) == (4 * 5 + 5 * 5 + 5) + 2 * (5 * 5 + 5 * 5 + 5) + (5 * 3 + 3)
    assert not torch.equal(net[1].cell.R, net[2].cell.R)
    forward, backward = build_network("bi-elman", OneHot(4), 5, 3)[1].children()
    assert not torch.equal(*(next(part.parameters()) for part in (forward, backward)))


def test_jordan_remembers_its_output():
    """Its logits are those of the probabilities that it feeds back, and it can be forced."""
    net = build_network("jordan", OneHot(4), 5, 3)
    ids = torch.tensor([[0], [1], [2]])
    logits, state = net(ids)
    assert torch.allclose(logits.exp().sum(-1), torch.ones(3, 1))
    assert torch.allclose(logits[-1].exp(), state[1].y)
    targets = nn.functional.one_hot(torch.tensor([[2], [0], [1]]), 3)
    forced, _ = net(ids, targets=targets)
    assert torch.equal(forced[0], logits[0])
    assert not torch.allclose(forced[1], logits[1])
    assert sum(isinstance(m, cello.JordanCell) for m in net.modules()) == 1


def test_log_of_nothing_is_finite_and_has_a_gradient():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        p = torch.tensor([0.0, 1.0], dtype=dtype, requires_grad=True)
        y = Log()(p)
        y.sum().backward()
        assert torch.isfinite(y).all()
        assert torch.isfinite(p.grad).all()
    assert Log(**Log().config())(torch.ones(1)) == 0


@pytest.mark.parametrize("kind", NETWORK_KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_networks_of_similar_size(kind: str, layers: int):
    encoder = OneHot(97)
    size = fitting_hidden_size(26_000, kind, encoder, 8, layers=layers)
    found = count(build_network(kind, encoder, size, 8, layers=layers))
    others = [
        count(build_network(kind, encoder, other, 8, layers=layers))
        for other in (size - 1, size + 1)
    ]
    assert abs(found - 26_000) < 26_000 * 0.05
    assert all(abs(found - 26_000) <= abs(other - 26_000) for other in others)


def test_the_encoder_counts():
    encoder = Projection(100, 10)
    size = fitting_hidden_size(3_000, "elman", encoder, 4)
    assert count(build_network("elman", encoder, size, 4)) == pytest.approx(3_000, rel=0.03)
    message = "parameters must be at least about 1020 for a network of kind 'elman'"
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
        fitting_hidden_size(500, "elman", encoder, 4)


def test_finding_the_size_leaves_chance_alone():
    before = torch.get_rng_state()
    fitting_hidden_size(26_000, "lstm", OneHot(97), 8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "rnn"},
            "kind must be one of elman, jordan, bi-elman, lstm, bi-lstm, gru, bi-gru",
        ),
        ({"hidden_size": 0}, "hidden_size must be a whole number from 1 to 2,147,483,647, got 0"),
        ({"layers": 0}, "layers must be a whole number from 1 to 1,000, got 0"),
        ({"dropout": 1.0}, "dropout must be below 1, for with 1 nothing is left to learn from"),
        ({"dropout": -0.5}, "dropout must be a finite number from 0 to 1, got -0.5"),
    ],
)
def test_errors(options, message: str):
    arguments = {"kind": "elman", "encoder": OneHot(4), "hidden_size": 5, "output_size": 3}
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
        build_network(**(arguments | options))
