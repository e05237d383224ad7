"""Capture: run a step on a few rows of zeros, and write down what it does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from cello.cells import Cell
from cello.cells.contract.step_checks import step_name_of
from cello.cells.isolated import isolated
from cello.errors import CaptureError, CelloError
from cello.program.graph import Program
from cello.program.guards.side_effects import RandomDrawnError, no_side_effects
from cello.program.sizes import of_any_size
from cello.program.trace.merge import merge
from cello.program.trace.one_trace import PLAIN, Around, InStepError, Trace
from cello.program.trace.rows.rows_first import Places
from cello.program.trace.source_lines import line_of_error

__all__ = ["capture"]

# Traced at three batch sizes: what differs between the traces in just this way is the batch size,
# everything else is a constant. A few rows, and a single one, are what steps make exceptions for.
SIZES = (17, 3, 2)
SIZES_FROM_ONE = (17, 1, 2)

_BY_SIZE = "depends on the batch size", "what treats all rows alike, at any number of them, fuses"
_AROUND = (PLAIN, Around(grads=True, part=True), Around(grads=False, part=False))


def capture(
    cell: Cell,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    one_row: bool = False,
    at: Sequence[int] = (),
) -> Program:
    """Trace one step of `cell` into a program.

    Args:
        cell: any cell; its mode (train or eval) is part of what is traced.
        dtype: of inputs and states; PyTorch's default dtype unless given.
        device: of inputs and states.
        one_row: whether the program is to hold for a single row as well.
        at: further numbers of rows for which it is to hold.

    Raises:
        CaptureError: the step does something that depends on data, on the batch size or on what
            goes on around it, that its operations do not tell, or that changes a tensor in a way
            that cannot be followed; names the operation and its line.
        CellError: the step does not return what `state` promises.

    >>> import cello
    >>> print(cello.program.capture(cello.ElmanCell(3, 2, bias=False)))
    ElmanCell: x = x[B, 3], state = [h_prev[B, 2]]
      t = aten.t.default(W)
      mm = aten.mm.default(x, t)
      t_1 = aten.t.default(R)
      mm_1 = aten.mm.default(h_prev, t_1)
      z = aten.add.Tensor(mm, mm_1)
      h = aten.tanh.default(z)
      return h, ['h']
    """
    dtype = dtype or torch.get_default_dtype()
    sizes = (*(SIZES_FROM_ONE if one_row else SIZES), *at)
    around = (*_AROUND, *[PLAIN] * len(at))

    def traced(sizes: Sequence[int], around: Sequence[Around]) -> list[Program]:
        def all_of_them() -> list[Program]:
            places = Places()
            first = _trace(cell, 0, sizes, around[0], dtype, device, places)
            read = (*cell.parameters(), *cell.buffers(), *first.constants.values())
            no_gradients = any(tensor.is_inference() for tensor in read)
            return [first] + [
                _trace(cell, number, sizes, PLAIN if no_gradients else how, dtype, device, places)
                for number, how in enumerate(around[1:], 1)
            ]

        def apart() -> list[Program]:
            # Attention is captured as the products that it is made of.
            with isolated(cell), no_side_effects(cell), sdpa_kernel(SDPBackend.MATH):
                return copy_context().run(all_of_them)

        return _uncompiled(apart)

    try:
        programs = traced(sizes, around)
    except RandomDrawnError:  # perhaps by another thread
        programs = traced(sizes, around)
    asks_size = any(program.asks_size for program in programs)
    try:
        program = merge(programs, sizes, *_BY_SIZE)
    except CaptureError:  # whatever it depends on
        same = sizes[:1] * len(around)
        merge(traced(same, [PLAIN] * len(same)), same, "may be another at each call")
        merge(traced(sizes, [PLAIN] * len(sizes)), sizes, *_BY_SIZE)
        merge(traced(same, around), same, "depends on whether there are gradients around it")
        raise
    program.asks_size, program.tried = asks_size, dict.fromkeys(sizes, "")
    return program


def _uncompiled(run: Callable[[], list[Program]]) -> list[Program]:
    """Run it untraced, and what `torch.compile` has made as it was written."""
    if "torch._dynamo" not in sys.modules:
        return run()  # nothing has been compiled

    def eagerly() -> list[Program]:
        with torch.compiler.set_stance("force_eager"):
            return run()

    unseen: Any = torch.compiler.disable(eagerly)
    made: list[Program] = unseen()
    return made


def _trace(
    cell: Cell,
    number: int,
    sizes: Sequence[int],
    around: Around,
    dtype: torch.dtype,
    device: Any,
    places: Places,
) -> Program:
    """The step at one of the numbers of rows; what is raised inside it speaks of none.

    Raises:
        CaptureError: the step cannot be captured.
        CelloError: of what it returned, or raised inside it by a cell that it calls.
    """
    try:
        return Trace(cell, sizes[number], around, dtype, device, places).program
    except InStepError as error:
        inside = error.inside
    here, there = sizes[number], sizes[number - 1]
    try:
        Trace(cell, there, around, dtype, device, Places())
        other = None
    except InStepError as error:
        other = str(error.inside)
    except CelloError:
        other = None
    said = of_any_size(str(inside), other, (here, there))
    if isinstance(inside, CelloError):
        raise type(inside)(said) from inside
    reason = said.strip().split("\n")[0]
    raise CaptureError(
        f"{step_name_of(cell)} cannot be captured: {reason} ({line_of_error(inside)})"
    ) from inside
