"""What a net returned: its output, and the rest."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.layers import Steps

__all__ = ["by_step", "is_batch_first", "is_plain_tuple", "output_of", "time_major"]


def is_plain_tuple(result: Any) -> bool:
    """Whether it is a pair or tuple of results; a `PackedSequence` is one value."""
    return isinstance(result, tuple) and not isinstance(result, PackedSequence)


def output_of(result: Any) -> Any:
    """What a net returned; of a tuple the first part.

    >>> output_of(("y", "state")), output_of("y")
    ('y', 'y')
    """
    return result[0] if is_plain_tuple(result) else result


def by_step(output: Any, steps: Steps) -> Tensor | None:
    """An output as [T, B, size], if it is a row of numbers for each of the steps; else None."""
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if steps.form == "T" and output.dim() == 2:
        output = output.unsqueeze(1)
    elif steps.form == "BT" and output.dim() == 3:
        output = output.transpose(0, 1)
    fits = output.dim() == 3 and output.shape[:2] == (steps.length, steps.batch_size)
    return output if fits else None


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
