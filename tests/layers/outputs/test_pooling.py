"""One vector for each sequence: the modules by themselves, and in a stack."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError, ConversionError, DtypeError, ShapeError
from cello.layers.outputs.pooling import POOL_KINDS, OverTime, pool_of

LENGTHS = [4, 1, 3]


def by_hand(pool: OverTime, rows: torch.Tensor) -> torch.Tensor:
    """What it should make of one sequence [T, F]."""
    if isinstance(pool, cello.LastStep):
        return rows[-1]
    if isinstance(pool, cello.MeanOverTime):
        return rows.sum(0) / len(rows)
    if isinstance(pool, cello.MaxOverTime):
        return rows.max(0).values
    assert isinstance(pool, cello.AttentionOverTime)
    scores = torch.tanh(rows @ pool.W.weight.T + pool.W.bias) @ pool.v.weight[0]
    return (scores.exp() / scores.exp().sum()) @ rows


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", POOL_KINDS)
def test_each_sequence_counts_by_itself(kind: str, batch_first: bool):
    torch.manual_seed(0)
    pool = pool_of(kind, 5).double()
    pool.batch_first = batch_first
    y = torch.randn(4, 3, 5, dtype=torch.float64)
    y[1:, 1] = torch.nan  # padding, which must not matter
    y[3:, 2] = torch.inf
    y.requires_grad_()
    given = y.transpose(0, 1) if batch_first else y
    found = pool(given, LENGTHS)
    wanted = torch.stack([by_hand(pool, y[:end, b]) for b, end in enumerate(LENGTHS)])
    assert torch.allclose(found, wanted, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.square().sum(), y)
    (expected,) = torch.autograd.grad(wanted.square().sum(), y)
    assert torch.allclose(gradient, expected, atol=1e-12)
    assert not gradient[1:, 1].any()
    inside = y.detach()[:, :1]
    whole = pool(inside.transpose(0, 1) if batch_first else inside)
    assert torch.allclose(whole[0], found[0])


@pytest.mark.parametrize("kind", POOL_KINDS)
def test_in_a_stack(kind: str):
    torch.manual_seed(0)
    net = cello.Stack(cello.LSTM(2, 5), nn.Dropout(0.0), pool_of(kind, 5), nn.Linear(5, 3))
    x = torch.randn(4, 3, 2)
    found, state = net(x, lengths=LENGTHS)
    assert found.shape == (3, 3)
    assert len(state) == 4
    for b, end in enumerate(LENGTHS):
        alone = net(x[:end, b : b + 1])[0]
        assert torch.allclose(found[b], alone[0], atol=1e-6)
        assert torch.allclose(net(x[:end, b])[0], alone[0], atol=1e-6)  # [T, I] to [F]
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), enforce_sorted=False)
    assert torch.allclose(net(packed)[0], found, atol=1e-6)
    first = cello.Stack(*net, batch_first=True)
    assert torch.allclose(first(x.transpose(0, 1), lengths=LENGTHS)[0], found, atol=1e-6)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x, lengths=torch.tensor(LENGTHS))[0], found, atol=1e-6)


def test_what_cannot_be():
    y = torch.zeros(4, 3, 5)
    with pytest.raises(ArgumentError, match=r"at least 1 .* got 0 for sequence 1"):
        cello.last(y, [4, 0, 3])
    with pytest.raises(ShapeError, match=r"lengths must be \[3\]"):
        cello.last(y, [4])
    with pytest.raises(ShapeError, match=r"\[T, B, F\], got \[4, 3\]"):
        cello.last(y[..., 0])
    with pytest.raises(DtypeError, match="y must be a tensor"):
        cello.last([1.0])
    whole = torch.zeros(4, 3, 5, dtype=torch.int64)
    assert cello.last(whole, LENGTHS).dtype == torch.int64  # nothing is computed
    for kind in POOL_KINDS[1:]:
        name = type(pool_of(kind, 5)).__name__
        with pytest.raises(DtypeError, match=f"{name} takes floating-point y, got torch.int64"):
            pool_of(kind, 5)(whole, LENGTHS)
        with pytest.raises(DtypeError, match=f"{name} takes floating-point y, got torch.int64"):
            cello.Stack(nn.Identity(), pool_of(kind, 5))(whole)
        with pytest.raises(ShapeError, match=rf"{name} takes y \[T, B, F\].*, got \[4, 3, 5, 1\]"):
            cello.Stack(nn.Identity(), pool_of(kind, 5))(y[..., None])
    pool = cello.AttentionOverTime(5)
    with pytest.raises(ShapeError, match=r"takes y \[T, B, 5\], got \[4, 3, 2\]"):
        pool(y[..., :2])
    with pytest.raises(DtypeError, match=r"has weights of torch\.float32, got y of torch\.float64"):
        pool(y.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert pool(y.bfloat16()).shape == (3, 5)
    with pytest.raises(DtypeError, match="size must be a whole number"):
        cello.AttentionOverTime("5")
    with pytest.raises(ArgumentError, match="got no step"):
        cello.MeanOverTime()(y[:0])
    net = cello.Stack(cello.LSTM(5, 2), cello.LastStep(), cello.LSTM(2, 2))
    with pytest.raises(ArgumentError, match=r"module 2 \(LSTM\) reads steps"):
        net(y)
    with pytest.raises(ArgumentError, match="only one module"):
        cello.Stack(cello.LSTM(5, 2), cello.LastStep(), cello.LastStep())(y)
    with pytest.raises(ArgumentError, match=r"module 1, LastStep\(\), needs the whole sequence"):
        net.stream()


def test_conversions_name_what_they_have_no_form_for(tmp_path):
    net = cello.Stack(cello.LSTM(2, 3), cello.LastStep())
    for convert in (partial(cello.to_onnx, stream=True), cello.to_c):
        with pytest.raises(ConversionError, match=r"1, LastStep\(\), makes one vector"):
            convert(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_saved_net_and_its_recording(tmp_path):
    torch.manual_seed(0)
    net = cello.Stack(cello.Recurrent(cello.GRUCell(2, 4)), cello.AttentionOverTime(4))
    cello.save_model(net, tmp_path / "net")
    x = torch.randn(5, 2, 2)
    with torch.no_grad():
        assert torch.equal(cello.load_model(tmp_path / "net")(x)[0], net(x)[0])
        assert cello.record(net, x).output.shape == (2, 4)
