"""The rules of time: lengths, reverse, resets, states, layouts. The same for every cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from tests.registry import COMPILED_ONCE, DISTINCT, ROW_WISE, I, make, state_of, x_of

ENGINES = ["split", "reference"]


def layer_of(
    name: str, dtype: torch.dtype = torch.float64, engine: str = "auto", **options: object
) -> cello.Recurrent:
    if engine == "auto" and name in COMPILED_ONCE:
        engine = "split"
    return cello.Recurrent(make(name, dtype), engine=engine, **options)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def close(ours: object, theirs: object) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", [n for n in DISTINCT if n in ROW_WISE])
def test_lengths_are_a_loop_over_single_sequences(name: str, reverse: bool, engine: str) -> None:
    layer = layer_of(name, reverse=reverse, engine=engine)
    lengths = torch.tensor([3, 0, 5, 1, 5])
    x = x_of(layer.cell, 5, 5).requires_grad_()
    state = state_of(layer.cell, 5)
    y, final = layer(x, state, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        begin = tuple(part[row] for part in state)
        single, end = layer(x[:length, row], begin)
        close(y[:length, row], single)
        assert not y[length:, row].any()
        close(tuple(part[row] for part in final), tuple(end))
    (gradient,) = torch.autograd.grad(y.square().sum() + sum(p.sum() for p in final), x)
    for row, length in enumerate(lengths.tolist()):
        assert not gradient[length:, row].any()
        assert length == 0 or gradient[:length, row].any()


@pytest.mark.parametrize("name", DISTINCT)
def test_reverse_is_flipping(name: str) -> None:
    backward, forward = layer_of(name, reverse=True), layer_of(name)
    x = x_of(forward.cell, 6, 3)
    y, state = backward(x)
    flipped, expected = forward(x.flip(0))
    close(y, flipped.flip(0))
    close(tuple(state), tuple(expected))


@pytest.mark.parametrize("name", [n for n in DISTINCT if n in ROW_WISE])
def test_batch_first_unbatched_and_packed(name: str) -> None:
    layer = layer_of(name)
    x, lengths = x_of(layer.cell, 4, 3), torch.tensor([4, 2, 3])
    y, state = layer(x)
    layer.batch_first = True
    turned, again = layer(x.transpose(0, 1))
    close(turned, y.transpose(0, 1))
    close(tuple(again), tuple(state))
    single, end = layer(x[:, 1])
    close(single, y[:, 1])
    close(tuple(end), tuple(part[1] for part in state))
    assert single.dim() == y.dim() - 1
    assert end[0].dim() == state[0].dim() - 1

    layer.batch_first = False
    padded, state = layer(x, lengths=lengths)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    out, again = layer(packed)
    assert isinstance(out, nn.utils.rnn.PackedSequence)
    close(pad_packed_sequence(out)[0], padded)
    close(tuple(again), tuple(state))


@pytest.mark.parametrize("name", DISTINCT)
def test_a_sequence_in_pieces_is_the_whole(name: str) -> None:
    layer = layer_of(name)
    x = x_of(layer.cell, 7, 2)
    reset = torch.rand(7, 2) < 0.3
    whole, end = layer(x, reset=reset)
    first, state = layer(x[:3], reset=reset[:3])
    second, last = layer(x[3:], state, reset=reset[3:])
    close(torch.cat([first, second]), whole)
    close(tuple(last), tuple(end))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [n for n in DISTINCT if n in ROW_WISE])
def test_reset_begins_anew(name: str, engine: str) -> None:
    layer = layer_of(name, engine=engine)
    x, reset = x_of(layer.cell, 6, 2), torch.zeros(6, 2, dtype=torch.bool)
    reset[2, 0] = reset[4, 1] = True
    carried = state_of(layer.cell, 2)
    y, _ = layer(x, carried, reset=reset)
    plain, _ = layer(x, carried)
    close(y[:2, 0], plain[:2, 0])
    close(y[2:, 0], layer(x[2:, :1])[0][:, 0])
    close(y[4:, 1], layer(x[4:, 1:])[0][:, 0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reverse", [False, True])
def test_no_step_runs_without_a_row(reverse: bool, engine: str) -> None:
    """A step may not be able to: an amax over no rows has no value."""

    class Peak(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            h = x + h - h.amax(dim=0)
            return h, (h,)

    layer = cello.Recurrent(Peak(3, 3), reverse=reverse, engine=engine)
    x, lengths = torch.randn(6, 3, 3), torch.tensor([2, 0, 1])
    y, state = layer(x, lengths=lengths)
    short, expected = layer(x[:2], lengths=lengths)
    close(y[:2], short)
    close(state.h, expected.h)
    assert not y[2:].any()


def test_lengths_may_be_a_list() -> None:
    layer, x = layer_of("gru"), random(5, 3, 3)
    expected, _ = layer(x, lengths=torch.tensor([5, 0, 2]))
    assert torch.equal(layer(x, lengths=[5, 0, 2])[0], expected)
    assert torch.equal(cello.Stack(layer)(x, lengths=(5, 0, 2))[0], expected)


def test_reset_cuts_gradients() -> None:
    layer = layer_of("gru")
    x, reset = random(4, 1, 3).requires_grad_(), torch.tensor([[0], [0], [1], [0]]).bool()
    y, _ = layer(x, reset=reset)
    (gradient,) = torch.autograd.grad(y[3].sum(), x)
    assert not gradient[:2].any()
    assert gradient[2].any()


def test_reset_goes_to_the_learned_state() -> None:
    layer = cello.Recurrent(make("lstm"), initial_state="learned")
    with torch.no_grad():
        layer.initial["h"].normal_()
        layer.initial["c"].normal_()
    x = random(4, 2, 3)
    reset = torch.zeros(4, 2, dtype=torch.bool)
    reset[2] = True
    y, _ = layer(x, tuple(random(2, 4) for _ in "hc"), reset=reset)
    close(y[2:], layer(x[2:])[0])


def test_learned_initial_state() -> None:
    layer = cello.Recurrent(make("lstm"), initial_state="learned")
    assert {n for n, _ in layer.named_parameters()} >= {"initial.h", "initial.c"}
    with torch.no_grad():
        layer.initial["h"].fill_(0.3)
    x = random(3, 2, 3)
    zero = tuple(torch.zeros(2, 4, dtype=torch.float64) for _ in "hc")
    given = (torch.full((2, 4), 0.3, dtype=torch.float64), zero[1])
    y, _ = layer(x)
    close(y, layer(x, given)[0])
    y.sum().backward()
    assert layer.initial["h"].grad.shape == (4,)
    assert layer.initial["h"].grad.any()
    empty, state = layer(x, lengths=torch.tensor([0, 3]))
    close(state.h[0], layer.initial["h"])
    assert not empty[:, 0].any()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
@pytest.mark.parametrize("name", ["lstm", "jordan", "two-sizes"])
def test_empty_input(name: str, shape: tuple[int, int], engine: str) -> None:
    layer = layer_of(name, engine=engine)
    T, B = shape
    given = state_of(layer.cell, B)
    y, state = layer(random(T, B, I), given)
    assert y.shape == (T, B, layer.output_size)
    if T == 0:
        close(tuple(state), given)
    all_empty, state = layer(x_of(layer.cell, 3, 2), lengths=torch.zeros(2).long())
    assert not all_empty.any()
    assert not any(part.any() for part in state)
    unbatched, _ = layer(random(0, I))
    assert unbatched.shape == (0, layer.output_size)


@pytest.mark.parametrize("name", DISTINCT)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_nan_and_infinity_pass_through(name: str, value: float) -> None:
    layer = layer_of(name)
    x = x_of(layer.cell, 4, 2)
    expected, _ = layer(x)
    x[2, 0] = value
    y, _ = layer(x)
    close(y[:2], expected[:2])
    if name in ROW_WISE:
        close(y[:, 1], expected[:, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", DISTINCT)
def test_dtypes(name: str, dtype: torch.dtype) -> None:
    layer = layer_of(name, dtype)
    x = x_of(layer.cell, 3, 2, dtype=dtype)
    y, state = layer(x, lengths=torch.tensor([3, 1]))
    assert y.dtype == dtype
    assert all(part.dtype == dtype for part in state)
    close_enough = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}[dtype]
    exact, _ = layer.double()(x.double(), lengths=torch.tensor([3, 1]))
    torch.testing.assert_close(y.double(), exact, rtol=close_enough, atol=close_enough)


def test_truncated_backpropagation() -> None:
    layer = layer_of("lstm")
    first, second = random(3, 1, 3).requires_grad_(), random(3, 1, 3).requires_grad_()
    _, state = layer(first)
    y, _ = layer(second, state.detach())
    gradients = torch.autograd.grad(y.sum(), (first, second), allow_unused=True)
    assert gradients[0] is None
    assert gradients[1].any()


def test_results_do_not_depend_on_threads() -> None:
    layer = cello.Recurrent(cello.LSTMCell(40, 64))
    x = torch.randn(30, 16, 40)
    one, _ = layer(x)
    torch.set_num_threads(2)
    two, _ = layer(x)
    assert torch.equal(one, two)


# ---------------------------------------------------------------- Jordan and teacher forcing


def jordan_in_numpy(
    cell: cello.JordanCell, x: np.ndarray, targets: np.ndarray | None = None
) -> np.ndarray:
    """h = sigmoid(W x + R y_prev + b), y = V h + d; y_prev the target where there is one."""
    W, R, b, V, d = (p.detach().numpy() for p in (cell.W, cell.R, cell.b, cell.V, cell.d))
    y, outputs = np.zeros(len(d)), []
    for t, x_t in enumerate(x):
        if targets is not None and t > 0:
            y = targets[t - 1]
        h = 1 / (1 + np.exp(-(W @ x_t + R @ y + b)))
        y = V @ h + d
        outputs.append(y)
    return np.array(outputs)


@pytest.mark.parametrize("engine", ENGINES)
def test_jordan_against_numpy(engine: str) -> None:
    layer = layer_of("jordan", engine=engine)
    x, targets = random(5, 3, 3), random(5, 3, 2)
    free, forced = layer(x)[0], layer(x, targets=targets)[0]
    for row in range(3):
        single = x[:, row].numpy()
        expected = jordan_in_numpy(layer.cell, single)
        np.testing.assert_allclose(free[:, row].detach(), expected, rtol=1e-12)
        expected = jordan_in_numpy(layer.cell, single, targets[:, row].numpy())
        np.testing.assert_allclose(forced[:, row].detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reverse", [False, True])
def test_teacher_forcing_with_lengths_and_resets(reverse: bool, engine: str) -> None:
    layer = layer_of("jordan", reverse=reverse, engine=engine)
    x, targets = random(5, 4, 3), random(5, 4, 2)
    lengths = torch.tensor([5, 2, 0, 4])
    y, _ = layer(x, lengths=lengths, targets=targets)
    for row, length in enumerate(lengths.tolist()):
        order = slice(None, None, -1) if reverse else slice(None)
        single, known = x[:length, row].numpy()[order], targets[:length, row].numpy()[order]
        expected = jordan_in_numpy(layer.cell, single, known)[order]
        if length:
            np.testing.assert_allclose(y[:length, row].detach(), expected, rtol=1e-12)
    reset = torch.zeros(5, 4, dtype=torch.bool)
    reset[2] = True
    begun, _ = layer(x, targets=targets, reset=reset)
    if not reverse:
        close(begun[2:], layer(x[2:], targets=targets[2:])[0])


def test_teacher_forcing_gives_the_targets_a_gradient_and_the_steps_none() -> None:
    layer = layer_of("jordan")
    x, targets = random(3, 1, 3).requires_grad_(), random(3, 1, 2).requires_grad_()
    y, state = layer(x, targets=targets)
    close(state.y, y[-1])
    to_x, to_targets = torch.autograd.grad(y[2].sum(), (x, targets))
    assert not to_x[:2].any()
    assert to_targets[1].any()
    assert not to_targets[[0, 2]].any()
