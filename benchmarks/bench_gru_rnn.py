"""The GRU and the Elman network against nn.GRU and nn.RNN: Recurrent over their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import cello
from benchmarks.case import Case, Group
from benchmarks.passes import GRID, Aims, allowed, backward, forward, two_passes

KINDS: dict[str, tuple[Callable[..., nn.RNNCellBase], Callable[..., nn.RNNBase]]] = {
    "GRU": (nn.GRUCell, nn.GRU),
    "RNN": (nn.RNNCell, nn.RNN),
}


def both_passes(peer: nn.Module, x: Tensor) -> Callable[[], Any]:
    """Forward and backward of the peer."""
    return backward(peer, peer, x.clone())


def cases() -> Iterator[Case]:
    for name, (cell_kind, layer_kind) in KINDS.items():
        aims = (
            Aims(1.0, Group(f"{name} forward", least_mean=4.0)),
            Aims(1.0, Group(f"{name} forward + backward", least_mean=6.0)),
        )
        for batch, steps, hidden in GRID:
            theirs = layer_kind(hidden, hidden)
            cell = cell_kind(hidden, hidden)
            weights = theirs.state_dict().items()
            cell.load_state_dict({key.removesuffix("_l0"): value for key, value in weights})
            ours = cello.Recurrent(cell)
            x = torch.randn(steps, batch, hidden)
            rounding = (
                (1e-5, partial(allowed, forward, theirs, x)),
                (1e-4, partial(allowed, both_passes, theirs, x)),
            )
            yield from two_passes(name, (ours, ours), (theirs, theirs), x, aims, rounding)
