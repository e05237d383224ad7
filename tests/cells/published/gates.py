"""Gated cells: what became of the LSTM and the GRU."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.cells.published.registry import H, I, published

sigmoid, tanh, cat = torch.sigmoid, torch.tanh, torch.cat


def lstm(z, c):
    """The gates of z in PyTorch's order, and what they make of c."""
    i, f, g, o = z.chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


@published("Lei et al. 2018, Simple recurrent units", {"c": H}, W=(I, 4 * H), v=[2, H])
def sru(self, x, c):
    u, f, r, skip = self.W(x).chunk(4, -1)
    f, r = sigmoid(f + self.v[0] * c), sigmoid(r + self.v[1] * c)
    c = f * c + (1 - f) * u
    return r * c + (1 - r) * skip, (c,)


@published("Bradbury et al. 2017, Quasi-recurrent networks", {"c": H, "last": I}, W=(2 * I, 3 * H))
def qrnn(self, x, c, last):
    z, f, o = self.W(cat([last, x], 1)).split(H, 1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(z)
    return sigmoid(o) * c, (c, x)


@published(
    "Baytas et al. 2017, Time-aware LSTM", {"h": H, "c": H}, x=((I,), (1,)),
    W=(I + H, 4 * H), D=(H, H),
)  # fmt: skip
def t_lstm(self, x, h, c):
    x, elapsed = x
    short = tanh(self.D(c))
    c = c - short + short / torch.log(torch.e + elapsed.abs())
    h, c = lstm(self.W(cat([x, h], 1)), c)
    return h, (h, c)


@published("Zhang et al. 2018, Element-wise attention gate", {"h": H}, A=(I + H, I),
           gru=lambda: nn.GRUCell(I, H))  # fmt: skip
def ele_att_gru(self, x, h):
    h = self.gru(sigmoid(self.A(cat((x, h), -1))) * x, h)
    return h, (h,)


@published("Gao and Glowacka 2016, Simple gated unit", {"h": H}, W=(I, 2 * H), g=(H, H), R=(H, H))
def dsgu(self, x, h):
    x_g, x_z = self.W(x).chunk(2, 1)
    z_out = tanh(self.R(tanh(self.g(h) * x_g) * h))
    z = F.hardsigmoid(x_z + h)
    h = (1 - z) * h + z * z_out
    return h, (h,)


@published("Chung et al. 2015, Gated feedback networks", {"h": [2, H]}, W=(I, H), U=(H, H),
           G=(I + 2 * H, 4), R=[2, 2, H, H], y=H)  # fmt: skip
def gated_feedback(self, x, h):
    both = h.flatten(1)
    g = sigmoid(self.G(cat([x, both], 1))).view(-1, 2, 2)
    back = torch.einsum("bij,ijkl,bik->bjl", g, self.R, h)
    first = tanh(self.W(x) + back[:, 0])
    second = tanh(self.U(first) + back[:, 1])
    h = torch.stack([first, second], 1)
    return second, (h,)


@published("Kalchbrenner et al. 2016, Grid LSTM", {"h": H, "c": H}, E=(I, H), W=(2 * H, 4 * H),
           V=(2 * H, 4 * H))  # fmt: skip
def grid_lstm(self, x, h, c):
    depth = self.E(x)
    both = cat([depth, h], -1)
    h, c = lstm(self.W(both), c)
    y, _ = lstm(self.V(both), depth)
    return y, (h, c)


@published("Kim et al. 2017, Residual LSTM", {"h": H, "c": H}, W=(I + H, 4 * H), S=(I, H), P=(H, H))
def residual_lstm(self, x, h, c):
    i, f, g, o = self.W(cat([x, h], -1)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * (self.P(c.tanh()) + self.S(x))
    return h, (h, c)


@published("Ororbia et al. 2017, Delta-RNN", {"h": H}, W=(I, H), V=(H, H), a=H, b1=H, b2=H, r=H)
def delta_rnn(self, x, h):
    d1 = self.a * self.V(h) * self.W(x)
    z = tanh(d1 + self.b1 * self.V(h) + self.b2 * self.W(x))
    r = sigmoid(self.W(x) + self.r)
    h = torch.relu((1 - r) * z + r * h)
    return h, (h,)


@published("Oliva et al. 2017, Statistical recurrent unit", {"mu": [3, H]}, R=(3 * H, H),
           P=(I + H, H), O=(3 * H, H), y=H)  # fmt: skip
def statistical(self, x, mu):
    r = F.relu(self.R(mu.flatten(1)))
    phi = F.relu(self.P(cat([x, r], 1)))
    alphas = torch.tensor([0.0, 0.5, 0.9], dtype=x.dtype).view(1, 3, 1)
    mu = alphas * mu + (1 - alphas) * phi.unsqueeze(1)
    return F.relu(self.O(mu.flatten(1))), (mu,)


@published("Mujika et al. 2017, Fast-slow LSTM", {"h": H, "c": H, "hs": H, "cs": H},
           F1=lambda: nn.LSTMCell(I, H), S=lambda: nn.LSTMCell(H, H),
           F2=lambda: nn.LSTMCell(H, H))  # fmt: skip
def fast_slow(self, x, h, c, hs, cs):
    h, c = self.F1(x, (h, c))
    hs, cs = self.S(h, (hs, cs))
    h, c = self.F2(hs, (h, c))
    return h, (h, c, hs, cs)


@published("Campos et al. 2018, Skip RNN", {"h": H, "u": 1}, gru=lambda: nn.GRUCell(I, H),
           D=(H, 1))  # fmt: skip
def skip_rnn(self, x, h, u):
    b = u + (torch.round(u) - u).detach()  # straight through
    h = b * self.gru(x, h) + (1 - b) * h
    delta = sigmoid(self.D(h))
    u = b * delta + (1 - b) * (u + torch.min(delta, 1 - u))
    return h, (h, u)


@published("Shen et al. 2019, Ordered neurons", {"h": H, "c": H}, W=(I + H, 4 * H), M=(I + H, H))
def on_lstm(self, x, h, c):
    both = cat([x, h], -1)
    f, i, o, g = self.W(both).chunk(4, -1)
    mf, mi = self.M(both).chunk(2, -1)
    mf = torch.cumsum(F.softmax(mf, -1), -1).repeat_interleave(2, 1)
    mi = (1 - torch.cumsum(F.softmax(mi, -1), -1)).repeat_interleave(2, 1)
    both = mf * mi
    f, i = f.sigmoid() * both + (mf - both), i.sigmoid() * both + (mi - both)
    c = f * c + i * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, (h, c)


@published("Jose et al. 2018, Kronecker recurrent units", {"h": H}, W=(I, H), A=[2, 2], B=[2, 2])
def kronecker(self, x, h):
    h = torch.relu(self.W(x) + h @ torch.kron(self.A, self.B).T)
    return h, (h,)


@published("Ha et al. 2017, HyperLSTM", {"h": H, "c": H, "hh": 3, "hc": 3}, W=(I + H, 4 * H),
           small=lambda: nn.LSTMCell(I + H, 3), S=(3, 4 * H), B=(3, 4 * H))  # fmt: skip
def hyper_lstm(self, x, h, c, hh, hc):
    both = cat([x, h], -1)
    hh, hc = self.small(both, (hh, hc))
    z = F.layer_norm(self.S(hh) * self.W(both) + self.B(hh), (4 * H,))
    h, c = lstm(z, c)
    return h, (h, c, hh, hc)


@published("Laurent and von Brecht 2017, Chaos-free network", {"h": H}, W=(I, H), G=(I + H, 2 * H))
def chaos_free(self, x, h):
    theta, eta = sigmoid(self.G(cat((x, h), 1))).chunk(2, 1)
    h = theta * tanh(h) + eta * tanh(self.W(x))
    return h, (h,)


@published("Collins et al. 2017, Intersection RNN", {"h": I}, W=(2 * I, 4 * I))
def intersection(self, x, h):
    y_in, h_in, gy, gh = self.W(cat((x, h), 1)).chunk(4, 1)
    gy, gh = sigmoid(gy + 1), sigmoid(gh + 1)
    y = gy * x + (1 - gy) * F.relu(y_in)
    h = gh * h + (1 - gh) * tanh(h_in)
    return y, (h,)


@published("Costa et al. 2017, Subtractive gating", {"h": H, "c": H}, W=(I, 4 * H), R=(H, 4 * H))
def sub_lstm(self, x, h, c):
    i, f, z, o = torch.sigmoid(self.W(x) + self.R(h)).chunk(4, 1)
    c = f * c + z - i
    h = sigmoid(c) - o
    return h, (h, c)


@published("Landi et al. 2021, Working memory connections", {"h": H, "c": H}, W=(I + H, 4 * H),
           C=(H, 3 * H))  # fmt: skip
def working_memory(self, x, h, c):
    z = self.W(cat([x, h], 1))
    ci, cf, _ = tanh(self.C(c)).chunk(3, 1)
    i, f, g = sigmoid(z[:, :H] + ci), sigmoid(z[:, H : 2 * H] + cf), tanh(z[:, 2 * H : 3 * H])
    c = f * c + i * g
    o = sigmoid(z[:, 3 * H :] + tanh(self.C(c))[:, 2 * H :])
    h = o * c.tanh()
    return h, (h, c)


@published("Jing et al. 2017, Gated orthogonal units", {"h": H}, W=(I, 3 * H), R=(H, 2 * H),
           angle=H // 2, bias=H)  # fmt: skip
def goru(self, x, h):
    x_z, x_r, x_n = self.W(x).chunk(3, 1)
    z, r = (cat([x_z, x_r], 1) + self.R(h)).sigmoid().chunk(2, 1)
    cos, sin = self.angle.cos(), self.angle.sin()
    even, odd = h[:, 0::2], h[:, 1::2]
    turned = torch.stack([cos * even - sin * odd, sin * even + cos * odd], -1).flatten(1)
    n = x_n + r * turned
    n = torch.sign(n) * F.relu(n.abs() + self.bias)  # modReLU
    h = z * h + (1 - z) * n
    return h, (h,)


@published("Dangovski et al. 2019, Rotational unit of memory", {"h": H}, W=(I, 2 * H), T=(H, H))
def rum(self, x, h):
    target, e = self.W(x).chunk(2, 1)
    target = target + self.T(h)
    u = F.normalize(e, dim=1)
    v = F.normalize(target - (u * target).sum(1, keepdim=True) * u, dim=1)
    cos = F.cosine_similarity(e, target, dim=1).clamp(-0.99, 0.99).view(-1, 1, 1)
    sin = torch.sqrt(1 - cos**2)
    uu, vv = torch.bmm(u.unsqueeze(2), u.unsqueeze(1)), v.unsqueeze(2) * v.unsqueeze(1)
    uv = u.unsqueeze(2) * v.unsqueeze(1)
    turn = torch.eye(H, dtype=x.dtype) - uu - vv
    turn = turn + cos * (uu + vv) + sin * (uv.transpose(1, 2) - uv)
    h = F.relu(e + torch.bmm(turn, h.unsqueeze(2)).squeeze(2))
    return h, (h,)


@published("Zhou et al. 2019, DIEN's attentional update gate", {"h": H}, x=((I,), (1,)),
           W=(I + H, 2 * H), N=(I + H, H))  # fmt: skip
def augru(self, x, h):
    x, attention = x
    u, r = sigmoid(self.W(cat([x, h], 1))).chunk(2, 1)
    u = attention.sigmoid() * u
    h = (1 - u) * h + u * tanh(self.N(cat([x, r * h], 1)))
    return h, (h,)


@published("Salinas et al. 2020, DeepAR", {"h": H, "c": H}, x={"z": (1,), "kind": ()}, y=2,
           E=lambda: nn.Embedding(5, 2), cell=lambda: nn.LSTMCell(3, H), mu=(H, 1),
           sigma=(H, 1))  # fmt: skip
def deep_ar(self, x, h, c):
    kind = x["kind"].clamp(0, 4).long()
    h, c = self.cell(cat([x["z"], self.E(kind)], 1), (h, c))
    return cat([self.mu(h), F.softplus(self.sigma(h))], 1), (h, c)


@published("Cao et al. 2018, BRITS", {"h": H, "c": H}, x={"value": (2,), "mask": (2,), "gap": (2,)},
           y=2, D=(2, H), regress=(H, 2), cell=lambda: nn.LSTMCell(4, H))  # fmt: skip
def brits(self, x, h, c):
    h = h * torch.exp(-F.relu(self.D(x["gap"])))
    guess = self.regress(h)
    m = (x["mask"] > 0).to(guess.dtype)
    filled = m * x["value"] + (1 - m) * guess
    h, c = self.cell(cat([filled, m], 1), (h, c))
    return guess, (h, c)


@published("Graves 2016, Adaptive computation time", {"h": H}, cell=lambda: nn.GRUCell(I + 1, H),
           halt=(H, 1))  # fmt: skip
def act(self, x, h):
    total, made, n = 0.0, 0.0, 0
    while n < 5 and (n == 0 or bool((total < 0.99).any())):
        h = self.cell(cat([x, torch.full_like(x[:, :1], float(n == 0))], 1), h)
        p = sigmoid(self.halt(h))
        made, total, n = made + p * h, total + p, n + 1
    return made, (made / total,)


@published("Banino et al. 2021, PonderNet with three steps", {"h": H},
           cell=lambda: nn.GRUCell(I, H), halt=(H, 1))  # fmt: skip
def ponder(self, x, h):
    left, made = 1.0, 0.0
    for n in range(3):
        h = self.cell(x, h)
        halt = sigmoid(self.halt(h)) if n < 2 else 1.0
        made, left = made + left * halt * h, left * (1 - halt)
    return made, (h,)
