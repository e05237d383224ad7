"""Scores of many units at once, over steps that come in pieces and are not kept."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Auc", "Correlation", "auc"]

EXACT = 2**15  # steps up to which areas under the curve are exact
BINS = 512  # of the histogram beyond


def auc(values: Tensor, labels: Tensor) -> Tensor:
    """The area under the ROC curve of each unit, [U]: values [N, U], labels [N] bool.

    It is the chance that the value is higher at a step with the label than at one without it,
    ties counting half.

    >>> values = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 1.0]])
    >>> auc(values, torch.tensor([False, True, True])).tolist()
    [1.0, 0.25]
    """
    yes, no = values[labels].T.contiguous(), values[~labels].T.contiguous().sort(1).values
    if not yes.shape[1] or not no.shape[1]:
        return values.new_full((values.shape[1],), torch.nan, dtype=torch.float64)
    below = torch.searchsorted(no, yes) + torch.searchsorted(no, yes, right=True)
    found = below.double().mean(1) / (2 * no.shape[1])
    return found.masked_fill(values.isnan().any(0), torch.nan)


class Auc:
    """Areas under the ROC curve; labels are bool.

    The first steps are kept; once they are many, they become histograms with the bins that
    they fill equally, and so does what follows.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.count = 0
        self.edges: Tensor | None = None
        self.histograms = torch.zeros(0)  # [without and with the label, U, bins]

    def add(self, values: Tensor, labels: Tensor) -> None:
        """More steps."""
        self.count += len(values)
        if self.edges is not None:
            self._fill(values, labels)
            return
        self.kept.append((values, labels))
        if self.count > EXACT:
            values, labels = self._all()
            inside = values.sort(0).values[torch.linspace(0, len(values) - 1, BINS + 1).long()]
            self.edges = inside[1:-1].T.contiguous()
            self.histograms = torch.zeros(2, values.shape[1], BINS, dtype=torch.float64)
            self.kept = []
            self._fill(values, labels)

    def _all(self) -> tuple[Tensor, Tensor]:
        values, labels = zip(*self.kept, strict=True)
        return torch.cat(values), torch.cat(labels)

    def _fill(self, values: Tensor, labels: Tensor) -> None:
        assert self.edges is not None
        bins = torch.searchsorted(self.edges, values.T.contiguous())
        units = values.shape[1]
        places = bins + torch.arange(units)[:, None] * BINS + labels.long() * units * BINS
        counts = torch.bincount(places.flatten(), minlength=2 * units * BINS)
        self.histograms += counts.view(2, units, BINS)

    def result(self) -> Tensor:
        """The area of each unit, [U]; 0.5 tells nothing."""
        if self.edges is None:
            return auc(*self._all()) if self.kept else torch.zeros(0)
        no, yes = self.histograms
        below = no.cumsum(1) - no / 2
        return (yes * below).sum(1) / (yes.sum(1) * no.sum(1))

    @property
    def error(self) -> float:
        """What steps of one bin, that cannot be told apart, may change at most."""
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
        labels = labels.double()[:, None].expand_as(values)
        both = torch.stack([values.double(), labels])  # [2, N, U]
        new, count = len(values), self.count + len(values)
        if not new:
            return
        mean = both.mean(1)
        rest = both - mean[:, None]
        products = torch.stack([rest[0] * rest[0], rest[1] * rest[1], rest[0] * rest[1]]).sum(1)
        if self.count:
            apart = mean - self.means
            between = torch.stack([apart[0] * apart[0], apart[1] * apart[1], apart[0] * apart[1]])
            products = products + self.products + between * (new * self.count / count)
            mean = self.means + apart * (new / count)
        self.means, self.products, self.count = mean, products, count

    def result(self) -> Tensor:
        """The correlation of each unit, [U]; NaN where the unit or the label never changes."""
        if not self.count:
            return torch.zeros(0)
        x, y, together = self.products
        return together / (x * y).sqrt()
