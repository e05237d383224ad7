"""Files that take some sizes only: many steps, an even number; and what ends a process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, save
from torch import Tensor, nn

from cello.convert import from_onnx, proof_of
from cello.convert.onnx_read.child import run_apart
from cello.errors import ConversionError


class Windows(nn.Module):
    """Five steps a window, then every second."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 5)
        self.pool = nn.MaxPool1d(2)
        self.rnn = nn.GRU(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.rnn(self.pool(self.conv(x)).transpose(1, 2))[0]
        return y


class Halves(nn.Module):
    """One half of the steps gates the other: an odd number of them ends ONNX Runtime's process."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 2, batch_first=True)
        self.gate = nn.GLU(2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.rnn(self.gate(x).transpose(1, 2))[0]
        return y


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [Windows, Halves])
def test_a_file_that_needs_more_steps_or_pairs_of_them(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    model = kind().eval()
    torch.onnx.export(
        model, (torch.randn(2, 3, 12),), str(tmp_path / "net.onnx"), dynamo=False,
        input_names=["x"], dynamic_axes={"x": {0: "b", 2: "t"}},
    )  # fmt: skip
    net = from_onnx(tmp_path / "net.onnx")
    proof = proof_of(net)
    assert proof is not None
    assert proof.cases >= 4
    x = torch.randn(3, 3, 20)
    torch.testing.assert_close(net(x), model(x))


def test_a_process_that_ends_is_an_error(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(torch.tensor([5]).numpy(), "shape")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["T"]) for n in "xy")
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "net", [x], [y], initializer=[shape]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    save(model, tmp_path / "net.onnx")
    (found,) = run_apart(model.SerializeToString(), {"x": torch.arange(5.0).numpy()})
    assert found.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ConversionError, match="ONNX Runtime ended with"):
        run_apart(model.SerializeToString(), {"x": torch.arange(4.0).numpy()})
