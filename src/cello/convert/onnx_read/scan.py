"""ONNX's Scan as a layer whose cell is the body of the loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from cello.cells.cell import is_name
from cello.convert.onnx_read.building import Seen, Wired, known
from cello.convert.onnx_read.node import FileNode
from cello.convert.onnx_read.onnx_cells import BodyCell
from cello.errors import ModelError
from cello.layers import Recurrent
from cello.ranges import shown

__all__ = ["scan"]

#: Reads a graph into a builder, given the values of its inputs; gives those of its outputs.
ReadsBody = Callable[[Wired, Any, dict[str, Seen]], list[Seen]]


def scan(b: Wired, node: FileNode, inputs: Sequence[Seen | None], read: ReadsBody) -> list[Seen]:
    """The outputs of a Scan: the last states, then what it gives at each step.

    Raises:
        ModelError: its states do not stay what they are, or it loops over what it cannot.
    """
    body = node.attributes.get("body")
    count = node.attributes.get("num_scan_inputs")
    if body is None or not hasattr(body, "node") or not isinstance(count, int) or count < 1:
        raise ModelError("it needs a body and num_scan_inputs")
    old = node.opset < 9
    if old:
        if inputs and inputs[0] is not None:
            raise ModelError("lengths of its sequences, which it had in operator set 8")
        inputs = inputs[1:]
    values = [_there(value) for value in inputs]
    states, scanned = values[:-count], values[-count:]
    outs = len(body.output) - len(states)
    if len(body.input) != len(values) or outs < 0:
        raise ModelError("its body has not the inputs and outputs that it should have")
    told = node.attributes
    ins = _each(told.get("directions" if old else "scan_input_directions"), count)
    back = _each(told.get("scan_output_directions"), outs)
    axes = [1] * count if old else _each(told.get("scan_input_axes"), count)
    out_axes = [1] * outs if old else _each(told.get("scan_output_axes"), outs)

    # Time first; with operator set 8 the batch is second then.
    moved = [_to_front(b, value, axis) for value, axis in zip(scanned, axes, strict=True)]
    reverse = all(ins) and all(back)
    if not reverse:
        moved = [
            _flipped(b, value) if flip and not _Layer._is_same(value) else value
            for value, flip in zip(moved, ins, strict=True)
        ]
    rows = not old and _has_rows(states, moved)

    layer = _Layer(b, states, moved, batched=rows or old)
    cell, outputs = layer.cell(body, read, rows=rows)
    made = b.put(
        Recurrent(cell, reverse=reverse),
        [*layer.read, *layer.begin],
        node.name,
        **({"states": len(layer.begin)} if layer.begin else {}),
    )
    found = []
    for place, name in enumerate(cell.states):
        end = b.value(b.state(made, place))
        found.append(layer.shaped(end, cell.states[name], time=False))
    start = 0
    for shape, flip, axis in zip(outputs, back, out_axes, strict=True):
        width = _width(shape)
        part = b.value(made)
        if len(outputs) > 1:
            part = b.operator("Slice", [part, *_numbers([start], [start + width], [2])])
        start += width
        part = layer.shaped(part, shape, time=True)
        part = _flipped(b, part) if flip and not reverse else part
        found.append(_from_front(b, part, axis))
    return found


def _there(value: Seen | None) -> Seen:
    if value is None:
        raise ModelError("an input is left out")
    return value


def _numbers(*lists: list[int]) -> list[Seen]:
    return [known(torch.tensor(numbers, dtype=torch.int64)) for numbers in lists]


def _each(told: Any, count: int) -> list[int]:
    told = [0] * count if told is None else told
    if not isinstance(told, list) or len(told) != count:
        raise ModelError(f"axes and directions must be {count} numbers, got {shown(told)}")
    return told


def _width(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _to_front(b: Wired, value: Seen, axis: int) -> Seen:
    rank = len(value.shape)
    if _Layer._is_same(value):
        return value
    if not -rank <= axis < rank:
        raise ModelError(f"it loops over axis {axis} of {list(value.shape)}")
    axis %= rank
    if axis == 0:
        return value
    order = [axis, *(n for n in range(rank) if n != axis)]
    return b.operator("Transpose", [value], perm=order)


def _from_front(b: Wired, value: Seen, axis: int) -> Seen:
    rank = len(value.shape)
    axis %= rank
    if axis == 0:
        return value
    order = list(range(1, rank))
    order.insert(axis, 0)
    return b.operator("Transpose", [value], perm=order)


def _flipped(b: Wired, value: Seen) -> Seen:
    return b.operator("Slice", [value, *_numbers([-1], [-(2**63)], [0], [-1])])


def _has_rows(states: Sequence[Seen], scanned: Sequence[Seen]) -> bool:
    """Whether what a step reads has rows: the same first axis, and more axes behind."""
    shapes = [[list(s.shape) for s in map(torch.as_tensor, value.samples)] for value in states]
    shapes += [[list(torch.as_tensor(s).shape)[1:] for s in value.samples] for value in scanned
               if not _Layer._is_same(value)]  # fmt: skip
    if any(len(shape) < 2 for pair in shapes for shape in pair):
        return False
    return all(len({pair[n][0] for pair in shapes}) == 1 for n in range(2))


class _Layer:
    """The inputs and states of a loop as rows [B, width], and its outputs as they were.

    Args:
        b: the graph around it.
        states: as they begin.
        scanned: what is looped over, time first.
        batched: whether they have an axis of rows, before the state, and behind time.
    """

    def __init__(self, b: Wired, states: list[Seen], scanned: list[Seen], *, batched: bool) -> None:
        self.b, self.states, self.scanned, self.batched = b, states, scanned, batched
        lead = 1 if batched else 0
        self.state_shapes = [list(value.shape[lead:]) for value in states]
        self.runtime = [value for value in scanned if not self._is_same(value)]
        if not self.runtime:
            raise ModelError("what it loops over is known: there is nothing to read")
        self.input_shapes = [list(value.shape[1 + lead :]) for value in self.runtime]
        for value in states:
            if not value.tensor.is_floating_point():
                raise ModelError("a state of whole numbers")
        self.read = [self._rows(value, time=True) for value in self.runtime]
        zero = all(value.fixed and value.is_all(0) for value in states)
        self.begin = [] if zero else [self._rows(value, time=False) for value in states]

    @staticmethod
    def _is_same(value: Seen) -> bool:
        """Whether it is one number, repeated: each step reads that."""
        return value.is_known and value.shape[:1] in ((), (1,)) and value.tensor.numel() == 1

    def _rows(self, value: Seen, *, time: bool) -> int:
        """[T, B, width] or [B, width] of what may have more axes, or none for the rows."""
        if not value.tensor.is_floating_point():
            value = self.b.operator("Cast", [value], to=self._real())
        lead = int(time)
        if not self.batched:
            value = self.b.operator("Unsqueeze", [value, *_numbers([lead])])
        if len(value.shape) != lead + 2:
            target = _numbers([0] * (lead + 1) + [_width(value.shape[lead + 1 :])])
            value = self.b.operator("Reshape", [value, *target])
        return self.b.number(value)

    def _real(self) -> str:
        kinds = [v.tensor.dtype for v in (*self.states, *self.scanned)
                 if v.tensor.is_floating_point()]  # fmt: skip
        return str(kinds[0] if kinds else torch.float32).removeprefix("torch.")

    def cell(self, body: Any, read: ReadsBody, *, rows: bool) -> tuple[BodyCell, list[list[int]]]:
        """The body as a cell, and the shapes of what it gives at each step."""
        names = [info.name for info in body.input]
        samples: dict[str, tuple[Any, ...]] = {}
        given: dict[str, Seen] = {}
        for name, value in zip(names, [*self.states, *self.scanned], strict=True):
            if self._is_same(value):
                given[name] = known(value.tensor.reshape([1] * (len(value.shape) - 1)))
                continue
            is_state = value in self.states
            cut = [torch.as_tensor(s) if is_state else s[0] for s in value.samples]
            if self.batched and not rows:
                cut = [sample[0] for sample in cut]
            samples[name] = tuple(cut)
        inner = Wired(samples)
        inner.size = self.b.size
        made = read(inner, body, {**inner.given, **given})
        count = len(self.states)
        for state, after in zip(self.states, made, strict=False):
            lead = 1 if self.batched and not rows else 0
            if after.shape != state.shape[lead:] or after.tensor.dtype != state.tensor.dtype:
                raise ModelError(f"a state {list(state.shape)} becomes {list(after.shape)}")
        lead = 1 if rows else 0
        outputs = [list(value.shape[lead:]) for value in made[count:]]
        if rows and any(value.shape[:1] != self.runtime[0].shape[1:2] for value in made[count:]):
            raise ModelError("what its body gives has no rows")
        states = dict(zip(_names(names[:count]), self.state_shapes, strict=True))
        inputs = [
            [shape, str(value.tensor.dtype).removeprefix("torch.")]
            for shape, value in zip(self.input_shapes, self.runtime, strict=True)
        ]
        if any(size == 0 for shape in (*outputs, *self.state_shapes) for size in shape):
            raise ModelError("a tensor in its body is empty")
        net = inner.net_of([replace(value) for value in made], stack=False)
        called = _values(inner, [*states, *names[:count]]) if rows else {}
        return BodyCell(net, states, inputs, outputs, rows, called), outputs

    def shaped(self, value: Seen, shape: Sequence[int], *, time: bool) -> Seen:
        """Rows [T, B, width] or [B, width] as the loop has them."""
        lead = int(time)
        if self.batched and len(shape) == 1:
            return value
        if not self.batched:
            value = self.b.operator("Squeeze", [value, *_numbers([lead])])
            if len(shape) == 1:
                return value
            return self.b.operator("Reshape", [value, *_numbers([0] * lead + [*shape])])
        return self.b.operator("Reshape", [value, *_numbers([0] * (lead + 1) + [*shape])])


def _values(inner: Wired, taken: Sequence[str]) -> dict[str, int]:
    """What nodes of the body give, by their names in the file where a variable may be called so."""
    found: dict[str, int] = {}
    for name, number in inner.called.items():
        name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:40]
        if is_name(name) and name not in (*taken, *found) and number in inner.places:
            found[name] = inner.places[number]
    return found


def _names(names: Sequence[str]) -> list[str]:
    """What the states are called: as in the file, where a variable may be called so."""
    found: list[str] = []
    for place, name in enumerate(names):
        name = re.sub(r"\W", "_", name).strip("_0123456789").removesuffix("_prev")
        if not is_name(name) or name in found or not name.isascii() or len(name) > 40:
            name = f"s{place}"
        found.append(name)
    return found
