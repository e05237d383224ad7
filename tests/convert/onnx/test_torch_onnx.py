"""`torch.onnx.export` of models that hold our layers: one graph for every T and B."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import cello
from cello.cells import zoo
from tests.convert.onnx.test_to_onnx import close, session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # PyTorch's exporter has many for itself
]


class Model(nn.Module):
    """Somebody's model, with ordinary modules around a layer."""

    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        self.layer, self.readout = layer, nn.Linear(width, 2)

    def forward(self, x: Tensor, lengths: Tensor, reset: Tensor | None = None) -> Any:
        more = {} if reset is None else {"reset": reset}
        y, state = self.layer(x, lengths=lengths, **more)
        return self.readout(y), state


MODELS = {
    "both directions": lambda: Model(cello.LSTM(3, 4, bidirectional=True), 8),
    "a cell, from the end": lambda: Model(
        cello.Recurrent(zoo.MGUCell(3, 4), reverse=True, initial_state="learned"), 4
    ),
    "resets": lambda: Model(cello.Recurrent(cello.JordanCell(3, 4, 5)), 5),
}


@pytest.mark.parametrize("name", MODELS)
def test_one_graph_for_all_sizes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, resets = MODELS[name]().eval(), name == "resets"

    def arguments(T: int, B: int) -> tuple[Tensor, ...]:
        made = torch.randn(T, B, 3), torch.randint(0, T + 1, (B,))
        return (*made, torch.rand(T, B) < 0.3) if resets else made

    T, B = Dim("T"), Dim("B")
    shapes: tuple[Any, ...] = ({0: T, 1: B}, {0: B}, {0: T, 1: B})
    program = torch.onnx.export(
        model,
        arguments(5, 3),
        dynamo=True,
        dynamic_shapes=shapes if resets else shapes[:2],
        verbose=False,
    )
    assert program is not None
    program.save(tmp_path / "model.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Scan" in kinds
    run = session(tmp_path / "model.onnx")
    names = [given.name for given in run.get_inputs()]
    for sizes in ((5, 3), (8, 2), (1, 1), (11, 5)):
        given = arguments(*sizes)
        y, state = model(*given)
        found = run.run(None, dict(zip(names, (part.numpy() for part in given), strict=True)))
        for wanted, part in zip((y, *state), found, strict=True):
            close(wanted.detach(), part)
