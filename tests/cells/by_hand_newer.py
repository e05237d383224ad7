"""One step of cells with few gates, of shapes, of time and of spikes in NumPy, from the papers.

For one sequence, gate by gate, and where that is possible in another form than the cell has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from tests.cells.by_hand import Array, sigmoid

tanh, exp, log = np.tanh, np.exp, np.log


def ran(p, x, c):
    i, f = (sigmoid(p.drive(gate, x, tanh(c))) for gate in "if")
    c = np.diag(i) @ p.W_n @ x + np.diag(f) @ c
    return tanh(c), c


def star(p, x, h):
    k = sigmoid(np.hstack([p.W_k, p.R]) @ np.hstack([x, h]) + p.b_k)
    h = tanh(h + k * (tanh(p.W_z @ x + p.b_z) - h))
    return h, h


def bistable(p, x, h):
    R_a, R_c = (p.R_a, p.R_c) if "R_a" in p else (np.diag(p.w_a), np.diag(p.w_c))
    a = 2 * sigmoid(2 * (p.W_a @ x + R_a @ h))  # 1 + tanh(z) = 2 σ(2 z)
    kept = sigmoid(p.W_c @ x + R_c @ h)
    rest = tanh(p.W_n @ x + a * h)
    h = rest + kept * (h - rest)
    return h, h


def mutated(p, h, z, r, into_n, R_n):
    h = h + sigmoid(z) * (tanh(R_n @ (sigmoid(r) * h) + into_n + p.b_n) - h)
    return h, h


def mut1(p, x, h):
    r = p.W_r @ x + p.R_r @ h + p.b_r
    return mutated(p, h, p.W_z @ x + p.b_z, r, tanh(p.W_n @ x), p.R_n)


def mut2(p, x, h):
    z, r = (p[f"W_{gate}"] @ x + p[f"R_{gate}"] @ h + p[f"b_{gate}"] for gate in "zr")
    return mutated(p, h, z, r, p.W_n @ x, p.R_n)


def mut3(p, x, h):
    z, r = p.drive("z", x, tanh(h)), p.drive("r", x, h)
    return mutated(p, h, z, r, p.W_n @ x, p.R_n)


def mogrifier_lstm(p, x, h, c):
    x = 2 * sigmoid(p["Q.0"] @ h) * x
    h = 2 * sigmoid(p["Q.1"] @ x) * h
    x = 2 * sigmoid(p["Q.2"] @ h) * x
    i, f, o = (sigmoid(p.drive(gate, x, h)) for gate in "ifo")
    c = f * c + i * tanh(p.drive("g", x, h))
    return o * tanh(c), o * tanh(c), c


def nested_lstm(p, x, h, c, d):
    i, f, o = (sigmoid(p.drive(gate, x, h)) for gate in "ifo")
    x_inner, h_inner = i * tanh(p.drive("g", x, h)), f * c

    def inner(gate: str) -> Array:
        return p[f"V_{gate}"] @ x_inner + p[f"U_{gate}"] @ h_inner + p[f"a_{gate}"]

    d = sigmoid(inner("f")) * d + sigmoid(inner("i")) * tanh(inner("g"))
    c = sigmoid(inner("o")) * tanh(d)
    return o * tanh(c), o * tanh(c), c, d


def rhn(p, x, h):
    for layer in range(2):
        H_pre, T_pre = (p[f"R.{layer}"] @ h + p[f"b.{layer}"]).reshape(2, -1)
        if layer == 0:
            H_pre, T_pre = H_pre + p.W_n @ x, T_pre + p.W_t @ x
        transform = sigmoid(T_pre)
        h = tanh(H_pre) * transform + h * (1 - transform)
    return h, h


def mc_lstm(p, x, c):
    scaled = c / np.abs(c).sum()
    i = exp(p.W_i @ x["a"] + p.U_i @ scaled + p.b_i)
    o = sigmoid(p.W_o @ x["a"] + p.U_o @ scaled + p.b_o)
    R = exp(p.B) / exp(p.B).sum(axis=0)
    total = R @ c + i / i.sum() * x["mass"]
    return o * total, total - o * total


# ------------------------------------------------------------ with shapes


def places(kernel: Array, picture: Array) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Each place of a picture [C, height, width], and what a kernel [N, C, k, k] makes of it."""
    _, height, width = picture.shape
    reach = kernel.shape[-1] // 2
    for row, column in product(range(height), range(width)):
        total = np.zeros(len(kernel))
        for down, right in product(range(-reach, reach + 1), repeat=2):
            if 0 <= row + down < height and 0 <= column + right < width:
                seen = picture[:, row + down, column + right]
                total += kernel[:, :, down + reach, right + reach] @ seen
        yield (row, column), total


def conv_lstm(p, x, h, c):
    z = {gate: np.zeros(h.shape) for gate in "ifgo"}
    for gate, drive in z.items():
        for kernel, picture in ((p[f"W_{gate}"], x), (p[f"R_{gate}"], h)):
            for (row, column), total in places(kernel, picture):
                drive[:, row, column] += total
        drive += p[f"b_{gate}"][:, None, None]
    i, f = sigmoid(z["i"] + p.w_i * c), sigmoid(z["f"] + p.w_f * c)
    c = f * c + i * tanh(z["g"])
    h = sigmoid(z["o"] + p.w_o * c) * tanh(c)
    return h, h, c


def mlstm(p, x, C, n, m):
    """Without a stabiliser: M and N are what C and n stand for."""
    M, N = C * exp(m), n * exp(m)
    q, k, v = (p[f"W_{name}"] @ x + p[f"b_{name}"] for name in "qkv")
    k = k / np.sqrt(len(k))
    i, f = exp(p.w_i[0] @ x + p.a_i), sigmoid(p.w_f[0] @ x + p.a_f)
    M, N = f * M + i * np.outer(v, k), f * N + i * k
    h = sigmoid(p.W_o @ x + p.b_o) * (M @ q) / max(abs(N @ q), 1)
    m = log(np.maximum(f * exp(m), i))
    return h, M / exp(m), N / exp(m), m


def delta_net(p, x, S):
    q, k = (z / np.linalg.norm(z) for z in (u * sigmoid(u) for u in (p.W_q @ x, p.W_k @ x)))
    beta = sigmoid(p.w @ x + p.a)
    S = S @ (np.eye(len(k)) - beta * np.outer(k, k)) + beta * np.outer(p.W_v @ x, k)
    return S @ q, S


# ------------------------------------------------------------ linear memories


def lru(p, x, h_re, h_im):
    eigenvalues = exp(-exp(p.nu) + 1j * exp(p.theta))
    h = eigenvalues * (h_re + 1j * h_im) + exp(p.gamma) * ((p.B_re + 1j * p.B_im) @ x)
    y = ((p.C_re + 1j * p.C_im) @ h).real + p.D * x
    return y, h.real, h.imag


def s6(p, x, h):
    B, C = p.W_B @ x, p.W_C @ x
    delta = log(1 + exp(p.W_2 @ p.W_1 @ x + p.b))
    y, new = np.zeros_like(x), np.zeros_like(h)
    for d in range(len(x)):  # a network of its own for each feature
        A = np.diag(-exp(p.A_log[d]))
        new[d] = np.diag(exp(delta[d] * np.diag(A))) @ h[d] + delta[d] * B * x[d]
        y[d] = C @ new[d] + p.D[d] * x[d]
    return y, new


def lmu(p, x, h, m):
    u = p.e_x[0] @ x + p.e_h[0] @ h + p.e_m[0] @ m
    m = p.A @ m + p.B * u
    h = tanh(np.hstack([p.W, p.R, p.P]) @ np.hstack([x, h, m]))
    return h, h, m


# ------------------------------------------------------------ of time, and of spikes


def gru_d(p, x, h, last):
    value, seen, gap = x["value"], x["seen"], x["gap"]
    seen_one = seen > 0.5
    last = np.array([v if s else old for v, s, old in zip(value, seen_one, last, strict=True)])
    fading = exp(-np.maximum(0, np.diag(p.w_x) @ gap + p.b_x))
    hat = np.where(seen_one, value, fading * last + (1 - fading) * 0.5)
    h = exp(-np.maximum(0, p.W_h @ gap + p.b_h)) * h

    def drive(gate: str, state: Array) -> Array:
        return p[f"V_{gate}"] @ seen + p.drive(gate, hat, state)

    z, r = sigmoid(drive("z", h)), sigmoid(drive("r", h))
    h = h + z * (tanh(drive("n", r * h)) - h)
    return h, h, last


def ltc(p, x, h):
    dt = abs(x["gap"].item()) / 2
    for _ in range(2):  # backward in what decays, forward in f
        f = sigmoid(p.W @ x["value"] + p.R @ h + p.b)
        rate = 1 / exp(p.log_tau) + f
        h = np.linalg.solve(np.diag(1 + dt * rate), h + dt * f * p.A)
    return h, h


def cfc(p, x, h):
    trunk = tanh(np.hstack([p.W, p.R]) @ np.hstack([x["value"], h]) + p.b)
    f, g, k = (p[f"V_{name}"] @ trunk + p[f"a_{name}"] for name in "fgk")
    fading = 1 / (1 + exp(f * x["gap"]))
    h = tanh(k) + fading * (tanh(g) - tanh(k))
    return h, h


def phased_lstm(p, x, h, c):  # in training, with ratio 0.6
    gate = []
    for period, shift in zip(p.period, p.shift, strict=True):
        turns = (x["time"].item() - shift) / period
        phase = turns - np.floor(turns)
        height = 1 - abs(phase - 0.3) / 0.3  # a triangle from 0 to 0.6
        gate.append(height if phase < 0.6 else 0.001 * phase)
    k = np.array(gate)
    i, f, o = (sigmoid(p.drive(gate, x["value"], h)) for gate in "ifo")
    c_new = f * c + i * tanh(p.drive("g", x["value"], h))
    h, c = h + k * (o * tanh(c_new) - h), c + k * (c_new - c)
    return h, h, c


def lif(p, x, i, u, s):
    i = 0.8 * i + np.hstack([p.W, p.R]) @ np.hstack([x, s])
    u = 0.9 * u + i - s
    s = np.heaviside(u - 1, 0)
    return s, i, u, s


NEWER: dict[str, Callable[..., tuple[Array, ...]]] = {
    "BRCCell": bistable,
    "CfCCell": cfc,
    "ConvLSTMCell": conv_lstm,
    "DeltaNetCell": delta_net,
    "GRUDCell": gru_d,
    "LIFCell": lif,
    "LMUCell": lmu,
    "LRUCell": lru,
    "LTCCell": ltc,
    "MCLSTMCell": mc_lstm,
    "MLSTMCell": mlstm,
    "MUT1Cell": mut1,
    "MUT2Cell": mut2,
    "MUT3Cell": mut3,
    "MogrifierLSTMCell": mogrifier_lstm,
    "NBRCCell": bistable,
    "NestedLSTMCell": nested_lstm,
    "PhasedLSTMCell": phased_lstm,
    "RANCell": ran,
    "RHNCell": rhn,
    "S6Cell": s6,
    "STARCell": star,
}
