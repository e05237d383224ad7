"""What a net reads at each step, and random inputs of that kind."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.cells.contract.shapes import INTEGER, is_several, shape_of, width_of
from cello.errors import ArgumentError
from cello.layers import DropIn, Stack
from cello.layers.encoders import ENCODERS, OneHot, WindowEmbedding
from cello.layers.layer import Layer

__all__ = ["SEVERAL", "Reads", "draw_input", "dtype_of", "reads_of"]

#: How many ids a step of a net has that takes any number of them.
SEVERAL = 3


class Reads(NamedTuple):
    """What a net reads at each step of a sequence.

    Attributes:
        shape: of one step of one sequence; -1 for an axis of any length.
        ids: how many ids there are, for whole numbers; 0 for real ones.
        lowest: the lowest id.
    """

    shape: tuple[int, ...]
    ids: int = 0
    lowest: int = 0


def reads_of(net: Any) -> Reads:
    """What `net` reads, as its first module says, or the next where that keeps any width.

    Raises:
        ArgumentError: this module does not say so.

    >>> import cello
    >>> reads_of(cello.Stack(nn.Embedding(9, 3), cello.GRU(3, 4)))
    Reads(shape=(), ids=9, lowest=0)
    """
    if isinstance(net, (Stack, nn.Sequential)) and len(net):
        return reads_of(next((part for part in net if not isinstance(part, _ANY_WIDTH)), net[0]))
    if isinstance(net, (Layer, DropIn)):
        size = net.input_size
        if size == INTEGER:
            return Reads((), ids=_FEW)
        return Reads((width_of(size),) if is_several(size) else shape_of(size))
    if isinstance(net, nn.Embedding):
        return Reads((), ids=net.num_embeddings)
    if isinstance(net, WindowEmbedding):
        return Reads((net.window_size,), ids=net.size, lowest=-1)
    if isinstance(net, ENCODERS):
        several = not isinstance(net, OneHot)
        return Reads((-1,) if several else (), ids=net.size, lowest=-1 if several else 0)
    if isinstance(net, nn.Linear):
        return Reads((net.in_features,))
    if isinstance(net, nn.LayerNorm):
        return Reads(tuple(net.normalized_shape))
    raise ArgumentError(
        f"what net reads is not known: its first module, {type(net).__name__}, does not say how "
        "many features it takes; begin with a recurrent layer, nn.Linear, nn.Embedding or an "
        "encoder of Cello's"
    )


#: Functions of each number, which say nothing of how many there are.
_ANY_WIDTH = (
    nn.Identity, nn.Dropout, nn.ELU, nn.GELU, nn.Hardtanh, nn.LeakyReLU, nn.ReLU, nn.SiLU,
    nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Tanh,
)  # fmt: skip
#: Of a cell that takes whole numbers, those that are tried.
_FEW = 2


def draw_input(
    net: Any, T: int, B: int, generator: torch.Generator, several: int = SEVERAL
) -> Tensor:
    """A random input of `net`: [T, B, ...], or [B, T, ...] if it has `batch_first`.

    An axis of any length has so many: `several`.
    """
    reads = reads_of(net)
    lead = (B, T) if getattr(net, "batch_first", False) else (T, B)
    if not reads.ids:
        return torch.randn(*lead, *reads.shape, generator=generator, dtype=dtype_of(net))
    if -1 not in reads.shape:
        lowest, shape = reads.lowest, (*lead, *reads.shape)
        return torch.randint(lowest, reads.ids, shape, generator=generator)
    count = min(several, reads.ids)  # distinct ids, the first of which may be none
    order = torch.rand(*lead, reads.ids, generator=generator).argsort(-1)[..., :count]
    none = torch.rand(*lead, 1, generator=generator) < 0.5
    ids = torch.where(none & (torch.arange(count) == 0), reads.lowest, order)
    return nn.functional.pad(ids, (0, several - count), value=reads.lowest)


def dtype_of(net: nn.Module) -> torch.dtype:
    """Of the first parameter that is no whole number."""
    floats = (p for p in (*net.parameters(), *net.buffers()) if p.is_floating_point())
    return next((p.dtype for p in floats), torch.get_default_dtype())
