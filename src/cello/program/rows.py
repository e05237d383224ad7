"""Which operations treat every row of the batch by itself, so that many steps can run as one."""

from __future__ import annotations

import math
from typing import Any

import torch

from cello.program.graph import BATCH, Op, Value

__all__ = ["counts_rows", "is_random", "is_row_wise"]

# Products: which arguments may have rows; the others must not.
_PRODUCTS = {"mm": (0,), "addmm": (0, 1), "mv": (0,)}

# Operations along axes: the position and name of the argument that says which, and its default.
_ALONG: dict[str, tuple[int, str, Any]] = {
    "split": (2, "dim", 0),
    "split_with_sizes": (2, "dim", 0),
    "chunk": (2, "dim", 0),
    "unbind": (1, "dim", 0),
    "slice": (1, "dim", 0),
    "select": (1, "dim", None),
    "cat": (1, "dim", 0),
    "stack": (1, "dim", 0),
    "unsqueeze": (1, "dim", None),
    "squeeze": (1, "dim", None),
    "flip": (1, "dims", None),
    "roll": (2, "dims", None),
    "cumsum": (1, "dim", None),
    "sum": (1, "dim", None),
    "mean": (1, "dim", None),
    "var": (1, "dim", None),
    "std": (1, "dim", None),
    "var_mean": (1, "dim", None),
    "std_mean": (1, "dim", None),
    "amax": (1, "dim", None),
    "amin": (1, "dim", None),
    "max": (1, "dim", None),
    "min": (1, "dim", None),
    "prod": (1, "dim", None),
    "logsumexp": (1, "dim", None),
    "linalg_vector_norm": (2, "dim", None),
    "_softmax": (1, "dim", None),
    "_log_softmax": (1, "dim", None),
}

_RESHAPES = {"view", "_unsafe_view", "reshape", "expand"}
# Element by element, though PyTorch does not tag them so.
_BY_ELEMENT = {
    "detach", "clone", "alias", "_to_copy", "lift_fresh", "bernoulli", "log_sigmoid_forward",
    "_prelu_kernel", "hardswish", "floor_divide",
}  # fmt: skip
_FROM_SIZE = {"empty", "zeros", "ones", "full", "rand", "randn"}


def is_random(op: Op) -> bool:
    """Whether the operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in op.target.tags


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
    name = op.target._opname
    sized = name in _FROM_SIZE or name in _RESHAPES  # where it is the length of the first axis
    if counts_rows((op.args, op.kwargs)) > sized:
        return False  # a number to reckon with: that of one step, not of all
    if name in _FROM_SIZE:
        return not op.inputs
    if name in _PRODUCTS:
        rows = _PRODUCTS[name]
        batched = [isinstance(a, Value) and a.batched for a in op.args]
        matrix = rows[-1]  # the factor whose rows are those of the result
        return batched[matrix] and not any(b for i, b in enumerate(batched) if i not in rows)
    if name in _ALONG:
        return _along_features(op, *_ALONG[name])
    if name in _RESHAPES:
        size = op.args[1]
        if name == "expand" and not op.args[0].batched:  # the same for each row
            return bool(size) and size[0] is BATCH
        return op.args[0].batched and bool(size) and (size[0] is BATCH or _keeps_rows(op, size))
    if name == "native_layer_norm":
        return op.args[0].batched and len(op.args[1]) < len(op.args[0].shape)
    if name == "embedding":
        by_frequency = any(op.args[3:4])  # gradients divided by how often an index occurs
        return not op.args[0].batched and op.args[1].batched and not by_frequency
    return name in _BY_ELEMENT or (torch.Tag.pointwise in op.target.tags and _broadcasts_by_row(op))


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


def _along_features(op: Op, position: int, name: str, default: Any) -> bool:
    """An operation along axes keeps to the row if none of the axes is the batch."""
    axes = op.args[position] if len(op.args) > position else op.kwargs.get(name, default)
    if isinstance(axes, int):
        axes = [axes]
    if not axes or not all(value.batched for value in op.inputs):
        return False  # no axes: over everything
    grows = op.target._opname in ("unsqueeze", "stack")
    rank = len(op.inputs[0].shape) + grows
    return all(axis % rank != 0 for axis in axes)
