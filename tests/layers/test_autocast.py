"""Under autocast, layers have the dtypes of PyTorch's, in every form of input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import cello
from tests.registry import LeakyCell

LOW = [torch.bfloat16, torch.float16]
CELLS = {"RNN": cello.ElmanCell, "LSTM": cello.LSTMCell, "GRU": cello.GRUCell}


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    parts = result[:1] if isinstance(result, PackedSequence) else result
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


def dtypes(result: Any) -> set[torch.dtype]:
    return {tensor.dtype for tensor in tensors(result)}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("low", LOW)
def test_dtypes_are_those_of_the_namesakes(kind: str, low: torch.dtype) -> None:
    theirs, ours = getattr(nn, kind)(3, 4), getattr(cello, kind)(3, 4)
    ours.load_state_dict(theirs.state_dict())
    layer, both = (make(CELLS[kind](3, 4)) for make in (cello.Recurrent, cello.Bidirectional))
    stack = cello.Stack(layer, nn.Tanh(), cello.Recurrent(CELLS[kind](4, 4)))
    x, reset = torch.randn(6, 3, 3), torch.rand(6, 3) < 0.3
    packed = pack_padded_sequence(x, torch.tensor([6, 2, 1]))
    with torch.autocast("cpu", dtype=low):
        with torch.no_grad():  # on processors with instructions for float16, nn.LSTM has no other
            expected, state = theirs(x)
        for found in (
            ours(x),
            ours(x, state),
            ours(x, reset=reset),
            (cello.record(ours, x).output, cello.record(ours, x, ours(x)[1]).state),
            layer(x),
            layer(x, layer(x)[1]),
            layer(x, lengths=[6, 2, 0]),
            layer(packed),
            layer(x, reset=reset),
            layer(x[:, 0]),
            layer(x[:0]),
            both(x, lengths=[6, 2, 0]),
            stack(x),
        ):
            assert dtypes(found) == {expected.dtype}
        with cello.engine("reference"):
            again = ours(x)
    tolerance = 4 * torch.finfo(low).eps
    for mine, its in zip(tensors(again), tensors((expected, state)), strict=True):
        torch.testing.assert_close(mine, its, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", CELLS)
def test_a_drop_in_takes_a_sequence_without_steps(kind: str) -> None:
    """PyTorch, whose code runs under autocast, cannot pack one."""
    layer, x = getattr(cello, kind)(3, 4), torch.randn(6, 3, 3)
    for lengths in ([6, 2, 1], [6, 2, 0], [0, 6, 0]):
        exact = tensors(layer(x, lengths=lengths))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = tensors(layer(x, lengths=lengths))
        for mine, its in zip(found, exact, strict=True):
            torch.testing.assert_close(mine.float(), its, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", CELLS)
def test_training_and_one_step_at_a_time(kind: str) -> None:
    layer, x = cello.Recurrent(CELLS[kind](3, 4)), torch.randn(6, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(x)
        stepper = layer.stream(batch_size=3)
        steps = [stepper(x_t) for x_t in x]
    assert torch.equal(torch.stack(steps), y)
    for kept, final in zip(stepper.state, state, strict=True):
        assert torch.equal(kept, final.to(kept.dtype))
    y.float().square().sum().backward()
    rough = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    layer(x)[0].square().sum().backward()
    for found, parameter in zip(rough, layer.parameters(), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, parameter.grad, rtol=0.1, atol=0.1)
    assert stepper(x[0]).dtype == torch.float32  # out of autocast again


def test_float64_stays_as_it_is() -> None:
    for layer in (cello.Recurrent(cello.LSTMCell(3, 4)), cello.GRU(3, 4)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert dtypes(layer.double()(torch.randn(5, 2, 3).double())) == {torch.float64}


def test_states_of_other_cells_keep_their_dtype() -> None:
    """A sum of many steps must not be rounded to 8 bits; neither do lengths decide on a dtype."""

    class Counting(cello.Cell):
        state = ("total", "h")

        def __init__(self) -> None:
            super().__init__(1, 1)
            self.R = nn.Linear(1, 1)

        def step(self, x: Tensor, total: Tensor, h: Tensor) -> Any:
            total = total + x
            h = torch.tanh(self.R(h))  # in autocast's dtype
            return total, (total, h)

    layer = cello.Recurrent(Counting())
    for lengths in (None, [300, 2], [300, 0]):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, state = layer(torch.ones(300, 2, 1), lengths=lengths)
        assert dtypes([y, state]) == {torch.float32}
        assert state.total[0] == 300
    leaky, x = cello.Recurrent(LeakyCell()), torch.randn(6, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        recording = cello.record(leaky, x)
        assert dtypes(recording["h"]) == {torch.float32}
        assert dtypes(recording["a"]) == {torch.bfloat16}
        with cello.intervene(leaky, {"a": (None, None, 0.5)}):
            assert dtypes(leaky(x)) == {torch.float32}
