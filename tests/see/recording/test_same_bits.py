"""Recording changes no bit of what the plain call gives, nor what is drawn at random."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import cello
from tests import registry
from tests.effort import FULL

# ------------------------------------------------------------ the plain call, to the bit


class Tagger(nn.Module):
    """A user's own module: an embedding, dropout, layers of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 3)
        self.gru = cello.GRU(3, 4, num_layers=2, dropout=0.4, bidirectional=True)
        self.own = cello.Recurrent(DropoutCell())
        self.head = nn.Linear(4, 2)

    def forward(self, ids: Tensor) -> Tensor:
        y, _ = self.gru(self.embed(ids))
        y, _ = self.own(nn.functional.dropout(y, 0.3, self.training))
        return self.head(y)


class DropoutCell(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(8, 4)
        self.W, self.R = nn.Linear(8, 4), nn.Linear(4, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        mask = nn.functional.dropout(torch.ones_like(h), 0.3, self.training)
        h = torch.tanh(self.W(x) + mask * self.R(h))
        return h, (h,)


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    parts = result if isinstance(result, (tuple, list)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def assert_same_bits(net: nn.Module, *args: Any, **kwargs: Any) -> cello.Recording:
    torch.manual_seed(5)
    plain = net(*args, **kwargs)
    after = torch.random.get_rng_state()
    torch.manual_seed(5)
    rec = cello.record(net, *args, **kwargs)
    assert torch.equal(torch.random.get_rng_state(), after)
    assert type(rec.result) is type(plain)
    ours, theirs = tensors(rec.result), tensors(plain)
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(a.requires_grad == b.requires_grad for a, b in zip(ours, theirs, strict=True))
    return rec


# Every cell where roundings show most; in other types those of each kind, and all in a full run.
EVERY_TYPE = ("elman", "jordan", "lstm", "lstm-projection", "gru", "two-sizes", "no-grad")
TYPES = [
    pytest.param(name, dtype, id=f"{name}-{dtype}")
    for name in registry.DISTINCT
    if name not in registry.COMPILED_ONCE
    for dtype in (torch.bfloat16, torch.float32, torch.float64)
    if FULL or dtype == torch.bfloat16 or name in EVERY_TYPE
]


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_recording_changes_no_bit(name: str, dtype: torch.dtype):
    cell = registry.make(name, dtype)
    x = registry.x_of(cell, 7, 5).to(dtype)
    assert_same_bits(cello.Recurrent(cell), x)
    if name in registry.ROW_WISE:
        assert_same_bits(
            cello.Recurrent(cell, reverse=True), x, lengths=torch.tensor([3, 0, 7, 1, 7])
        )


def test_recording_changes_no_bit_where_products_have_names():
    """A product with a name must not become one operation with a sum just when nobody looks."""
    layer = cello.Recurrent(cello.GRUCell(40, 64, reset_after=False).bfloat16())
    assert_same_bits(layer, torch.randn(30, 16, 40).bfloat16())


class Attention(cello.Cell):
    """What the last of its rows asks for goes nowhere: only a recording computes it."""

    state = ("s",)

    def __init__(self) -> None:
        super().__init__(5, 8, state_sizes={"s": (3, 8)})
        self.inp, self.qkv, self.unread = nn.Linear(5, 8), nn.Linear(8, 24), nn.Linear(5, 8)

    def step(self, x: Tensor, s: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        given = self.inp(x)
        unread = self.unread(x)  # noqa: F841
        z = torch.cat([s, given[:, None]], 1)
        q, k, v = self.qkv(z).chunk(3, -1)
        a = torch.softmax(q @ k.transpose(1, 2), -1) @ v
        s = torch.tanh(a[:, :3] + s)
        return s[:, 0], (s,)


@pytest.mark.parametrize("only", [None, "unread", "q", "k", "a"])
def test_recording_changes_no_bit_of_products_beside_what_nothing_else_reads(only: str | None):
    """How many products read the same features tells how each of them is summed."""
    torch.manual_seed(0)
    layer, x = cello.Recurrent(Attention(), engine="cpu"), torch.randn(9, 3, 5)
    plain, state = layer(x)
    rec = cello.record(layer, x, only=only)
    assert torch.equal(rec.output, plain)
    assert torch.equal(tensors(rec.state)[0], tensors(state)[0])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", [cello.RNN, cello.LSTM, cello.GRU])
def test_recording_changes_no_bit_of_drop_ins(kind: Any, batch_first: bool):
    layer = kind(8, 16, num_layers=2, bidirectional=True, dropout=0.3, batch_first=batch_first)
    x = torch.randn(5, 7, 8)
    assert_same_bits(layer, x)
    assert_same_bits(layer.eval(), x)
    assert_same_bits(layer, x[0])
    assert_same_bits(layer, pack_sequence([x[0, :4], x[1, :2]]))
    with torch.no_grad():
        assert_same_bits(layer, x)


def test_recording_changes_no_bit_of_a_users_net_with_dropout():
    net, ids = Tagger(), torch.randint(10, (6, 3))
    assert_same_bits(net.train(), ids)
    assert_same_bits(net.eval(), ids)
    stack = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)),
        nn.Dropout(0.5),
        cello.LSTM(8, 4),
        nn.Linear(4, 2),
    )
    rec = assert_same_bits(stack, torch.randn(6, 3, 3), lengths=torch.tensor([6, 2, 0]))
    assert rec.state[0].forward.c.shape == (3, 4)


def test_recorded_dropout_is_the_one_that_happened():
    layer = cello.GRU(3, 4, num_layers=2, dropout=0.5)  # fresh: its cells are not yet made
    x = torch.randn(6, 2, 3)
    rec = cello.record(layer, x)
    torch.testing.assert_close(rec["1.h"], rec.output, rtol=1e-5, atol=1e-6)
    assert (rec["1.x"] == 0).any()


def test_recording_goes_on_in_inference_mode_and_under_accelerate():
    model = nn.Sequential(nn.LSTM(3, 4)).eval()
    with torch.inference_mode():
        rec = assert_same_bits(cello.accelerate(model), torch.randn(5, 2, 3))
    assert rec["0.0.f"].shape == (5, 2, 4)
