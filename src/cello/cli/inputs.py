"""Sequences as one input of a net, and what its outputs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cello.cli.models import Model
from cello.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

_UNKNOWN = (
    "it is not known which axis of the input holds the steps and which the sequences: call the net "
    "in Python, where you say so"
)
__all__ = ["as_batch", "labels_of"]


def labels_of(model: Model) -> tuple[str, ...] | None:
    """What the numbers that a model gives are the odds of, if its task tells.

    Before a conditional random field they are scores of single tags, not odds, and the largest need
    not be the tag that `predict` decodes: such a model has none.
    """
    from cello.layers import CRF

    if any(isinstance(module, CRF) for module in model.net.modules()):
        return None
    return model.reader.labels


def as_batch(net: nn.Module, xs: Sequence[Tensor]) -> tuple[Tensor, dict[str, Any]]:
    """Sequences [T, ...] as one input of `net`, and what else it is called with: their lengths.

    Raises:
        DataError: they differ in length, and the net takes sequences of one length only; or it is
            a graph that does not tell where its sequences stand.
    """
    from torch import tensor
    from torch.nn.utils.rnn import pad_sequence

    from cello.convert import NetGraph
    from cello.errors import ConversionError
    from cello.layers.stream import Streamed
    from cello.tasks.batching import Example, collate

    if xs[0].is_floating_point():
        x = pad_sequence(list(xs))
    else:  # ids, of which steps may have several
        x = collate([Example(x, x.new_zeros(len(x))) for x in xs]).x
    if isinstance(net, NetGraph):
        try:
            told = net.axes.told
        except ConversionError:
            told = False
        if not told:
            raise DataError(_UNKNOWN)
    x = x.transpose(0, 1) if getattr(net, "batch_first", False) else x
    lengths = [len(one) for one in xs]
    if len(set(lengths)) == 1:
        return x, {}
    if not isinstance(net, Streamed):
        raise DataError(
            f"this net takes sequences of one length at once, got {min(lengths)} to {max(lengths)} "
            "steps: give them in files of their own"
        )
    return x, {"lengths": tensor(lengths)}
