"""The progress of a run: all that is carried from step to step beside weights and optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cello.ranges import real, whole

__all__ = ["Best", "Mean", "RankState", "RunState"]


_COUNT = whole(0, 2**53)
_SECONDS, _TOTAL = real(0), real()


@dataclass
class Mean:
    """A mean that is still being summed."""

    total: float = 0.0
    count: int = 0

    def add(self, total: float, count: int) -> None:
        """Take in `count` values that sum to `total`."""
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        """The mean so far; NaN of nothing."""
        return self.total / self.count if self.count else math.nan


@dataclass
class RankState:
    """What each process has of its own.

    `carried` is the state for the next batch; the losses are those of the epoch, and of the log's
    next row, so far.
    """

    carried: Any = None
    epoch_loss: Mean = field(default_factory=Mean)
    row_loss: Mean = field(default_factory=Mean)

    def tree(self) -> dict[str, Any]:
        """As plain values and tensors."""
        losses = {"epoch_loss": vars(self.epoch_loss), "row_loss": vars(self.row_loss)}
        return {"carried": self.carried, **losses}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> RankState:
        """What `tree` was made of."""
        means = [Mean(**tree[name]) for name in ("epoch_loss", "row_loss")]
        for mean in means:
            _TOTAL.check("total", mean.total)
            _COUNT.check("count", mean.count)
        return cls(tree["carried"], *means)


@dataclass
class Best:
    """The best epoch so far, its validation metrics and its weights."""

    epoch: int
    metrics: dict[str, float]
    weights: dict[str, Tensor]


@dataclass
class RunState:
    """What all processes agree on.

    `step` optimizer steps and `epoch` epochs are done, and `batch` batches of the next epoch;
    `waited` epochs have passed since the best one. `seconds` is the working time so far,
    `epoch_began` what it was when the current epoch began.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    waited: int = 0
    rows: int = 0
    seconds: float = 0.0
    epoch_began: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None

    def tree(self) -> dict[str, Any]:
        """As plain values and tensors."""
        return {**vars(self), "best": None if self.best is None else vars(self.best)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> RunState:
        """What `tree` was made of."""
        best = None if tree["best"] is None else Best(**tree["best"])
        state = cls(**{**tree, "best": best})
        for name in ("step", "epoch", "batch", "waited", "rows"):
            _COUNT.check(name, getattr(state, name))
        for name in ("seconds", "epoch_began"):
            _SECONDS.check(name, getattr(state, name))
        return state

    def judge(
        self, net: nn.Module, metrics: dict[str, float], monitor: str, higher_is_better: bool
    ) -> bool:
        """Keep the weights of `net` if `metrics` are the best so far, and say whether they are.

        Of equals the later one is kept, for it has learned longer; but for the patience it is no
        improvement. Without validation data there are no metrics, and the last epoch is the best.
        """
        improved = equal = self.best is None or not self.best.metrics or not metrics
        if not improved and self.best is not None:
            new, old = metrics[monitor], self.best.metrics[monitor]
            improved = math.isnan(old) or (new > old if higher_is_better else new < old)
            equal = new == old
        self.waited = 0 if improved else self.waited + 1
        if not improved and not equal:
            return False
        with torch.no_grad():
            weights = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self.best = Best(self.epoch, metrics, weights)
        return True
