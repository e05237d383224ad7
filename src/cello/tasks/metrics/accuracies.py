"""What a task reports of a network: accuracies and bits per character; spans are in `spans`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["accuracies", "bits"]


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


def bits(nats: float) -> float:
    """Nats as bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2)
