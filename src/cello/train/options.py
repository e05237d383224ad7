"""How to train: a handful of options, checked when they are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from cello.ranges import RANGES, Range, word

__all__ = ["Options"]

SCHEDULES = ("constant", "cosine", "linear")
LOGS = ("csv", "tensorboard")

#: Options that a resumed run may change: they say how long, where and how often, not what.
FREE = frozenset(
    {
        "epochs",
        "patience",
        "checkpoint_steps",
        "checkpoint_seconds",
        "log",
        "log_every",
        # Where it runs is compared as the number of processes and the kind of device.
        "accelerator",
        "devices",
        "nodes",
        "strategy",
    }
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `cello.train.fit`. The batch size belongs to the task.

    The optimizer is AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).
    `accelerator`, `devices`, `nodes`, `strategy` and `precision` are those of Lightning Fabric and
    go to it as they are. (With its precision "64-true" the network's outputs come back in float32;
    for float64 throughout, train `net.double()`.)

    Raises:
        ArgumentError: a value makes no sense; `DtypeError` if it has the wrong type.

    >>> Options(epochs=3, schedule="cosine").learning_rate
    0.005
    >>> Options(epochs=0)
    Traceback (most recent call last):
    cello.errors.ArgumentError: epochs must be a whole number from 1 to 1,000,000,000, got 0
    """

    #: Passes over the training data.
    epochs: int = 10
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    #: Largest norm of all gradients together; None: not clipped.
    clip_norm: float | None = 1.0
    #: How the learning rate goes after the warm-up: "constant", or to zero as "cosine" or "linear".
    schedule: str = "constant"
    #: Steps over which the learning rate rises from zero.
    warmup_steps: int = 0
    #: Stop after so many epochs without a better validation metric; None: never.
    patience: int | None = None
    #: Of all random numbers drawn while training (dropout).
    seed: int = 0
    #: A checkpoint is written after each epoch, and every so many steps and seconds.
    checkpoint_steps: int | None = None
    checkpoint_seconds: float | None = 60.0
    #: "csv", "tensorboard" or a tuple of them.
    log: str | tuple[str, ...] = ("csv",)
    #: Steps from one row of the log to the next.
    log_every: int = 20
    accelerator: Any = "auto"
    devices: Any = 1
    nodes: int = 1
    strategy: Any = "auto"
    precision: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.log, str):
            object.__setattr__(self, "log", (self.log,))  # frozen: this is how it is set
        for name, rule in _RULES.items():
            rule.check(name, getattr(self, name))

    def fixed(self) -> dict[str, Any]:
        """The options that a resumed run must have as the run that it continues."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}


_RULES = {
    **{field.name: RANGES[field.name] for field in fields(Options) if field.name in RANGES},
    "schedule": word(*SCHEDULES),
    "log": Range(tuple, lambda kinds: set(kinds) <= set(LOGS), "any of " + ", ".join(LOGS)),
}
