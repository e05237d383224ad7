"""Error of float32 against float64, ours and nn.LSTM's: not a time.

The reference is nn.LSTM in float64 with the same numbers. An error is the root mean square of the
difference over that of the reference; for gradients, its mean over the input's and each
parameter's. Several seeds are taken together, as root mean square.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bench_lstm import recurrent
from benchmarks.case import ERROR, Case, Measured
from benchmarks.passes import QUICK_SIZES, backward, sizes_of

SIZES = [(16, 100, 64), (16, 1000, 64), (32, 100, 128), (32, 1000, 128)]  # B, T, H
SEEDS = 3
MOST_TIMES = 1.5


def cases() -> Iterator[Case]:
    for size in SIZES:
        for what, error in (("outputs", of_outputs), ("gradients", of_gradients)):
            yield Case(
                f"error of the {what}",
                *_sides(size, error),
                sizes_of(torch.empty(size[1], size[0], size[2])),
                rtol=1e-3,
                atol=1e-5,
                unit=ERROR,
                rounds=1,
                quick=size in QUICK_SIZES,
                most_times=MOST_TIMES,
            )


Outcome = tuple[Tensor, tuple[Tensor, ...]]  # outputs; gradients of the input and the parameters


def of_outputs(outcome: Outcome, exact: Outcome) -> float:
    """Relative error of the outputs."""
    return _relative(outcome[0], exact[0])


def of_gradients(outcome: Outcome, exact: Outcome) -> float:
    """Mean relative error of the gradients."""
    pairs = zip(outcome[1], exact[1], strict=True)
    errors = [_relative(a, b) for a, b in pairs]
    return sum(errors) / len(errors)


def _relative(a: Tensor, exact: Tensor) -> float:
    return ((a.double() - exact).norm() / exact.norm()).item()


def _sides(
    size: tuple[int, int, int], error: Callable[[Outcome, Outcome], float]
) -> tuple[Callable[[], Measured], Callable[[], Measured]]:
    """Functions that measure our error and theirs, and return their results for the first seed."""
    outcomes: list[tuple[Outcome, Outcome, Outcome]] = []

    def side(which: int) -> Measured:
        if not outcomes:
            outcomes.extend(_outcomes(seed, *size) for seed in range(SEEDS))
        errors = [error(outcome[which], outcome[2]) for outcome in outcomes]
        mean = math.sqrt(sum(one**2 for one in errors) / SEEDS)
        return Measured(mean, outcomes[0][which])

    return lambda: side(0), lambda: side(1)


def _outcomes(seed: int, batch: int, steps: int, hidden: int) -> tuple[Outcome, Outcome, Outcome]:
    torch.manual_seed(seed)
    theirs = nn.LSTM(hidden, hidden)
    exact = copy.deepcopy(theirs).double()
    ours = recurrent(theirs)
    x = torch.randn(steps, batch, hidden)
    runs: list[Any] = [
        backward(layer, layer, x.to(next(layer.parameters()).dtype, copy=True))()
        for layer in (ours, theirs, exact)
    ]
    return runs[0], runs[1], runs[2]
