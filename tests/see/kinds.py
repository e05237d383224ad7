"""Nets of every kind, with inputs in every form: what each question of `cello.see` must answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import cello
from cello import zoo
from cello.see.recording.outputs import output_of
from tests import registry
from tests.cells import strangers

I, H, T, B = registry.I, registry.H, 5, 3  # noqa: E741
LENGTHS = torch.tensor([2, 5, 4])


@dataclass(frozen=True)
class Kind:
    """A net and what it is called with, in float64.

    Attributes:
        net: it.
        x: what it takes.
        options: more of that.
    """

    net: nn.Module
    x: Any
    options: dict[str, Any] = field(default_factory=dict)

    def loss(self, x: Any = None) -> Tensor:
        """A number to which every step contributes, in one way each."""
        return summed(self.net(self.x if x is None else x, **self.options))


def summed(result: Any) -> Tensor:
    """The output, each number with a weight of its own."""
    y = output_of(result)
    data = y.data if isinstance(y, PackedSequence) else y
    weights = torch.linspace(-1, 1, data.numel(), dtype=data.dtype).sin()
    return (data * weights.reshape(data.shape)).sum()


class OwnModel(nn.Module):
    """Somebody's own model, batch first, that reads the final states."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = cello.LSTM(I, H, bidirectional=True, batch_first=True)
        self.readout = nn.Linear(2 * H, 2)

    def forward(self, x: Tensor) -> Tensor:
        _, (h, _) = self.rnn(x)
        return self.readout(torch.cat([h[-2], h[-1]], dim=1))


def cell(name: str) -> cello.Recurrent:
    return cello.Recurrent(registry.make(name))


def of_lengths() -> cello.Stack:
    """Two directions, a layer over them, and a readout."""
    return cello.Stack(
        cello.Bidirectional(cello.GRUCell(I, H)), cello.LSTM(2 * H, H), nn.Linear(H, 2)
    )


def over_ids(**options: Any) -> cello.Stack:
    return cello.Stack(
        nn.Embedding(7, I), cello.Recurrent(cello.LSTMCell(I, H)), nn.Linear(H, 2), **options
    )


def floats(*sizes: int) -> Tensor:
    return torch.randn(*(sizes or (T, B, I)), dtype=torch.float64)


def ids(*sizes: int) -> Tensor:
    return torch.randint(0, 7, sizes or (T, B))


def packed(x: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, LENGTHS, enforce_sorted=False)


def drop_in(kind: type[nn.Module], **options: Any) -> nn.Module:
    return kind(I, H, **options)


_MAKERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], dict[str, Any]]] = {
    "elman": (lambda: cell("elman"), floats, {}),
    "jordan": (lambda: cell("jordan"), floats, {}),
    "lstm-peepholes": (lambda: cell("lstm-peephole"), floats, {}),
    "lstm-projection": (lambda: cell("lstm-projection"), floats, {}),
    "gru": (lambda: cell("gru"), floats, {}),
    "zoo": (lambda: cello.Recurrent(zoo.LEMCell(I, H)), floats, {}),
    "own-cell": (lambda: cell("two-sizes"), floats, {}),
    "matrix-memory": (lambda: cell("matrix-memory"), floats, {}),
    "convolutional": (lambda: cell("convolutional"), floats, {}),
    "two-inputs": (lambda: cell("two-inputs"), floats, {"lengths": LENGTHS}),
    "inner-gru": (lambda: cell("inner-gru"), floats, {}),
    "dict-state": (lambda: cello.Recurrent(strangers.Nested()), floats, {}),
    "reverse": (lambda: cello.Recurrent(cello.GRUCell(I, H), reverse=True), floats, {}),
    "bidirectional": (lambda: cello.Bidirectional(cello.LSTMCell(I, H)), floats, {}),
    "stack": (of_lengths, floats, {}),
    "drop-in-rnn": (lambda: drop_in(cello.RNN), floats, {}),
    "drop-in-lstm": (
        lambda: drop_in(cello.LSTM, num_layers=2, bidirectional=True, proj_size=2),
        floats,
        {},
    ),
    "drop-in-gru": (lambda: drop_in(cello.GRU, batch_first=True), lambda: floats(B, T, I), {}),
    "unbatched": (lambda: cell("lstm"), lambda: floats(T, I), {}),
    "one-sequence": (of_lengths, lambda: floats(T, 1, I), {}),
    "lengths": (of_lengths, floats, {"lengths": LENGTHS}),
    "packed": (of_lengths, lambda: packed(floats()), {}),
    "batch-first": (
        lambda: cello.Stack(cello.Recurrent(cello.LSTMCell(I, H)), batch_first=True),
        lambda: floats(B, T, I),
        {"lengths": LENGTHS},
    ),
    "ids": (over_ids, ids, {}),
    "ids-with-lengths": (over_ids, ids, {"lengths": LENGTHS}),
    "ids-packed": (over_ids, lambda: packed(ids()), {}),
    "ids-batch-first": (
        lambda: over_ids(batch_first=True),
        lambda: ids(B, T),
        {"lengths": LENGTHS},
    ),
    "own-model": (OwnModel, lambda: floats(B, T, I), {}),
}

KINDS = tuple(_MAKERS)


def make(name: str) -> Kind:
    """The net of that kind, and its input."""
    net, x, options = _MAKERS[name]
    return Kind(net().double().eval(), x(), dict(options))
