"""Tensors of one number: such a state of zeros [layers, B, H] as `nn.LSTM` makes of none."""

from __future__ import annotations

from cello.program.graph import BATCH, Op, Value
from cello.program.movement import MOVES
from cello.program.operations import facts

__all__ = ["fill_anew"]

_FILLING = frozenset({"zeros", "ones", "full"})


def fill_anew(ops: list[Op]) -> None:
    """Make each part of a filled tensor whose rows do not stand first a filled tensor of its own.

    A part of it, or the same in another shape, holds the same number.
    """
    filled: dict[Value, Op] = {}
    for op in ops:
        if len(op.outputs) != 1:
            continue
        name, made = op.target._opname, op.outputs[0]
        if name in _FILLING and BATCH in made.shape[1:]:
            filled[made] = op
        elif name in MOVES and facts(op).kind not in ("move", "join"):
            source = filled.get(op.args[0])
            if source is not None and source.outputs[0].dtype == made.dtype:
                op.target, op.kwargs, op.is_tuple = source.target, source.kwargs, False
                op.args = (list(made.shape), *source.args[1:])
                made.name = op.target._opname
                filled[made] = op
