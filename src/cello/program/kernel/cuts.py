"""Where values have to be cut, found from `chunk`, `split`, `cat` and slices.

A cut through a value cuts whatever it is made of, feature by feature, and what is made of it. So
the gates of a packed product become vectors of their own, and nothing is ever moved.
"""

from __future__ import annotations

from cello.program.graph import Op, Program, Value
from cello.program.kernel.shapes import closing, features, keeps_last, last, parts_of, reduces
from cello.program.operations import facts

__all__ = ["cuts_of"]

Cuts = dict[Value, set[int]]


def cuts_of(program: Program) -> dict[Value, list[tuple[int, int]]]:
    """The pieces (start, length) of the last axis of every value that has rows."""
    values = [program.x, *program.state.values()]
    values += [value for op in program.ops for value in op.outputs]
    cuts: Cuts = {value: set() for value in values if value.batched}
    apart = closing(program)
    ops = [op for op in program.ops if op not in apart and all(v.batched for v in op.outputs)]
    before = -1
    while before != (now := sum(map(len, cuts.values()))):
        before = now
        for op in [*reversed(ops), *ops]:
            _spread(op, cuts)
    return {value: _pieces(last(value), found) for value, found in cuts.items()}


def _pieces(size: int, cuts: set[int]) -> list[tuple[int, int]]:
    ends = [*sorted(cuts), size]
    starts = [0, *ends[:-1]]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _spread(op: Op, cuts: Cuts) -> None:
    """Make the cuts of what goes in and what comes out agree."""
    kind = facts(op).kind
    inputs = [value for value in op.inputs if value.batched]
    if kind == "product" or (reduces(op) and not keeps_last(op)):
        added, out = op.args[0], op.outputs[0]
        if len(facts(op).rows) > 1 and added.batched and last(added) == last(out):
            _link(cuts, added, out, 0)
        return
    if (parts := parts_of(op)) is not None:
        for part in parts:
            _link(cuts, part.whole, part.value, part.start)
        return
    if kind == "reshape":
        _reshape(cuts, inputs[0], op.outputs[0])
        return
    for out in op.outputs:
        for value in inputs:
            if last(value) == last(out):
                _link(cuts, value, out, 0)


def _link(cuts: Cuts, whole: Value, part: Value, start: int) -> None:
    """`part` is the piece of `whole` that begins at `start`."""
    end = start + last(part)
    ends = {start, end} - {0, last(whole)}
    cuts[whole] |= ends | {start + cut for cut in cuts[part]}
    cuts[part] |= {cut - start for cut in cuts[whole] if start < cut < end}


def _reshape(cuts: Cuts, source: Value, made: Value) -> None:
    """The same features in other rows: the shorter rows are pieces of the longer ones.

    Rows of one number are not cut at: that would cut all that meets them into single numbers.
    """
    longer, shorter = sorted((source, made), key=last, reverse=True)
    size = last(shorter)
    if size < 2 or last(longer) % size or features(source) == features(made):
        if last(source) == last(made):
            _link(cuts, source, made, 0)
        return
    for start in range(0, last(longer), size):
        _link(cuts, longer, shorter, start)
