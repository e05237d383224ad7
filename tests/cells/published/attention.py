"""Linear attention, state spaces of it, and fast weights: a matrix as the memory."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.cells.published.registry import H, I, published

K = 2  # the size of keys


@published("Katharopoulos et al. 2020, Linear transformer", {"S": [K, H], "n": K}, y=H,
           W=(I, 2 * K + H))  # fmt: skip
def linear_transformer(self, x, S, n):
    q, k, v = self.W(x).split([K, K, H], -1)
    q, k = F.elu(q) + 1, F.elu(k) + 1
    S = S + torch.einsum("bk,bv->bkv", k, v)
    n = n + k
    y = torch.einsum("bk,bkv->bv", q, S) / (q * n).sum(-1, keepdim=True)
    return y, (S, n)


@published("Choromanski et al. 2021, Performer", {"S": [6, H], "n": 6}, y=H, W=(I, 2 * K + H),
           omega=[6, K])  # fmt: skip
def performer(self, x, S, n):
    q, k, v = self.W(x).split([K, K, H], -1)
    q, k = (
        torch.exp(u @ self.omega.t() - u.square().sum(-1, keepdim=True) / 2) / 6**0.5
        for u in (q, k)
    )
    S, n = S + k.unsqueeze(-1) * v.unsqueeze(-2), n + k
    y = (q.unsqueeze(1) @ S).squeeze(1) / ((q * n).sum(1, keepdim=True) + 1e-6)
    return y, (S, n)


@published("Sun et al. 2023, RetNet", {"S": [2, K, 2]}, y=H, W=(I, 2 * 2 * K + H), G=(I, H))
def retnet(self, x, S):
    q, k, v = self.W(x).split([2 * K, 2 * K, H], -1)
    q, k, v = (u.view(-1, 2, u.shape[-1] // 2) for u in (q, k, v))
    gamma = 1 - 2.0 ** (-5 - torch.arange(2, dtype=x.dtype))
    S = gamma.view(2, 1, 1) * S + k.unsqueeze(-1) * v.unsqueeze(-2)
    y = torch.einsum("bhk,bhkv->bhv", q, S)
    y = F.group_norm(y.flatten(1), 2)
    return F.silu(self.G(x)) * y, (S,)


@published("Peng et al. 2023, RWKV-4", {"a": H, "b": H, "p": H, "last": I}, W=(I, 3 * H), w=H, u=H,
           mix=I)  # fmt: skip
def rwkv4(self, x, a, b, p, last):
    r, k, v = self.W(x * self.mix + last * (1 - self.mix)).chunk(3, -1)
    q = torch.maximum(p, self.u + k)
    e1, e2 = torch.exp(p - q), torch.exp(self.u + k - q)
    y = torch.sigmoid(r) * (e1 * a + e2 * v) / (e1 * b + e2 + 1e-9)
    w = -torch.exp(self.w)
    q = torch.maximum(p + w, k)
    e1, e2 = torch.exp(p + w - q), torch.exp(k - q)
    return y, (e1 * a + e2 * v, e1 * b + e2, q, x)


@published("Peng et al. 2024, RWKV-6", {"S": [K, H]}, y=H, W=(I, 3 * K + H), u=K)
def rwkv6(self, x, S):
    r, k, w, v = self.W(x).split([K, K, K, H], -1)
    kv = k.unsqueeze(2) @ v.unsqueeze(1)
    y = (r.unsqueeze(1) @ (self.u.unsqueeze(1) * kv + S)).squeeze(1)
    S = torch.exp(-torch.exp(w)).unsqueeze(2) * S + kv
    return y, (S,)


@published("Peng et al. 2025, RWKV-7", {"S": [H, K]}, y=H, W=(I, 5 * K + H))
def rwkv7(self, x, S):
    r, w, k, a, kappa, v = self.W(x).split([K, K, K, K, K, H], -1)
    kappa, a = F.normalize(kappa, dim=-1), a.sigmoid()
    decay = torch.exp(-0.606531 * w.sigmoid())
    removed = (S @ -kappa.unsqueeze(2)) @ (a * kappa).unsqueeze(1)
    S = S * decay.unsqueeze(1) + removed + v.unsqueeze(2) @ k.unsqueeze(1)
    return (S @ r.unsqueeze(2)).squeeze(2), (S,)


@published("Yang et al. 2024, Gated linear attention", {"S": [K, H]}, y=H, W=(I, 3 * K + H),
           R=(I, H))  # fmt: skip
def gla(self, x, S):
    q, k, a, v = self.W(x).split([K, K, K, H], -1)
    alpha = torch.sigmoid(a) ** (1 / 16)
    S = alpha[:, :, None] * S + k[:, :, None] * v[:, None, :]
    y = F.layer_norm((q[:, :, None] * S).sum(1), (H,))
    return y * F.silu(self.R(x)), (S,)


@published("Yang et al. 2025, Gated delta networks", {"S": [H, K]}, y=H, W=(I, 2 * K + H),
           mix=(I, 2))  # fmt: skip
def gated_delta(self, x, S):
    q, k, v = F.silu(self.W(x)).split([K, K, H], -1)
    q, k = F.normalize(q, p=2, dim=-1), F.normalize(k, p=2, dim=-1)
    alpha, beta = torch.sigmoid(self.mix(x)).unsqueeze(-1).unbind(1)
    S = alpha.unsqueeze(-1) * S
    error = v - torch.einsum("bvk,bk->bv", S, k)
    S = S + torch.einsum("bv,bk->bvk", beta * error, k)
    return torch.einsum("bvk,bk->bv", S, q), (S,)


@published("Siems et al. 2025, DeltaProduct", {"S": [H, K]}, y=H, W=(I, K), KV=(I, 2 * (K + H)),
           beta=(I, 2))  # fmt: skip
def delta_product(self, x, S):
    kv, beta = self.KV(x).view(-1, 2, K + H), 2 * self.beta(x).sigmoid()
    for n in range(2):
        k, v = F.normalize(kv[:, n, :K], dim=-1), kv[:, n, K:]
        error = v - torch.bmm(S, k.unsqueeze(-1)).squeeze(-1)
        S = S + beta[:, n, None, None] * error.unsqueeze(-1) * k.unsqueeze(-2)
    return torch.bmm(S, self.W(x).unsqueeze(-1)).squeeze(-1), (S,)


@published("Qin et al. 2024, HGRN2", {"S": [K, H]}, y=H, W=(I, 2 * K + H), lower=K)
def hgrn2(self, x, S):
    q, f, v = self.W(x).split([K, K, H], 1)
    floor = self.lower.softmax(0)
    f = floor + (1 - floor) * f.sigmoid()
    S = f.unsqueeze(2) * S + torch.einsum("bi,bj->bij", 1 - f, v)
    return torch.einsum("bi,bij->bj", F.silu(q), S), (S,)


@published("Beck et al. 2024, sLSTM with two heads", {"c": H, "n": H, "m": H, "h": H},
           W=(I, 4 * H), R=[2, 2, 4 * 2])  # fmt: skip
def slstm_heads(self, x, c, n, m, h):
    mixed = torch.einsum("bhi,hio->bho", h.view(-1, 2, 2), self.R)
    z, i, f, o = (self.W(x) + mixed.view(-1, 2, 4, 2).transpose(1, 2).reshape(-1, 4 * H)).chunk(
        4, 1
    )
    new_m = torch.maximum(F.logsigmoid(f) + m, i)
    i, f = torch.exp(i - new_m), torch.exp(F.logsigmoid(f) + m - new_m)
    c, n = f * c + i * torch.tanh(z), f * n + i
    h = o.sigmoid() * c / n.clamp(min=1e-6)
    return h, (c, n, new_m, h)


@published("Ba et al. 2016, Fast weights", {"h": H, "A": [H, H]}, W=(I, H), R=(H, H))
def fast_weights(self, x, h, A):
    A = 0.95 * A + 0.5 * torch.bmm(h.unsqueeze(2), h.unsqueeze(1))
    z = self.W(x) + self.R(h)
    inner = torch.relu(z)
    for _ in range(2):
        inner = torch.relu(F.layer_norm(z + torch.bmm(A, inner.unsqueeze(2)).squeeze(2), [H]))
    h = inner
    return h, (h, A)


@published("Schlag et al. 2021, Fast weight programmers (DPFP)", {"S": [H, 2 * K]}, y=H,
           W=(I, 2 * K + H + 1))  # fmt: skip
def dpfp(self, x, S):
    q, k, v, beta = self.W(x).split([K, K, H, 1], 1)

    def phi(u):
        u = torch.cat([F.relu(u), F.relu(-u)], -1)
        u = u * u.roll(1, -1)
        return u / (u.sum(-1, keepdim=True) + 1e-6)

    q, k = phi(q), phi(k)
    old = (S * k.unsqueeze(1)).sum(-1)
    S = S + (beta.sigmoid() * (v - old)).unsqueeze(2) * k.unsqueeze(1)
    return (S * q.unsqueeze(1)).sum(-1), (S,)


@published("Sun et al. 2024, Test-time training (linear)", {"W": [K, K], "b": K}, y=K,
           P=(I, 3 * K), rate=(I, 1))  # fmt: skip
def ttt_linear(self, x, W, b):
    q, k, v = self.P(x).chunk(3, -1)
    made = torch.bmm(k.unsqueeze(1), W).squeeze(1) + b
    slope = 2 * (made - v) * self.rate(x).sigmoid()
    W, b = W - k.unsqueeze(2) * slope.unsqueeze(1), b - slope
    return torch.bmm(q.unsqueeze(1), W).squeeze(1) + b, (W, b)


@published("Behrouz et al. 2025, Titans with a linear memory", {"M": [K, K], "S": [K, K]}, y=K,
           P=(I, 3 * K), g=(I, 3))  # fmt: skip
def titans(self, x, M, S):
    q, k, v = self.P(x).chunk(3, -1)
    eta, theta, alpha = (gate.view(-1, 1, 1) for gate in self.g(x).sigmoid().unbind(1))
    error = torch.einsum("bij,bj->bi", M, k) - v
    S = eta * S - theta * torch.einsum("bi,bj->bij", error, k)
    M = (1 - alpha) * M + S
    return torch.einsum("bij,bj->bi", M, q), (M, S)


@published("Zhang et al. 2024, Gated slot attention", {"Ks": [3, K], "Vs": [3, H]}, y=H,
           W=(I, 2 * K + H), A=(I, 3))  # fmt: skip
def gated_slots(self, x, Ks, Vs):
    q, k, v = self.W(x).split([K, K, H], 1)
    alpha = self.A(x).sigmoid().unsqueeze(2)
    Ks = alpha * Ks + (1 - alpha) * k.unsqueeze(1)
    Vs = alpha * Vs + (1 - alpha) * v.unsqueeze(1)
    p = torch.softmax(torch.einsum("bmk,bk->bm", Ks, q), 1)
    return torch.einsum("bm,bmv->bv", p, Vs), (Ks, Vs)


@published("Dao and Gu 2024, Mamba-2", {"S": [2, 2, K]}, y=H, W=(I, H + 2 * K + 2), A=2, D=2)
def mamba2(self, x, S):
    u, B, C, dt = self.W(x).split([H, K, K, 2], 1)
    u, dt = F.silu(u).reshape(-1, 2, 2), F.softplus(dt)
    decay = torch.exp(-dt * self.A.exp())
    S = decay[..., None, None] * S + torch.einsum("bh,bhp,bn->bhpn", dt, u, B)
    y = torch.einsum("bhpn,bn->bhp", S, C) + self.D[:, None] * u
    return y.reshape(len(x), H), (S,)


@published("Miconi et al. 2018, Differentiable plasticity", {"h": H, "T": [H, H]}, W=(I, H),
           w=[H, H], alpha=[H, H])  # fmt: skip
def plasticity(self, x, h, T):
    effective = self.w + self.alpha * T
    new = torch.tanh(self.W(x) + torch.bmm(h.unsqueeze(1), effective).squeeze(1))
    T = 0.9 * T + 0.1 * torch.bmm(h.unsqueeze(2), new.unsqueeze(1))
    return new, (new, T)


@published("Miconi et al. 2019, Backpropamine", {"h": H, "T": [H, H]}, W=(I, H), w=[H, H],
           alpha=[H, H], M=(H, 1))  # fmt: skip
def backpropamine(self, x, h, T):
    new = torch.tanh(self.W(x) + torch.einsum("bi,bij->bj", h, self.w + self.alpha * T))
    eta = torch.tanh(self.M(new)).unsqueeze(2)
    T = torch.clamp(T + eta * torch.einsum("bi,bj->bij", h, new), -1.0, 1.0)
    return new, (new, T)


@published("Rodriguez et al. 2022, Short-term plasticity neurons", {"h": H, "Fm": [H, I + H]},
           w=[H, I + H], lam=[H, I + H], gamma=[H, I + H], b=H)  # fmt: skip
def stpn(self, x, h, Fm):
    total = self.w + Fm
    total = total / (torch.linalg.norm(total, dim=2, keepdim=True) + 1e-6)
    both = torch.cat([x, h], 1)
    h = torch.tanh(torch.bmm(total, both.unsqueeze(2)).squeeze(2) + self.b)
    Fm = self.lam * Fm + self.gamma * h.unsqueeze(2) * both.unsqueeze(1)
    return h, (h, Fm)
