"""State spaces, orthogonal and complex memories."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.cells.published.registry import H, I, published


@published("Gu et al. 2020, HiPPO-LegS", {"c": H, "t": 1}, W=(I, 1))
def hippo(self, x, c, t):
    n = torch.arange(H, dtype=x.dtype)
    root = torch.sqrt(2 * n + 1)
    A = -torch.tril(root[:, None] * root[None, :], -1) - torch.diag(n + 1)
    t = t + 1
    c = c + (c @ A.T) / (2 * t) + root * self.W(x) / (2 * t)
    return c, (c, t)


@published("Gu et al. 2022, S4D in complex numbers", {"re": H, "im": H}, W=(I, H), a=H, b=H,
           c=[2, H])  # fmt: skip
def s4d(self, x, re, im):
    A = torch.complex(-torch.exp(self.a), math.pi * self.b)
    s = torch.exp(0.1 * A) * torch.complex(re, im) + (torch.exp(0.1 * A) - 1) / A * self.W(x)
    y = 2 * (torch.complex(self.c[0], self.c[1]) * s).real
    return y, (s.real, s.imag)


@published("Smith et al. 2023, S5 in pairs of real numbers", {"s": [H, 2]}, W=(I, 2 * H), a=H, w=H,
           C=(2 * H, H), y=H)  # fmt: skip
def s5(self, x, s):
    size, angle = torch.exp(-torch.exp(self.a)), self.w
    cos, sin = size * torch.cos(angle), size * torch.sin(angle)
    u = self.W(x).view(-1, H, 2)
    re, im = s[..., 0], s[..., 1]
    s = torch.stack([cos * re - sin * im, sin * re + cos * im], -1) + u
    return F.gelu(self.C(s.flatten(1))), (s,)


@published("Ma et al. 2023, Mega's damped average", {"u": [I, 2]}, alpha=[I, 2], delta=[I, 2],
           beta=[I, 2], eta=[I, 2], y=I)  # fmt: skip
def mega(self, x, u):
    alpha, delta = self.alpha.sigmoid(), self.delta.sigmoid()
    u = alpha * (x.unsqueeze(2) * self.beta) + (1 - alpha * delta) * u
    return F.silu((u * self.eta).sum(2) + x), (u,)


@published("De et al. 2024, Griffin's RG-LRU", {"h": H}, E=(I, H), G=(H, 2 * H), lam=H)
def rg_lru(self, x, h):
    u = self.E(x)
    r, i = torch.sigmoid(self.G(u)).chunk(2, -1)
    log_a = -8.0 * r * F.softplus(self.lam)
    a = torch.exp(log_a)
    h = a * h + torch.sqrt(-torch.expm1(2 * log_a)) * (i * u)
    return h, (h,)


@published("Katsch 2023, GateLoop in complex numbers", {"re": H, "im": H}, W=(I, 5 * H))
def gate_loop(self, x, re, im):
    q, k, v, size, angle = self.W(x).chunk(5, 1)
    a = torch.polar(size.sigmoid(), angle)
    s = torch.complex(re, im) * a + (k * v).to(a.dtype)
    return q * s.real, (s.real, s.imag)


@published("Arjovsky et al. 2016, Unitary evolution", {"re": H, "im": H}, W=(I, 2 * H), d=[3, H],
           v=[2, 2, H], b=H)  # fmt: skip
def urnn(self, x, re, im):
    def reflect(z, v):
        v = torch.complex(v[0], v[1])
        return z - 2 * (z @ v.conj()).unsqueeze(1) * v / v.abs().square().sum()

    def turned(z, angle):
        return z * torch.polar(torch.ones_like(angle), angle)

    z = torch.fft.fft(turned(torch.complex(re, im), self.d[0]), norm="ortho")
    z = reflect(turned(reflect(z, self.v[0])[:, [2, 0, 3, 1]], self.d[1]), self.v[1])
    z = turned(torch.fft.ifft(z, norm="ortho"), self.d[2])
    z = z + torch.complex(*self.W(x).chunk(2, 1))
    z = F.relu(z.abs() + self.b) * z / (z.abs() + 1e-5)
    return z.real, (z.real, z.imag)


@published("Lezcano-Casado and Martínez-Rubio 2019, expRNN", {"h": H}, W=(I, H), A=[H, H], b=H)
def exp_rnn(self, x, h):
    A = torch.triu(self.A, 1)
    z = self.W(x) + h @ torch.matrix_exp(A - A.T)
    h = torch.sign(z) * F.relu(z.abs() + self.b)
    return h, (h,)


@published("Helfrich et al. 2018, scoRNN (Cayley)", {"h": H}, W=(I, H), A=[H, H])
def sco_rnn(self, x, h):
    A, eye = self.A.triu(1) - self.A.triu(1).T, torch.eye(H, dtype=x.dtype)
    h = F.leaky_relu(self.W(x) + h @ torch.linalg.solve(eye + A, eye - A))
    return h, (h,)


@published("Kerg et al. 2019, Non-normal RNN", {"h": H}, W=(I, H), A=[H, H], T=[H, H])
def nn_rnn(self, x, h):
    P = torch.linalg.matrix_exp(self.A - self.A.T)
    upper = torch.eye(H, dtype=x.dtype) + torch.triu(self.T, 1)
    h = torch.tanh(self.W(x) + F.linear(h, P @ upper @ P.T))
    return h, (h,)


@published("Vorontsov et al. 2017, a factorised orthogonal matrix", {"h": H}, W=(I, H), U=[2, H],
           s=H)  # fmt: skip
def householder(self, x, h):
    for u in self.U:
        u = F.normalize(u, dim=0)
        h = h - 2 * torch.outer(h @ u, u)
    h = torch.tanh(self.W(x) + h * (2 * 0.1 * (torch.sigmoid(self.s) - 0.5) + 1))
    return h, (h,)


@published("Zhang et al. 2018, Fourier recurrent unit", {"u": [3, H], "t": 1}, W=(I, H),
           R=(3 * H, H), phase=[3, H], y=H)  # fmt: skip
def fourier_unit(self, x, u, t):
    z = torch.tanh(self.W(x) + self.R(u.flatten(1)))
    f = torch.arange(1, 4, dtype=x.dtype).view(1, 3, 1)
    wave = torch.cos(2 * math.pi * f * t.unsqueeze(2) / 100 + self.phase)
    u = u + wave * z.unsqueeze(1) / 100
    return z, (u, t + 1)


@published("Erichson et al. 2021, Lipschitz RNN", {"h": H}, W=(I, H), A=[H, H], M=[H, H])
def lipschitz(self, x, h):
    def sym(M, beta=0.75, gamma=0.01):
        return (1 - beta) * (M + M.T) + beta * (M - M.T) - gamma * torch.eye(H, dtype=x.dtype)

    h = h + 0.1 * (h @ sym(self.A) + torch.tanh(h @ sym(self.M) + self.W(x)))
    return h, (h,)


@published("Mastrogiuseppe and Ostojic 2018, Low-rank RNN", {"h": H}, W=(I, H), m=[H, 2], n=[H, 2])
def low_rank(self, x, h):
    h = 0.8 * h + 0.2 * ((torch.tanh(h) @ self.n) @ self.m.t() / H + self.W(x))
    return torch.tanh(h), (h,)


@published("Song et al. 2016, Excitatory and inhibitory units", {"h": H}, W=(I, H), R=[H, H])
def dale(self, x, h):
    signs = torch.diag(torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=x.dtype))
    mask = 1 - torch.eye(H, dtype=x.dtype)
    rate = F.relu(h)
    h = 0.8 * h + 0.2 * (self.W(x) + rate @ ((self.R.abs() * mask) @ signs).t())
    return F.relu(h), (h,)


@published("Rusch et al. 2022, a graph of coupled oscillators", {"y": [3, 2], "z": [3, 2]},
           x=(3, 2), A=[3, 3], W=(2, 2))  # fmt: skip
def graph_con(self, x, y, z):
    coupling = torch.einsum("nm,bmd->bnd", torch.softmax(self.A, 1), self.W(y))
    z = z + 0.1 * (torch.relu(coupling + x) - y - z)
    y = y + 0.1 * z
    return y, (y, z)


@published("Orvieto et al. 2023 and Feng et al. 2024, a block of two scans", {"h": H, "g": H},
           W=(I, 3 * H), V=(H, 2 * H))  # fmt: skip
def two_scans(self, x, h, g):
    a, u, o = self.W(x).chunk(3, 1)
    a = a.sigmoid()
    h = a * h + (1 - a) * u
    b, w = self.V(F.silu(o) * h).chunk(2, 1)
    g = b.sigmoid() * g + (1 - b.sigmoid()) * w
    return g, (h, g)
