"""Checks of how gradients flow: how far back in time, and from which end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cello.see.diagnosis.evidence import Evidence
from cello.see.diagnosis.finding import Finding
from cello.see.gradients.differentiable_run import DifferentiableRun
from cello.see.numbers import short

__all__ = ["GRADIENT_CHECKS"]

FEW_STEPS = 10  # shorter sequences say nothing of the long run
EXPLODING = 1.15  # factor for each step
LARGE = 30.0  # what a gradient has to grow to
# A gradient vanishes if, this many steps back, it has shrunk by more than this factor a step. A net
# whose output is read all along may need no long memory, so less is asked of it.
AT_END, ALONG = (30, 0.5), (10, 0.01)


def distance(seen: Evidence) -> Iterator[Finding]:
    """Gradients that vanish or explode on their way back in time (Pascanu et al. 2013)."""
    for run in seen.runs:
        gain = seen.flow.memories[run.layer].gain
        steps = len(gain) - 1
        if steps < FEW_STEPS:
            continue
        peak = LARGE if not gain.isfinite().all() else float(gain.max())
        top = int(gain.nan_to_num(torch.inf).argmax())
        if peak >= LARGE and (not gain[top].isfinite() or peak ** (1 / top) > EXPLODING):
            yield Finding(
                "gradient explodes",
                run.layer,
                f"on its way back through {top} steps, the gradient of the state grows to "
                f"{short(float(gain[top]), 2)} times its size",
                "gradient clipping, smaller recurrent weights (orthogonal ones keep the size), a "
                "smaller learning rate, shorter tbptt_steps",
            )
        far, factor = ALONG if _read_along(run, seen.flow.readers[run.layer]) else AT_END
        far = min(far, steps)
        left = float(gain[far])
        if left < factor**far:
            yield Finding(
                "gradient vanishes",
                run.layer,
                f"on its way back through {far} steps, the gradient of the state shrinks to "
                f"{short(left, 2)} times its size: what was longer ago cannot be learnt",
                "a cell with a memory (LSTM, GRU) and open forget gates, orthogonal recurrent "
                "weights, larger ones if they are small",
            )


def _read_along(run: DifferentiableRun, gradient: Tensor) -> bool:
    """Whether the output is read at half of the steps or more."""
    read = (gradient.flatten(2) != 0).any(2)
    return int(read.sum()) >= sum(run.steps.batch_sizes) / 2


def wrong_end(seen: Evidence) -> Iterator[Finding]:
    """Outputs of a bidirectional layer read where a direction has only begun to read."""
    for run in seen.runs:
        end = run.layer.rpartition(".")[2].partition("#")[0]
        if end in ("forward", "backward") and _only_first(run, seen.flow.readers[run.layer]):
            other = "forward" if end == "backward" else "backward"
            place, right = ("last", "first") if end == "backward" else ("first", "last")
            yield Finding(
                "read at the wrong end",
                run.layer,
                f"the output depends only on the {place} step of this direction, where it has read "
                "a single input",
                f"take the {end} half at the {right} step of each sequence and the {other} half at "
                f"the {place} one, or the final state, which has both",
            )


def _only_first(run: DifferentiableRun, gradient: Tensor) -> bool:
    """Whether the loss depends on nothing but the first step that a direction reads."""
    sizes = gradient.double().flatten(2).abs().sum(2)  # [T, B]
    lengths = run.steps.all_lengths.cpu()
    long = lengths > 1
    first = lengths - 1 if run.run.reverse else torch.zeros_like(lengths)
    at_first = sizes.cpu().gather(0, first.clamp(min=0)[None])[0][long].sum()
    total = sizes.cpu()[:, long].sum()
    return bool(total > 0) and bool(at_first >= (1 - 1e-6) * total)


def past_the_end(seen: Evidence) -> Iterator[Finding]:
    """Outputs that are read at the last step of the padded form, where short sequences are over."""
    found = [run for run in seen.runs if _only_longest(run, seen.flow.readers[run.layer])]
    if found:
        run = found[-1]  # the layers below are read through it
        lengths = run.steps.lengths
        assert lengths is not None
        short_ones = int((lengths < lengths.max()).sum())
        yield Finding(
            "read past the end",
            run.layer,
            f"the output depends on nothing of {short_ones} of {len(lengths)} sequences, those "
            "that are shorter than the longest: past its end a sequence has zeros",
            "take the last step of each sequence, y[lengths - 1, range(B)], or the final state",
        )


def _only_longest(run: DifferentiableRun, gradient: Tensor) -> bool:
    """Whether the loss depends on the output of the longest sequences alone."""
    lengths = run.steps.lengths
    if lengths is None:
        return False
    read = (gradient.flatten(2) != 0).any(2).any(0)
    longest = lengths == lengths.max()
    return not bool(longest.all()) and torch.equal(read, longest)


#: Every check of gradients.
GRADIENT_CHECKS = (distance, wrong_end, past_the_end)
