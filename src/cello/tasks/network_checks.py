"""Whether a network takes the inputs of the task that is saved beside it, and has its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cello.engines import engine
from cello.errors import ModelError
from cello.layers import evaluating
from cello.layers.encoders import ENCODERS

if TYPE_CHECKING:
    from cello.tasks.base import FileTask

__all__ = ["check_network"]


def check_network(task: FileTask, net: nn.Module) -> None:
    """Make sure that `net` reads what `task` gives it and has an output for each of its answers.

    Raises:
        ModelError: it does not; says what was expected.

    >>> from cello.layers import LSTM, OneHot, Stack
    >>> from cello.tasks import Characters
    >>> from cello.tasks.vocabulary import Vocabulary
    >>> check_network(Characters({}, Vocabulary("ab")), Stack(OneHot(3), LSTM(3, 4)))
    Traceback (most recent call last):
    cello.errors.ModelError: the network has 4 outputs, its task needs 3, one for each answer
    """
    try:
        with torch.no_grad(), evaluating(net), engine("reference"):
            for given in _inputs(task, net):
                logits, _ = net(given)
    except ModelError:
        raise
    except Exception as error:  # whatever a network says to what it cannot read
        raise ModelError(f"the network cannot read what its task gives it: {error}") from error
    axes = 2 if task.name == "classify" else 3
    outputs = logits.shape[-1] if isinstance(logits, Tensor) and logits.dim() == axes else 0
    if outputs != task.output_size:
        raise ModelError(
            f"the network has {outputs} outputs, its task needs {task.output_size}, one for each "
            "answer"
        )


def _inputs(task: FileTask, net: nn.Module) -> Iterator[Tensor]:
    """The first and the last of what it may be told; of numbers, as many as there are."""
    with torch.device("meta"):  # as wide as its description says; nothing is allocated
        encoder: Any = task.encoder()
    if isinstance(encoder, int):
        yield torch.zeros(1, 1, encoder)
        return
    size, places = encoder.size, getattr(encoder, "window_size", 1)
    first = next(net.children(), net)
    if isinstance(first, ENCODERS) and first.size < size:
        raise ModelError(
            f"the network's first module takes {first.size:,} ids, its task needs {size:,}"
        )
    known = torch.zeros(1, 1, dtype=torch.long)
    if task.given_text("a")[0].x.dim() == 2:
        known = torch.zeros(1, 1, places, dtype=torch.long)
    yield known
    yield known + size - 1
