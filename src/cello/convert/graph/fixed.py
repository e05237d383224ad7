"""Which of the sizes that a file fixes a graph has built in, and which are free all the same.

A file that was written for T = 6 says so of its inputs, and may be right for every T: a layer is.
Or it reads step 5 for the last, divides a sum by 6, or has 6 in a shape: then it may run with
another T, and what comes out is nonsense. So a size is free only if all that it reaches is known
to have none built in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.graph.net_graph import NetGraph
from cello.engines import engine
from cello.layers import Bidirectional, Recurrent
from cello.layers.mode import evaluating

__all__ = ["open_sizes"]

#: How much larger a size is than that of the file, to see what it reaches.
_MORE = 3
#: Of each number by itself, or of all along an axis, however many they are.
_ANY = frozenset(
    "Abs Add And AveragePool BatchNormalization Cast Ceil Celu Clip Concat Conv Cos CumSum Div "
    "Elu Equal Erf Exp Floor Gelu Gemm GlobalAveragePool GlobalMaxPool Greater HardSigmoid "
    "HardSwish Identity LayerNormalization LeakyRelu Less Log LogSoftmax MatMul Max MaxPool Mean "
    "Min Mish Mul Neg Not Or PRelu Pad Pow Reciprocal ReduceMax ReduceMean ReduceMin Relu Round "
    "Selu Shape Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Squeeze Sub Sum Tan Tanh "
    "ThresholdedRelu Transpose Unsqueeze Where Xor add any_differs average choose concatenate "
    "crop differs dot flip item keep max maximum mean minimum multiply pad permute repeat rescale "
    "stack state subtract upsample".split()
)
#: The end of an axis, whichever it is.
_ENDLESS = 2**31 - 1


def open_sizes(
    net: NetGraph, given: Sequence[Tensor], shapes: Sequence[Sequence[int | None]]
) -> list[list[int | None]]:
    """The shapes of inputs, with None for sizes that are free.

    Args:
        net: the graph.
        given: inputs of the sizes that the file has.
        shapes: of each input, the sizes that its file fixes.
    """
    found = [list(shape) for shape in shapes]
    axes = [(n, axis) for n, shape in enumerate(shapes) for axis, s in enumerate(shape) if s]
    with torch.no_grad(), evaluating(net), engine("reference"):
        for group in _groups(axes, shapes):
            if any(found[n][axis] for n, axis in group) and _is_free(net, given, group):
                for n, axis in group:
                    found[n][axis] = None
    return found


def _groups(
    axes: Sequence[tuple[int, int]], shapes: Sequence[Sequence[int | None]]
) -> Iterator[list[tuple[int, int]]]:
    """Sizes that may be one: each by itself, or of several inputs those that are the same."""
    for place in axes:
        yield [place]
    for key in (lambda n, axis: (axis, shapes[n][axis]), lambda n, axis: shapes[n][axis]):
        sorted_by: dict[Any, list[tuple[int, int]]] = {}
        for n, axis in axes:
            sorted_by.setdefault(key(n, axis), []).append((n, axis))
        for group in sorted_by.values():
            if 1 < len(group) == len({n for n, _ in group}):
                yield group


def _is_free(net: NetGraph, given: Sequence[Tensor], group: Sequence[tuple[int, int]]) -> bool:
    """Whether nothing that these axes reach has their size built in."""
    wider = list(given)
    size = given[group[0][0]].shape[group[0][1]]
    for n, axis in group:
        x = wider[n]
        wider[n] = torch.cat([x, *[x.narrow(axis, 0, 1)] * _MORE], axis)
    values: tuple[list[Any], list[Any]] = ([], [])
    try:
        for inputs, made in zip((given, wider), values, strict=True):
            net.run(inputs, None, made)
    except Exception:  # whatever PyTorch says of a shape
        return False
    pairs = list(zip(*values, strict=True))
    modules = list(net.parts.values())
    moves = net.moving()
    for place, (what, read, options) in enumerate(net.wiring, net.inputs):
        known = [n is not None and n not in moves for n in read]
        there = [(None, None) if n is None else pairs[n] for n in read]
        if _stays(modules[what] if isinstance(what, int) else what, there, pairs[place], size):
            return False
        if not any(map(_grown, there)):
            continue
        if isinstance(what, int):
            lengths = len(read) - 1 - options.get("states", 0)
            if options.get("lengths") and known[lengths]:
                return False
            free = isinstance(modules[what], nn.Module)
        else:
            free = what in _ANY or (
                what in _RULES and _RULES[what](there, known, options, pairs[place])
            )
        if not free:
            return False
    return True


Pair = tuple[Any, Any]


def _grown(pair: Pair) -> Counter[tuple[int, int]]:
    """The sizes of a value that are not the same any more, before and after."""
    one, two = pair
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        sizes = zip(one.shape, two.shape, strict=False)
    elif isinstance(one, list) and isinstance(two, list):
        sizes = zip(one, two, strict=False)
    else:
        sizes = (
            zip((), (), strict=True) if type(one) is not int else zip((one,), (two,), strict=True)
        )
    return Counter((a, b) for a, b in sizes if a != b)


def _stays(what: Any, read: Sequence[Pair], made: Pair, size: int) -> bool:
    """Whether as many steps as the file has are made or read where nothing has grown."""
    if isinstance(what, (Recurrent, Bidirectional)):
        one, two = (part.shape for part in read[0])
        return one == two and one[1 if what.batch_first else 0] == size
    if what not in ("Expand", "Tile", "repeat"):
        return False
    one, two = (list(part.shape) for part in made)
    return one == two and one.count(size) > list(read[0][0].shape).count(size)


def _keeps(
    read: Sequence[Pair], _known: Sequence[bool], _options: dict[str, Any], made: Pair
) -> bool:
    """Each size that has grown is still there: no axis is cut, split or made one with another."""
    parts = list(zip(*made, strict=True)) if isinstance(made[0], tuple) else [made]
    return all(_grown(part) == _grown(read[0]) for part in parts)


def _only_grows(
    read: Sequence[Pair], _known: Sequence[bool], _options: dict[str, Any], made: Pair
) -> bool:
    """Each size that has grown is still there, and others may have."""
    return not _grown(read[0]) - _grown(made)


def _numbers(value: Any) -> list[int]:
    return [int(n) for n in torch.as_tensor(value).flatten()] if value is not None else []


def _picks(axis: int, index: Any, pair: Pair) -> bool:
    """Of an axis that has grown, the first or what is counted from its end."""
    one, two = (part.shape[axis] for part in pair)
    return one == two or all(n < 0 or (n == 0 and one > 1) for n in _numbers(index))


def _gather(
    read: Sequence[Pair], known: Sequence[bool], options: dict[str, Any], _made: Pair
) -> bool:
    if not isinstance(read[0][0], Tensor) or not known[1]:  # one of the sizes, or a table's rows
        return not isinstance(read[0][0], Tensor) or known[0]
    return _picks(options.get("axis", 0), read[1][0], read[0])


def _slice(
    read: Sequence[Pair], known: Sequence[bool], _options: dict[str, Any], _made: Pair
) -> bool:
    if not isinstance(read[0][0], Tensor):
        return True
    if not all(known[1:]):
        return False
    starts, ends = (_numbers(read[place][0]) for place in (1, 2))
    axes = _numbers(read[3][0]) if len(read) > 3 and known[3] else list(range(len(starts)))
    for start, end, axis in zip(starts, ends, axes, strict=False):
        one, two = (part.shape[axis] for part in read[0])
        whole = start <= 0 and (end < 0 or end >= _ENDLESS)
        if one != two and not whole:
            return False
    return True


def _sum(
    read: Sequence[Pair], known: Sequence[bool], _options: dict[str, Any], _made: Pair
) -> bool:
    """What is summed up may be divided by how many there were."""
    one, two = read[0]
    axes = _numbers(read[1][0]) if len(read) > 1 else []
    return bool(axes) and all(known[1:]) and all(one.shape[a] == two.shape[a] for a in axes)


#: What else there is, and where it is free: of what is read and made, before and after.
_RULES: dict[str, Callable[..., bool]] = {
    "Expand": _only_grows,
    "ConstantOfShape": lambda *_: True,
    "Flatten": _keeps,
    "Gather": _gather,
    "Range": lambda *_: True,
    "ReduceSum": _sum,
    "Reshape": _keeps,
    "reshape": _keeps,
    "select": lambda read, _known, options, _made: _picks(
        options["axis"], options["index"], read[0]
    ),
    "Slice": _slice,
    "Split": _keeps,
    "Tile": _only_grows,
    "unflatten": _keeps,
}
