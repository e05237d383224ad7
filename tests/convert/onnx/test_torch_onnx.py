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
from cello.errors import ConversionError
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: cello.LSTM(3, 4, 2, bidirectional=True),
        lambda: nn.Sequential(cello.GRU(3, 4, batch_first=True)),
        lambda: cello.RNN(3, 4),
    ],
)
def test_the_old_exporter_writes_what_it_has(make: Any, tmp_path: Path) -> None:
    net, file = make().eval(), tmp_path / "net.onnx"
    torch.onnx.export(
        net,
        (torch.randn(5, 2, 3),),
        file,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "T", 1: "B"}},
    )
    x = torch.randn(4, 3, 3)
    y, h = net(x)
    found = session(file).run(None, {"x": x.numpy()})
    for ours, theirs in zip((y, *(h if isinstance(h, tuple) else (h,))), found, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cello.Recurrent(cello.LSTMCell(3, 4)),
        lambda: cello.Bidirectional(cello.GRUCell(3, 4)),
        lambda: cello.Stack(cello.GRU(3, 4), nn.Linear(4, 2)),
    ],
)
def test_the_old_exporter_is_told_what_to_use_instead(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"dynamo=False cannot write .*cello.to_onnx\(net"):
        torch.onnx.export(make(), (torch.randn(5, 2, 3),), tmp_path / "net.onnx", dynamo=False)
