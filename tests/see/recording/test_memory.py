"""What a recording keeps in memory: the recorded rows, each once."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn

import cello
from tests.see.recording.test_same_bits import tensors

# ------------------------------------------------------------ memory


def alive() -> int:
    """Bytes in all tensors that there are, each piece of memory counted once.

    The working memory of compiled loops, in bytes without a type, comes and goes with the loops.
    """
    for _ in range(3):  # what a collected cell held is collected after it
        gc.collect()
    found = {}
    for thing in gc.get_objects():
        # Those of other types, such as what torch.compile keeps, stand for tensors without memory.
        if (
            type(thing) in (Tensor, nn.Parameter)
            and thing.dtype != torch.uint8
            and not thing.is_meta
        ):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def test_memory_is_the_recorded_rows_and_no_more():
    net = cello.Stack(cello.Recurrent(cello.LSTMCell(3, 8, activation="identity")), nn.Linear(8, 2))
    x, lengths = torch.randn(50, 4, 3), torch.tensor([50, 20, 0, 1])
    with torch.no_grad():
        cello.record(net, x, lengths=lengths)  # programs and plans are made
        before = alive()
        rec = cello.record(net, x, lengths=lengths)
        index = 71 * 8 + 4 * 8  # which row is which step, and the lengths
        result = rec.output.nbytes + sum(t.nbytes for t in tensors(rec.state))
        units = 3 + 8 + 8 + 4 * 8 + 2 * 8 + 3 * 8  # g shares with z
        assert rec.nbytes == 71 * 4 * units
        assert alive() - before == rec.nbytes + index + result

        before = alive()
        less = cello.record(net, x, lengths=lengths, only="z_f")  # a fourth of one product
        assert less.nbytes == 71 * 4 * 8
        assert alive() - before == less.nbytes + index + result


def test_a_part_of_a_product_is_kept_without_the_rest():
    layer = cello.Recurrent(cello.GRUCell(3, 8))  # x_z is a third of one product for all steps
    x = torch.randn(50, 4, 3)
    with torch.no_grad():
        cello.record(layer, x, only="x_z")
        before = alive()
        rec = cello.record(layer, x, only="x_z")
        result = rec.output.nbytes + rec.state.h.nbytes
        assert rec.nbytes == 50 * 4 * 8 * 4
        assert alive() - before == rec.nbytes + result


@pytest.mark.parametrize("engine", ["reference", "split", "cpu"])
def test_names_of_one_value_share_its_rows(engine: str):
    layer = cello.Recurrent(cello.LSTMCell(3, 8, activation="identity"), engine=engine)
    with torch.no_grad():
        rec = cello.record(layer, torch.randn(5, 2, 3), only=("z", "g"))
    assert torch.equal(rec["z"], rec["g"])
    assert rec.nbytes == 10 * 8 * 4


def test_what_layers_share_is_kept_once():
    net = cello.Stack(
        cello.Bidirectional(cello.GRUCell(3, 4)), cello.LSTM(8, 2, bidirectional=True)
    )
    with torch.no_grad():
        rec = cello.record(net, torch.randn(5, 2, 3))
        x = cello.record(net, torch.randn(5, 2, 3), only="x")
    gru, lstm = 4 + 3 * 4 + 3 * 4 + 4 * 4, 2 + 2 + 4 * 2 + 6 * 2
    assert x.nbytes == 10 * 4 * (3 + 8)
    assert rec.nbytes == x.nbytes + 10 * 4 * 2 * (gru + lstm)


def test_recorded_values_stay_as_they_were():
    layer = cello.Recurrent(cello.ElmanCell(3, 3, activation="identity"))
    x = torch.randn(4, 2, 3)
    lengths = torch.tensor([4, 2])
    with torch.no_grad():
        rec = cello.record(layer, x, lengths=lengths)
        kept = {name: rec[name].clone() for name in rec}
        x.zero_()
        lengths.zero_()
        rec.output.zero_()
        rec.state.h.zero_()
        for parameter in layer.parameters():
            parameter.zero_()
    assert all(torch.equal(rec[name], kept[name]) for name in rec)
    assert rec.lengths.tolist() == [4, 2]
