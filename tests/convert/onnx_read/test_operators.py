"""Every operator that is read computes what ONNX Runtime computes, as do its attributes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

import cello
from cello.convert.onnx_read.operators.computing import OPERATORS
from cello.errors import ModelError
from tests.convert.onnx_read.files import INT64, called, constants, info, run, written

T, B = 4, 3
#: Not operators of ONNX's, but what is made of some of them.
OURS = ("item", "ints", "stack", "unflatten")
OF_X = (
    *("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Round", "Sigmoid", "Sign", "Sin", "Tan"),
    *("Tanh", "Relu", "Softsign", "Softplus", "HardSwish", "Mish", "Identity", "LeakyRelu", "Elu"),
    *("ThresholdedRelu", "HardSigmoid", "Gelu", "Celu", "Softmax", "LogSoftmax", "Transpose"),
    *("Flatten", "GlobalAveragePool", "GlobalMaxPool"),
    *("ReduceMean", "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"),
    *("ReduceSumSquare", "ReduceLogSumExp"),
)


class Node(NamedTuple):
    """An operator, the names of what it reads, its attributes, the number of its outputs."""

    op: str
    reads: str = "x"
    attributes: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    outputs: int = 1


#: Constants that nodes read by these names: whole numbers are int64, others float32.
GIVEN: dict[str, Any] = {
    "zero": 0, "half": 0.5, "two": [2.0], "three": 3, "row": [0.5, -1.0, 2.0], "low": -0.5,
    "high": 0.7, "first": [0], "last": [-1], "both": [0, 2], "minus_two": [-2], "many": [9**9],
    "one_two": [1, 2], "to_end": [-(9**9)], "back": [-1], "flat": [0, -1], "wide": [1, 1, 3],
    "twice": [1, 1, 2], "one": 1, "places": [[0, 2], [-1, 1]], "left": [0, 0, 1, 0, 0, 2],
    "of_last": [1, 2], "off_on": [0.25, 4.0], "sizes": [2, 3], "start": 1, "stop": 8, "delta": 2,
    "diagonal": 1, "matrix": [[1.0, 2], [3, 4], [5, 6]], "vector": [0.5, -0.5], "none": [],
    "scale": [0.5, 2.0, 1.0], "mean": [0.1, 0.2, 0.3], "var": [1.0, 2.0, 0.5], "seven": [7],
    "kernel": [[[1.0, 0.5]] * 3] * 2, "by_group": [[[1.0, 0.5]], [[2.0, 1.0]], [[0.1, 0.3]]],
    "two_steps": [2], "rows_of_3": [-1, 3], "matrix_t": [[1.0, 3, 5], [2, 4, 6]],
    "images": [[[[1.0]]]], "whole": [[7, -7, 3]], "by": [[2, 2, -2]], "nan": [float("nan")],
}  # fmt: skip
GROUPS: dict[str, list[Node]] = {
    "of x alone": [Node(op) for op in OF_X],
    "of numbers above 0": [
        Node(op, "positive") for op in ("Log", "Reciprocal", "Sqrt")
    ],
    "attributes": [
        Node("LeakyRelu", "x", {"alpha": 0.3}), Node("Elu", "x", {"alpha": 0.5}),
        Node("ThresholdedRelu", "x", {"alpha": 0.2}), Node("Celu", "x", {"alpha": 0.5}),
        Node("HardSigmoid", "x", {"alpha": 0.3, "beta": 0.4}), Node("PRelu", "x row"),
        Node("Gelu", "x", {"approximate": "tanh"}), Node("Softmax", "x", {"axis": 0}),
        Node("LogSoftmax", "x", {"axis": 1}), Node("Clip", "x low high"), Node("Clip", "x low"),
        Node("Clip", "x  high"), Node("Transpose", "x", {"perm": [1, 0, 2]}),
        Node("Flatten", "x", {"axis": -1}), Node("Cast", "x", {"to": INT64}),
    ],
    "of several": [
        Node("Add", "x row"), Node("Sub", "row x"), Node("Mul", "x half"), Node("Div", "x two"),
        Node("Div", "whole by"), Node("Mod", "whole by"), Node("Mod", "x two", {"fmod": 1}),
        Node("Pow", "positive row"), Node("Max", "x row half"), Node("Min", "x row half"),
        Node("Sum", "x row x"), Node("Mean", "x row x"), Node("MatMul", "x matrix"),
        Node("Einsum", "x matrix", {"equation": "tbi,io->tbo"}),
    ],
    "truths": [
        *(Node(op, "x half") for op in ("Equal", "Greater", "Less")),
        *(Node(op, "x half") for op in ("GreaterOrEqual", "LessOrEqual")),
        *(Node(op, "above below") for op in ("And", "Or", "Xor")),
        Node("Not", "above"), Node("IsNaN", "x"), Node("IsNaN", "nan"),
        Node("Where", "above x half"), Node("Cast", "x", {"to": 9}),
    ],
    "where numbers stand": [
        Node("Unsqueeze", "x both"), Node("Squeeze", "thin last"), Node("Squeeze", "thin"),
        Node("Reshape", "x flat"), Node("Slice", "x first last last"),
        Node("Slice", "x minus_two many"), Node("Slice", "x last to_end last back"),
        Node("Slice", "x first many last two_steps"), Node("Split", "x of_last", {"axis": 2}, 2),
        Node("Gather", "x places", {"axis": 2}), Node("Gather", "x zero", {"axis": -1}),
        Node("GatherElements", "x_t here", {"axis": 0}),
        Node("Concat", "x x", {"axis": -1}), Node("Expand", "half wide"), Node("Expand", "x wide"),
        Node("Tile", "x twice"), Node("Trilu", "x"), Node("Trilu", "x diagonal", {"upper": 0}),
        Node("ConstantOfShape", "sizes"), Node("Range", "start stop delta"),
        Node("OneHot", "places three off_on"), Node("OneHot", "places three off_on", {"axis": 0}),
        Node("Shape", "x"), Node("Size", "x"),
    ],
    "the ends": [
        Node("Pad", "x left"), Node("Pad", "x left half"),
        *(Node("Pad", "x left", {"mode": mode}) for mode in ("edge", "reflect", "wrap")),
        Node("Pad", "x of_last  last"),
    ],
    "sums": [
        *(Node("CumSum", "x zero", {"exclusive": e, "reverse": r}) for e in (0, 1) for r in (0, 1)),
        Node("ReduceSum", "x last", {"keepdims": 0}), Node("ReduceProd", "x both"),
        Node("ReduceSum", "x none", {"noop_with_empty_axes": 1}),
        Node("ReduceSum", "x none"), Node("ReduceMax", "x last", {"keepdims": 0}),
        Node("ArgMax", "x", {"axis": -1}), Node("ArgMin", "x", {"axis": 2, "keepdims": 0}),
        Node("ArgMax", "ties", {"axis": -1, "select_last_index": 1}),
    ],
    "windows": [
        Node("Conv", "x_t kernel", {"pads": [1, 2]}),
        Node("Conv", "x_t by_group row", {"group": 3, "strides": [2], "dilations": [2]}),
        Node("MaxPool", "x_t", {"kernel_shape": [2], "pads": [1, 1], "strides": [2]}),
        Node("AveragePool", "x_t", {"kernel_shape": [2]}),
        Node("AveragePool", "x_t", {"kernel_shape": [2], "pads": [1, 1], "count_include_pad": 1}),
    ],
    "norms and products": [
        Node("LayerNormalization", "x scale row", {"epsilon": 1e-3}),
        Node("LayerNormalization", "x scale"),
        Node("BatchNormalization", "x_t scale row mean var", {"epsilon": 1e-3}),
        Node("Gemm", "flat_x matrix vector", {"alpha": 0.5, "beta": 2.0}),
        Node("Gemm", "flat_x matrix_t", {"transB": 1}),
        Node("Gemm", "matrix flat_x", {"transA": 1, "transB": 1}),
    ],
    "lengths": [
        Node("ReverseSequence", "x lengths", {"batch_axis": 1, "time_axis": 0}),
        Node("ReverseSequence", "x_b lengths", {"batch_axis": 0, "time_axis": 1}),
    ],
}  # fmt: skip
#: What nodes read that is made of x.
MADE = {
    "positive": [Node("Abs"), Node("Add", "Abs half")], "above": [Node("Greater", "x half")],
    "below": [Node("Less", "x low")], "thin": [Node("ReduceSum", "x last")],
    "x_t": [Node("Transpose", "x", {"perm": [1, 2, 0]})],
    "x_b": [Node("Transpose", "x", {"perm": [1, 0, 2]})],
    "x_4": [Node("Unsqueeze", "x first")],
    "flat_x": [Node("Reshape", "x rows_of_3")], "ties": [Node("Round")],
    "here": [Node("ArgMax", "x_t", {"axis": 0})],
    "lengths": [
        Node("Gather", "x zero", {"axis": 2}),
        Node("ArgMax", "Gather", {"axis": 0, "keepdims": 0}), Node("Add", "ArgMax one"),
    ],
}  # fmt: skip


def file_of(nodes: list[Node], path: Any, opset: int = 20) -> Any:
    """A file whose outputs are those of the nodes, those of other kinds as float32."""
    made: dict[str, Any] = {}

    def make(name: str) -> None:
        for number, node in enumerate(MADE.get(name, ())):
            for read in node.reads.split():
                make(read)
            last = number == len(MADE[name]) - 1
            made.setdefault(
                name if last else node.op,
                helper.make_node(
                    node.op, node.reads.split(), [name if last else node.op], **node.attributes
                ),
            )

    written_nodes, outputs = [], []
    for number, node in enumerate(nodes):
        for read in node.reads.split(" "):
            make(read)
        names = [f"{node.op}_{number}_{part}" for part in range(node.outputs)]
        written_nodes.append(
            helper.make_node(node.op, node.reads.split(" "), names, **node.attributes)
        )
        for name in names:
            written_nodes.append(helper.make_node("Cast", [name], [f"y_{name}"], to=1))
            outputs.append(info(f"y_{name}", None))
    read = {name for node in [*made.values(), *written_nodes] for name in node.input}
    weights = {
        name: np.asarray(value, dtype=None if np.asarray(value).size else np.int64)
        for name, value in GIVEN.items()
        if name in read
    }
    weights = {n: w.astype(np.float32) if w.dtype == np.float64 else w for n, w in weights.items()}
    return written(
        path, [*made.values(), *written_nodes], [info("x", ["T", "B", 3])], outputs,
        constants(**weights), opset,
    )  # fmt: skip


def test_every_operator_is_compared() -> None:
    compared = {node.op for group in GROUPS.values() for node in group}
    assert compared == set(OPERATORS) - set(OURS)


@pytest.mark.parametrize("group", GROUPS)
def test_they_compute_what_onnx_runtime_does(group: str, tmp_path: Any) -> None:
    file = file_of(GROUPS[group], tmp_path / "net.onnx")
    net, x = cello.from_onnx(file), torch.randn(T, B, 3)
    for ours, theirs in zip(called(net, x), run(file, x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5, equal_nan=True)


REFUSED = [
    ([Node("Conv", "x_t kernel", {"auto_pad": "SAME_UPPER"})], "auto_pad is not known: give pads"),
    ([Node("Conv", "x_t kernel", {"pads": [-1, 0]})], r"pads=\[-1, 0\], group=1 with weights"),
    ([Node("Conv", "x_4 images")], "a convolution must be in one dimension"),
    ([Node("MaxPool", "x_4", {"kernel_shape": [1, 1]})], "a window must be in one dimension"),
    (
        [Node("AveragePool", "x_t", {"kernel_shape": [2], "pads": [1, 1]})],
        "an average over a window that reaches past the ends",
    ),
    ([Node("Squeeze", "x last")], r"axes \[2\] of .* are not 1"),
    ([Node("MatMul", "x matrix_t")], r"it multiplies .* with \[2, 3\]"),
    (
        [Node("BatchNormalization", "x_t scale row mean var", {"training_mode": 1})],
        "it is made for training",
    ),
]


@pytest.mark.parametrize(("nodes", "why"), REFUSED, ids=[nodes[0].op for nodes, _ in REFUSED])
def test_what_is_not_known_is_refused(nodes: list[Node], why: str, tmp_path: Any) -> None:
    with pytest.raises(ModelError, match=why):
        cello.from_onnx(file_of(nodes, tmp_path / "net.onnx"))


@pytest.mark.parametrize("axis", [1, 2])
def test_before_operator_set_13_a_softmax_is_over_all_axes_that_follow(
    axis: int, tmp_path: Any
) -> None:
    node = Node("Softmax", "x", {"axis": axis})
    file = file_of([node], tmp_path / "net.onnx", opset=12)
    x = torch.randn(T, B, 3)
    expected = torch.softmax(x.flatten(axis), -1).view_as(x)
    torch.testing.assert_close(called(cello.from_onnx(file), x)[0], expected)


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        (Node("MatMul", "x matrix"), nn.Linear),
        (Node("Conv", "x_t kernel"), nn.Conv1d),
        (Node("LayerNormalization", "x scale row"), nn.LayerNorm),
        (Node("BatchNormalization", "x_t scale row mean var"), nn.BatchNorm1d),
        (Node("Gemm", "flat_x matrix vector"), nn.Linear),
    ],
    ids=lambda part: part.op if isinstance(part, Node) else "",
)
def test_weights_become_a_module_of_pytorch(node: Node, kind: Any, tmp_path: Any) -> None:
    net = cello.from_onnx(file_of([node], tmp_path / "net.onnx"))
    (made,) = [part for part in net.modules() if isinstance(part, kind)]
    assert all(isinstance(weight, Tensor) for weight in made.parameters())
    assert sum(weight.numel() for weight in net.parameters()) == sum(
        weight.numel() for weight in made.parameters()
    )
