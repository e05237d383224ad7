"""Scores of many units at once, over steps that come in pieces and are not kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Auc", "Correlation", "auc"]

EXACT = 2**15  # steps up to which areas under the curve are exact,
ROOM = 2**24  # unless their values are more numbers than this
FEW = 2**12  # steps that are kept exactly however many units there are
BINS = 512  # of the histogram beyond
ROUNDING = 1e-12  # a number that changes by less, relative to its size, counts as constant


def auc(values: Tensor, labels: Tensor) -> Tensor:
    """The area under the ROC curve of each unit, [U]: values [N, U], labels [N] bool.

    It is the chance that the value is higher at a step with the label than at one without it,
    ties counting half.

    >>> values = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 1.0]])
    >>> auc(values, torch.tensor([False, True, True])).tolist()
    [1.0, 0.25]
    """
    yes, no = _sorted(values[labels]), _sorted(values[~labels])
    if not yes.shape[1] or not no.shape[1]:
        return values.new_full((values.shape[1],), torch.nan, dtype=torch.float64)
    below = torch.searchsorted(no, yes) + torch.searchsorted(no, yes, right=True)
    found = below.double().mean(1) / (2 * no.shape[1])
    strange = yes[:, -1].isnan() | no[:, -1].isnan()  # NaN comes last
    return found.masked_fill(strange, torch.nan)


def _sorted(values: Tensor) -> Tensor:
    """Each unit's values in order, [U, N]; NumPy sorts several times as fast as PyTorch."""
    return torch.from_numpy(np.sort(values.T.contiguous().numpy(), axis=1))


class Auc:
    """Areas under the ROC curve; labels are bool.

    The first steps are kept, and as long as there are no more, areas are exact. Once they are
    many, they become histograms with the bins that they fill equally, and so does what follows.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.count = self.counted = 0
        self.edges: Tensor | None = None
        self.histograms = torch.zeros(0)  # [without and with the label, U, bins]
        self.strange = torch.zeros(0, dtype=torch.bool)  # units that were NaN

    def add(self, values: Tensor, labels: Tensor) -> None:
        """More steps."""
        self.count += len(values)
        self.kept.append((values, labels))
        if self.count - self.counted > min(EXACT, max(FEW, ROOM // max(1, values.shape[1]))):
            self._flush()

    def _all(self) -> tuple[Tensor, Tensor]:
        values, labels = zip(*self.kept, strict=True)
        return torch.cat(values), torch.cat(labels)

    def _flush(self) -> None:
        """Count what is kept in the bins."""
        values, labels = self._all()
        self.kept, self.counted = [], self.count
        if self.edges is None:
            quantiles = torch.linspace(0, len(values) - 1, BINS + 1)[1:-1].long()
            self.edges = _sorted(values)[:, quantiles].contiguous()
            self.histograms = torch.zeros(2, values.shape[1], BINS, dtype=torch.float64)
            self.strange = torch.zeros(values.shape[1], dtype=torch.bool)
        for histogram, own in zip(self.histograms, (values[~labels], values[labels]), strict=True):
            ordered = _sorted(own)
            self.strange |= ordered[:, -1:].isnan().any(1)  # NaN comes last
            up_to = torch.searchsorted(ordered, self.edges, right=True)
            none, all_ = torch.zeros_like(up_to[:, :1]), torch.full_like(up_to[:, :1], len(own))
            histogram += torch.cat([none, up_to, all_], dim=1).diff()

    def result(self) -> Tensor:
        """The area of each unit, [U]; 0.5 tells nothing."""
        if self.edges is None:
            return auc(*self._all()) if self.kept else torch.zeros(0)
        if self.kept:
            self._flush()
        no, yes = self.histograms
        below = no.cumsum(1) - no / 2
        found = (yes * below).sum(1) / (yes.sum(1) * no.sum(1))
        return found.masked_fill(self.strange, torch.nan)

    @property
    def error(self) -> float:
        """How far an area may be off, because the steps within one bin are not ordered."""
        if self.edges is None:
            return 0.0
        no, yes = self.histograms
        return float(((yes * no).sum(1) / (yes.sum(1) * no.sum(1)) / 2).nan_to_num().max())


class Correlation:
    """Pearson's correlation with a number, from running means and products."""

    error = 0.0

    def __init__(self) -> None:
        self.count = 0
        self.means = self.products = torch.zeros(0)

    def add(self, values: Tensor, labels: Tensor) -> None:
        """More steps; after T. Chan, G. Golub and R. LeVeque, "Updating formulae" (1979)."""
        new, count = len(values), self.count + len(values)
        if not new:
            return
        x, y = values.double(), labels.double()
        means = torch.stack([x.mean(0), y.mean().expand(x.shape[1])])
        x, y = x - means[0], y - means[1, :1]
        products = torch.stack([x.square().sum(0), y.square().sum().expand(x.shape[1]), y @ x])
        if self.count:
            a, b = apart = means - self.means
            products += self.products + torch.stack([a * a, b * b, a * b]) * (
                new * self.count / count
            )
            means = self.means + apart * (new / count)
        self.means, self.products, self.count = means, products, count

    def result(self) -> Tensor:
        """The correlation of each unit, [U]; NaN where the unit or the label never changes."""
        if not self.count:
            return torch.zeros(0)
        x, y, together = self.products
        rounding = self.count * (ROUNDING * self.means).square()
        still = (self.products[:2] <= rounding).any(0)
        return (together / (x * y).sqrt()).masked_fill(still, torch.nan)
