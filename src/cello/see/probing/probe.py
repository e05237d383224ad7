"""Probes: which units and gates carry a property that is known for each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError
from cello.layers import evaluating
from cello.layers.paths import check_net
from cello.see.names import find
from cello.see.numbers import short, whole
from cello.see.probing.labelled_steps import LabelledSteps, pairs, read
from cello.see.probing.scores import Auc, Correlation
from cello.tables import text_table

__all__ = ["Probe", "Probed", "probe"]


class Probed(NamedTuple):
    """What one unit tells.

    Attributes:
        name: of the value.
        unit: which unit of it.
        found: its score on the sequences by which units are ranked.
        held_out: its score on the others.
        control: its score there for shuffled labels.
    """

    name: str
    unit: int
    found: float
    held_out: float
    control: float


def probe(
    net: nn.Module,
    sequences: Iterable[Tensor],
    labels: Iterable[Any],
    *,
    only: str | Iterable[str] | None = None,
    held_out: float = 0.5,
    seed: int = 0,
) -> Probe:
    """Which units of which values carry a property that is given as a label for each step.

    For a label of True or False the score is the area under the ROC curve (0.5 tells nothing; 0
    tells as much as 1, reversed), for a number it is Pearson's correlation. Units are ranked
    by some of the sequences, and the score that counts is that of the others, which played no
    part in it. Its control is the score with labels that were shifted along the steps by a random
    distance: as smooth as the true ones, and of no meaning.

    Sequences are read one after the other and forgotten; what is held does not grow with their
    number. Long ones are read in pieces, the state carried on, unless the net reads backward.
    The net runs in eval mode.

    Source: A. Karpathy, J. Johnson and L. Fei-Fei, "Visualizing and understanding recurrent
    networks" (ICLR workshop 2016), for units that track one property of a text.

    Args:
        net: a layer, a stack, or any module with such in it that takes [T, B, ...]; or
            [B, T, ...], if its `batch_first`, or that of its first layer, says so.
        sequences: one tensor for each, [T, ...]: features, or ids for a net that takes ids.
        labels: one for each sequence, [T]: bool, or numbers, as a tensor or a list. Of several
            classes, ask for one against the others: `labels == 3`.
        only: names or patterns as in `cello.record`; everything but inputs and old states unless
            given.
        held_out: the share of the sequences by which units are not ranked.
        seed: of the shifts.

    Raises:
        DtypeError, ShapeError: a sequence is no tensor, or its labels do not fit; names which.
        ArgumentError: there is no layer of ours in `net`, less than two sequences, no step with
            (or without) the label, or numbers that never change or are not finite.
        UnknownNameError: one of `only` fits no value.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(2, 4))
    >>> sequences = [torch.randn(50, 2) for _ in range(8)]
    >>> found = probe(layer, sequences, [x[:, 0] > 0 for x in sequences])
    >>> found.kind, len(found), found.best.name in ("z_i", "z_f", "z", "z_o", "i", "f", "g", "o")
    ('auc', 40, True)
    """
    check_net(net)
    if not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise ArgumentError(f"held_out must lie between 0 and 1, got {held_out!r}")
    scores: _Scores | None = None
    shifts = torch.Generator().manual_seed(whole("seed", seed))
    with evaluating(net), torch.no_grad():
        for steps in read(net, pairs(sequences, labels), only, held_out):
            scores = scores or _Scores(steps)
            scores.add(steps, shifts)
    if scores is None:
        raise ArgumentError("there is no step in sequences")
    return scores.result()


class _Scores:
    """The scores of all units while steps come in."""

    def __init__(self, first: LabelledSteps) -> None:
        self.columns = [
            (name, unit) for name, values in first.values.items() for unit in range(values.shape[1])
        ]
        self.kind = "auc" if first.labels.dtype == torch.bool else "correlation"
        kind: type[Auc | Correlation] = Auc if self.kind == "auc" else Correlation
        self.ranking, self.testing, self.control = kind(), kind(), kind()

    def add(self, steps: LabelledSteps, shifts: torch.Generator) -> None:
        values = torch.cat(list(steps.values.values()), dim=1)
        if not steps.is_held_out:
            self.ranking.add(values, steps.labels)
            return
        self.testing.add(values, steps.labels)
        shift = int(torch.randint(1, max(2, len(values)), (), generator=shifts))
        self.control.add(values, steps.labels.roll(shift))

    def result(self) -> Probe:
        for score, which in ((self.ranking, "ranks"), (self.testing, "is held out")):
            if not score.count:
                raise ArgumentError(
                    f"no sequence {which}: at least two are needed, cut a long one into pieces"
                )
            if bool(score.result().isnan().all()):
                needed = "steps with the property and without it"
                needed = needed if self.kind == "auc" else "numbers that differ, as must the units"
                raise ArgumentError(
                    f"labels must hold {needed}; of the part that {which} they do not"
                )
        scores = zip(
            *(score.result().tolist() for score in (self.ranking, self.testing, self.control)),
            strict=True,
        )
        units = [
            Probed(*column, *three) for column, three in zip(self.columns, scores, strict=True)
        ]
        error = max(score.error for score in (self.ranking, self.testing))
        return Probe(self.kind, units, (self.ranking.count, self.testing.count), error)


class Probe:
    """What `cello.probe` returns: all units, the most telling first.

    Attributes:
        kind: "auc" (area under the ROC curve) or "correlation".
        units: a `Probed` for each unit of each value, in the order of their rank; iterating, and
            indexing with a number, gives them too.
        steps: how many steps ranked, and how many were held out.
        error: how far areas may be off, because steps are counted in bins; 0 for few steps.
    """

    def __init__(
        self, kind: str, units: list[Probed], steps: tuple[int, int], error: float
    ) -> None:
        self.kind, self.steps, self.error = kind, steps, error
        self.units = sorted(units, key=lambda unit: -self._strength(unit.found))

    def _strength(self, score: float) -> float:
        """From 0 (nothing) to 1, whichever way round."""
        if math.isnan(score):
            return 0.0
        return abs(2 * score - 1) if self.kind == "auc" else abs(score)

    @property
    def best(self) -> Probed:
        """The unit that ranks first."""
        return self.units[0]

    @property
    def chance(self) -> float:
        """The score farthest from nothing that any unit has for shuffled labels."""
        return max((unit.control for unit in self.units), key=self._strength)

    def scores(self, name: str) -> Tensor:
        """The held-out scores of all units of a value, [size]; the end of its name is enough.

        Raises:
            UnknownNameError: no value has this name, or more than one.
        """
        full = find(name, list(dict.fromkeys(unit.name for unit in self.units)))
        own = sorted((unit.unit, unit.held_out) for unit in self.units if unit.name == full)
        return torch.tensor([score for _, score in own], dtype=torch.float64)

    def table(self, count: int = 10, digits: int = 3) -> str:
        """The first `count` units."""
        rows = [
            [unit.name, str(unit.unit), *(short(score, digits) for score in unit[2:])]
            for unit in self.units[:count]
        ]
        head = ["value", "unit", "ranking", "held out", "shuffled"]
        return (
            f"{text_table(head, rows)}\nshuffled labels bring one of the {len(self)} units to "
            f"{short(self.chance, digits)}"
        )

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Probed]:
        return iter(self.units)

    def __getitem__(self, rank: int) -> Probed:
        return self.units[rank]

    def __repr__(self) -> str:
        what = {"auc": "area under the ROC curve", "correlation": "correlation"}[self.kind]
        ranking, testing = self.steps
        return (
            f"Probe of {len(self)} units by {what}, ranked over {ranking:,} steps and tested over "
            f"{testing:,}\n{self.table()}"
        )
