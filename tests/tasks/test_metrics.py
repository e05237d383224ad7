"""Accuracies by hand; spans against the rule of conlleval, written here once more."""

import re
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import CelloError
from cello.tasks.metrics import accuracies, bits, is_iob, span_scores


def test_accuracies_by_hand():
    tags = ["keyword", "string", "comment", "number"]
    gold = torch.tensor([0, 1, 1, 1, 2, 2, 0])
    predicted = torch.tensor([0, 1, 2, 1, 2, 0, 3])
    assert accuracies(
        gold, predicted, tags, {"memory": ["string", "comment"], "none": ["number"]}
    ) == {
        "accuracy": 4 / 7,
        "accuracy/keyword": 1 / 2,
        "accuracy/string": 2 / 3,
        "accuracy/comment": 1 / 2,
        "memory_accuracy": 3 / 5,
    }


def test_what_is_iob():
    assert is_iob(["O", "B-to", "I-to"])
    assert is_iob(["B-a", "B-b"])
    assert not is_iob(["O"])
    assert not is_iob([])
    assert not is_iob(["O", "B-"])
    assert not is_iob(["O", "B-to", "IN"])


def spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """conlleval: B begins a span, and so does I after O, after another type, or at the start."""
    found, begin, kind = set(), None, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if begin is not None and (prefix in ("O", "B") or name != kind):
            found.add((kind, begin, place - 1))
            begin = None
        if begin is None and prefix != "O":
            begin, kind = place, name
    return found


def scores_by_hand(gold: list[list[str]], predicted: list[list[str]]) -> tuple[float, ...]:
    true = {(row, *span) for row, tags in enumerate(gold) for span in spans(tags)}
    found = {(row, *span) for row, tags in enumerate(predicted) for span in spans(tags)}
    right = len(true & found)
    precision = right / len(found) if found else 0.0
    recall = right / len(true) if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return precision, recall, f1


@pytest.mark.parametrize(
    ("gold", "predicted", "scores"),
    [
        # I after O, and at the start, begins a span.
        ("O I-X I-X", "O B-X I-X", (1, 1)),
        ("I-X O", "B-X O", (1, 1)),
        # I of another type begins another span.
        ("B-X I-Y", "B-X B-Y", (1, 1)),
        ("B-X I-Y", "B-X I-X", (0, 0)),
        # B after B of the same type are two spans, B and I one.
        ("B-X B-X", "B-X I-X", (0, 0)),
        ("B-X B-X I-X", "B-X B-X O", (1 / 2, 1 / 2)),
        # Borders and types must both be right.
        ("B-X I-X O", "B-X O O", (0, 0)),
        ("B-X I-X O", "B-Y I-Y O", (0, 0)),
        ("B-X O B-Y O B-Z", "B-X O O O B-Y", (1 / 2, 1 / 3)),
        # Nothing to divide by is 0.
        ("O O", "O O", (0, 0)),
        ("O O", "B-X O", (0, 0)),
        ("B-X O", "O O", (0, 0)),
        # What is no B and no I is outside.
        ("B-X I-X X-X", "B-X I-X E-X", (1, 1)),
        # A hyphen inside a type.
        ("B-X-1 I-X-1", "B-X-1 I-X-2", (0, 0)),
    ],
)
def test_edge_cases_of_conlleval(gold: str, predicted: str, scores: tuple[float, float]):
    found = span_scores([gold.split()], [predicted.split()])
    precision, recall = scores
    f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
    assert list(found.values()) == pytest.approx([precision, recall, f1])
    assert list(found) == ["span_precision", "span_recall", "span_f1"]


def test_spans_end_with_their_sequence():
    found = span_scores([["B-X"], ["I-X"]], [["B-X"], ["B-X"]])
    assert found["span_f1"] == 1


TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_against_the_rule(pairs: list[list[tuple[str, str]]]):
    gold = [[g for g, _ in row] for row in pairs]
    predicted = [[p for _, p in row] for row in pairs]
    found = tuple(span_scores(gold, predicted).values())
    assert found == pytest.approx(scores_by_hand(gold, predicted))


def test_without_seqeval(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "seqeval.metrics", None)
    message = "span F1 needs the package seqeval: install it with pip install 'cello[train]'"
    with pytest.raises(CelloError, match=f"^{re.escape(message)}$"):
        span_scores([["O"]], [["O"]])


def test_bits():
    assert bits(0.0) == 0
    assert bits(torch.tensor(16.0).log().item()) == pytest.approx(4)
