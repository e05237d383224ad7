from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, DtypeError, ShapeError, UnknownNameError
from cello.see.probing import labelled_steps
from cello.see.probing.scores import auc

pytestmark = pytest.mark.usefixtures("compile_nothing")

H = 4


def planted() -> nn.Module:
    """An LSTM whose unit 2 takes the second feature where the first is 1, and keeps it."""
    cell = cello.LSTMCell(2, H)
    with torch.no_grad():
        cell.R.view(4, H, H)[:, 2] = 0
        cell.W.view(4, H, 2)[:, 2] = torch.tensor([[20.0, 0], [-20, 0], [0, 3], [0, 0]])
        cell.b.view(4, H)[:, 2] = torch.tensor([-10.0, 10, 0, 0])
    return cello.Recurrent(cell)


def sequences(count: int, steps: int = 60) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs, and what the unit keeps."""
    xs = [
        torch.stack([(torch.rand(steps + n) < 0.2).float(), torch.randn(steps + n)], dim=1)
        for n in range(count)
    ]
    ys = []
    for x in xs:
        kept = [0.0]
        for event, value in x.tolist():
            kept.append(value if event else kept[-1])
        ys.append(torch.tensor(kept[1:]))
    return xs, ys


def test_a_planted_unit_is_found():
    xs, ys = sequences(20)
    found = cello.probe(planted(), xs, [y > 0 for y in ys])
    assert found.kind == "auc"
    assert (found.best.name, found.best.unit) in (("c", 2), ("h", 2))
    assert found.best.held_out > 0.9
    assert abs(found.best.control - 0.5) < 0.2
    assert found.scores("c").argmax().item() == 2
    assert max(unit.held_out for unit in found if unit.unit != 2) < 0.8
    assert len(found) == 10 * H
    assert [unit.found for unit in found] == sorted(
        (unit.found for unit in found), key=lambda score: -abs(score - 0.5)
    )
    head, _, first, *_, last = found.table(count=3).splitlines()
    assert head.split() == ["value", "unit", "ranking", "held", "out", "shuffled"]
    assert first.split()[1] == "2"
    assert last.startswith("shuffled labels bring one of the 40 units to ")
    assert repr(found).startswith("Probe of 40 units by area under the ROC curve, ranked over 690")


def test_numbers_are_correlated():
    xs, ys = sequences(10)
    found = cello.probe(planted(), xs, [-(3 * y).tanh() for y in ys], only=["c", "z_*"])
    assert found.kind == "correlation"
    assert (found.best.name, found.best.unit) == ("c", 2)
    assert found.best.held_out < -0.99
    assert {unit.name for unit in found} == {"c", "z_i", "z_f", "z_o"}


def test_labels_without_meaning_are_held_out():
    """Among many units one seems to tell, where it ranks; not so on what was held out."""
    layer = cello.Recurrent(cello.GRUCell(32, 64))
    xs = [torch.randn(12, 32) for _ in range(8)]
    found = cello.probe(layer, xs, [torch.rand(12) < 0.5 for _ in xs], only="h")
    assert abs(found.best.found - 0.5) > 0.2
    assert abs(found.best.held_out - 0.5) < 0.1
    assert abs(found.chance - 0.5) > 0.15


def test_scores_are_those_of_one_recording_of_each_sequence():
    net = cello.Stack(cello.Bidirectional(cello.GRUCell(2, 3)), cello.LSTM(6, 2)).eval()
    xs, ys = sequences(7, steps=5)
    ys = [y > 0 for y in ys]
    found = cello.probe(net, xs, ys, held_out=0.4)
    held = [number for number in range(7) if int((number + 1) * 0.4) > int(number * 0.4)]
    assert held == [2, 4]
    for numbers, field in ((held, "held_out"), ([0, 1, 3, 5, 6], "found")):
        recs = [cello.record(net, xs[number]) for number in numbers]
        labels = torch.cat([ys[number] for number in numbers])
        for name in ("0.backward.z", "1.0.c"):
            values = torch.cat([rec[name][:, 0].detach() for rec in recs])
            own = sorted((u.unit, getattr(u, field)) for u in found if u.name == name)
            assert [score for _, score in own] == pytest.approx(auc(values, labels).tolist())


@pytest.mark.parametrize("piece", [7, 16])
def test_long_sequences_are_read_in_pieces(piece: int, monkeypatch: pytest.MonkeyPatch):
    net = cello.Stack(nn.Linear(2, 3), cello.Recurrent(cello.LSTMCell(3, H)), batch_first=True)
    xs, ys = sequences(4)
    ys = [y > 0 for y in ys]
    whole = cello.probe(net, xs, ys)
    monkeypatch.setattr(labelled_steps, "STEPS", piece)
    parts = cello.probe(net, xs, ys)
    assert whole.steps == parts.steps == (122, 124)
    for name in ("f", "c"):
        torch.testing.assert_close(whole.scores(name), parts.scores(name))


class Model(nn.Module):
    """Somebody's own model over ids."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.rnn = cello.GRU(3, H, bidirectional=True)
        self.dropout = nn.Dropout(0.5)

    def forward(self, ids: Tensor) -> Tensor:
        assert not self.training
        return self.dropout(self.rnn(self.embedding(ids))[0])


def test_any_module_over_ids_in_eval_mode():
    model = Model()
    xs = [torch.randint(0, 5, (20,)) for _ in range(6)]
    found = cello.probe(model, xs, [x == 3 for x in xs])
    assert found.best.held_out in (pytest.approx(1), pytest.approx(0))
    assert model.training


def test_sequences_may_come_from_a_generator_and_are_not_kept():
    alive = []

    def stream() -> Iterator[Tensor]:
        import weakref

        for _ in range(40):
            x = torch.randn(2000, 1)
            alive.append(weakref.ref(x))
            assert sum(ref() is not None for ref in alive) <= 8
            yield x

    labels = (torch.arange(2000) % 2 == 0 for _ in range(40))
    found = cello.probe(cello.Recurrent(cello.ElmanCell(1, 2)), stream(), labels)
    assert found.steps == (40_000, 40_000)
    assert 0 < found.error < 0.002
    assert abs(found.best.held_out - 0.5) < 0.02


def test_labels_may_be_lists_or_arrays():
    xs, ys = sequences(6)
    layer = planted()
    tensors = cello.probe(layer, xs, [y > 0 for y in ys])
    lists = cello.probe(layer, xs, [[number > 0 for number in y.tolist()] for y in ys])
    assert list(lists) == list(tensors)
    numbers, arrays = cello.probe(layer, xs, ys), cello.probe(layer, xs, [y.numpy() for y in ys])
    assert str(list(arrays)) == str(list(numbers))


def test_half_precision_is_scored_too():
    xs, ys = sequences(6)
    found = cello.probe(planted().bfloat16(), [x.bfloat16() for x in xs], [y > 0 for y in ys])
    assert (found.best.name, found.best.unit) in (("c", 2), ("h", 2))


X = torch.randn(4, 1)
YES = torch.ones(4, dtype=torch.bool)
MIXED = torch.tensor([True, False, True, False])


@pytest.mark.parametrize(
    ("xs", "ys", "error", "message"),
    [
        ([X, X], [YES, 3], ShapeError, r"labels of sequence 1 must be one for .* got \[\]"),
        (
            [X, X],
            [MIXED, list("abcd")],
            DtypeError,
            r"sequence 1 .* numbers, got \['a', .*classes, ",
        ),
        ([X, X], [MIXED, np.array(["a", "b", "c", "d"])], DtypeError, "must be bool or numbers"),
        ([X, 3], [MIXED, MIXED], DtypeError, "sequence 1 must be a tensor, got int"),
        ([X, X], [X[:, 0], X[:, 0] / 0], ArgumentError, "labels of sequence 1 must be finite"),
        ([X, X], [X[:, 0], 0 * X[:, 0]], ArgumentError, "numbers that differ, .* that is held out"),
        ([X, X], [YES, YES[:3]], ShapeError, r"labels of sequence 1 must be one for .* \[4\]"),
        ([X, X], [YES], ArgumentError, "number 1 has no labels"),
        ([X], [YES, YES], ArgumentError, "number 1 has no sequence"),
        ([X, X], [YES, X[:, 0]], DtypeError, "all bool or all numbers, those of sequence 1"),
        ([X], [MIXED], ArgumentError, "no sequence is held out: at least two"),
        ([X, X], [MIXED, YES], ArgumentError, "of the part that is held out they do not"),
        (
            torch.randn(4, 2, 1),
            [YES] * 4,
            DtypeError,
            r"one for all \[4, 2, 1\]: pass x.unbind\(1\)",
        ),
        ([], [], ArgumentError, "there is no step in sequences"),
        ([X[:0]], [YES[:0]], ArgumentError, "there is no step in sequences"),
    ],
)
def test_what_cannot_be_probed(xs: Any, ys: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        cello.probe(cello.Recurrent(cello.ElmanCell(1, 2)), xs, ys)


def test_options_that_make_no_sense():
    layer = cello.Recurrent(cello.ElmanCell(1, 2))
    with pytest.raises(ArgumentError, match="held_out must lie between 0 and 1, got 1"):
        cello.probe(layer, [X, X], [MIXED, MIXED], held_out=1)
    with pytest.raises(DtypeError, match=r"seed must be a whole number, got 0\.5"):
        cello.probe(layer, [X, X], [MIXED, MIXED], seed=0.5)
    with pytest.raises(UnknownNameError, match="only='q' fits no value"):
        cello.probe(layer, [X, X], [MIXED, MIXED], only="q")
    with pytest.raises(ArgumentError, match="no recurrent layer of ours"):
        cello.probe(nn.Linear(1, 1), [X, X], [MIXED, MIXED])


def test_a_net_that_sees_other_steps_than_the_labels_are_for():
    class Halving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = cello.Recurrent(cello.ElmanCell(1, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x[::2])[0]

    with pytest.raises(ShapeError, match="labels are for 4 steps, rnn saw 2 steps of 1 sequences"):
        cello.probe(Halving(), [X, X], [MIXED, MIXED])
