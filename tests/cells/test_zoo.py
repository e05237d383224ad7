"""The zoo against NumPy, from the papers' equations for one sequence; and what the papers promise.

The equations stand here in the papers' own form, gate by gate: F.linear, packing and the order of
the gates are what is tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import cello
from cello import zoo
from tests.cells.by_hand import Array, Given, numpy_of, one_step, sigmoid, tensors_of
from tests.cells.by_hand_newer import NEWER
from tests.registry import ZOO, H, make, x_of

tanh, exp, log = np.tanh, np.exp, np.log


def normal(v: Array) -> Array:
    return (v - v.mean()) / np.sqrt(((v - v.mean()) ** 2).mean() + 1e-5)


# ------------------------------------------------------------ one step of each


def layer_norm_lstm(p, x, h, c):
    a = normal(p.R @ h) * p["norm_h.weight"] + normal(p.W @ x) * p["norm_x.weight"] + p.b
    i, f, g, o = a.reshape(4, H)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(normal(c) * p["norm_c.weight"] + p["norm_c.bias"])
    return h, h, c


def coupled_lstm(p, x, h, c):
    i = sigmoid(p.drive("i", x, h))
    c = c + i * (tanh(p.drive("g", x, h)) - c)
    h = sigmoid(p.drive("o", x, h)) * tanh(c)
    return h, h, c


def lstm(p, x, h, c):
    i, f, o = (sigmoid(p.drive(gate, x, h)) for gate in "ifo")
    c = f * c + i * tanh(p.drive("g", x, h))
    h = o * tanh(c)
    return h, h, c


def multiplicative_lstm(p, x, h, c):
    h = np.diag(p.W_m @ x) @ p.R_m @ h  # an R that the input makes
    return lstm(p, x, h, c)


def zoneout_lstm(p, x, h, c):  # in evaluation, with 0.5 for c and 0.2 for h
    _, new_h, new_c = lstm(p, x, h, c)
    h = 0.2 * h + 0.8 * new_h
    return h, h, (c + new_c) / 2


def slstm(p, x, h, c, n, m):
    """Without a stabiliser: C and N are what c and n stand for."""
    C, N = c * exp(m), n * exp(m)
    i, f = exp(p.drive("i", x, h)), sigmoid(p.drive("f", x, h))
    m = log(np.maximum(f * exp(m), i))
    C, N = f * C + i * tanh(p.drive("g", x, h)), f * N + i
    h = sigmoid(p.drive("o", x, h)) * C / N
    return h, h, C / exp(m), N / exp(m), m


def mgu(p, x, h):
    f = sigmoid(p.drive("f", x, h))
    h = (1 - f) * h + f * tanh(p.drive("n", x, f * h))
    return h, h


def ugrnn(p, x, h):
    u, n = sigmoid(p.drive("u", x, h)), tanh(p.drive("n", x, h))
    h = n + u * (h - n)
    return h, h


def janet(p, x, h):
    s = p.drive("f", x, h)
    h = sigmoid(s) * h + sigmoid(1 - s) * tanh(p.drive("g", x, h))  # 1 − σ(s − 1) = σ(1 − s)
    return h, h


def li_gru(p, x, h):
    z = sigmoid(p.drive("z", x, h))
    h = z * h + (1 - z) * np.maximum(0, p.drive("n", x, h))
    return h, h


def fast_grnn(p, x, h):
    pre = np.hstack([p.W, p.R]) @ np.hstack([x, h])
    z = sigmoid(pre + p.b_z)
    h = (sigmoid(p.zeta) * (1 - z) + sigmoid(p.nu)) * tanh(pre + p.b_n) + z * h
    return h, h


def min_gru(p, x, h):
    z = sigmoid(p.W_z @ x + p.b_z)
    h = h + z * (p.W_n @ x + p.b_n - h)
    return h, h


def min_lstm(p, x, h):
    f, i = (sigmoid(p[f"W_{gate}"] @ x + p[f"b_{gate}"]) for gate in "fi")
    share = 1 / (1 + i / f)
    h = share * h + (1 - share) * (p.W_g @ x + p.b_g)
    return h, h


def co_rnn(p, x, y, z):
    dt, gamma, epsilon = 0.042, 2.7, 4.7
    pull = tanh(np.hstack([p.R_y, p.R_z, p.W]) @ np.hstack([y, z, x]) + p.b)
    z = (1 - dt * epsilon) * z + dt * pull - dt * gamma * y
    return y + dt * z, y + dt * z, z


def unicornn(p, x, y, z):
    dt, alpha = 0.19, 30.65
    pace = dt * (0.5 + 0.5 * tanh(p.c / 2))
    z = z - pace * (tanh(p.w * y + p.W @ x + p.b) + alpha * y)
    return y + pace * z, y + pace * z, z


def lem(p, x, y, z):
    dt_1, dt_2 = (0.5 + 0.5 * tanh(p.drive(gate, x, y) / 2) for gate in "12")
    z = z + dt_1 * (tanh(p.drive("z", x, y)) - z)
    y = y + dt_2 * (tanh(p.drive("y", x, z)) - y)
    return y, y, z


def ind_rnn(p, x, h):
    h = np.maximum(0, p.W @ x + np.diag(p.u) @ h + p.b)
    return h, h


def antisymmetric(p, x, h, epsilon=0.01, gamma=0.01):
    A = p.R - p.R.T - gamma * np.eye(H)
    gate = sigmoid(A @ h + p.W_z @ x + p.b_z) if "W_z" in p else 1
    h = h + epsilon * gate * tanh(A @ h + p.W @ x + p.b)
    return h, h


def scrn(p, x, h, s):
    s = 0.05 * p.B @ x + 0.95 * s
    h = sigmoid(p.P @ s + p.W @ x + p.R @ h)
    return np.hstack([h, s]), h, s


def clockwork(p, x, h, wait):
    """Units 0 and 1 move at each step, units 2 and 3 at every third."""
    R = p.R.copy()
    R[2:, :2] = 0  # the slow ones don't hear the fast ones
    moved = tanh(p.W @ x + R @ h + p.b)
    due = np.array([w <= 0 for w in wait])
    periods = np.array([1, 1, 3, 3])
    h = np.array([new if d else old for new, old, d in zip(moved, h, due, strict=True)])
    return h, h, np.where(due, periods, wait) - 1


def ctrnn(p, x, h):  # in evaluation, so without noise
    h = h + 0.2 * (p.W @ x + p.R @ np.maximum(h, 0) + p.b - h)
    return np.maximum(h, 0), h


def echo_state(p, x, h, leak=1.0):
    h = (1 - leak) * h + leak * tanh(np.hstack([p.b[:, None], p.W, p.R]) @ np.hstack([1, x, h]))
    return h, h


def nas(p, x, h, c):
    u = (p.W @ x).reshape(8, H)
    v = (p.R @ h + p.get("b", 0)).reshape(8, H)
    leaves = [
        f(a * b if number == 3 else a + b)
        for number, (f, a, b) in enumerate(zip(NAS_LEAVES, u, v, strict=True))
    ]
    first = tanh(leaves[0] * leaves[1])
    second = tanh(leaves[2] + leaves[3])
    third = tanh(leaves[4] * leaves[5])
    fourth = sigmoid(leaves[6] + leaves[7])
    c = tanh(first + c) * second
    h = tanh(c * tanh(third + fourth))
    return h, h, c


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


NAS_LEAVES = [sigmoid, relu, sigmoid, relu, tanh, sigmoid, tanh, sigmoid]

BY_HAND: dict[str, Callable[..., tuple[Array, ...]]] = {
    "AntisymmetricCell": antisymmetric,
    "AntisymmetricCell-gated": lambda p, x, h: antisymmetric(p, x, h, 0.5, 0.1),
    "CTRNNCell-eval": ctrnn,
    "ClockworkCell": clockwork,
    "CoRNNCell": co_rnn,
    "CoupledLSTMCell": coupled_lstm,
    "EchoStateCell": echo_state,
    "EchoStateCell-leaky": lambda p, x, h: echo_state(p, x, h, leak=0.3),
    "FastGRNNCell": fast_grnn,
    "IndRNNCell": ind_rnn,
    "JANETCell": janet,
    "LEMCell": lem,
    "LayerNormLSTMCell": layer_norm_lstm,
    "LiGRUCell": li_gru,
    "MGUCell": mgu,
    "MinGRUCell": min_gru,
    "MinLSTMCell": min_lstm,
    "MultiplicativeLSTMCell": multiplicative_lstm,
    "NASCell": nas,
    "NASCell-bias": nas,
    "RecurrentDropoutLSTMCell-eval": lstm,
    "SCRNCell": scrn,
    "SLSTMCell": slstm,
    "UGRNNCell": ugrnn,
    "UnICORNNCell": unicornn,
    "ZoneoutLSTMCell-eval": zoneout_lstm,
    **NEWER,
}


def test_every_cell_is_here() -> None:
    assert set(BY_HAND) == set(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_two_steps_by_hand(name: str) -> None:
    cell = make(name)
    with torch.no_grad():
        for parameter in cell.parameters():  # none 0 or 1, so that each counts
            parameter += 0.1 * torch.randn_like(parameter)
    given = Given(cell)
    x, state, y, new = one_step(cell)
    for _ in range(2):
        expected, *state = BY_HAND[name](given, x, *state)
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
        for part, expected_part in zip(new, state, strict=True):
            np.testing.assert_allclose(part, expected_part, rtol=1e-9, atol=1e-12)
        y, new = numpy_of(cell(tensors_of(x), tuple(map(tensors_of, state))))


# ------------------------------------------------------------ what holds for all


def test_every_cell_names_its_source_and_its_shapes() -> None:
    for name in zoo.__all__:
        text = getattr(zoo, name).__doc__
        assert "    Source" in text, name
        assert "    Shapes: " in text, name
        assert "::\n" in text, name
        assert ">>> " in text, name


def test_the_page_shows_every_cell_and_its_states() -> None:
    page = (Path(cello.__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \| ([A-Za-z_ ]+) \| .+ \| .+ \(\d{4}\) \|$", page, re.M)
    assert len(rows) == len(zoo.__all__)
    assert dict(rows) == {name: " ".join(getattr(zoo, name).state) for name in zoo.__all__}


@pytest.mark.parametrize("name", ZOO)
def test_config_builds_the_cell_again(name: str) -> None:
    cell = ZOO[name]().eval()
    twin = type(cell)(**cell.config()).eval()
    assert twin.config() == cell.config()
    twin.load_state_dict(cell.state_dict())
    x = x_of(cell, 3, 2, dtype=torch.float32)
    with cello.engine("reference"):
        assert torch.equal(cello.Recurrent(twin)(x)[0], cello.Recurrent(cell)(x)[0])
