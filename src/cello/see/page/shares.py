"""Where an output comes from: how much each step mattered to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.engines import engine
from cello.errors import ArgumentError, CelloError, ModelError
from cello.layers import evaluating
from cello.see.arithmetic.consistency import close
from cello.see.gradients.target import AttributionTarget
from cello.see.page.data import NumberBlock, PageData, array, places_of
from cello.see.recording.outputs import by_step
from cello.see.recording.recorded import Recorded, outputs_of

__all__ = ["Shares", "add_shares"]

_FEW = 64  # steps
# What is prepared for a page unless more is asked for, at most: outputs of a sequence, numbers,
# products of parameters with a number (a few seconds), and steps of a sequence.
_OUTPUTS, _NUMBERS, _PRODUCTS, _LONG = 250, 2**18, 4 * 10**9, 5000


class Shares:
    """What the outputs of a recorded net come from: gradient × input of each step.

    The net runs once more, in eval mode, and must give what was recorded. An output that answers
    once for a whole sequence, [B, K], is that of step 0.

    Args:
        rec: what was recorded.

    Raises:
        ModelError: the net is not known, does not give this output any more, or lets no gradient
            through; or its output is no row of numbers, for each step or for each sequence.
        CelloError: it was given something else than a tensor.

    >>> import cello
    >>> net = cello.Recurrent(cello.ElmanCell(1, 1, activation="linear", bias=False))
    >>> _ = torch.nn.init.constant_(net.cell.W, 2.0), torch.nn.init.constant_(net.cell.R, 0.5)
    >>> rec = cello.record(net, torch.ones(3, 1, 1))
    >>> Shares(rec).of(0, t=1, unit=0).tolist()    # 2·1 now, 0.5·2·1 from the step before
    [1.0, 2.0, 0.0]
    """

    def __init__(self, rec: Recorded) -> None:
        if rec.call is None:
            raise ModelError(
                "where an output comes from is found with the net, which the file of a recording "
                "does not hold: record again"
            )
        recorded = outputs_of(rec)
        if recorded is None:
            raise ModelError(
                "the net's output is no row of numbers, neither for each step nor for each sequence"
            )
        self._layer, before = recorded
        net, x, args, kwargs = rec.call
        outputs: list[Any] = []

        def keep(output: Any) -> Tensor:
            outputs.append(output)
            return torch.zeros(())

        # For a few steps nothing is compiled.
        chosen = engine("split") if len(before) < _FEW else nullcontext()
        with evaluating(net), torch.enable_grad(), chosen:
            target_run = AttributionTarget(net, x, keep, args, kwargs)
            self._features = target_run.features.detach().requires_grad_()
            target_run.reached(self._features)
        now = by_step(outputs[0], self._layer.steps)
        if now is None and isinstance(outputs[0], Tensor) and outputs[0].numel() == before.numel():
            now = outputs[0].reshape(before.shape)
        if (
            now is None
            or now.shape != before.shape
            or not close(now.detach().cpu(), before.detach().cpu())
        ):
            raise ModelError("the net gives another output than was recorded: record again")
        self._output, self._axis = now, target_run.batch_axis
        if not self._output.requires_grad:
            raise ModelError("no gradient goes from this output to what the net read")

    def of(self, batch: int, t: int, unit: int) -> np.ndarray:
        """The share of each step of a sequence in a unit of its output at step t, [T].

        Raises:
            ArgumentError: there is no such step or unit.
        """
        length, units = self._layer.length(batch), self._output.shape[2]
        T = min(length, len(self._output))
        if not 0 <= t < T or not 0 <= unit < units:
            raise ArgumentError(
                f"the output has {T} steps and {units} units, counted from 0, got t={t} and "
                f"unit={unit}"
            )
        with torch.enable_grad():  # whatever the caller has
            target = self._output[t, batch, unit]
        (gradient,) = torch.autograd.grad(
            target, self._features, retain_graph=True, materialize_grads=True
        )
        by_step = (gradient * self._features.detach()).sum(-1)
        own = by_step if self._axis is None else by_step.select(self._axis, batch)
        return array(own[:length].cpu())

    def asked_first(self, batch: int, limit: int) -> list[tuple[int, int]]:
        """At most `limit` steps and units of the output of a sequence.

        Those of the last step, the largest first, as long as there is as much room for the steps
        at which an output changes most.
        """
        own = self._output.detach()[: self._layer.length(batch), batch].cpu()
        first = torch.diff(own, dim=0, prepend=own[:1]).abs()
        if len(own):
            last = own[-1].nan_to_num(0.0).topk(min((limit + 1) // 2, own.shape[1])).indices
            first[-1, last] = torch.inf
        first = first.flatten().nan_to_num(0.0, posinf=torch.inf)
        places = first.topk(min(limit, len(first))).indices.sort().values
        return [divmod(place, own.shape[1]) for place in places.tolist()]


def add_shares(recordings: Sequence[Recorded], data: PageData, limit: int | None) -> None:
    """Give the page, for each sequence, what single outputs come from, if that can be told.

    If there are more outputs than `limit`, it is those of the last step, and those that change
    most. Unless given it depends on the length.
    """
    known: dict[int, Shares | None] = {}
    places = places_of(recordings)
    for sequence, (rec, batch) in zip(data.head["sequences"], places, strict=True):
        length = max(layer["length"] for layer in sequence["layers"])
        room = _room(rec, length, len(places)) if limit is None else limit
        if room and id(rec) not in known:
            try:
                known[id(rec)] = Shares(rec)
            except CelloError:
                known[id(rec)] = None
        found = known.get(id(rec))
        targets = found.asked_first(batch, room) if found else []
        if not found or not targets:
            sequence["outputs"] = 0
        else:
            sequence["shares"] = {"block": len(data.blocks), "targets": targets}
            numbers = np.stack([found.of(batch, t, unit) for t, unit in targets])
            data.blocks.append(NumberBlock(partial(np.asarray, numbers)))


def _room(rec: Recorded, length: int, sequences: int) -> int:
    """For how many outputs of each sequence there is room and time."""
    if length > _LONG:
        return 0
    steps = max(1, length * sequences)
    parameters = [own for rows in rec.by_layer.values() for own in rows.parameters]
    size = max(1, sum(own.numel() for own in parameters))
    return min(_OUTPUTS, _NUMBERS // steps, _PRODUCTS // (steps * size * sequences))
