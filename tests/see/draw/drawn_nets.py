"""Nets to draw, and what a drawing shows of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import cello
from tests.registry import CELLS
from tests.see.draw.drawings import SVG, read


class Elman(cello.Cell):
    """The lecture's simple network: its hidden layer is remembered."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.W, self.R, self.V = (nn.Linear(2, 2, bias=False) for _ in range(3))

    def step(self, x: Tensor, h: Tensor):
        h = self.W(x) + self.R(h)
        y = self.V(h)
        return y, (h,)


class Jordan(Elman):
    """The same, but its output is remembered."""

    state = ("y",)

    def step(self, x: Tensor, y: Tensor):
        h = self.W(x) + self.R(y)
        y = self.V(h)
        return y, (y,)


def both() -> cello.Stack:
    cells = (cello.ElmanCell(2, 2, activation="linear", bias=False) for _ in range(2))
    return cello.Stack(cello.Bidirectional(*cells), nn.Linear(4, 2, bias=False))


def deep() -> cello.Stack:
    return cello.Stack(
        cello.Recurrent(cello.ElmanCell(2, 5)),
        cello.Bidirectional(cello.LSTMCell(5, 3), join="sum"),
        nn.Dropout(0.1),
        cello.LSTM(3, 3, num_layers=2, bidirectional=True),
        cello.Stack(nn.Tanh(), cello.Recurrent(cello.JordanCell(6, 4, output_size=2))),
        cello.Recurrent(cello.GRUCell(2, 300), reverse=True),
        nn.Linear(300, 12345),
    )


def record(net: nn.Module, x: Tensor, **options: object) -> cello.Recording:
    with cello.engine("reference"):
        return cello.record(net, x, **options)


def with_ones(net: nn.Module) -> nn.Module:
    for weight in net.parameters():
        nn.init.ones_(weight)
    return net


X = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]])


def words() -> cello.Stack:
    return cello.Stack(
        nn.Embedding(9, 3), nn.Dropout(0.1), cello.Recurrent(cello.LSTMCell(3, 16)),
        nn.LayerNorm(16), nn.Linear(16, 9),
    )  # fmt: skip


def lstms(layers: int) -> cello.Stack:
    return cello.Stack(*(cello.Recurrent(cello.LSTMCell(2, 2)) for _ in range(layers)))


NETS = {
    "both": both,
    "deep": deep,
    "words": words,
    "eight": lambda: lstms(8),
    "jordan": lambda: cello.Recurrent(Jordan()),
    "large": lambda: cello.Recurrent(cello.JordanCell(2, 300, output_size=20)),
    "ways": lambda: cello.Bidirectional(cello.JordanCell(2, 3, 2), cello.GRUCell(2, 7)),
    "drop-in": lambda: cello.LSTM(2, 9, num_layers=2, bidirectional=True),
    "two-sizes": lambda: cello.Stack(
        nn.Linear(2, 3), cello.Recurrent(CELLS["two-sizes"]().float())
    ),
}


def recorded(net: nn.Module) -> cello.Recording:
    takes_ids = any(isinstance(module, nn.Embedding) for module in net.modules())
    x = torch.randint(9, (4, 2)) if takes_ids else 1e-4 * torch.randn(4, 2, 2)
    return record(net, x, lengths=torch.tensor([4, 3]))


def units(svg: str) -> list[str]:
    """The numbers in the units, from above to below, then from left to right."""
    texts = [t for t in read(svg).iter(f"{SVG}text") if t.get("class") == "number"]
    texts.sort(key=lambda text: (float(text.get("y")), float(text.get("x"))))
    return [text.text or "" for text in texts]


def floats(texts: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in texts]
