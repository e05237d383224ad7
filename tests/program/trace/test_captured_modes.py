"""What a captured step is in other modes, splits and shapes than those of a plain call."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cello
from cello.program import capture, program_of, split
from tests.program.trace.test_capture import targets
from tests.registry import Base, LeakyCell, MixingCell, NoGradCell


def test_no_grad_inside_is_known() -> None:
    ops = {op.target._opname: op.grad for op in capture(NoGradCell()).ops}
    assert (ops["abs"], ops["amax"], ops["div"]) == (False, False, True)


def test_split_of_the_lstm() -> None:
    parts = split(capture(cello.LSTMCell(3, 2)))
    assert targets(parts.once) == ["t", "t"]
    assert targets(parts.before) == ["addmm"]
    assert targets(parts.after) == []
    assert targets(parts.loop).count("mm") == 1


def test_split_of_a_readout() -> None:
    class Readout(Base):
        def step(self, x, h):
            h = torch.tanh(x + h)
            return self.W(h).softmax(-1), (h,)

    parts = split(capture(Readout()))
    assert targets(parts.after) == ["addmm", "_softmax"]
    assert targets(parts.loop) == ["add", "tanh"]


def test_what_mixes_rows_stays_in_the_loop() -> None:
    parts = split(capture(MixingCell()))
    assert targets(parts.loop).count("mean") == 2
    assert targets(parts.before) == ["addmm", "tanh", "addmm"]


def test_old_style_weight_norm_and_parametrizations() -> None:
    cell = LeakyCell()
    nn.utils.parametrizations.weight_norm(cell.R)
    layer, x = cello.Recurrent(cell), torch.randn(4, 2, 3)
    with cello.engine("reference"):
        expected, _ = layer(x)
    with cello.engine("split"):
        torch.testing.assert_close(layer(x)[0], expected)


def test_capture_in_training_and_eval() -> None:
    class Drop(Base):
        def step(self, x, h):
            h = F.dropout(self.W(x), 0.5, self.training) + h
            return h, (h,)

    layer = cello.Recurrent(Drop())
    x = torch.randn(3, 2, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


def test_a_trace_under_autocast_is_the_step_itself() -> None:
    layer, x = cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cello.record(layer, x)  # traces the step, to name its values
    y, _ = layer(x)  # and does not warn
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(x)[0])
    program = program_of(layer.cell, torch.float32, torch.device("cpu"))
    assert {value.dtype for op in program.ops for value in op.outputs} == {torch.float32}


def test_an_exception_for_a_single_row_is_not_frozen() -> None:
    class ForOne(Base):
        def step(self, x, h):
            h = torch.tanh(self.W(x) + h)
            if len(x) > 1:
                h = h / (1 + h.abs())
            return h, (h,)

    layer = cello.Recurrent(ForOne())
    several, one = torch.randn(3, 2, 3), torch.randn(3, 1, 3)
    with cello.engine("split"):
        y, _ = layer(several)
    with cello.engine("reference"):
        torch.testing.assert_close(y, layer(several)[0])
        expected, _ = layer(one)
        ragged, _ = layer(several, lengths=[3, 1])
    with pytest.warns(cello.EngineWarning, match="depends on the batch size"):
        torch.testing.assert_close(layer(one)[0], expected)
    torch.testing.assert_close(layer(several, lengths=[3, 1])[0], ragged)


def test_a_reshaped_part_is_the_same_for_one_row() -> None:
    """PyTorch leaves the -1 of a reshape as it is where the part lies in one piece."""

    class PairsCell(LeakyCell):
        def step(
            self, x: torch.Tensor, h: torch.Tensor
        ) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
            left, right = (self.W(x) + h).repeat(1, 2).chunk(2, 1)
            h = left.reshape(-1, 2, 2).softmax(-1).reshape(-1, 4) * right
            return h, (h,)

    program = capture(PairsCell(), one_row=True)
    assert all(-1 not in op.args[1] for op in program.ops if op.target._opname == "view")
