"""Sequences as one input of a net, and what its outputs are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cello.cli.models import Model
from cello.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cello.convert import NetGraph
    from cello.see import Outlook
    from cello.tasks import Given

__all__ = [
    "as_batch",
    "described",
    "labels_of",
    "outlook_of",
    "right_by_line",
    "text_of_tokens",
]

_UNKNOWN = (
    "it is not known which axis of the input holds the steps and which the sequences: call the net "
    "in Python, where you say so"
)


def described(model: Model) -> str:
    """What a model does, in the words of its task; nothing of one whose task has none."""
    about = getattr(model.task, "about", None)
    return f"A recurrent network that {about().does}." if about else ""


def labels_of(model: Model) -> tuple[str, ...] | None:
    """What the numbers that a model gives are the odds of, if its task tells.

    Before a conditional random field they are scores of single tags, not odds, and the largest need
    not be the tag that `predict` decodes: such a model has none.
    """
    from cello.layers import CRF

    if any(isinstance(module, CRF) for module in model.net.modules()):
        return None
    return model.reader.labels


def outlook_of(model: Model, given: Given) -> Outlook | None:
    """What a model that forecasts reads and gives of a sequence; None of any other model."""
    from cello.see import Outlook

    return None if given.series is None else Outlook.of(model.task, given.series)


def right_by_line(model: Model, path: Path | None) -> dict[str, Sequence[str]]:
    """What is right of each sequence of tokens in a file, if it tells: by `text_of_tokens`."""
    if path is None or model.reader.labels is None:
        return {}
    try:
        given = model.reader.given(path)
    except DataError:  # running text
        return {}
    found = {text_of_tokens(model, one): one.expected for one in given}
    return {text: right for text, right in found.items() if text is not None and right is not None}


def text_of_tokens(model: Model, given: Given) -> str | None:
    """The text of a sequence; None of one of numbers."""
    if given.x.is_floating_point():
        return None
    return model.reader.separator.join(given.tokens).replace("\n", " ")


def as_batch(net: nn.Module, xs: Sequence[Tensor]) -> tuple[Tensor, dict[str, Any]]:
    """Sequences [T, ...] as one input of `net`, and what else it is called with: their lengths.

    Raises:
        DataError: they differ in length, and the net takes sequences of one length only; or it is
            a graph that does not tell where its sequences stand.
    """
    from torch import tensor
    from torch.nn.utils.rnn import pad_sequence

    from cello.convert import NetGraph
    from cello.layers.stream import Streamed
    from cello.tasks.batching import Example, collate

    if xs[0].is_floating_point():
        x = pad_sequence(list(xs))
    else:  # ids, of which steps may have several
        x = collate([Example(x, x.new_zeros(len(x))) for x in xs]).x
    if isinstance(net, NetGraph) and not _tells_its_axes(net):
        # It may take inputs of these sizes alone, which tells where its sequences stand.
        forms = [form for form in (x.transpose(0, 1), x) if _runs(net, form)]
        if len(forms) != 1:
            raise DataError(_UNKNOWN)
        x = forms[0]
    elif getattr(net, "batch_first", False):
        x = x.transpose(0, 1)
    lengths = [len(one) for one in xs]
    if len(set(lengths)) == 1:
        return x, {}
    if not isinstance(net, Streamed):
        raise DataError(
            f"this net takes sequences of one length at once, got {min(lengths)} to {max(lengths)} "
            "steps: give them in files of their own"
        )
    return x, {"lengths": tensor(lengths)}


def _tells_its_axes(net: NetGraph) -> bool:
    """Whether a graph tells where the steps and the sequences of its inputs stand."""
    from cello.errors import ConversionError

    try:
        return net.axes.told
    except ConversionError:
        return False


def _runs(net: NetGraph, x: Tensor) -> bool:
    """Whether a graph takes an input of this size, in eval mode."""
    from torch import no_grad

    from cello.layers.mode import evaluating

    try:
        with no_grad(), evaluating(net):
            net(x)
    except (RuntimeError, ValueError, IndexError):  # as PyTorch says it of shapes
        return False
    return True
