"""The LSTM against nn.LSTM: Recurrent(nn.LSTMCell) and the drop-in cello.LSTM.

All with the very same parameters. Ragged sequences go into nn.LSTM as its users do it: packed
before and padded after.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import cello
from benchmarks.case import Case, Group
from benchmarks.passes import GRID, Aims, two_passes

SOME = [(1, 100, 32), (16, 100, 64), (32, 100, 128), (64, 100, 256)]
FEW = [(1, 100, 32), (32, 100, 128)]
RAGGED = SOME[1:]

NEVER_SLOWER = (Aims(least_ratio=1.0), Aims(least_ratio=1.0))
TWICE = (Aims(least_ratio=2.0), Aims(least_ratio=2.0))
# bfloat16 keeps 8 bits of a number; oneDNN rounds elsewhere than we do, and 100 steps carry it on.
BFLOAT16 = ((0.0, 0.016), (0.05, 0.016))
FLOAT64 = ((1e-12, 1e-13), (1e-11, 1e-13))


def cases() -> Iterator[Case]:
    for name, ours in (("Recurrent", recurrent), ("drop-in", drop_in)):
        aims = (
            Aims(1.0, Group(f"{name} forward", least_mean=2.0)),
            Aims(1.0, Group(f"{name} forward + backward", least_mean=1.9)),
        )
        for size in GRID:
            yield from against_torch(name, ours, size, aims)
    for size in SOME:
        yield from against_torch("float64", recurrent, size, TWICE, FLOAT64, dtype=torch.float64)
        for name, ours in (("bfloat16", recurrent), ("drop-in in bfloat16", drop_in)):
            yield from against_torch(name, ours, size, NEVER_SLOWER, BFLOAT16, dtype=torch.bfloat16)
    for size in RAGGED:
        yield from ragged(size)
    for size in FEW:
        yield from against_torch("bidirectional", both_ways, size, NEVER_SLOWER, bidirectional=True)
        yield from against_torch("2 layers", stacked, size, NEVER_SLOWER, num_layers=2)


def against_torch(
    name: str,
    make_ours: Callable[[nn.LSTM], nn.Module],
    size: tuple[int, int, int],
    aims: tuple[Aims, Aims],
    *tolerances: Any,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> Iterator[Case]:
    """Both passes of nn.LSTM with these options, and of what we make of it."""
    batch, steps, hidden = size
    theirs = nn.LSTM(hidden, hidden, dtype=dtype, **options)
    ours = make_ours(theirs)
    x = torch.randn(steps, batch, hidden, dtype=dtype)
    yield from two_passes(name, (ours, ours), (theirs, theirs), x, aims, *tolerances)


def ragged(size: tuple[int, int, int]) -> Iterator[Case]:
    """Sequences of 10 % to 100 % of T steps, in no order."""
    batch, steps, hidden = size
    theirs = nn.LSTM(hidden, hidden)
    ours = recurrent(theirs)
    x = torch.randn(steps, batch, hidden)
    lengths = torch.randint(steps // 10, steps + 1, (batch,))
    lengths[batch // 2] = steps
    yield from two_passes(
        "ragged",
        (partial(ours, lengths=lengths), ours),
        (partial(packed, theirs, lengths), theirs),
        x,
        TWICE,
    )


def packed(layer: nn.LSTM, lengths: Tensor, x: Tensor) -> tuple[Tensor, Any]:
    """What a user of nn.LSTM does with padded sequences of different lengths."""
    rows = pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, state = layer(rows)
    return pad_packed_sequence(y)[0], state


# ---------------------------------------------------------------- our layers, same parameters


def recurrent(theirs: nn.LSTM) -> cello.Recurrent:
    return cello.Recurrent(cell_of(theirs, "_l0"))


def drop_in(theirs: nn.LSTM) -> nn.Module:
    return cello.accelerate(copy.deepcopy(theirs))


def both_ways(theirs: nn.LSTM) -> cello.Bidirectional:
    return cello.Bidirectional(cell_of(theirs, "_l0"), cell_of(theirs, "_l0_reverse"))


def stacked(theirs: nn.LSTM) -> cello.Stack:
    return cello.Stack(*(cello.Recurrent(cell_of(theirs, suffix)) for suffix in ("_l0", "_l1")))


def cell_of(theirs: nn.LSTM, suffix: str) -> nn.LSTMCell:
    """The cell of one layer and direction."""
    weights = {
        name.removesuffix(suffix): value
        for name, value in theirs.state_dict().items()
        if name.endswith(suffix)
    }
    cell = nn.LSTMCell(theirs.input_size, theirs.hidden_size, dtype=weights["weight_ih"].dtype)
    cell.load_state_dict(weights)
    return cell
