"""Gradient flow: how much of a loss comes back to each value of each step, and how far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.paths import joined
from cello.see.gradients.differentiable_run import DifferentiableRun, run_differentiably
from cello.see.gradients.horizon import MemoryHorizon, memory_of
from cello.see.gradients.jacobian import jacobian_of
from cello.see.names import find, find_layer
from cello.see.numbers import short
from cello.see.recording.outputs import output_of
from cello.tables import text_table

__all__ = ["Flow", "flow", "traced_back"]

ROWS = 12  # distances in a table, unless more are asked for


def flow(net: nn.Module, x: Any, loss: Callable[[Any], Tensor], *args: Any, **kwargs: Any) -> Flow:
    """How the gradient of a loss flows back through time, value by value.

    The steps run one operation after the other, on no engine.

    Args:
        net: a layer, a stack, or any module with such in it.
        x: what the net takes, such as [T, B, I].
        loss: given the net's output (of a tuple the first part), returns a scalar.
        *args: more of what the net takes, such as a state.
        **kwargs: likewise, such as `lengths`.

    Raises:
        DtypeError: `net` is no module, or `loss` cannot be called or returns no tensor.
        ShapeError: `loss` returns no scalar.
        ArgumentError: there is no layer of ours in `net`, no step in x, or the loss depends on
            neither.
        CaptureError: a cell's step cannot be traced.

    Sources: S. Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen" (1991), for the flow
    of errors through time; R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training
    recurrent neural networks" (ICML 2013), for the products of Jacobians.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(3, 4, forget_bias=1.0))
    >>> found = flow(layer, torch.randn(20, 2, 3), lambda y: y[-1].sum())
    >>> found.gradients["c_prev"].shape, found.memory().horizon("c").shape
    (torch.Size([20, 2, 4]), torch.Size([4]))
    """
    return Flow(*traced_back(net, x, loss, *args, **kwargs))


def traced_back(
    net: nn.Module, x: Any, loss: Callable[[Any], Tensor], *args: Any, **kwargs: Any
) -> tuple[list[DifferentiableRun], Tensor]:
    """The runs of the net's cells and the loss; see `flow`."""
    if not callable(loss):
        raise DtypeError(f"loss must be a function of the net's output, got {loss!r}")
    result, runs = run_differentiably(net, x, *args, **kwargs)
    if not runs:
        raise ArgumentError(
            f"none of the recurrent layers in {type(net).__name__} ran in this call"
        )
    if not any(sum(run.run.batch_sizes) for run in runs):
        raise ArgumentError("there is no step in x, through which a gradient could flow")
    with torch.enable_grad():
        total = loss(output_of(result))
    return runs, _checked(total)


def _checked(total: Any) -> Tensor:
    if not isinstance(total, Tensor):
        raise DtypeError(f"loss must return a tensor, it returned {type(total).__name__}")
    if total.numel() != 1:
        raise ShapeError(f"loss must return a scalar, it returned {list(total.shape)}")
    if total.is_complex():
        raise DtypeError(f"loss must return a real number, it returned {total.dtype}")
    if not total.requires_grad:
        raise ArgumentError("the loss does not depend on what the net computes: no gradient flows")
    return total


class Flow:
    """What `cello.flow` returns. It keeps the graph of the run, for `jacobian`.

    Attributes:
        loss: its value.
        gradients: by the names of a recording, [T, B, size]: the gradient of the loss with respect
            to the value at that step, with all that follows from it. Of "c" it is all that comes
            back to the state; "c_prev" and "h_prev" at t + 1 are what comes back from later steps
            through each of the states; "f" is what reaches the forget gate. Zero past a row's end.
        memories: of each layer and direction, how long its states last; see `MemoryHorizon`.
        readers: of each layer and direction, [T, B, O], the gradient of what reads its output.
    """

    def __init__(self, runs: list[DifferentiableRun], loss: Tensor) -> None:
        kept = [tensor for run in runs for rows in run.by_step.values() for tensor in rows]
        asked = [*kept, *(run.output for run in runs)]
        found = torch.autograd.grad(
            loss, asked, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        left = iter(found)
        self.loss = float(loss.detach())
        self.gradients: dict[str, Tensor] = {}
        for run in runs:
            by_value = {
                value: run.steps.pad(torch.cat([next(left) for _ in rows]))
                for value, rows in run.by_step.items()
            }
            for name, value in run.values.items():
                self.gradients[joined(run.layer, name)] = by_value[value]
        self.readers = {run.layer: run.steps.pad(next(left)) for run in runs}
        self.memories: Mapping[str, MemoryHorizon] = {run.layer: memory_of(run) for run in runs}
        self._runs = {run.layer: run for run in runs}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all values that have gradients."""
        return tuple(self.gradients)

    def __getitem__(self, name: str) -> Tensor:
        """The gradient of that value, [T, B, size]; the end of its name is enough."""
        return self.gradients[find(name, self.names)]

    def norms(self, name: str) -> Tensor:
        """How large the gradient of that value is at each step of each sequence, [T, B]."""
        return self[name].flatten(2).norm(dim=2)

    def memory(self, layer: str | None = None) -> MemoryHorizon:
        """How long the states of a layer last; of the only one if no name is given.

        Raises:
            ArgumentError: no name is given, but there are several layers.
            UnknownNameError: there is no such layer.
        """
        return self.memories[find_layer(layer, list(self.memories))]

    def jacobian(self, t: int, s: int, layer: str | None = None, *, batch: int = 0) -> Tensor:
        """∂(the states that step t makes)/∂(the states that step s reads), [S, S].

        Rows and columns are the units of all states, in the order of `memory().states`: for an
        LSTM first those of h, then those of c. With s = t it is the Jacobian of one step; those of
        several steps are products of these. In a backward layer, s is t or a later place.

        Args:
            t: the step, counted from 0 along the sequence.
            s: the same or an earlier one, in the order of reading.
            layer: which layer and direction; the only one if no name is given.
            batch: which sequence.

        Raises:
            ArgumentError: there is no such step or sequence, s comes after t, or no layer is
                named, but there are several.
            UnknownNameError: there is no such layer.

        >>> import cello
        >>> layer = cello.Recurrent(cello.LSTMCell(3, 4))
        >>> found = flow(layer, torch.randn(20, 2, 3), lambda y: y[-1].sum())
        >>> two = found.jacobian(8, 7)
        >>> two.shape, torch.allclose(two, found.jacobian(8, 8) @ found.jacobian(7, 7))
        (torch.Size([8, 8]), True)
        """
        return jacobian_of(self._runs[find_layer(layer, list(self._runs))], t, s, batch)

    def table(self, *names: str, steps: int = ROWS, digits: int = 3) -> str:
        """The size of gradients along time, the mean over the sequences.

        Args:
            *names: which values; unless given the states, and what comes back through each.
            steps: how many steps are shown, evenly from the first to the last.
            digits: significant digits.

        Raises:
            UnknownNameError: no value has one of these names.
        """
        chosen = [find(name, self.names) for name in names] or self._states()
        columns = [self.norms(name).mean(1) for name in chosen]
        longest = max(len(column) for column in columns)
        shown = sorted({round(t) for t in torch.linspace(0, longest - 1, steps).tolist()})
        rows = [
            [t, *(short(float(c[t]), digits) if t < len(c) else "" for c in columns)]
            for t in shown
            if t >= 0
        ]
        return text_table(["t", *chosen], rows)

    def _states(self) -> list[str]:
        return [
            joined(layer, f"{state}{end}")
            for layer, memory in self.memories.items()
            for state in memory.states
            for end in ("", "_prev")
        ]

    def __repr__(self) -> str:
        lines = [f"Flow of a loss of {short(self.loss)}"]
        for layer, memory in self.memories.items():
            for state in memory.states:
                alone = memory.kept_horizon(state)
                more = "" if alone is None else f", on its own way alone {_median(alone)}"
                lines.append(
                    f"  {joined(layer, state)}: half of the units last at least "
                    f"{_median(memory.horizon(state))}{more}"
                )
        return "\n".join(lines)


def _median(horizon: Tensor) -> str:
    steps = float(horizon.quantile(0.5, interpolation="lower"))
    if math.isinf(steps):
        return "as long as the sequence"
    return f"{steps:.0f} step{'' if steps == 1 else 's'}"
