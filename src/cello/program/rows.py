"""Which operations treat every row of the batch by itself, so that many steps can run as one."""

from __future__ import annotations

from typing import Any

from cello.program.expand import expanded
from cello.program.graph import BATCH, Op, Value
from cello.program.movement import REARRANGES, row_origins
from cello.program.operations import axes, facts, is_pointwise

__all__ = ["counts_rows", "is_row_wise"]


def counts_rows(tree: Any) -> int:
    """How often the number of rows stands among nested arguments."""
    if isinstance(tree, (tuple, list)):
        return sum(map(counts_rows, tree))
    return sum(map(counts_rows, tree.values())) if isinstance(tree, dict) else tree is BATCH


def is_row_wise(op: Op) -> bool:
    """Whether each row of the result depends on the same row of the inputs alone.

    What is not known to be so counts as not so: it then simply runs step by step.
    """
    if not all(_rows_first(value) for value in (*op.inputs, *op.outputs)):
        return False
    if not all(value.batched for value in op.outputs):
        return False
    entry = facts(op)
    if entry.row_wise is not None:
        return entry.row_wise(op)
    if entry.composed is not None:
        made = expanded(op, op.outputs[0].dtype)
        if made != [op]:
            return all(is_row_wise(part) for part in made if part.outputs[0].batched)
    if entry.kind in REARRANGES:
        return row_origins(op) is not None
    if counts_rows((op.args, op.kwargs)) > (entry.kind == "creation"):
        return False  # a number to compute with: that of one step, not of all
    if entry.kind == "creation":
        return not op.inputs
    if entry.kind == "product":
        batched = [isinstance(a, Value) and a.batched for a in op.args]
        matrix = entry.rows[-1]  # the factor whose rows are those of the result
        return batched[matrix] and not any(b for i, b in enumerate(batched) if i not in entry.rows)
    if entry.dim is not None:
        return _along_features(op)
    return _broadcasts_by_row(op) if is_pointwise(op) else entry.kind in ("copy", "pointwise")


def _rows_first(value: Value) -> bool:
    return BATCH not in value.shape[1:]


def _broadcasts_by_row(op: Op) -> bool:
    """A pointwise operation pairs row with row if all that has rows has the result's axes."""
    rank = len(op.outputs[0].shape)
    for value in op.inputs:
        if value.batched and len(value.shape) != rank:
            return False
        if not value.batched and len(value.shape) == rank and value.shape[0] != 1:
            return False
    return True


def _along_features(op: Op) -> bool:
    """An operation along axes keeps to the row if none of the axes is the batch."""
    along = axes(op)
    if not along or not all(value.batched for value in op.inputs):
        return False  # no axes: over everything
    rank = max(len(value.shape) for value in (op.inputs[0], *op.outputs))  # with a new axis
    return all(axis % rank != 0 for axis in along)
