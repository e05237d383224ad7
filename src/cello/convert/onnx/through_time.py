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

__all__ = ["Time", "one_step", "through_time"]

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
        return operator.kind, _operator(put, step, operator, x, state, time, reverse)
    return "Scan", _scan(put, step, x, state, time, reverse)


def _loads(step: Step, state: Sequence[str]) -> dict[tuple[str, str], str]:
    names = [("prev", name) for name in step.next_state]
    return dict(zip(names, state, strict=True))


def _operator(
    put: NodeWriter,
    step: Step,
    found: Operator,
    x: str,
    state: Sequence[str],
    time: Time,
    back: bool,
) -> Made:
    given = dict(zip(step.next_state, state, strict=True))
    first = put.integers(0)
    starts = [put("Unsqueeze", given[name], first) for name in found.states]
    weights = [put.constant(part, found.kind) for part in (found.W, found.R, found.B)]
    peepholes = [] if found.P is None else [put.constant(found.P, "peepholes")]
    ends = [f"Y_{name}" for name in found.states]
    Y, *final = put.several(
        found.kind, x, *weights, time.lengths, *starts, *peepholes,
        names=["Y", *ends], hidden_size=found.hidden_size,
        direction="reverse" if back else "forward", **found.attributes,
    )  # fmt: skip
    after = {}
    for name, end in zip(found.states, final, strict=True):
        last = put("Squeeze", end, first)  # ONNX Runtime makes it 0 of a sequence without a step
        after[name] = put("Where", time.none, given[name], last)
    return put("Squeeze", Y, put.integers(1)), [after[name] for name in step.next_state]


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
