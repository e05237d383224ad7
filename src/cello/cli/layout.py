"""Which axis of an input holds the sequences, found out by running the net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cello.convert import NetGraph
from cello.errors import DataError
from cello.layers.mode import evaluating

__all__ = ["sequences_come_first"]

#: Sizes of the first two axes that are tried: two that differ, long enough for what pools steps.
_TRIED = ((24, 23), (3, 2))


def sequences_come_first(net: nn.Module, x: Tensor) -> bool:
    """Whether a net reads [B, T, ...] and not [T, B, ...].

    A layer says so. A graph has layers that may stand behind functions that exchange axes: in it,
    the sequences are where what one of them holds does not change what comes out for the others.

    Args:
        net: what reads.
        x: an input, of which the axes behind the first two and the numbers are taken.

    Raises:
        DataError: neither axis holds sequences, or the net does not run.
    """
    if not isinstance(net, NetGraph):
        return bool(getattr(net, "batch_first", False))
    with torch.no_grad(), evaluating(net):
        for sizes in _TRIED:
            found = [axis for axis in (0, 1) if _stand_apart(net, x, sizes, axis)]
            if found:
                return found == [0] if len(found) == 1 else net.batch_first
        # It may take input of one size alone, which tells where its sequences are.
        runs = [_result(net, given) is not None for given in (x.transpose(0, 1), x)]
    if any(runs) and not all(runs):
        return runs[0]
    raise DataError(
        "it is not known which axis of the input holds the steps and which the sequences: "
        "call the net in Python, where you say so"
    )


def _stand_apart(net: NetGraph, x: Tensor, sizes: tuple[int, int], axis: int) -> bool:
    """Whether what stands first along an axis changes nothing of what comes out for the rest."""
    shape = (*sizes, *x.shape[2:])
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(x.numel(), (2, *shape), generator=generator)
    one, other = (x.flatten()[draw] for draw in draws)
    if x.is_floating_point():
        noise = torch.randn(2, *shape, generator=generator, dtype=torch.float64).to(x)
        one, other = one + noise[0], other + noise[1]
    changed = one.clone()
    changed.select(axis, 0).copy_(other.select(axis, 0))
    before, after = _result(net, one), _result(net, changed)
    if before is None or after is None:
        return False
    differs = (before != after) & ~(before.isnan() & after.isnan())
    for place, size in enumerate(before.shape):
        if size == sizes[axis] and differs.any():
            rest = differs.narrow(place, 1, size - 1)
            if not rest.any():
                return True
    return False


def _result(net: NetGraph, x: Tensor) -> Tensor | None:
    """The first thing that comes out; None if the net takes no input of this size."""
    try:
        made = net(x)
    except (RuntimeError, ValueError, IndexError):  # one batch size, or too few steps
        return None
    while isinstance(made, (tuple, list)):
        made = made[0]
    assert isinstance(made, Tensor)
    return made
