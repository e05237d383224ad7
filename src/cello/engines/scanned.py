"""The step through time as PyTorch's `scan`, which `torch.onnx.export` writes as ONNX's Scan.

It is the cell's own step, in a graph that holds for every number of steps; the compiled loops,
which stand in other graphs, have no meaning elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan

from cello.cells import Cell
from cello.cells.contract.state import step_on_rows
from cello.engines.packing import Alike
from cello.engines.run import Run, RunResult

__all__ = ["run_scanned"]


def run_scanned(run: Run) -> RunResult | None:
    """Run as one scan; None if steps have rows of their own, or outputs are fed back."""
    sizes = run.batch_sizes
    if not isinstance(sizes, Alike) or run.forced is not None or run.wanted is not None:
        return None
    T, B = sizes.length, sizes.rows
    step = step_on_rows(run.cell)
    given = [run.data.reshape(T, B, -1)]
    if run.lengths is not None:
        given.append(torch.arange(T, device=run.data.device)[:, None] < run.lengths[None])
    if run.reset is not None:
        given.append(run.reset.reshape(T, B))
    initial, has_lengths, resets = list(run.initial), run.lengths is not None, run.reset is not None

    def combine(state: list[Tensor], now: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        x, *masks = now
        before = state
        if resets:
            here = masks[-1][:, None]
            before = [torch.where(here, new, old) for new, old in zip(initial, state, strict=True)]
        y, after = step(x, *before)
        if has_lengths:
            here = masks[0][:, None]
            after = tuple(
                torch.where(here, new, old) for new, old in zip(after, state, strict=True)
            )
            y = torch.where(here, y, torch.zeros_like(y))
        return [part.clone() for part in after], [y.clone()]

    with _holding(run.cell, run.parameters):
        state, (y,) = scan(
            combine, [part.clone() for part in run.state], given, dim=0, reverse=run.reverse
        )
    return RunResult(y.reshape(T * B, -1), tuple(state))


@contextmanager
def _holding(cell: Cell, parameters: dict[str, Any] | None) -> Iterator[None]:
    """The cell with other tensors in the places of its parameters."""
    if parameters is None:
        yield
        return
    held: dict[str, Any] = cell._parameters
    before = dict(held)
    held.update(parameters)
    try:
        yield
    finally:
        held.update(before)
