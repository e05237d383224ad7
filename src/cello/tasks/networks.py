"""The networks that the tasks are trained with, by the names that the field gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from cello.cells import Cell, ElmanCell, JordanCell
from cello.errors import ArgumentError
from cello.layers import CRF, GRU, LSTM, Bidirectional, Log, Recurrent, Stack
from cello.layers.outputs.pooling import POOL_KINDS, pool_of
from cello.ranges import check_range
from cello.tasks.too_large import make_if_it_fits

__all__ = [
    "CAUSAL_KINDS",
    "NETWORK_KINDS",
    "build_network",
    "check_dropout",
    "fitting_hidden_size",
    "has_feedback",
    "usual_window",
]

#: The kinds of networks that `build_network` knows.
NETWORK_KINDS = ("elman", "jordan", "bi-elman", "lstm", "bi-lstm", "gru", "bi-gru")

#: Those that read only from the beginning, and so can predict what comes next.
CAUSAL_KINDS = tuple(kind for kind in NETWORK_KINDS if not kind.startswith("bi-"))


def usual_window(kind: str) -> int:
    """How many words to the left and to the right of each word a tagger sees by default.

    A network that reads forwards only would otherwise not see what comes next, and Jordan's network
    remembers only the tag before.

    Source: Mesnil et al. 2013, "Investigation of recurrent-neural-network architectures and
    learning methods for spoken language understanding" (Elman and Jordan with context windows).

    >>> usual_window("jordan"), usual_window("bi-lstm")
    (3, 0)
    """
    return 3 if kind in CAUSAL_KINDS else 0


def build_network(
    kind: str,
    encoder: nn.Module | int,
    hidden_size: int,
    output_size: int,
    *,
    layers: int = 1,
    dropout: float = 0.0,
    numbers: bool = False,
    crf: bool = False,
    pool: str | None = None,
) -> Stack:
    """A network of an encoder, recurrent layers and a readout.

    Args:
        kind: one of `NETWORK_KINDS`. "jordan" has no readout: the probabilities that its last layer
            gives out are what it remembers, and come out as logits; layers below it are Elman's.
        encoder: what turns ids into vectors of `encoder.output_size` numbers; or how many numbers
            the network itself reads at each step.
        hidden_size: units of each layer and direction.
        output_size: logits a step, or numbers.
        layers: recurrent layers.
        dropout: the share of numbers that are zeroed before the readout and between layers while
            training.
        numbers: whether numbers come out, and no logits: what "jordan" remembers are then these.
        crf: whether a `cello.layers.CRF` over the outputs comes last.
        pool: how one answer a sequence is made of all steps: "last", "mean", "max" or "attention"
            (see `cello.layers.outputs.pooling`); an answer at each step unless given.

    Returns:
        A stack, called `logits, state = net(ids, state, lengths=lengths)`; logits are [T, B,
        output_size], with `pool` [B, output_size].

    Raises:
        ArgumentError: an unknown kind, or a number out of range.

    >>> from cello.layers import OneHot
    >>> net = build_network("lstm", OneHot(20), hidden_size=16, output_size=3)
    >>> net(torch.tensor([[4], [7]]))[0].shape
    torch.Size([2, 1, 3])
    """
    for name, value, known in (("kind", kind, NETWORK_KINDS), ("pool", pool, (None, *POOL_KINDS))):
        if value not in known:
            names = ", ".join(filter(None, known))
            raise ArgumentError(f"must be one of {names}, got {value!r}", argument=name)
    check_range(hidden_size=hidden_size, layers=layers)
    check_dropout(dropout)
    return make_if_it_fits(
        lambda: _stack(
            kind, encoder, hidden_size, output_size, layers, dropout, numbers, crf, pool
        ),
        "hidden_size",
    )


def check_dropout(dropout: float) -> None:
    """Check that dropout leaves something to learn from.

    Raises:
        ArgumentError: it is out of range.
    """
    check_range(dropout=dropout)
    if dropout == 1:
        raise ArgumentError(
            "must be below 1, for with 1 nothing is left to learn from", argument="dropout"
        )


def _stack(
    kind: str,
    encoder: nn.Module | int,
    hidden_size: int,
    output_size: int,
    layers: int,
    dropout: float,
    numbers: bool = False,
    crf: bool = False,
    pool: str | None = None,
) -> Stack:
    modules: list[nn.Module] = [] if isinstance(encoder, int) else [encoder]
    size = encoder if isinstance(encoder, int) else int(cast(Any, encoder).output_size)
    field = [CRF(output_size)] if crf else []
    for layer in range(layers):
        if kind == "jordan" and layer == layers - 1:
            given = "identity" if numbers else "softmax"
            last = Recurrent(JordanCell(size, hidden_size, output_size, "tanh", given))
            after = [*([] if numbers else [Log()]), *_pools(pool, output_size), *field]
            return Stack(*modules, last, *after)
        modules.append(_LAYERS[kind](size, hidden_size))
        size = hidden_size * (2 if kind.startswith("bi-") else 1)
        if dropout:
            modules.append(nn.Dropout(dropout))
    return Stack(*modules, *_pools(pool, size), nn.Linear(size, output_size), *field)


def _pools(pool: str | None, size: int) -> list[nn.Module]:
    return [] if pool is None else [pool_of(pool, size)]


_LAYERS: dict[str, Callable[[int, int], nn.Module]] = {
    "elman": lambda i, h: Recurrent(ElmanCell(i, h)),
    "jordan": lambda i, h: Recurrent(ElmanCell(i, h)),  # the layers below the last
    "bi-elman": lambda i, h: Bidirectional(ElmanCell(i, h)),
    "lstm": LSTM,
    "bi-lstm": lambda i, h: LSTM(i, h, bidirectional=True),
    "gru": GRU,
    "bi-gru": lambda i, h: GRU(i, h, bidirectional=True),
}


def fitting_hidden_size(
    parameters: int,
    kind: str,
    encoder: nn.Module | int,
    output_size: int,
    *,
    layers: int = 1,
    crf: bool = False,
    pool: str | None = None,
) -> int:
    """The hidden size with which a network comes nearest to a number of parameters.

    Args:
        parameters: how many numbers the network should have to learn, those of `encoder` included.
        kind: see `build_network`; so are the others.
        encoder: see there.
        output_size: see there.
        layers: see there.
        crf: see there.
        pool: see there.

    Raises:
        ArgumentError: even with one hidden unit there are more parameters, by more than half.

    >>> from cello.layers import OneHot
    >>> [fitting_hidden_size(26_000, kind, OneHot(97), 8) for kind in ("elman", "lstm")]
    [117, 45]
    """
    check_range(parameters=parameters, layers=layers)

    def count(hidden_size: int) -> int:
        with torch.device("meta"):  # nothing is allocated or drawn
            net = _stack(kind, encoder, hidden_size, output_size, layers, 0.0, crf=crf, pool=pool)
        return sum(parameter.numel() for parameter in net.parameters())

    if count(1) > 1.5 * parameters:
        raise ArgumentError(
            f"must be at least about {count(1)} for a network of kind {kind!r} with "
            f"this encoder and {output_size} outputs, got {parameters}",
            argument="parameters",
        )
    low, high = 1, 2
    while count(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min((low, high), key=lambda size: abs(count(size) - parameters))


def has_feedback(net: nn.Module) -> bool:
    """Whether a cell of `net` remembers its own output (Jordan's), which targets can replace."""
    return any(isinstance(m, Cell) and m.feedback is not None for m in net.modules())
