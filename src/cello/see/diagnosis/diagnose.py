"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.errors import ArgumentError
from cello.see.diagnosis.evidence import Evidence
from cello.see.diagnosis.finding import Diagnosis
from cello.see.diagnosis.gradients import GRADIENT_CHECKS
from cello.see.diagnosis.values import VALUE_CHECKS
from cello.see.gradients.differentiable_run import DifferentiableRun
from cello.see.gradients.flow import Flow, traced_back

__all__ = ["diagnose"]


def diagnose(
    net: nn.Module,
    x: Any,
    *args: Any,
    loss: Callable[[Any], Tensor] | None = None,
    **kwargs: Any,
) -> Diagnosis:
    """Look for what commonly goes wrong, in one run of `net(x, *args, **kwargs)`.

    It looks for inputs of wrong scale, saturated and dead gates and units, memories that forget at
    once or hold nothing but the answer before, states that explode or vanish along time, gradients
    that explode or vanish on their way back in time, outputs of a bidirectional layer that are read
    at the wrong end, and outputs that are read past the end of shorter sequences. Each finding says
    what was seen and what usually helps. A few sequences of the length that is meant are enough:
    with fewer than 10 steps, little can be said of time.

    Args:
        net: a layer, a stack, or any module with such in it.
        x: what the net takes, such as [T, B, I].
        *args: more of what the net takes, such as a state.
        loss: given the net's output (of a tuple the first part), returns a scalar; a sum of the
            outputs with random signs unless given.
        **kwargs: more of what the net takes, such as `lengths`.

    Raises:
        DtypeError, ShapeError, ArgumentError, CaptureError: as `cello.flow`.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(3, 16, forget_bias=1.0))
    >>> x = torch.randn(50, 4, 3)
    >>> len(diagnose(layer, x)), diagnose(layer, 1000 * x).kinds[0]
    (0, 'inputs of wrong scale')
    """
    runs, total = traced_back(net, x, loss or _any_sum, *args, **kwargs)
    seen = Evidence(_rows(x, runs), runs, Flow(runs, total))
    with torch.no_grad():
        findings = [found for check in (*VALUE_CHECKS, *GRADIENT_CHECKS) for found in check(seen)]
    steps = runs[0].steps
    count = _counted(sum(steps.batch_sizes), "step")
    of = _counted(steps.batch_size, "sequence")
    return Diagnosis(findings, f"{count} of {of}", seen.flow.memories)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _any_sum(output: Any) -> Tensor:
    """A sum to which each output contributes, and no two of them cancel for long."""
    data = output.data if isinstance(output, PackedSequence) else output
    if not isinstance(data, Tensor):
        raise ArgumentError(
            f"loss must be given, for the net returns no tensor but {type(output).__name__}"
        )
    data = torch.view_as_real(data) if data.is_complex() else data
    signs = torch.randint(0, 2, data.shape, generator=torch.Generator().manual_seed(0))
    return (data * (2 * signs - 1).to(data)).sum()


def _rows(x: Any, runs: list[DifferentiableRun]) -> Tensor | None:
    """What the net was given at each step, without padding; None for ids."""
    data = x.data if isinstance(x, PackedSequence) else x
    if not isinstance(data, Tensor) or not data.is_floating_point():
        return None
    steps = runs[0].steps
    if isinstance(x, PackedSequence) or data.dim() < 3:
        return data.detach().reshape(-1, data.shape[-1])
    padded = data.detach().transpose(0, 1) if steps.form == "BT" else data.detach()
    if tuple(padded.shape[:2]) != (steps.length, steps.batch_size):
        return padded.reshape(-1, data.shape[-1])
    return steps.unpad(padded).reshape(-1, data.shape[-1])
