"""A node of an ONNX graph, as operator sets from 18 on write it."""

from __future__ import annotations

from typing import Any, NamedTuple

from cello.convert.onnx_read.file import tensor_of
from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["FileNode", "node_of"]

#: Attributes of older operator sets that are inputs now, in their order from the second one on.
_NOW_INPUTS = {
    "Clip": ("min", "max"), "Pad": ("pads", "value"), "Slice": ("starts", "ends", "axes"),
    "Split": ("split",), "Squeeze": ("axes",), "Unsqueeze": ("axes",),
    **{f"Reduce{kind}": ("axes",) for kind in
       ("Mean", "Prod", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp")},
}  # fmt: skip
_MOST_INPUTS = 10_000


class FileNode(NamedTuple):
    """A node.

    Attributes:
        op: the operator.
        name: what the file calls it, else its output.
        attributes: numbers, texts, lists, tensors; graphs as ONNX has them.
        inputs: the names of values, "" for what is left out.
        outputs: likewise.
        moved: attributes that are inputs now, by their place among the inputs.
        opset: the operator set.
    """

    op: str
    name: str
    attributes: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    moved: dict[int, Any]
    opset: int


def node_of(proto: Any, opset: int) -> FileNode:
    """Read a node.

    Raises:
        ModelError: an attribute is of a kind that no operator here has, or stands there twice.
    """
    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.name in attributes:
            raise ModelError(f"the attribute {shown(attribute.name)} stands there twice")
        attributes[attribute.name] = _value(attribute)
    if len(proto.input) > _MOST_INPUTS or len(proto.output) > _MOST_INPUTS:
        raise ModelError(f"it has more than {_MOST_INPUTS:,} inputs or outputs")
    moved = {
        place: attributes.pop(name)
        for place, name in enumerate(_NOW_INPUTS.get(proto.op_type, ()), 1)
        if name in attributes
    }
    outputs = list(proto.output)
    while outputs and not outputs[-1]:
        outputs.pop()
    name = proto.name or next(filter(None, outputs), proto.op_type)
    return FileNode(proto.op_type, name, attributes, list(proto.input), outputs, moved, opset)


def _value(attribute: Any) -> Any:
    from onnx import AttributeProto

    kind = attribute.type
    if kind == AttributeProto.FLOAT:
        return float(attribute.f)
    if kind == AttributeProto.INT:
        return int(attribute.i)
    if kind == AttributeProto.STRING:
        return attribute.s.decode()
    if kind == AttributeProto.TENSOR:
        return tensor_of(attribute.t)
    if kind == AttributeProto.FLOATS:
        return [float(n) for n in attribute.floats]
    if kind == AttributeProto.INTS:
        return [int(n) for n in attribute.ints]
    if kind == AttributeProto.STRINGS:
        return [text.decode() for text in attribute.strings]
    if kind == AttributeProto.GRAPH:
        return attribute.g
    raise ModelError(f"the attribute {shown(attribute.name)} is of a kind that is not known")
