"""cello.RNN, cello.LSTM and cello.GRU, of one direction and of both, against torch.nn's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

import cello
from benchmarks.case import Case
from benchmarks.passes import Aims, two_passes

SIZES = [(1, 100, 32), (16, 100, 64), (32, 100, 128)]  # B, T, H
AIMS = (Aims(least_ratio=0.95), Aims(least_ratio=0.95))
KINDS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "RNN": (cello.RNN, nn.RNN),
    "LSTM": (cello.LSTM, nn.LSTM),
    "GRU": (cello.GRU, nn.GRU),
}


def cases() -> Iterator[Case]:
    for name, (our_kind, their_kind) in KINDS.items():
        for bidirectional in (False, True):
            for batch, steps, hidden in SIZES:
                ours = our_kind(hidden, hidden, bidirectional=bidirectional)
                theirs = their_kind(hidden, hidden, bidirectional=bidirectional)
                theirs.load_state_dict(ours.state_dict())
                kind = f"bidirectional {name}" if bidirectional else name
                x = torch.randn(steps, batch, hidden)
                yield from two_passes(kind, (ours, ours), (theirs, theirs), x, AIMS)
