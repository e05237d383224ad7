"""Compare two ways to compute the same thing: equality first, then what they cost.

`measure` first compares what the two functions of a `Case` return and raises `Unequal` if it
differs by more than the case allows, so that a wrong result never has a speed. Then it runs them in
turn, A B A B, after a warm-up, so that a change of the machine's clock meets both.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.case import Case, Measured
from benchmarks.report import Result, summarize

__all__ = ["QUICK", "SHORT", "Effort", "Unequal", "largest_difference", "measure"]


class Unequal(Exception):
    """Two functions that should compute the same thing don't; nothing was timed."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: samples of each side.
        sample_seconds: what a sample lasts at least; a short call is repeated.
        warmup_seconds: how long each side runs before.
        settle_seconds: rest before each sample, in which the threads of the other side stop
            spinning: those of OpenMP do so for milliseconds after their last work.
        enough_seconds: a case that has taken longer ends after `least_rounds`.
        least_rounds: what even a slow case gets.
    """

    rounds: int = 25
    sample_seconds: float = 0.02
    warmup_seconds: float = 0.1
    settle_seconds: float = 0.01
    enough_seconds: float = 3.0
    least_rounds: int = 7


QUICK = Effort(
    rounds=5,
    sample_seconds=0.005,
    warmup_seconds=0.01,
    settle_seconds=0.005,
    enough_seconds=0.5,
    least_rounds=3,
)
SHORT = Effort(
    rounds=9,
    sample_seconds=0.008,
    warmup_seconds=0.03,
    settle_seconds=0.008,
    enough_seconds=0.8,
    least_rounds=5,
)


# ---------------------------------------------------------------- equality


def _leaves(thing: Any, path: str = "result") -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _leaves(value, f"{path}[{key!r}]")
    elif isinstance(thing, tuple | list):
        for index, value in enumerate(thing):
            yield from _leaves(value, f"{path}[{index}]")
    elif not isinstance(thing, Tensor) and hasattr(thing, "__array__"):
        yield path, torch.from_numpy(np.array(thing))
    else:
        yield path, thing


def largest_difference(case: Case) -> float:
    """Run both sides once and compare; return the largest difference of all numbers.

    Raises:
        Unequal: a shape, dtype, number of values, or a value differs by more than the case allows,
            or a result is NaN.
    """
    return _compare(case, case.ours(), case.theirs())


def _compare(case: Case, our_result: Any, their_result: Any) -> float:
    ours, theirs = (
        [*_leaves(chosen(result.value if isinstance(result, Measured) else result))]
        for chosen, result in zip(case.compared, (our_result, their_result), strict=True)
    )
    if [path for path, _ in ours] != [path for path, _ in theirs]:
        raise Unequal(f"{case.name}: ours has {len(ours)} values, theirs {len(theirs)}")
    largest = 0.0
    atol = case.atol() if callable(case.atol) else case.atol
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        if isinstance(a, Tensor | float) and isinstance(b, Tensor | float):
            try:
                torch.testing.assert_close(a, b, rtol=case.rtol, atol=atol)
            except AssertionError as error:
                raise Unequal(f"{case.name} {dict(case.sizes)}: {path} differs. {error}") from None
            gap = torch.as_tensor(a).double() - torch.as_tensor(b).double()
            largest = max(largest, gap.abs().max().item() if gap.numel() else 0.0)
        elif a != b:
            raise Unequal(f"{case.name}: {path} differs: {a!r} and {b!r}")
    return largest


# ---------------------------------------------------------------- time


def _sample(side: Callable[[], Any], calls: int, effort: Effort) -> float:
    """Seconds a call, over `calls` calls; for 0 of them, what the function measures itself."""
    if calls:
        time.sleep(effort.settle_seconds)
        if calls > 1:
            side()
    begin = time.perf_counter()
    for _ in range(calls or 1):
        returned = side()
    elapsed = time.perf_counter() - begin
    return returned.amount if isinstance(returned, Measured) else elapsed / calls


def _calls(side: Callable[[], Any], effort: Effort) -> int:
    """Warm up, and find how many calls last as long as a sample should."""
    done, begin = 0, time.perf_counter()
    while done < 2 or time.perf_counter() - begin < effort.warmup_seconds:
        side()
        done += 1
    a_call = (time.perf_counter() - begin) / done
    return max(1, math.ceil(effort.sample_seconds / a_call))


def measure(case: Case, effort: Effort | None = None) -> Result:
    """Compare the results of a case, then its times.

    Raises:
        Unequal: the results differ; nothing is timed then.
    """
    effort = effort or Effort()
    first = case.ours(), case.theirs()
    difference = _compare(case, *first)
    if case.rounds == 1:
        return summarize(case, [first[0].amount], [first[1].amount], difference)
    measure_themselves = [isinstance(result, Measured) for result in first]
    del first
    our_calls, their_calls = (
        0 if itself else _calls(side, effort)
        for side, itself in zip((case.ours, case.theirs), measure_themselves, strict=True)
    )
    rounds = min(effort.rounds, case.rounds or effort.rounds)
    least = min(effort.least_rounds, rounds)
    our_samples: list[float] = []
    their_samples: list[float] = []
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    begin = time.perf_counter()
    try:
        while len(our_samples) < rounds:
            slow = time.perf_counter() - begin > effort.enough_seconds
            if slow and len(our_samples) >= least:
                break
            our_samples.append(_sample(case.ours, our_calls, effort))
            their_samples.append(_sample(case.theirs, their_calls, effort))
    finally:
        if collects:
            gc.enable()
    return summarize(case, our_samples, their_samples, difference)
