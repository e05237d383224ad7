from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, DtypeError, UnknownNameError


@pytest.fixture
def rec() -> cello.Recording:
    net = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)), cello.Recurrent(cello.JordanCell(8, 3, 2))
    )
    return cello.record(net, torch.randn(5, 2, 3), lengths=torch.tensor([3, 5]))


class Segments(nn.Module):
    """An encoder and a decoder, over sequences of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = cello.Recurrent(cello.GRUCell(3, 4))
        self.decoder = cello.Recurrent(cello.GRUCell(3, 4))

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        _, state = self.encoder(x)
        return {"output": self.decoder(y, state)[0]}


def test_values_by_name(rec: cello.Recording):
    assert rec["0.forward.f"].shape == (5, 2, 4)
    assert torch.equal(rec["y"], rec["1.y"])
    assert torch.equal(rec["forward.c"], rec["0.forward.c"])
    assert not rec["y"][3:, 0].any()
    assert rec["y"][3:, 1].any()
    assert list(rec) == list(rec.names)
    assert len(rec) == len(rec.names) == 2 * 13 + 4


def test_in_means_that_it_can_be_looked_up(rec: cello.Recording):
    assert "0.forward.f" in rec
    assert "y" in rec
    assert "f" not in rec  # two layers have one
    assert "nonsense" not in rec
    assert 3 not in rec


def test_wrong_names_are_errors(rec: cello.Recording):
    with pytest.raises(UnknownNameError, match=r"^'f' could be '0.forward.f', '0.backward.f'"):
        rec["f"]
    with pytest.raises(UnknownNameError, match=r"^nothing is named '0.foward.f'; near it are"):
        rec["0.foward.f"]


def test_output_and_state_are_those_of_the_net(rec: cello.Recording):
    assert torch.equal(rec.output, rec["y"])
    assert rec.state[0].backward.h.shape == (2, 4)
    only_output = cello.record(nn.Sequential(cello.LSTM(3, 2), Head()), torch.randn(4, 1, 3))
    assert only_output.output.shape == (4, 1, 2)
    assert only_output.state is None


class Head(nn.Module):
    def forward(self, result: tuple[Tensor, Any]) -> Tensor:
        return result[0]


def test_a_packed_result_is_one_output():
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(3, 2))

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0]

    packed = nn.utils.rnn.pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    rec = cello.record(Packed(), packed)
    assert rec.output is rec.result
    assert rec.state is None


def test_lengths_of_layers_that_saw_different_sequences(rec: cello.Recording):
    assert rec.lengths.tolist() == [3, 5]
    assert rec.lengths_of("1.y").tolist() == [3, 5]
    two = cello.record(Segments(), torch.randn(5, 2, 3), torch.randn(7, 2, 3))
    assert two.lengths_of("encoder.z").tolist() == [5, 5]
    assert two.lengths_of("decoder.z").tolist() == [7, 7]
    assert two.result["output"].shape == (7, 2, 4)
    with pytest.raises(ArgumentError, match=r"saw sequences of different lengths: use lengths_of"):
        _ = two.lengths


def test_a_recording_of_nothing():
    rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3), only=())
    assert (rec.names, rec.nbytes, rec.layers) == ((), 0, ())
    assert rec.output.shape == (5, 2, 4)
    for ask in (lambda: rec.lengths, rec.layer, lambda: rec.explain(0)):
        with pytest.raises(ArgumentError, match=r"^this recording holds no values: record with a"):
            ask()


def test_the_repr_says_what_there_is(rec: cello.Recording):
    values = "x h_prev c_prev z_i z_f z z_o i f g c o h"
    rows = 8 * (2 * (3 + 12 * 4) - 3 + (8 + 2 + 3 + 2))  # both directions share x
    assert repr(rec) == (
        f"Recording of 30 values, {4 * rows:,} bytes\n"
        f"  0.forward: 5 steps of 2 sequences: {values}\n"
        f"  0.backward: 5 steps of 2 sequences: {values}\n"
        "  1: 5 steps of 2 sequences: x y_prev h y"
    )


def test_layers_by_name(rec: cello.Recording):
    assert rec.layers == ("0.forward", "0.backward", "1")
    assert rec.layer("backward") is rec.layer("0.backward")
    with pytest.raises(
        ArgumentError, match=r"^layer must be one of '0.forward', '0.backward', '1'"
    ):
        rec.layer()
    with pytest.raises(
        UnknownNameError, match=r"^nothing is named '0.both'; there are '0.forward'"
    ):
        rec.layer("0.both")


def test_empty_input_has_values_without_rows():
    rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(0, 2, 3))
    assert rec["z"].shape == (0, 2, 4)
    assert rec.lengths.tolist() == [0, 0]
    assert rec.table(names="z", units=[0]).splitlines()[0].split() == ["t", "z[0]"]


def test_sequences_are_counted_from_0(rec: cello.Recording):
    for wrong in (2, -1):
        with pytest.raises(ArgumentError, match=rf"^batch={wrong} is no sequence .* which has 2"):
            rec.table(batch=wrong)
    with pytest.raises(DtypeError, match=r"^batch must be a whole number, got '0'$"):
        rec.table(batch="0")  # type: ignore[arg-type]
