"""Spans against the rule of conlleval, written here once more, and in every scheme."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import BILOU, IOBES

from cello.errors import CelloError
from cello.tasks.metrics.spans import SCHEMES, span_scheme, span_scores


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-to I-to", "IOB"),
        ("B-a B-b", "IOB"),
        ("O I-a", "IOB"),
        ("O I-a E-a", "IOE"),
        ("O E-a", "IOE"),
        ("O B-a I-a E-a S-a", "IOBES"),
        ("O B-a E-a", "IOBES"),
        ("O B-a S-b", "IOBES"),
        ("O S-b", "IOBES"),
        ("O B-a I-a L-a U-a", "BILOU"),
        ("O U-a", "BILOU"),
        ("O B-a L-a", "BILOU"),
        ("B-NAME M-NAME E-NAME S-NAME O", "BMES"),
        ("B-NAME M-NAME E-NAME W-NAME O", "BMEW"),
        ("O", None),
        ("", None),
        ("O B-", None),
        ("O B-to IN", None),
        ("O B-a U-a S-a", None),  # of two schemes
        ("S-bar E-bar", None),  # names with a dash, none of them outside
        ("O NN-S VB-D", None),
    ],
)
def test_which_scheme_it_is(tags: str, scheme: str | None):
    assert span_scheme(tags.split()) == scheme


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
        ("B-X X-X I-X", "B-X O B-X", (1, 1)),
        ("B-X I- I-X", "B-X O B-X", (1, 1)),
        # A hyphen inside a type.
        ("B-X-1 I-X-1", "B-X-1 I-X-2", (0, 0)),
    ],
)
def test_edge_cases_of_conlleval(gold: str, predicted: str, scores: tuple[float, float]):
    found = span_scores([gold.split()], [predicted.split()])
    precision, recall = scores
    f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
    assert list(found.values())[:3] == pytest.approx([precision, recall, f1])
    assert list(found)[:3] == ["span_precision", "span_recall", "span_f1"]


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
    found = tuple(span_scores(gold, predicted).values())[:3]
    assert found == pytest.approx(scores_by_hand(gold, predicted))


def test_without_seqeval(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "seqeval.metrics.sequence_labeling", None)
    message = "span F1 needs the package seqeval: install it with pip install 'cello[train]'"
    with pytest.raises(CelloError, match=f"^{re.escape(message)}$"):
        span_scores([["O"]], [["O"]])


# ------------------------------------------------------------ other schemes


def written(spans: list[tuple[str, int]], scheme: str) -> list[str]:
    """Spans, each a type ("" outside) and a length, as the tags of a scheme."""
    letters = {meaning: letter for letter, meaning in SCHEMES[scheme].items()}
    tags = []
    for kind, length in spans:
        if not kind:
            tags += ["O"] * length
            continue
        if length == 1:
            marks = [next(letters[m] for m in "SBE" if m in letters)]
        else:
            first = letters.get("B", letters["I"])
            marks = [first, *[letters["I"]] * (length - 2), letters.get("E", letters["I"])]
        tags += [f"{mark}-{kind}" for mark in marks]
    return tags


SPANS = st.lists(st.tuples(st.sampled_from(["", "X", "Y-1"]), st.integers(1, 4)), min_size=1)


@given(st.lists(SPANS, min_size=1, max_size=4), st.data())
def test_every_scheme_scores_the_same_spans_the_same(gold: list[list[tuple[str, int]]], data):
    other = [
        [(data.draw(st.sampled_from(["", "X", kind])), length) for kind, length in row]
        for row in gold
    ]
    every = [
        span_scores(*([written(row, scheme) for row in rows] for rows in (gold, other)), scheme)
        for scheme in SCHEMES
    ]
    assert all(scores == every[0] for scores in every)


@pytest.mark.parametrize(("scheme", "strict"), [("IOBES", IOBES), ("BILOU", BILOU)])
@given(st.lists(SPANS, min_size=1, max_size=4), st.data())
def test_well_written_tags_as_seqeval_in_its_strict_mode(scheme, strict, gold, data):
    other = [
        [(data.draw(st.sampled_from(["", "X", kind])), length) for kind, length in row]
        for row in gold
    ]
    rows = [[written(row, scheme) for row in rows] for rows in (gold, other)]
    found = span_scores(*rows, scheme)
    report = (
        classification_report(
            *rows, mode="strict", scheme=strict, output_dict=True, zero_division=0
        )
        if any(kind for row in [*gold, *other] for kind, _ in row)
        else {}
    )
    for kind in ("X", "Y-1"):
        if f"span_f1/{kind}" in found:
            assert found[f"span_f1/{kind}"] == pytest.approx(report[kind]["f1-score"])
            assert found[f"span_count/{kind}"] == report[kind]["support"]


def test_types_by_hand():
    gold = ["B-to I-to O B-at B-to".split()]
    found = span_scores(gold, ["B-to I-to B-by B-at O".split()])
    assert found == {
        "span_precision": 2 / 3,
        "span_recall": 2 / 3,
        "span_f1": 2 / 3,
        "span_f1/at": 1.0,
        "span_count/at": 1.0,
        "span_f1/to": 2 / 3,
        "span_count/to": 2.0,
    }
