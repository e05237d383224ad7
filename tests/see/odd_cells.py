"""Cells that a drawing could stumble over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cello


class Wide(cello.Cell):
    """A sum of eight candidates, each with a gate of its own."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.ModuleList(nn.Linear(3, 4) for _ in range(8))
        self.A = nn.ModuleList(nn.Linear(3, 4) for _ in range(8))
        self.R = nn.Linear(4, 4, bias=False)

    def step(self, x: Tensor, h: Tensor):
        each = zip(self.W, self.A, strict=True)
        h = sum(torch.tanh(w(x) + self.R(h)) * torch.sigmoid(a(x)) for w, a in each)
        return h, (h,)


class ManyGates(cello.Cell):
    """Three states, six gates, one block of weights."""

    state = ("h", "c", "m")

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.R = nn.Linear(3, 28), nn.Linear(4, 28, bias=False)

    def step(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor):
        z = self.W(x) + self.R(h)
        z_i, z_f, z_o, z_a, z_b, z_r, z_g = z.chunk(7, -1)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        a, b, r = torch.sigmoid(z_a), torch.sigmoid(z_b), torch.sigmoid(z_r)
        g = torch.tanh(z_g)
        c = f * c + i * g
        m = a * m + b * c
        h = o * torch.tanh(c + r * m)
        return h, (h, c, m)


class Coupled(cello.Cell):
    """A product of three factors, two kinds of gates, a gate that resets."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.G, self.R = nn.Linear(3, 4), nn.Linear(3, 8), nn.Linear(4, 4, bias=False)

    def step(self, x: Tensor, h: Tensor):
        e, u = torch.sigmoid(self.G(x)).chunk(2, -1)
        k = F.hardsigmoid(self.W(x))
        n = torch.tanh(self.W(x) + self.R(e * h))
        h = 2 * u * n + k * h * (1 - u)
        return h, (h,)


class Queue(cello.Cell):
    """Each state is what the one before it was."""

    state = ("a", "b", "c", "d", "e")

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)

    def step(self, x: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor):
        z = torch.tanh(self.W(x) + a + b + c + d + e)
        return z, (z, a, b, c, d)


class Forgetful(cello.Cell):
    """Its state is never read."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)

    def step(self, x: Tensor, h: Tensor):
        h = torch.tanh(self.W(x))
        return h, (h,)


class Passing(cello.Cell):
    """Returns what it was given."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 3)

    def step(self, x: Tensor, h: Tensor):
        return x, (h,)


class Delay(Passing):
    """Returns what it was given the step before."""

    def step(self, x: Tensor, h: Tensor):
        return h, (x,)


class Comparing(cello.Cell):
    """Choices and comparisons; names that differ in what stands lower."""

    state = ("h", "h_old")

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.R = nn.Linear(3, 4), nn.Linear(4, 4)

    def step(self, x: Tensor, h: Tensor, h_old: Tensor):
        a_1_2 = self.W(x)
        a_1 = self.R(h)
        a = torch.where(a_1_2 > 0, a_1, a_1_2)
        b = torch.maximum(a, h_old)
        new = torch.clamp(b, -1, 1) + torch.where(h > h_old, a_1, 0.5 * h)
        return new, (new, h)


class LongNames(cello.Cell):
    """Names that no block is wide enough for."""

    state = ("the_hidden_state_of_the_network", "another_memory_with_a_rather_long_name")

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.weights_of_the_input_to_hidden = nn.Linear(3, 4)
        self.recurrent_weights_of_hidden = nn.Linear(4, 4, bias=False)
        self.gate_weights_of_everything = nn.Linear(3, 4)

    def step(
        self,
        x: Tensor,
        the_hidden_state_of_the_network: Tensor,
        another_memory_with_a_rather_long_name: Tensor,
    ):
        recurrent_part = self.recurrent_weights_of_hidden(the_hidden_state_of_the_network)
        preactivation_of_the_candidate = self.weights_of_the_input_to_hidden(x) + recurrent_part
        forgetting_gate_activation = torch.sigmoid(self.gate_weights_of_everything(x))
        another_memory_with_a_rather_long_name = (
            forgetting_gate_activation * another_memory_with_a_rather_long_name
            + torch.tanh(preactivation_of_the_candidate)
        )
        h = torch.relu(another_memory_with_a_rather_long_name)
        return h, (h, another_memory_with_a_rather_long_name)


class Scripts(cello.Cell):
    """Names in other scripts."""

    state = ("记忆",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W, self.权重 = nn.Linear(3, 4), nn.Linear(3, 4)

    def step(self, x: Tensor, 记忆: Tensor):
        größe = torch.tanh(self.W(x) + 记忆)
        α_门 = torch.sigmoid(self.权重(x))
        记忆 = α_门 * 记忆 + (1 - α_门) * größe
        return 记忆, (记忆,)


class Hostile(cello.Cell):
    """Names that would be markup."""

    state = ("h",)
    odd = "<b onclick='x'>&\""

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)
        self.register_parameter(self.odd, nn.Parameter(torch.ones(4)))

    def step(self, x: Tensor, h: Tensor):
        h = torch.sigmoid(self.W(x) + h * getattr(self, self.odd)) * h
        return h, (h,)


Hostile.__name__ = "<script>alert('&\"')</script>"

ODD = {
    "wide": Wide, "many-gates": ManyGates, "coupled": Coupled, "queue": Queue,
    "forgetful": Forgetful, "passing": Passing, "delay": Delay, "comparing": Comparing,
    "long-names": LongNames, "scripts": Scripts, "hostile": Hostile,
}  # fmt: skip
