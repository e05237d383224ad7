"""Recurrent operators with the batch first, written anew with time first, for ONNX Runtime."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

__all__ = ["time_first"]

#: The inputs and outputs that `layout=1` turns, and how.
_INPUTS = {0: (1, 0, 2), 5: (1, 0, 2), 6: (1, 0, 2)}
_OUTPUTS = ((2, 0, 1, 3), (1, 0, 2), (1, 0, 2))


def time_first(model: Any, file: Path) -> Any:
    """The same model, if no recurrent operator has `layout=1`; else one where none has.

    ONNX Runtime refuses `layout=1`. The operator then stands between transposes; a warning says so.
    """
    from onnx import ModelProto, helper

    if not any(_is_turned(node) for node in model.graph.node):
        return model
    warnings.warn(
        f"ONNX Runtime has no layout=1: for the proof, the recurrent operators of {file.name} "
        "stand between transposes, time first",
        stacklevel=7,
    )
    made = ModelProto()
    made.CopyFrom(model)
    nodes = []
    for node in model.graph.node:
        if not _is_turned(node):
            nodes.append(node)
            continue
        inputs, outputs = list(node.input), list(node.output)
        after = []
        for place, perm in _INPUTS.items():
            if place < len(inputs) and inputs[place]:
                name = f"{inputs[place]}/time first/{place}/{len(nodes)}"
                nodes.append(helper.make_node("Transpose", [inputs[place]], [name], perm=perm))
                inputs[place] = name
        for place, back in enumerate(_OUTPUTS[: len(outputs)]):
            if outputs[place]:
                name = f"{outputs[place]}/time first"
                after.append(helper.make_node("Transpose", [name], [outputs[place]], perm=back))
                outputs[place] = name
        attributes = {
            a.name: helper.get_attribute_value(a) for a in node.attribute if a.name != "layout"
        }
        nodes += [helper.make_node(node.op_type, inputs, outputs, **attributes), *after]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _is_turned(node: Any) -> bool:
    return node.op_type in ("RNN", "LSTM", "GRU") and any(
        attribute.name == "layout" and attribute.i for attribute in node.attribute
    )
