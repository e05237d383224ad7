"""The learning rate as a function of the step, and of nothing else."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cello.train.options import Options

__all__ = ["factor", "make_schedule"]


def factor(step: int, options: Options, total_steps: int) -> float:
    """The factor of the learning rate at `step` (from 0) of `total_steps`.

    It rises in a straight line over the warm-up and then stays, or goes down to reach zero where
    the training ends.

    >>> options = Options(schedule="linear", warmup_steps=2)
    >>> [factor(step, options, total_steps=6) for step in range(7)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return 1.0
    done = (step - options.warmup_steps) / max(1, total_steps - options.warmup_steps)
    done = min(1.0, done)
    return 1.0 - done if options.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def make_schedule(optimizer: Optimizer, options: Options, step: int, total_steps: int) -> LambdaLR:
    """The schedule of `optimizer` after `step` steps: the step is all that a checkpoint needs."""
    for group in optimizer.param_groups:
        group["initial_lr"] = options.learning_rate
    return LambdaLR(optimizer, lambda s: factor(s, options, total_steps), last_epoch=step - 1)
