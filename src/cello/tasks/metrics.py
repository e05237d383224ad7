"""What a task reports of a network: accuracies, span F1, bits per character."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from cello.errors import CelloError

__all__ = ["accuracies", "bits", "is_iob", "span_scores"]


def accuracies(
    gold: Tensor,
    predicted: Tensor,
    tags: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, float]:
    """Shares of the elements that are right: of all, of each tag, of groups of tags.

    Args:
        gold: true ids into `tags`, [N].
        predicted: predicted ids, [N].
        tags: the names of the ids.
        groups: names of groups and the tags that each holds.

    Returns:
        "accuracy", "accuracy/TAG" for each tag that occurs in `gold`, and "GROUP_accuracy" for
        each group that occurs: of the elements that truly have this tag, the share that is
        predicted so. A share of nothing is left out, but for "accuracy", which is then nan.

    >>> accuracies(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), ["O", "B-to"])["accuracy/O"]
    0.5
    """
    total = torch.bincount(gold, minlength=len(tags))
    right = torch.bincount(gold[gold == predicted], minlength=len(tags))

    def share(ids: Iterable[int]) -> float:
        chosen = list(ids)
        count = int(total[chosen].sum())
        return int(right[chosen].sum()) / count if count else math.nan

    metrics = {f"accuracy/{tag}": share([number]) for number, tag in enumerate(tags)}
    for name, members in (groups or {}).items():
        metrics[f"{name}_accuracy"] = share(tags.index(tag) for tag in members if tag in tags)
    known = {name: value for name, value in metrics.items() if not math.isnan(value)}
    return {"accuracy": share(range(len(tags))), **known}


def is_iob(tags: Iterable[str]) -> bool:
    """Whether tags mark spans: O, B-TYPE, I-TYPE, and at least one span.

    >>> is_iob(["O", "B-time", "I-time"]), is_iob(["O", "BUY"])
    (True, False)
    """
    tags = set(tags) - {"O"}
    return bool(tags) and all(tag[:2] in ("B-", "I-") and len(tag) > 2 for tag in tags)


def span_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Precision, recall and F1 of whole spans, over all types, as conlleval counts them.

    A span is right if its first and last token and its type are. I-X begins a span if what stands
    before it is not of type X; a tag that is neither B-X nor I-X is outside. Source: Tjong Kim
    Sang and Buchholz 2000, "Introduction to the CoNLL-2000 shared task: chunking"; computed by
    seqeval.

    Args:
        gold: true tags of each sequence.
        predicted: predicted tags of each sequence, of the same lengths.

    Raises:
        CelloError: seqeval is not installed.

    >>> span_scores([["B-to", "I-to", "O"]], [["B-to", "I-to", "B-to"]])
    {'span_precision': 0.5, 'span_recall': 1.0, 'span_f1': 0.6666666666666666}
    """
    try:
        from seqeval.metrics import f1_score, precision_score, recall_score
    except ImportError as error:
        raise CelloError(
            "span F1 needs the package seqeval: install it with pip install 'cello[train]'"
        ) from error
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    true, found = _only_spans(gold), _only_spans(predicted)
    # Without spans there is nothing to divide by: conlleval then says 0.
    return {
        f"span_{name}": float(score(true, found, zero_division=0)) for name, score in scores.items()
    }


def _only_spans(sequences: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[tag if tag[:2] in ("B-", "I-") else "O" for tag in tags] for tags in sequences]


def bits(nats: float) -> float:
    """Natural units of information in bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2)
