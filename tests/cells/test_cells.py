"""The equations against NumPy, written here from the formulas; and what all cells can tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cello
from cello.cells import ACTIVATIONS, activation_function, as_cell, state_type
from cello.cells.contract.shapes import as_shaped, shape_of, width_of
from cello.cells.contract.state import shapes_of
from tests.cells.by_hand import arrays, one_step, sigmoid
from tests.registry import CELLS, make


def test_elman() -> None:
    cell = make("elman")
    p = arrays(cell)
    x, (h,), y, (new,) = one_step(cell)
    np.testing.assert_allclose(y, np.tanh(p["W"] @ x + p["R"] @ h + p["b"]), rtol=1e-12)
    np.testing.assert_array_equal(new, y)


def test_jordan() -> None:
    cell = cello.JordanCell(3, 4, 2, "tanh", "softmax").double()
    p = arrays(cell)
    x, (y_prev,), y, (new,) = one_step(cell)
    h = np.tanh(p["W"] @ x + p["R"] @ y_prev + p["b"])
    z = np.exp(p["V"] @ h + p["d"])
    np.testing.assert_allclose(y, z / z.sum(), rtol=1e-12)
    np.testing.assert_array_equal(new, y)


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("projection", [None, 2])
def test_lstm(peephole: bool, projection: int | None) -> None:
    cell = cello.LSTMCell(3, 4, peephole=peephole, projection_size=projection).double()
    p = arrays(cell)
    x, (h, c), y, (new_h, new_c) = one_step(cell)
    z_i, z_f, z, z_o = np.split(p["W"] @ x + p["R"] @ h + p["b"], 4)
    if peephole:
        z_i, z_f = z_i + p["p_i"] * c, z_f + p["p_f"] * c
    c = sigmoid(z_i) * np.tanh(z) + sigmoid(z_f) * c
    if peephole:
        z_o = z_o + p["p_o"] * c
    h = sigmoid(z_o) * np.tanh(c)
    if projection:
        h = p["P"] @ h
    np.testing.assert_allclose(new_c, c, rtol=1e-12)
    np.testing.assert_allclose(new_h, h, rtol=1e-12)
    np.testing.assert_array_equal(y, new_h)


def test_lstm_with_free_activations() -> None:
    cell = cello.LSTMCell(3, 4, "hard_sigmoid", "relu", "identity").double()
    p = arrays(cell)
    x, (h, c), _, (new_h, new_c) = one_step(cell)
    z_i, z_f, z, z_o = np.split(p["W"] @ x + p["R"] @ h + p["b"], 4)
    i, f, o = (np.clip(v / 6 + 0.5, 0, 1) for v in (z_i, z_f, z_o))
    c = i * np.maximum(z, 0) + f * c
    np.testing.assert_allclose(new_c, c, rtol=1e-12)
    np.testing.assert_allclose(new_h, o * c, rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru(reset_after: bool) -> None:
    cell = cello.GRUCell(3, 4, reset_after=reset_after, recurrent_bias=reset_after).double()
    p = arrays(cell)
    x, (h,), y, _ = one_step(cell)
    W_r, W_z, W_n = np.split(p["W"], 3)
    R_r, R_z, R_n = np.split(p["R"], 3)
    b_r, b_z, b_n = np.split(p["b"], 3)
    r = sigmoid(W_r @ x + R_r @ h + b_r)
    z = sigmoid(W_z @ x + R_z @ h + b_z)
    if reset_after:
        n = np.tanh(W_n @ x + b_n + r * (R_n @ h + p["d"]))
    else:
        n = np.tanh(W_n @ x + b_n + R_n @ (r * h))
    np.testing.assert_allclose(y, (1 - z) * n + z * h, rtol=1e-12)


def test_forget_bias_is_added_to_the_forget_gate_alone() -> None:
    torch.manual_seed(0)
    plain = cello.LSTMCell(3, 4)
    torch.manual_seed(0)
    biased = cello.LSTMCell(3, 4, forget_bias=1.5)
    difference = (biased.b - plain.b).detach().reshape(4, 4)
    torch.testing.assert_close(difference, torch.tensor([0, 1.5, 0, 0])[:, None].expand(4, 4))


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_cells_give_torchs_numbers(kind: type[nn.Module], bias: bool) -> None:
    theirs = kind(3, 4, bias=bias).double()
    ours = as_cell(theirs)
    x, h, c = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 4))
    expected = theirs(x, (h, c) if kind is nn.LSTMCell else h)
    y, state = ours(x, (h, c) if kind is nn.LSTMCell else (h,))
    expected = expected if kind is nn.LSTMCell else (expected,)
    torch.testing.assert_close(tuple(state), tuple(expected))
    assert torch.equal(y, state.h)
    for name, parameter in theirs.named_parameters():
        assert getattr(ours, name) is parameter


def test_a_strangers_cell_is_wrapped() -> None:
    cell = make("stranger")
    assert cell.state == ("h", "c")
    assert cell.state_sizes == {"h": 4, "c": 4}

    class OutputAndState(nn.Module):
        input_size, hidden_size = 3, 4

        def forward(self, x, state=None):
            a, b, c = state if state is not None else [x.new_zeros(len(x), 4)] * 3
            new = (a + x.sum(-1, keepdim=True), b + 1, c)
            return new[0][:, :2], new

    wrapped = as_cell(OutputAndState())
    assert wrapped.state == ("s0", "s1", "s2")
    assert wrapped.output_size == 2
    y, state = wrapped(torch.ones(5, 3))
    assert y.shape == (5, 2)
    assert state.s1.tolist() == [[1.0] * 4] * 5


class Plain(nn.Module):
    """Its state is a bare tensor, which its own variable h is not."""

    input_size, hidden_size = 3, 4

    def forward(self, x, state=None):
        h = x.new_zeros(len(x), 4) if state is None else state
        h = torch.tanh(h + x.sum(1, keepdim=True))
        s0 = h * 2
        return s0 + 1


class Swapped(Plain):
    def forward(self, x, state=None):
        c, h = state if state is not None else [x.new_zeros(len(x), 4)] * 2
        h = torch.tanh(h + x.sum(1, keepdim=True))
        c = c + h
        return h, (c, h)


def test_a_strangers_state_never_has_the_name_of_another_variable() -> None:
    x = torch.randn(2, 5, 3)
    plain, swapped = Plain(), Swapped()
    recording = cello.record(cello.Recurrent(plain, batch_first=True), x)
    held = torch.tanh(recording["t0_prev"] + recording["x"].sum(-1, keepdim=True))
    torch.testing.assert_close(recording["h"], held)
    torch.testing.assert_close(recording["s0"], held * 2)
    torch.testing.assert_close(recording["t0"], held * 2 + 1)
    cell = as_cell(swapped)
    assert cell.state == ("c", "h")
    y, state = cell(x[0])
    torch.testing.assert_close(state.h, y)
    assert torch.equal(state.c, state.h)


def test_a_stranger_who_fails_is_refused_with_reasons() -> None:
    class Fails(nn.Module):
        input_size, hidden_size = 3, 4

        def forward(self, x, state):
            raise RuntimeError("no such luck")

    with pytest.raises(cello.errors.CellError, match=r"cannot be called as cell.*no such luck"):
        as_cell(Fails())

    class Mixed(Fails):
        def forward(self, x, state):
            h, c = state
            return h + x.sum(1, keepdim=True), (h, c + torch.ones(7))

    with pytest.raises(cello.errors.CellError, match=r"only if Mixed begins by itself .* state_si"):
        as_cell(Mixed())

    class Strings(Fails):
        def forward(self, x, state):
            return "state"

    with pytest.raises(cello.errors.CellError, match="must be made of tensors, it holds str"):
        as_cell(Strings())


@pytest.mark.parametrize("name", CELLS)
def test_zero_state_and_its_type(name: str) -> None:
    cell = make(name)
    state = cell.zero_state(5, dtype=torch.float64)
    assert state._fields == cell.state
    assert [tuple(part.shape) for part in state] == [(5, *s) for s in shapes_of(cell).values()]
    rows = torch.randn(5, width_of(cell.input_size), dtype=torch.float64)
    x = as_shaped(cell.input_size, rows)
    y, new = cell(x)
    assert type(new) is type(state)
    torch.testing.assert_close(cell(x, state)[0], y)
    assert y.shape == (5, *shape_of(cell.output_size))


@pytest.mark.parametrize(
    "cell",
    [
        cello.ElmanCell(3, 4, "relu"),
        cello.JordanCell(3, 4, 2, output_activation="softmax"),
        cello.LSTMCell(3, 4, peephole=True, forget_bias=1.0),
        cello.GRUCell(3, 4, reset_after=False),
    ],
)
def test_config_builds_the_cell_again(cell: cello.Cell) -> None:
    twin = type(cell)(**cell.config())
    assert twin.config() == cell.config()
    twin.load_state_dict(cell.state_dict())
    x = torch.randn(2, 3)
    assert torch.equal(twin(x)[0], cell(x)[0])


def test_repr_shows_what_is_not_the_default() -> None:
    assert repr(cello.ElmanCell(3, 4)) == "ElmanCell(3, 4)"
    assert repr(cello.ElmanCell(3, 4, "relu")) == "ElmanCell(3, 4, activation='relu')"
    assert repr(cello.JordanCell(3, 4, 2)) == "JordanCell(3, 4, 2)"
    assert repr(cello.LSTMCell(3, 4, peephole=True)) == "LSTMCell(3, 4, peephole=True)"
    assert repr(cello.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"

    class Bare(cello.Cell):
        state = ("h", "c")

    assert repr(Bare(3, 4)) == "Bare(3, 4)"
    assert repr(Bare(3, 4, state_sizes={"c": 2})) == "Bare(3, 4, state_sizes={'h': 4, 'c': 2})"


def test_repr_without_kept_arguments() -> None:
    class Loose(cello.Cell):
        state = ("h",)

        def __init__(this, width, *sizes, **options):
            super().__init__(3, 4)

    assert repr(Loose(3)) == "Loose()"


def test_a_single_state_may_be_passed_as_a_tensor() -> None:
    cell, x, h = cello.GRUCell(3, 4), torch.randn(2, 3), torch.randn(2, 4)
    assert torch.equal(cell(x, h)[0], cell(x, (h,))[0])


def test_config_says_which_argument_is_not_kept() -> None:
    class Forgetful(cello.Cell):
        state = ("h",)

        def __init__(self, size: int, rate: float) -> None:
            super().__init__(size, size)
            self.size = size

    with pytest.raises(cello.errors.CellError, match="does not keep its argument 'rate'"):
        Forgetful(3, 0.1).config()


def test_config_says_all_that_is_not_kept() -> None:
    class Forgetful(cello.Cell):
        state = ("h",)

        def __init__(self, size: int, rate: float, power: int) -> None:
            super().__init__(size, size)

    with pytest.raises(
        cello.errors.CellError,
        match=r"^Forgetful does not keep its arguments 'size', 'rate', 'power': write "
        r"self\.size = size; self\.rate = rate; self\.power = power in __init__ so that they can",
    ):
        Forgetful(3, 0.1, 2).config()


PYTORCH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "identity": lambda x: x,
    "linear": lambda x: x,
    "softmax": lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True),
    "hard_sigmoid": lambda x: ((x + 3) / 6).clamp(0, 1),
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, torch.expm1(x)),
    "softplus": lambda x: torch.log1p(torch.exp(x)),
    "softsign": lambda x: x / (1 + x.abs()),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "silu": lambda x: x * torch.sigmoid(x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    x = torch.linspace(-4, 4, 41, dtype=torch.float64).reshape(1, -1)
    torch.testing.assert_close(activation_function(name)(x), PYTORCH[name](x))
    layer = cello.Recurrent(cello.ElmanCell(3, 4, name).double())
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    y, _ = layer(x)
    with cello.engine("reference"):
        torch.testing.assert_close(layer(x)[0], y)


def test_activations_are_complete() -> None:
    assert set(PYTORCH) == set(ACTIVATIONS)


def test_an_activation_may_be_any_callable_or_module() -> None:
    cell = cello.ElmanCell(3, 4, nn.PReLU(4))
    assert "activation.weight" in dict(cell.named_parameters())
    layer = cello.Recurrent(cell)
    layer(torch.randn(3, 2, 3))[0].sum().backward()
    assert cell.activation.weight.grad is not None


def test_state_type_is_one_for_each_order_of_names() -> None:
    assert state_type(("h", "c")) is state_type(("h", "c"))
    assert state_type(("h", "c")) is not state_type(("c", "h"))
