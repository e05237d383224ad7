"""Primitives that ONNX has no operator for are made of several, which give what PyTorch gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from cello.convert.onnx.primitives import FUNCTIONS, exact_sigmoid
from tests.convert.onnx.test_to_onnx import session

VALUES = torch.tensor([-3.0, -1.0, -1e-6, -0.0, 0.0, 1e-6, 0.5, 2.0, 88.0])
MADE: dict[str, Any] = {
    "at_least": torch.maximum,
    "at_most": torch.minimum,
    "atan2": torch.atan2,
    "copysign": torch.copysign,
    "erfc": torch.special.erfc,
    "expm1": torch.expm1,
    "fmod": torch.fmod,
    "hypot": torch.hypot,
    "log1p": torch.log1p,
    "ne": torch.ne,
    "rsqrt": torch.rsqrt,
}
TWO = ("at_least", "at_most", "atan2", "copysign", "fmod", "hypot", "ne")


def ran(function: Any, inputs: list[torch.Tensor], path: Path) -> Any:
    """What ONNX Runtime makes of the nodes that a function puts."""
    nodes, constants = [], []

    def put(operator: str, *operands: Any, **attributes: Any) -> str:
        names = []
        for operand in operands:
            if not isinstance(operand, str):
                array = np.asarray(operand, np.float32)
                constants.append(numpy_helper.from_array(array, f"c{len(constants)}"))
                operand = constants[-1].name
            names.append(operand)
        nodes.append(helper.make_node(operator, names, [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    names = [f"x{number}" for number in range(len(inputs))]
    made = function(put, *names)
    nodes.append(helper.make_node("Cast", [made], ["y"], to=1))
    given = [helper.make_tensor_value_info(name, 1, [None]) for name in names]
    y = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(nodes, "graph", given, [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.save(model, path)
    feed = {name: part.numpy() for name, part in zip(names, inputs, strict=True)}
    return torch.from_numpy(session(path).run(None, feed)[0])


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_of_several_operators(name: str, tmp_path: Path) -> None:
    inputs = list(torch.cartesian_prod(VALUES, VALUES).T.contiguous()) if name in TWO else [VALUES]
    found, expected = ran(FUNCTIONS[name], inputs, tmp_path / "y.onnx"), MADE[name](*inputs).float()
    # What is left of 1 has its last bits; no sign of a zero outlives ONNX Runtime's Where.
    atol = 1e-7 if name == "erfc" else 1e-30
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=atol, equal_nan=True)
    some = ~expected.isnan() & (expected != 0)
    assert torch.equal(found[some].signbit(), expected[some].signbit())


def test_a_sigmoid_that_is_never_0(tmp_path: Path) -> None:
    x = torch.linspace(-80, 20, 11)
    found = ran(exact_sigmoid, [x], tmp_path / "y.onnx")
    torch.testing.assert_close(found, torch.sigmoid(x), rtol=1e-5, atol=0)


def test_not_a_number_stays_one(tmp_path: Path) -> None:
    one, nan = torch.ones(2), torch.tensor([torch.nan, 2.0])
    for name in ("at_least", "at_most"):
        found = ran(FUNCTIONS[name], [one, nan], tmp_path / "y.onnx")
        assert found.isnan().tolist() == [True, False]
