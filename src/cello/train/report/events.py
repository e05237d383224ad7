"""The events that the loop sends to its listeners, such as the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Event", "Listener"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened after `step` steps, in epoch number `epoch` (from 1).

    ============ ============================================================================
    kind         values
    ============ ============================================================================
    "start"      epochs and steps of the whole run; monitor, the metric that says what is best;
                 higher_is_better, of that metric
    "step"       loss (mean, nats an element), elements (of the global batch)
    "epoch"      a row of the history: epoch, step, loss, validation_..., seconds (of the epoch)
    "checkpoint" nothing
    "end"        the test metrics
    ============ ============================================================================
    """

    kind: str
    step: int
    epoch: int
    values: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
