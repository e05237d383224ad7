"""What is reported of a network that gives each sequence one label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["class_scores"]


def class_scores(gold: Tensor, chances: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro F1, the loss, and the accuracy that needs no learning.

    Args:
        gold: true classes, [N]; those from K on are none that a network can give.
        chances: probabilities, [N, K].
        names: of all classes.

    Returns:
        "accuracy"; "macro_f1", the mean of the F1 of all classes that occur or were given; "loss",
        the mean of -log of the probability of the true class, in nats, over those that can be
        given; "majority", the accuracy of naming the most frequent class each time; and "f1/NAME"
        for each class.

    >>> chances = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> scores = class_scores(torch.tensor([0, 1, 1]), chances, ["a", "b"])
    >>> {name: round(value, 2) for name, value in scores.items()}
    {'accuracy': 0.67, 'macro_f1': 0.67, 'loss': 0.69, 'majority': 0.67, 'f1/a': 0.67, 'f1/b': 0.67}
    """
    from sklearn.metrics import f1_score

    given = chances.argmax(1)
    present = sorted({*gold.tolist(), *given.tolist()})
    each = f1_score(gold.numpy(), given.numpy(), labels=present, average=None, zero_division=0)
    can = gold < chances.shape[1]
    right = chances[can].gather(1, gold[can, None]).clamp_min(torch.finfo(torch.float32).tiny)
    scores = {
        "accuracy": float((given == gold).double().mean()),
        "macro_f1": float(each.mean()),
        "loss": float(-right.log().mean()) if len(right) else float("nan"),
        "majority": float(gold.bincount().max() / len(gold)),
    }
    return scores | {
        f"f1/{names[number]}": float(f1) for number, f1 in zip(present, each, strict=True)
    }
