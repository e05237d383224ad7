"""Memories that are addressed, stacks, images and graphs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.cells.published.registry import H, I, published

N, K = 3, 2  # slots, and the size of a key


def content(M, k, beta):
    """Weights of the slots by how much they are like a key."""
    near = F.cosine_similarity(M + 1e-8, k.unsqueeze(1), dim=-1)
    return F.softmax(F.softplus(beta) * near, dim=-1)


@published("Graves et al. 2014, Neural Turing machine", {"h": H, "M": [N, K], "w": N}, W=(I + K, H),
           O=(H, 4 * K + 6))  # fmt: skip
def ntm(self, x, h, M, w):
    read = torch.einsum("bn,bnk->bk", w, M)
    h = torch.tanh(self.W(torch.cat([x, read], 1)) + 0.5 * h)
    k, beta, g, s, gamma, e, a, _ = self.O(h).split([K, 1, 1, 3, 1, K, K, K], 1)
    g, s = g.sigmoid(), s.softmax(1)
    wg = g * content(M, k, beta) + (1 - g) * w
    turned = torch.stack([wg.roll(1, 1), wg, wg.roll(-1, 1)], 2)
    w = (turned @ s.unsqueeze(2)).squeeze(2)
    w = (w + 1e-8) ** (1 + F.softplus(gamma))
    w = w / w.sum(1, keepdim=True)
    M = M * (1 - w.unsqueeze(2) * e.sigmoid().unsqueeze(1)) + w.unsqueeze(2) * a.unsqueeze(1)
    return h, (h, M, w)


@published("Graves et al. 2016, Differentiable neural computer (allocation)",
           {"h": H, "M": [N, K], "u": N, "w": N}, W=(I + H, H), O=(H, 2 * K + 3))  # fmt: skip
def dnc(self, x, h, M, u, w):
    h = torch.tanh(self.W(torch.cat([x, h], 1)))
    k, v, beta, g, f = self.O(h).split([K, K, 1, 1, 1], 1)
    u = (u + w - u * w) * f.sigmoid()
    used, order = torch.sort(u, dim=1)
    before = torch.cumprod(torch.cat([torch.ones_like(u[:, :1]), used[:, :-1]], 1), 1)
    allocation = torch.zeros_like(u).scatter(1, order, (1 - used) * before)
    w = g.sigmoid() * allocation + (1 - g.sigmoid()) * content(M, k, beta)
    M = M + w.unsqueeze(2) * v.unsqueeze(1)
    return h, (h, M, u, w)


@published("Santoro et al. 2016, Least recently used access", {"h": H, "M": [N, K], "u": N},
           W=(I + H, H), O=(H, 2 * K))  # fmt: skip
def lrua(self, x, h, M, u):
    h = torch.tanh(self.W(torch.cat([x, h], 1)))
    k, a = self.O(h).chunk(2, 1)
    r = content(M, k, torch.ones_like(k[:, :1]))
    least = torch.topk(u, 1, dim=1, largest=False).values
    w = (u <= least).to(u.dtype)
    u = 0.9 * u + r + w
    M = M + w.unsqueeze(2) * a.unsqueeze(1)
    return h + torch.einsum("bn,bnk->bk", r, M).repeat(1, 2), (h, M, u)


@published("Henaff et al. 2017, Recurrent entity networks", {"m": [N, H]}, E=(I, H), keys=[N, H],
           U=(H, H), V=(H, H), y=H)  # fmt: skip
def ent_net(self, x, m):
    s = self.E(x).unsqueeze(1)
    g = torch.sigmoid((s * (m + self.keys)).sum(-1, keepdim=True))
    new = F.prelu(self.U(m) + self.V(self.keys) + s, torch.full((1,), 0.1, dtype=x.dtype))
    m = F.normalize(m + g * new, dim=-1)
    return m.sum(1), (m,)


@published("Zhang et al. 2017, Key-value memory for tracing knowledge", {"M": [N, K]}, y=1,
           keys=[N, I], E=(I, K), A=(I, K), out=(I + K, 1))  # fmt: skip
def dkvmn(self, x, M):
    w = torch.softmax(x @ self.keys.t(), -1)
    read = (w.unsqueeze(-1) * M).sum(1)
    e, a = torch.sigmoid(self.E(x)), torch.tanh(self.A(x))
    M = M * (1 - w.unsqueeze(2) * e.unsqueeze(1)) + w.unsqueeze(2) * a.unsqueeze(1)
    return torch.sigmoid(self.out(torch.cat([x, read], 1))), (M,)


@published("Grefenstette et al. 2015, Neural stack", {"V": [N, K], "s": N}, y=K, W=(I, K + 2))
def neural_stack(self, x, V, s):
    v, u, d = self.W(x).split([K, 1, 1], 1)
    u, d = u.sigmoid(), d.sigmoid()
    above = s.flip(1).cumsum(1).flip(1) - s
    s = F.relu(s - F.relu(u - above))
    V, s = torch.cat([V[:, 1:], v.unsqueeze(1)], 1), torch.cat([s[:, 1:], d], 1)
    above = s.flip(1).cumsum(1).flip(1) - s
    r = torch.minimum(s, F.relu(1 - above))
    return torch.einsum("bn,bnk->bk", r, V), (V, s)


@published("Joulin and Mikolov 2015, Stack-augmented RNN", {"h": H, "S": [N, 1]}, W=(I, H),
           R=(H + 1, H), A=(H, 3), D=(H, 1))  # fmt: skip
def stack_rnn(self, x, h, S):
    h = torch.sigmoid(self.W(x) + self.R(torch.cat([h, S[:, 0]], 1)))
    push, pop, stay = F.softmax(self.A(h), 1).unsqueeze(2).unsqueeze(3).unbind(1)
    top = torch.sigmoid(self.D(h)).unsqueeze(1)
    pushed = torch.cat([top, S[:, :-1]], 1)
    popped = F.pad(S[:, 1:], (0, 0, 0, 1))
    S = push * pushed + pop * popped + stay * S
    return h, (h, S)


@published("Santoro et al. 2018, Relational memory core", {"M": [N, H]}, E=(I, H), y=H,
           att=lambda: nn.MultiheadAttention(H, 2, batch_first=True),
           mlp=(H, H), norm=lambda: nn.LayerNorm(H), G=(2 * H, 2 * H))  # fmt: skip
def relational(self, x, M):
    u = self.E(x).unsqueeze(1)
    both = torch.cat([M, u], 1)
    A, _ = self.att(M, both, both, need_weights=False)
    new = self.norm(M + A)
    new = self.norm(new + F.relu(self.mlp(new)))
    i, f = self.G(torch.cat([u.expand_as(M), torch.tanh(M)], -1)).chunk(2, -1)
    M = torch.sigmoid(f + 1) * M + torch.sigmoid(i) * torch.tanh(new)
    return M.mean(1), (M,)


@published("Goyal et al. 2021, Recurrent independent mechanisms", {"h": [N, K]}, Q=(K, K),
           KV=(I, 2 * K), R=[N, 2 * K, K], y=N * K)  # fmt: skip
def rims(self, x, h):
    k, v = self.KV(x).chunk(2, 1)
    score = (self.Q(h) * k.unsqueeze(1)).sum(-1) / K**0.5
    best = torch.topk(score, 2, dim=1).values[:, -1:]
    active = (score >= best).to(h.dtype).unsqueeze(2)
    given = torch.sigmoid(score).unsqueeze(2) * v.unsqueeze(1)
    new = torch.tanh(torch.einsum("bni,nio->bno", torch.cat([given, h], -1), self.R))
    h = active * new + (1 - active) * h
    return h.flatten(1), (h,)


@published("Ramsauer et al. 2021, a modern Hopfield net as the memory", {"h": H, "M": [N, H]},
           W=(I + H, H))  # fmt: skip
def hopfield(self, x, h, M):
    h = torch.tanh(self.W(torch.cat([x, h], 1)))
    for _ in range(2):
        p = torch.softmax(2.0 * torch.bmm(M, h.unsqueeze(2)).squeeze(2), 1)
        h = 0.5 * h + 0.5 * torch.bmm(p.unsqueeze(1), M).squeeze(1)
    M = torch.cat([M[:, 1:], h[:, None]], 1)
    return h, (h, M)


@published("Bahdanau et al. 2015, a decoder that attends", {"h": H},
           x={"y": (I,), "memory": (N, H)}, U=(H, H), V=(H, H), v=(H, 1),
           cell=lambda: nn.GRUCell(I + H, H))  # fmt: skip
def attending(self, x, h):
    energy = self.v(torch.tanh(self.U(h).unsqueeze(1) + self.V(x["memory"]))).squeeze(2)
    a = F.softmax(energy, dim=1)
    context = torch.bmm(a.unsqueeze(1), x["memory"]).squeeze(1)
    h = self.cell(torch.cat([x["y"], context], 1), h)
    return h, (h,)


@published("Zhong et al. 2018, attention over the last states", {"h": H, "past": [N, H]},
           cell=lambda: nn.GRUCell(I + H, H), Q=(H, H))  # fmt: skip
def over_the_last(self, x, h, past):
    p = torch.softmax(torch.einsum("bh,bnh->bn", self.Q(h), past) / H**0.5, -1)
    h = self.cell(torch.cat([x, torch.einsum("bn,bnh->bh", p, past)], 1), h)
    past = torch.cat([past[:, 1:], h.unsqueeze(1)], dim=1)
    return h, (h, past)


@published(
    "Ballas et al. 2016, Convolutional GRU",
    {"h": [2, 3, 3]},
    x=(1, 3, 3),
    G=lambda: nn.Conv2d(3, 4, 3, padding=1),
    N=lambda: nn.Conv2d(3, 2, 3, padding=1),
)
def conv_gru(self, x, h):  # fmt: skip
    z, r = torch.sigmoid(self.G(torch.cat([x, h], 1))).chunk(2, 1)
    n = torch.tanh(self.N(torch.cat([x, r * h], dim=1)))
    h = (1 - z) * h + z * n
    return h, (h,)


@published("Wang et al. 2017, PredRNN's spatiotemporal LSTM",
           {"h": [1, 3, 3], "c": [1, 3, 3], "m": [1, 3, 3]}, x=(1, 3, 3),
           X=lambda: nn.Conv2d(1, 7, 3, padding=1), R=lambda: nn.Conv2d(1, 4, 3, padding=1),
           M=lambda: nn.Conv2d(1, 3, 3, padding=1), O=lambda: nn.Conv2d(2, 1, 3, padding=1),
           last=lambda: nn.Conv2d(2, 1, 1))  # fmt: skip
def pred_rnn(self, x, h, c, m):
    i, f, g, i2, f2, g2, o = self.X(x).chunk(7, 1)
    hi, hf, hg, ho = self.R(h).chunk(4, 1)
    mi, mf, mg = self.M(m).chunk(3, 1)
    c = torch.sigmoid(f + hf + 1) * c + torch.sigmoid(i + hi) * torch.tanh(g + hg)
    m = torch.sigmoid(f2 + mf + 1) * m + torch.sigmoid(i2 + mi) * torch.tanh(g2 + mg)
    memory = torch.cat([c, m], 1)
    h = torch.sigmoid(o + ho + self.O(memory)) * torch.tanh(self.last(memory))
    return h, (h, c, m)


@published("Shi et al. 2017, TrajGRU", {"h": [1, 3, 3]}, x=(1, 3, 3),
           flow=lambda: nn.Conv2d(2, 2, 3, padding=1), W=lambda: nn.Conv2d(1, 2, 1),
           R=lambda: nn.Conv2d(1, 2, 1))  # fmt: skip
def traj_gru(self, x, h):
    flow = torch.tanh(self.flow(torch.cat([x, h], 1))).permute(0, 2, 3, 1)
    at = torch.linspace(-1, 1, 3, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1) + flow
    moved = F.grid_sample(h, grid, align_corners=True)
    z, n = (self.W(x) + self.R(moved)).chunk(2, 1)
    h = torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * F.leaky_relu(n)
    return h, (h,)


@published("Li et al. 2018, Diffusion convolutional GRU", {"h": [N, K]}, x=(N, 1),
           A=[N, N], G=(3 * (K + 1), 2 * K), C=(3 * (K + 1), K))  # fmt: skip
def dcrnn(self, x, h):
    P = torch.softmax(self.A, 1)

    def diffused(u):
        near = torch.matmul(P, u)
        return torch.cat([u, near, torch.matmul(P.t(), u)], -1)

    r, u = torch.sigmoid(self.G(diffused(torch.cat([x, h], -1)))).chunk(2, -1)
    c = torch.tanh(self.C(diffused(torch.cat([x, r * h], -1))))
    h = u * h + (1 - u) * c
    return h, (h,)


@published("Zhao et al. 2020, T-GCN", {"h": [N, K]}, x=(N, 1), A=[N, N], G=(K + 1, 2 * K),
           C=(K + 1, K))  # fmt: skip
def t_gcn(self, x, h):
    A = F.relu(self.A) + torch.eye(N, dtype=x.dtype)
    d = A.sum(1).pow(-0.5)
    L = d[:, None] * A * d[None, :]
    r, u = torch.sigmoid(self.G(torch.einsum("nm,bmk->bnk", L, torch.cat([x, h], 2)))).chunk(2, 2)
    c = torch.tanh(self.C(L @ torch.cat([x, r * h], 2)))
    h = u * h + (1.0 - u) * c
    return h, (h,)
