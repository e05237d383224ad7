"""Equations in continuous time, filters, random latents and spikes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.cells.published.registry import H, I, published


@published("Rubanova et al. 2019, ODE-RNN by Runge and Kutta", {"h": H}, x=((I,), (1,)),
           f=lambda: nn.Sequential(nn.Linear(H, H), nn.Tanh(), nn.Linear(H, H)),
           cell=lambda: nn.GRUCell(I, H))  # fmt: skip
def ode_rnn(self, x, h):
    x, dt = x
    k1 = self.f(h)
    k2 = self.f(h + dt / 2 * k1)
    k3 = self.f(h + dt / 2 * k2)
    k4 = self.f(h + dt * k3)
    h = self.cell(x, h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return h, (h,)


@published("De Brouwer et al. 2019, GRU-ODE", {"h": H}, W=(I, 3 * H), R=(H, 2 * H), N=(H, H))
def gru_ode(self, x, h):
    x_r, x_z, x_n = self.W(x).chunk(3, 1)
    for _ in range(3):
        r, z = torch.sigmoid(torch.cat([x_r, x_z], 1) + self.R(h)).chunk(2, 1)
        h = h + 0.1 * (1 - z) * (torch.tanh(x_n + self.N(r * h)) - h)
    return h, (h,)


@published(
    "Kidger et al. 2020, Neural controlled equation by Euler",
    {"z": H, "last": I},
    f=lambda: nn.Sequential(nn.Linear(H, 6), nn.Softplus(), nn.Linear(6, H * I)),
)
def neural_cde(self, x, z, last):  # fmt: skip
    field = torch.tanh(self.f(z)).view(-1, H, I)
    z = z + (field @ (x - last).unsqueeze(-1)).squeeze(-1)
    return z, (z, x)


@published("Hasani et al. 2021, a fused solver of LTC", {"v": H}, W=[I, H], mu=[I, H], s=[I, H],
           E=[I, H], g=H, rest=H)  # fmt: skip
def ltc_solver(self, x, v):
    act = F.softplus(self.W) * torch.sigmoid(self.s * (x.unsqueeze(-1) - self.mu))
    up, down = (act * self.E).sum(1), act.sum(1)
    g = F.softplus(self.g)
    for _ in range(4):
        v = (4 * v + g * self.rest + up) / (4 + g + down + 1e-8)
    return v, (v,)


@published("Becker et al. 2019, Recurrent Kalman network", {"mu": H, "var": H}, W=(I, H), V=(I, H),
           A=[H, H])  # fmt: skip
def rkn(self, x, mu, var):
    w, r = F.elu(self.W(x)), F.elu(self.V(x)) + 1
    A = torch.softmax(self.A, -1)
    mu, var = mu @ A.t(), var @ (A * A).t() + 0.1
    gain = var / (var + r)
    mu = mu + gain * (w - mu)
    var = (1 - gain) * var
    return torch.cat([mu[:, :2], torch.log(var[:, 2:] + 1e-6)], 1), (mu, var)


@published("Haarnoja et al. 2016, Backprop Kalman filter", {"mu": 2, "P": [2, 2]}, z=(I, 2),
           L=(I, 2), A=[2, 2])  # fmt: skip
def kalman(self, x, mu, P):
    eye = torch.eye(2, dtype=x.dtype)
    mu, P = mu @ self.A.T, self.A @ P @ self.A.T + 0.1 * eye
    R = torch.diag_embed(F.softplus(self.L(x)) + 0.1)
    G = P @ torch.linalg.inv(P + R)
    mu = mu + (G @ (self.z(x) - mu).unsqueeze(-1)).squeeze(-1)
    P = (eye - G) @ P
    return mu, (mu, P)


@published("Chung et al. 2015, Variational RNN", {"h": H}, P=(H, 2 * 2), Q=(I + H, 2 * 2),
           cell=lambda: nn.GRUCell(I + 2, H), y=4)  # fmt: skip
def vrnn(self, x, h):
    mean, log_std = self.Q(torch.cat([x, h], 1)).chunk(2, 1)
    noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
    z = mean + torch.exp(log_std) * noise
    prior = self.P(h)
    h = self.cell(torch.cat([x, z], 1), h)
    return torch.cat([prior[:, :2] - mean, log_std], 1), (h,)


@published("Hafner et al. 2020, a recurrent state-space model", {"h": H, "s": 2}, E=(2 + I, H),
           cell=lambda: nn.GRUCell(H, H), O=(H + I, 4))  # fmt: skip
def rssm(self, x, h, s):
    h = self.cell(F.elu(self.E(torch.cat([s, x], -1))), h)
    mean, std = self.O(torch.cat([h, x], -1)).chunk(2, -1)
    std = F.softplus(std) + 0.1
    s = mean + std * (torch.randn_like(std) if self.training else 0.0)
    return h, (h, s)


class Triangle(torch.autograd.Function):
    """A spike, with the gradient of a triangle."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Any:
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (v,) = ctx.saved_tensors
        return g * 0.3 * F.relu(1 - v.abs())


@published("Bellec et al. 2018, Adaptive spiking neurons (LSNN)", {"v": H, "a": H, "z": H},
           W=(I, H), R=(H, H))  # fmt: skip
def alif(self, x, v, a, z):
    a = 0.9 * a + z
    threshold = 0.5 + 0.2 * a
    v = 0.8 * v + self.W(x) + self.R(z) - z * threshold
    z = Triangle.apply((v - threshold) / threshold)
    return z, (v, a, z)


@published("Bellec et al. 2020, e-prop's neuron with the detach trick", {"v": H, "z": H}, W=(I, H),
           R=(H, H))  # fmt: skip
def eprop_lif(self, x, v, z):
    v = 0.8 * v + self.W(x) + self.R(z) - 0.5 * z.detach()
    slope = 0.3 * F.relu(1 - (v - 0.5).abs())
    z = slope + ((v > 0.5).to(v.dtype) - slope).detach()
    return z, (v, z)


@published("Fang et al. 2021, Parametric LIF", {"v": H}, W=(I, H), w=1)
def plif(self, x, v):
    v = v + (self.W(x) - v) * torch.sigmoid(self.w)
    over = v - 0.5
    soft = torch.atan(torch.pi * over) / torch.pi + 0.5
    s = soft + (torch.heaviside(over, torch.ones_like(over)) - soft).detach()
    v = (1 - s.detach()) * v
    return s, (v,)


@published("Cramer et al. 2022, Synaptic current and membrane", {"i": H, "v": H, "s": H}, W=(I, H),
           R=(H, H))  # fmt: skip
def synaptic(self, x, i, v, s):
    i = 0.9 * i + self.W(x) + self.R(s)
    v = (0.8 * v + i) * (1 - s.detach())
    u = v - 1
    fast = u / (1 + 10 * u.abs())
    s = fast + ((u > 0).to(u.dtype) - fast).detach()
    return v, (i, v, s)


@published("Izhikevich 2003, as used in spiking nets since", {"v": H, "u": H}, W=(I, H))
def izhikevich(self, x, v, u):
    v = v + 0.5 * (0.04 * v**2 + 0.5 * v + 0.4 - u + self.W(x))
    u = u + 0.02 * (0.2 * v - u)
    fired = v >= 0.3
    v, u = torch.where(fired, torch.full_like(v, -0.65), v), torch.where(fired, u + 0.08, u)
    return fired.to(v.dtype), (v, u)
