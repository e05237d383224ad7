"""Which units tell a property: each one's area under the ROC curve."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cello.errors import ArgumentError, ShapeError
from cello.see.probing.scores import auc

__all__ = ["UnitScore", "rank_units"]


class UnitScore(NamedTuple):
    """How well a unit's value tells whether a step has a property.

    `auc` is the area under the ROC curve of the value: the chance that it is higher at a step
    with the property than at one without; 0.5 tells nothing, and 0 tells as much as 1, the other
    way round.
    """

    unit: int
    auc: float

    @property
    def strength(self) -> float:
        """The area under the curve, whichever way round: from 0.5 (nothing) to 1."""
        return max(self.auc, 1 - self.auc)


def rank_units(values: Tensor, labels: Tensor) -> list[UnitScore]:
    """All units, the most telling first.

    Args:
        values: [N, H], the value of each unit at each step.
        labels: [N] bool, which steps have the property.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: all steps have the property, or none.

    >>> import torch
    >>> values = torch.tensor([[0.0, 5.0], [1.0, 4.0], [0.0, 1.0], [1.0, 0.0]])
    >>> [score.unit for score in rank_units(values, torch.tensor([1, 1, 0, 0]).bool())]
    [1, 0]
    """
    if values.dim() != 2 or labels.shape != values.shape[:1]:
        raise ShapeError(
            f"values must be [N, H] and labels [N], got {list(values.shape)} and "
            f"{list(labels.shape)}"
        )
    labels = labels.bool()
    if labels.all() or not labels.any():
        raise ArgumentError("labels must hold steps with the property and steps without it")
    areas = auc(values.detach().double(), labels).tolist()
    found = [UnitScore(unit, area) for unit, area in enumerate(areas)]
    return sorted(found, key=lambda score: -score.strength)
