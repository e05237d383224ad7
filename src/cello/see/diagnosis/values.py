"""Checks of what the cells compute: inputs, gates, units, states."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cello.layers.paths import joined
from cello.see.diagnosis.evidence import Evidence, along_time, entry_of, states_fed
from cello.see.diagnosis.finding import Finding
from cello.see.numbers import short

__all__ = ["VALUE_CHECKS"]

EDGE = 0.01  # a gate or unit this near to its bound is saturated
ALWAYS = 0.99  # a share of the steps that is as good as all
MANY = 0.5  # a share of the units of a value that makes a finding
SOME = 0.25  # the same for units that never change
SURE = 0.9  # a probability with which a softmax has decided
FEW_ROWS = 20  # with fewer steps nothing is said of what never changes


def inputs(seen: Evidence) -> Iterator[Finding]:
    """Inputs of a scale that the first weights do not expect."""
    if seen.inputs is None or not len(seen.inputs):
        return
    rows = seen.inputs.double()
    strange = int((~rows.isfinite()).any(1).sum())
    if strange:
        yield Finding(
            "inputs that are not finite",
            "",
            f"{strange} of {len(rows)} steps hold NaN or infinity",
            "look where the data come from; fill or leave out what is missing",
        )
    elif wrong := _wrong_scale(rows):
        helps = "bring each feature to mean 0 and spread 1 over the training data"
        yield Finding("inputs of wrong scale", "", wrong, helps)


def _wrong_scale(rows: Tensor) -> str:
    """What is wrong with the scale of inputs [N, I]; "" if nothing is."""
    size = rows.square().mean(0).sqrt()
    if size.max() > 20:
        return (
            f"{int((size > 20).sum())} of {len(size)} features are large: feature "
            f"{int(size.argmax())} has a root mean square of {short(float(size.max()), 3)}"
        )
    if len(rows) < FEW_ROWS:
        return ""
    norm = rows.square().sum(1).mean().sqrt()
    if 0 < norm < 0.03:
        return f"a whole step has a norm of {short(float(norm), 2)}: next to nothing comes in"
    spread = rows.std(0, correction=0)
    moving = spread[spread > 0]
    binary = bool(((rows == 0) | (rows == 1)).all())
    if len(moving) > 1 and not binary and moving.max() > 1000 * moving.min():
        ratio = short(float(moving.max() / moving.min()), 2)
        return f"one feature spreads {ratio} times as far as another"
    return ""


def saturated(seen: Evidence) -> Iterator[Finding]:
    """Gates that are always open or always shut, units that always sit at their bound."""
    for value in seen.named():
        if value.bounds is None or len(value.rows) < FEW_ROWS:
            continue
        low, high = value.bounds
        edge = EDGE * (high - low)
        at = [
            (value.rows < low + edge).double().mean(0),
            (value.rows > high - edge).double().mean(0),
        ]
        if value.is_gate:
            stuck = [float((share >= ALWAYS).double().mean()) for share in at]
            for share, how in zip(stuck, ("shut", "open"), strict=True):
                if share >= MANY:
                    yield _saturated("saturated gate", value.name, share, f"always {how}")
        else:
            share = float(((at[0] + at[1]) >= ALWAYS).double().mean())
            if share >= MANY:
                yield _saturated("saturated units", value.name, share, "always at -1 or 1")


def _saturated(kind: str, where: str, share: float, how: str) -> Finding:
    return Finding(
        kind,
        where,
        f"{share:.0%} of the units are {how} (within 1 % of the bound, in 99 % of the steps), so "
        "no gradient comes through",
        "smaller inputs or smaller initial weights, a bias nearer to 0, a smaller learning rate, "
        "layer normalization",
    )


def dead(seen: Evidence) -> Iterator[Finding]:
    """Units of a state, and gates, that never change, whatever comes in."""
    for value in seen.named():
        if len(value.rows) < FEW_ROWS or not value.rows.isfinite().all():
            continue
        spread = value.rows.double().std(0, correction=0)
        still = spread < 1e-6
        if value.is_state and not value.shares:  # a class that is never predicted has no share
            still |= spread <= 1e-3 * spread.max()
            kind = "dead units"
        elif value.is_gate:
            mean = value.rows.double().mean(0)
            still &= (mean > EDGE) & (mean < 1 - EDGE)  # or else it is saturated
            kind = "dead gate"
        else:
            continue
        if float(still.double().mean()) >= SOME:
            evidence = (
                f"{int(still.sum())} of {len(still)} units hold one value at all steps of all "
                "sequences"
            )
            yield Finding(kind, value.name, evidence, _ALIVE[kind])


_ALIVE = {
    "dead units": "a smaller learning rate, smaller initial weights, an activation that is not "
    "flat (tanh, leaky relu); fewer units, if they are not needed",
    "dead gate": "weights into the gate that are not 0; look whether its parameters are trained",
}


def forgetting(seen: Evidence) -> Iterator[Finding]:
    """Memories none of whose units keeps anything from step to step."""
    for run in seen.runs:
        factors = seen.flow.memories[run.layer].factors or {}
        for name, factor in factors.items():
            if factor.any() and factor.isfinite().all() and factor.max() < 0.2:
                yield Finding(
                    "forgets at once",
                    joined(run.layer, name),
                    f"of what a unit holds, one step keeps {float(factor.max()):.1%} at most, "
                    f"{float(factor.mean()):.1%} on average",
                    "begin with forget gates that are open: forget_bias=1 or more (F. Gers, J. "
                    "Schmidhuber and F. Cummins, 2000); a smaller learning rate",
                )


def said(seen: Evidence) -> Iterator[Finding]:
    """Networks (Jordan's) whose only memory is a softmax that has decided: the class it named."""
    for run in seen.runs:
        states, output = states_fed(run.program), run.program.output
        if set(states) != {output} or entry_of(run.program, output).rule != "softmax":
            continue
        sure = run.rows(output).flatten(1).amax(1) >= SURE
        share = float(sure.double().mean())
        if len(sure) >= FEW_ROWS and share >= MANY:
            (name,) = states.values()
            yield Finding(
                "remembers only what it said",
                joined(run.layer, name),
                f"its only memory is the probabilities that it gave out, and in {share:.0%} of the "
                f"steps one of them is {SURE} or more: the next step is told which answer that "
                "was, and nothing else of what was read",
                "more of the sequence at each step, as the words around (--window of cello train "
                "tag); a network that remembers its hidden layer (Elman, LSTM, GRU)",
            )


def states(seen: Evidence) -> Iterator[Finding]:
    """States that explode or vanish along time."""
    for run in seen.runs:
        for value, name in states_fed(run.program).items():
            size = along_time(run, value)
            where = joined(run.layer, name)
            if len(size) and not bool(size.isfinite().all()):
                first = int((~size.isfinite()).int().argmax())
                yield Finding(
                    "state explodes",
                    where,
                    f"it is not finite from step {first} of the reading on",
                    "smaller recurrent weights, a bounded activation, gradient clipping",
                )
            elif len(size) >= 10:
                yield from _along(where, size)


def _along(where: str, size: Tensor) -> Iterator[Finding]:
    middle, end, peak = (float(size[t]) for t in (len(size) // 2, -1, int(size.argmax())))
    if end > 100 and end > 5 * middle:
        yield Finding(
            "state explodes",
            where,
            f"its size (root mean square) is {short(middle, 3)} half way and {short(end, 3)} at "
            "the end of the sequences",
            "smaller recurrent weights (a spectral radius of at most 1), a bounded activation",
        )
    if end < 1e-3 * peak:
        yield Finding(
            "state vanishes",
            where,
            f"its size (root mean square) is {short(peak, 3)} at step "
            f"{int(torch.argmax(size))} of the reading and {short(end, 3)} at the end",
            "larger recurrent weights (a spectral radius near 1), open forget gates, sequences "
            "that do not go on when the inputs have ended",
        )


#: Every check of values.
VALUE_CHECKS = (inputs, saturated, dead, forgetting, said, states)
