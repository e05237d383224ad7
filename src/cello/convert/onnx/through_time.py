"""A step through time: an operator of ONNX's, or Scan with the step as its body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper

from cello.convert.onnx.operators import Operator, operator_of
from cello.convert.onnx.step import StepLines
from cello.convert.onnx.writer import NodeWriter
from cello.convert.recurrence import Step

__all__ = ["Time", "both_ways", "one_step", "through_time"]

Made = tuple[str, list[str]]  # the output and the state after it, as rows


class Time(NamedTuple):
    """What sequences have in common.

    Attributes:
        mask: [T, B, 1], which steps there are; B may be 1.
        lengths: int32 [B].
        none: bool [B, 1], which sequences have no step.
    """

    mask: str
    lengths: str
    none: str

    @classmethod
    def of(cls, put: NodeWriter, x: str, lengths: str) -> Time:
        """Of inputs [T, B, ...] and lengths int64 [B], or [1] for all."""
        T = put("Shape", x, start=0, end=1, name="T")
        B = put("Shape", x, start=1, end=2, name="B")
        ends = (put.constant(np.array(number, np.int64)) for number in (0, 1))
        first, by = ends
        order = put("Range", first, put("Squeeze", T), by)
        here = put("Less", put("Unsqueeze", order, put.integers(1)), lengths)
        mask = put("Unsqueeze", here, put.integers(2), name="mask")
        each = put("Expand", put("Min", lengths, T), B)
        lens = put("Cast", each, to=TensorProto.INT32, name="sequence_lens")
        none = put("Unsqueeze", put("Equal", each, first), put.integers(1))
        return cls(mask, lens, none)


def one_step(put: NodeWriter, step: Step, x: str, state: Sequence[str]) -> Made:
    """The step once: x [B, I] and each state [B, width]."""
    lines = StepLines(step, put, {("x", ""): x, **_loads(step, state)})
    y = lines.rows(step.output)
    return y, [lines.rows(nodes) for nodes in step.next_state.values()]


def through_time(
    put: NodeWriter, step: Step, x: str, state: Sequence[str], time: Time, *, reverse: bool
) -> tuple[str, Made]:
    """The step over x [T, B, I]; first of all which operator it is."""
    operator = operator_of(step)
    if operator is not None:
        direction = "reverse" if reverse else "forward"
        Y, (after,) = _operators(put, [operator], [step], x, [state], time, direction)
        return operator.kind, (put("Squeeze", Y, put.integers(1)), after)
    return "Scan", _scan(put, step, x, state, time, reverse)


def both_ways(
    put: NodeWriter, steps: Sequence[Step], x: str, states: Sequence[Sequence[str]], time: Time
) -> tuple[str, str, list[list[str]]] | None:
    """One operator for a step forward and another backward.

    Returns:
        Which operator, its outputs [T, 2, B, H], and the states after each step's last; None if
        the two steps are not one operator with one size and the same attributes.
    """
    found = [operator_of(step) for step in steps]
    one, two = found
    if one is None or two is None or one.kind != two.kind or one.attributes != two.attributes:
        return None
    if one.hidden_size != two.hidden_size or (one.P is None) != (two.P is None):
        return None
    made = _operators(put, [one, two], steps, x, states, time, "bidirectional")
    return one.kind, *made


def _loads(step: Step, state: Sequence[str]) -> dict[tuple[str, str], str]:
    names = [("prev", name) for name in step.next_state]
    return dict(zip(names, state, strict=True))


def _operators(
    put: NodeWriter,
    found: Sequence[Operator],
    steps: Sequence[Step],
    x: str,
    states: Sequence[Sequence[str]],
    time: Time,
    direction: str,
) -> tuple[str, list[list[str]]]:
    """A node for one operator or two: its outputs [T, ways, B, H], and the states after each."""
    given = [
        dict(zip(s.next_state, some, strict=True)) for s, some in zip(steps, states, strict=True)
    ]
    first, one = put.integers(0), found[0]

    def together(parts: Sequence[str]) -> str:
        some = [put("Unsqueeze", part, first) for part in parts]
        return some[0] if len(some) == 1 else put("Concat", *some, axis=0)

    def constant(part: str, wish: str) -> str:
        return put.constant(np.concatenate([getattr(each, part) for each in found]), wish)

    starts = [
        together([some[each.states[number]] for some, each in zip(given, found, strict=True)])
        for number in range(len(one.states))
    ]
    weights = [constant(part, one.kind) for part in ("W", "R", "B")]
    peepholes = [] if one.P is None else [constant("P", "peepholes")]
    ends = [f"Y_{name}" for name in one.states]
    attributes = {
        name: value * len(found) if name == "activations" else value
        for name, value in one.attributes.items()
    }
    Y, *final = put.several(
        one.kind, x, *weights, time.lengths, *starts, *peepholes,
        names=["Y", *ends], hidden_size=one.hidden_size, direction=direction, **attributes,
    )  # fmt: skip
    after: list[dict[str, str]] = [{} for _ in found]
    for number, end in enumerate(final):
        lasts = [end]
        if len(found) > 1:
            lasts = put.several("Split", end, names=[end] * len(found), axis=0, num_outputs=2)
        for each, last, some, made in zip(found, lasts, given, after, strict=True):
            name = each.states[number]  # ONNX Runtime makes it 0 of a sequence without a step
            made[name] = put("Where", time.none, some[name], put("Squeeze", last, first))
    return Y, [
        [made[name] for name in step.next_state] for made, step in zip(after, steps, strict=True)
    ]


def _scan(
    put: NodeWriter, step: Step, x: str, state: Sequence[str], time: Time, back: bool
) -> Made:
    ahead = step.ahead()
    before = StepLines(step, put, {("x", ""): x})
    rows = [before.rows([node]) for node in ahead]

    body = NodeWriter(put)
    kind = helper.np_dtype_to_tensor_dtype(before.dtype)
    given = {name: body.name(f"{name}_prev") for name in step.next_state}
    mask = body.name("is_step")
    names = [body.name(node.name or "row") for node in ahead]
    lines = StepLines(
        step, body, _loads(step, list(given.values())), dict(zip(ahead, names, strict=True))
    )
    made = []
    for name, nodes in step.next_state.items():
        made.append(body("Where", mask, lines.rows(nodes), given[name], name=name))
    zero = body.constant(np.array([0], before.dtype))
    made.append(body("Where", mask, lines.rows(step.output), zero, name="output"))

    def info(name: str, width: int | None, dtype: int = kind) -> Any:
        return helper.make_tensor_value_info(name, dtype, [None, width])

    widths = [sum(node.length for node in nodes) for nodes in step.next_state.values()]
    inputs = [info(name, width) for name, width in zip(given.values(), widths, strict=True)]
    inputs.append(info(mask, 1, TensorProto.BOOL))
    inputs += [info(name, node.length) for name, node in zip(names, ahead, strict=True)]
    widths.append(sum(node.length for node in step.output))
    outputs = [info(name, width) for name, width in zip(made, widths, strict=True)]
    graph = body.graph(f"{type(step.cell).__name__}.step", inputs, outputs)
    *final, y = put.several(
        "Scan", *state, time.mask, *rows,
        names=[*(f"{name}_last" for name in given), "outputs"], body=graph,
        num_scan_inputs=1 + len(rows), scan_input_directions=[int(back)] * (1 + len(rows)),
        scan_output_directions=[int(back)],
    )  # fmt: skip
    return y, final
