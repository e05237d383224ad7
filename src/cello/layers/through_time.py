"""One cell through the steps of a batch: the place where layers meet the engines."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.contract.state import state_in_rows
from cello.engines import Run, StepTable, dense_loop, is_dense, run, under_autocast
from cello.layers.call.steps import Steps
from cello.layers.hooks.intervene import run_intervened
from cello.layers.hooks.watch import hooks, is_unwatched, observer

__all__ = ["run_cell"]


def run_cell(
    cell: Cell,
    steps: Steps,
    state: tuple[Tensor, ...] | None,
    initial: tuple[Tensor, ...] | None,
    *,
    owner: nn.Module,
    place: str = "",
    reverse: bool = False,
    reset: Tensor | None = None,
    targets: Tensor | None = None,
    engine: str = "auto",
    parameters: dict[str, Tensor] | None = None,
) -> tuple[Steps, Any]:
    """Run `cell` over `steps`.

    Args:
        cell: whose step it is.
        steps: the inputs.
        state: what each sequence begins with, in the user's order; `initial` unless given.
        initial: the initial state, to which a reset goes back; that of the cell if None.
        owner: the layer, as an observer knows it.
        place: which of the layer's cells this is.
        reverse: whether to read from the end.
        reset: which rows are reset before their step, [N] bool.
        targets: known outputs to feed back, [N, size].
        engine: the engine asked for.
        parameters: see `Run`.

    Returns:
        The outputs as steps, and the final state in the user's order.
    """
    if reset is None and targets is None and parameters is None and not steps.is_padded:
        begins = initial if state is None else state
        if (known := _known(cell, steps, begins, reverse, engine)) is not None:
            return known
    if initial is None:
        like = steps.data
        zeros = cell.zero_state(steps.batch_size, dtype=like.dtype, device=like.device)
        initial = state_in_rows(cell, zeros)
    begin = steps.sort_state(initial)
    this = Run(
        steps.data,
        steps.batch_sizes,
        begin if state is None else steps.sort_state(state),
        begin,
        reverse,
        reset,
        targets,
        lengths=steps.lengths if steps.is_padded else None,
        cell=cell,
        parameters=parameters,
    )
    this = under_autocast(this)
    watcher = observer()
    if watcher is not None:
        this.wanted = watcher.wanted(owner, place, this)
    found = hooks(owner, place, this, steps)
    result = run_intervened(this, found, engine) if found else run(this, engine)
    if this.data is not steps.data:  # in autocast's dtype
        result.output = result.output.to(this.data.dtype)
    if watcher is not None:
        watcher.ran(owner, place, this, result, steps)
    final = cell.state_type(*steps.unsort_state(result.state))
    return steps.with_data(result.output), final


def _known(
    cell: Cell, steps: Steps, state: tuple[Tensor, ...] | None, reverse: bool, engine: str
) -> tuple[Steps, Any] | None:
    """The same, if a compiled loop is known for such steps and nobody watches."""
    x, sizes = steps.data, steps.batch_sizes
    if not is_dense(x) or not sizes or not is_unwatched(x, engine):
        return None
    if sizes[0] != steps.batch_size:
        return None
    loop = dense_loop(cell, x, sizes[0], sizes[-1])
    if loop is None or not loop.takes(state):
        return None
    begin = None if state is None else steps.sort_state(state)
    y, final = loop(x, begin, StepTable.of(sizes, reverse))
    return steps.with_data(y), cell.state_type(*steps.unsort_state(tuple(final)))
