"""Which operations treat every row of the batch by itself, so that many steps can run as one."""

from __future__ import annotations

import math
from typing import Any

from cello.program.graph import BATCH, Op, Value
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
    name, entry = op.target._opname, facts(op)
    resized = entry.kind in ("reshape", "expand")
    sized = entry.kind == "creation" or resized  # where it is the length of the first axis
    if counts_rows((op.args, op.kwargs)) > sized:
        return False  # a number to reckon with: that of one step, not of all
    if entry.kind == "creation":
        return not op.inputs
    if entry.kind == "product":
        batched = [isinstance(a, Value) and a.batched for a in op.args]
        matrix = entry.rows[-1]  # the factor whose rows are those of the result
        return batched[matrix] and not any(b for i, b in enumerate(batched) if i not in entry.rows)
    if entry.dim is not None:
        return _along_features(op)
    if resized:
        size = op.args[1]
        if entry.kind == "expand" and not op.args[0].batched:  # the same for each row
            return bool(size) and size[0] is BATCH
        return op.args[0].batched and bool(size) and (size[0] is BATCH or _keeps_rows(op, size))
    if name == "native_layer_norm":
        return op.args[0].batched and len(op.args[1]) < len(op.args[0].shape)
    if name == "embedding":
        by_frequency = any(op.args[3:4])  # gradients divided by how often an index occurs
        return not op.args[0].batched and op.args[1].batched and not by_frequency
    return _broadcasts_by_row(op) if is_pointwise(op) else entry.kind in ("copy", "pointwise")


def _keeps_rows(op: Op, size: Any) -> bool:
    """Whether -1 for the first axis leaves the rows what they are."""
    before, after = op.args[0].shape, op.outputs[0].shape
    if op.target._opname == "expand":
        return bool(size[0] == -1) and len(before) == len(after)
    return bool(size[0] == -1) and math.prod(before[1:]) == math.prod(after[1:])


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
    grows = op.target._opname in ("unsqueeze", "stack")
    rank = len(op.inputs[0].shape) + grows
    return all(axis % rank != 0 for axis in along)
