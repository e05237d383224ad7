"""Spans in tags: how they are written, and how many of them are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cello.errors import CelloError

__all__ = ["SCHEMES", "span_scheme", "span_scores"]

#: Ways to write a span of type X as tags P-X of its tokens, O outside: the prefixes P, each with
#: its meaning as one of B (first), I (inside), E (last), S (all of it), or I and B in turn.
SCHEMES: dict[str, dict[str, str]] = {
    "IOB": {"B": "B", "I": "I"},
    "IOE": {"I": "I", "E": "E"},
    "IOBES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "BMEW": {"B": "B", "M": "I", "E": "E", "W": "S"},
}


def span_scheme(tags: Iterable[str]) -> str | None:
    """The way in which tags mark spans, a key of `SCHEMES`; None if they do not.

    Every tag is `O` or `P-TYPE`, with P a prefix of the scheme; of schemes that fit, the first one.

    >>> span_scheme(["O", "B-time", "I-time"]), span_scheme(["O", "B-to", "L-to", "U-time"])
    ('IOB', 'BILOU')
    >>> span_scheme(["O", "BUY"])
    """
    names = set(tags)
    parts = [tag.partition("-") for tag in names - {"O"}]
    if not parts or not all(dash and kind for _, dash, kind in parts):
        return None
    prefixes = {prefix for prefix, _, _ in parts}
    if "O" not in names and not prefixes & {"B", "I", "M"}:
        return None  # any names with a dash
    fitting = (name for name, known in SCHEMES.items() if prefixes <= known.keys())
    return next(fitting, None)


def span_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: str = "IOB"
) -> dict[str, float]:
    """Precision, recall and F1 of whole spans, over all types, as conlleval counts them.

    A span is right if its first and last token and its type are. I-X or E-X begins a span if what
    stands before it is not of type X or ends one; a tag that is none of the scheme's is outside.
    Source: Tjong Kim Sang and Buchholz 2000, "Introduction to the CoNLL-2000 shared task:
    chunking"; computed by seqeval.

    Args:
        gold: true tags of each sequence.
        predicted: predicted tags of each sequence, of the same lengths.
        scheme: how the tags mark spans; see `SCHEMES`.

    Returns:
        "span_precision", "span_recall", "span_f1"; and for each type that `gold` has spans of,
        "span_f1/TYPE" and "span_count/TYPE", how many these are.

    Raises:
        CelloError: seqeval is not installed.

    >>> span_scores([["B-to", "I-to", "O"]], [["B-to", "I-to", "B-to"]])["span_f1/to"]
    0.6666666666666666
    """
    try:
        from seqeval.metrics.sequence_labeling import get_entities
    except ImportError as error:
        raise CelloError(
            "span F1 needs the package seqeval: install it with pip install 'cello[train]'"
        ) from error
    meaning = SCHEMES[scheme]
    true, found = (
        {
            (row, *span)
            for row, tags in enumerate(sequences)
            for span in get_entities(_known(tags, meaning))
        }
        for sequences in (gold, predicted)
    )
    counts = [Counter(span[1] for span in spans) for spans in (true & found, found, true)]
    right, guessed, there = (sum(count.values()) for count in counts)
    scores = {
        "span_precision": _share(right, guessed),
        "span_recall": _share(right, there),
        "span_f1": _f1(right, guessed, there),
    }
    for kind in sorted(counts[2]):
        scores[f"span_f1/{kind}"] = _f1(*(count[kind] for count in counts))
        scores[f"span_count/{kind}"] = float(counts[2][kind])
    return scores


def _known(tags: Sequence[str], meaning: dict[str, str]) -> list[str]:
    """The tags in the letters of IOBES."""
    parts = (tag.partition("-") for tag in tags)
    return [
        f"{meaning[prefix]}-{kind}" if dash and kind and prefix in meaning else "O"
        for prefix, dash, kind in parts
    ]


def _share(part: int, whole: int) -> float:
    """The quotient; 0 where there are no spans to divide by, as in conlleval."""
    return part / whole if whole else 0.0


def _f1(right: int, guessed: int, there: int) -> float:
    precision, recall = _share(right, guessed), _share(right, there)
    return 2 * precision * recall / (precision + recall) if right else 0.0
