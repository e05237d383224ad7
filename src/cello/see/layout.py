"""Which axis is time and which the batch, in what a net takes and returns."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.layers import Steps

__all__ = ["is_batch_first", "time_major"]


def is_batch_first(net: nn.Module) -> bool:
    """Whether it takes [B, T, ...]: what it says, or else the first of its modules that says so.

    >>> import cello
    >>> is_batch_first(nn.Sequential(nn.Embedding(5, 3), cello.GRU(3, 4, batch_first=True)))
    True
    """
    said = (module.batch_first for module in net.modules() if hasattr(module, "batch_first"))
    return bool(next(said, False))


def time_major(output: Tensor | PackedSequence, net: nn.Module) -> Tensor:
    """What `net` returned as [T, B, ...]; unbatched outputs [T, ...] as they are."""
    if isinstance(output, PackedSequence):
        return Steps.of(output).pad(output.data)
    return output.transpose(0, 1) if is_batch_first(net) and output.dim() > 2 else output
