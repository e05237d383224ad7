"""PyTorch's own layers and cells as the other side of a proof."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.convert.proof import Case, Proof, prove
from cello.layers import Bidirectional, DropIn, Recurrent
from cello.layers.mode import evaluating

__all__ = ["prove_chain", "prove_layer"]


def prove_layer(ours: nn.Module, theirs: nn.Module, name: str) -> Proof:
    """Compare a layer or a cell of ours with PyTorch's, with lengths and states.

    Raises:
        ConversionError: they are not equal.
    """
    if any(p.is_meta for p in ours.parameters()):
        return Proof(not_run=f"{name}: on the meta device there are no numbers")
    ours, theirs = _runnable(ours), _runnable(theirs)
    side = _CellSide(theirs) if isinstance(theirs, nn.RNNCellBase) else _LayerSide(theirs, ours)
    net = Recurrent(ours) if isinstance(ours, Cell) else ours
    with evaluating(theirs), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        return prove(net, side, name=name)


def prove_chain(ours: nn.Module, theirs: nn.Module, name: str) -> Proof:
    """Compare the outputs of a net with those of a module that has neither lengths nor states."""
    ours, theirs = _runnable(ours), _runnable(theirs)
    with evaluating(theirs), torch.no_grad():
        return prove(
            ours,
            lambda case: (theirs(case.x), []),
            name=name,
            lengths=False,
            states=False,
            finals=False,
        )


def _runnable(module: nn.Module) -> nn.Module:
    """The module itself, or a copy that PyTorch's layers run on a CPU."""
    floats = [p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()]
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in floats)
    if not half and all(p.device.type == "cpu" for p in floats):
        return module
    module = copy.deepcopy(module).to("cpu")
    return module.float() if half else module


class _CellSide:
    """A cell of PyTorch's, step by step."""

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell

    def __call__(self, case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        """The hidden states of all steps, and the last state of each row."""
        with torch.no_grad():
            return _row_by_row(case, 0, self._sequence)

    def _sequence(self, x: Tensor, state: Any) -> tuple[Tensor, list[Tensor]]:
        now: Any = None if state is None else state[0] if len(state) == 1 else tuple(state)
        made = []
        for row in x:
            now = self.cell(row, now)
            made.append(now[0] if isinstance(now, tuple) else now)
        return torch.stack(made), list(now) if isinstance(now, tuple) else [now]


class _LayerSide:
    """A layer of PyTorch's, whose state has its layers and directions before the batch."""

    def __init__(self, layer: Any, ours: Any) -> None:
        self.layer = layer
        self.same = isinstance(ours, DropIn)  # the state stands as PyTorch has it
        self.ways = 1 + isinstance(ours, Bidirectional)

    def __call__(self, case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs, and the final state."""
        with torch.no_grad():
            return _row_by_row(case, int(self.layer.batch_first), self._sequence, self.same)

    def _sequence(self, x: Tensor, state: Any) -> tuple[Tensor, list[Tensor]]:
        given = None
        if state is not None:
            each = state
            if not self.same:
                kinds = len(state) // self.ways
                each = [torch.stack(state[kind::kinds]) for kind in range(kinds)]
            given = each[0] if len(each) == 1 else tuple(each)
        y, final = self.layer(x, given)
        final = final if isinstance(final, tuple) else (final,)
        if self.same:
            return y, list(final)
        return y, [part[way] for way in range(self.ways) for part in final]


def _row_by_row(
    case: Case, batch: int, run: Any, stacked: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """All rows at once, or each by itself where they have lengths: some have no step."""
    rows_first = batch == 1
    if case.lengths is None:
        y, state = run(case.x, case.state)
        return y, state
    axis, outputs, states = int(stacked), [], []
    x = case.x if rows_first else case.x.transpose(0, 1)
    like, final = run(case.x, case.state)
    for b, length in enumerate(case.lengths.tolist()):
        given = None
        if case.state is not None:
            given = [part.narrow(axis, b, 1) for part in case.state]
        y = torch.zeros_like(like if rows_first else like.transpose(0, 1))[:1]
        last = given or [torch.zeros_like(part.narrow(axis, b, 1)) for part in final]
        if length:
            row = x[b : b + 1, :length]
            made, last = run(row if rows_first else row.transpose(0, 1), given)
            y[:, :length] = made if rows_first else made.transpose(0, 1)
        outputs.append(y)
        states.append(last)
    y = torch.cat(outputs)
    parts = [torch.cat(some, axis) for some in zip(*states, strict=True)]
    return y if rows_first else y.transpose(0, 1), parts
