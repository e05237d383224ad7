"""One vector for each sequence, out of what a net gives at its steps: the last, or all of them.

What stands past a sequence's end counts nowhere. In a `Stack`, these modules are told the lengths
that the stack is called with, and what comes after them works on the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, ConversionError, DtypeError, ShapeError
from cello.layers.call.steps import Steps
from cello.ranges import check_range

__all__ = [
    "POOL_KINDS",
    "AttentionOverTime",
    "LastStep",
    "MaxOverTime",
    "MeanOverTime",
    "OverTime",
    "last",
    "pool_of",
    "pooling_of",
    "refuse_pooling",
]


def last(
    y: Tensor, lengths: Tensor | Sequence[int] | None = None, *, batch_first: bool = False
) -> Tensor:
    """The output of each sequence at its own last step.

    With both directions this is what the backward one gives after a single step: take the final
    states there, or another of these ways.

    Args:
        y: outputs, [T, B, F], or [B, T, F] if `batch_first`.
        lengths: of the sequences, integers [B] from 1 to T; all T unless given.
        batch_first: whether the batch is the first axis of y.

    Returns:
        [B, F].

    Raises:
        ShapeError, DtypeError: y or lengths have other axes or another type.
        ArgumentError: a length is less than 1, or beyond T.

    >>> y = torch.arange(6.0).reshape(3, 2, 1)  # two sequences
    >>> last(y, [3, 1]).tolist()
    [[4.0], [1.0]]
    """
    found: Tensor = LastStep(batch_first=batch_first)(y, lengths)
    return found


class OverTime(nn.Module):
    """Called as `pool(y, lengths=None)`: y [T, B, F], or [B, T, F] if `batch_first`, to [B, F]."""

    #: Whether what it computes needs numbers with a fraction.
    of_fractions = True

    def __init__(self, *, batch_first: bool = False) -> None:
        super().__init__()
        check_range(batch_first=batch_first)
        self.batch_first = batch_first

    def config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {"batch_first": self.batch_first}

    def extra_repr(self) -> str:
        """The constructor's arguments, for `repr`."""
        return ", ".join(f"{name}={value}" for name, value in self.config().items() if value)

    def forward(self, y: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """One vector for each sequence; see the class."""
        if not isinstance(y, Tensor):
            raise DtypeError(f"y must be a tensor, got {type(y).__name__}")
        axes = "[B, T, F]" if self.batch_first else "[T, B, F]"
        if y.dim() != 3:
            raise ShapeError(f"y must be {axes}, got {list(y.shape)}")
        steps = Steps.of(y, lengths=lengths, batch_first=self.batch_first, called="y")
        return self.over(steps.pad(steps.data), steps.lengths)

    def pooled(self, steps: Steps) -> Steps:
        """What it makes of steps, as steps of a form of their own.

        Raises:
            ArgumentError: there is no axis of time any more, or a sequence without a step.
        """
        if steps.is_pooled:
            raise ArgumentError("only one module of a Stack can take the axis of time away")
        return steps.pooled(self.over(steps.pad(steps.data), steps.lengths))

    def over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        """[T, B, F] and lengths [B], or None if all are T, to [B, F].

        Raises:
            ShapeError, DtypeError: y has other axes or another type.
            ArgumentError: there is a sequence without a step.
        """
        self.check(y)
        if not y.shape[0]:
            raise ArgumentError("lengths must be at least 1 to take something from, got no step")
        if lengths is not None and not torch.compiler.is_compiling() and (lengths < 1).any():
            where = int((lengths < 1).nonzero()[0])
            raise ArgumentError(
                "lengths must be at least 1 to take something from, got "
                f"{int(lengths[where])} for sequence {where}"
            )
        return self._over(y, lengths)

    def check(self, y: Tensor) -> None:
        """Check what it takes a vector of, [T, B, F]."""
        if y.dim() != 3:
            raise ShapeError(
                f"{type(self).__name__} takes y [T, B, F], a vector for each step, got "
                f"{list(y.shape)}"
            )
        if self.of_fractions and not y.is_floating_point():
            raise DtypeError(f"{type(self).__name__} takes floating-point y, got {y.dtype}")

    def _over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        raise NotImplementedError


class LastStep(OverTime):
    """The output of each sequence at its own last step; see `last`.

    Called as `pool(y, lengths=None)`.

    >>> import cello
    >>> net = cello.Stack(cello.LSTM(3, 8), LastStep(), nn.Linear(8, 2))
    >>> net(torch.randn(5, 4, 3), lengths=[5, 1, 2, 5])[0].shape
    torch.Size([4, 2])
    """

    of_fractions = False

    def _over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return y[-1]
        index = (lengths - 1).clamp_min(0).reshape(1, -1, 1).expand(1, -1, y.shape[2])
        return y.gather(0, index)[0]


class MeanOverTime(OverTime):
    """The mean over the steps of each sequence.

    Called as `pool(y, lengths=None)`.

    >>> MeanOverTime()(torch.tensor([[[1.0], [1.0]], [[3.0], [9.0]]]), [2, 1]).tolist()
    [[2.0], [1.0]]
    """

    def _over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return y.mean(0)
        return torch.where(_inside(y, lengths), y, 0).sum(0) / lengths[:, None].clamp_min(1)


class MaxOverTime(OverTime):
    """The largest of each feature over the steps of each sequence.

    Called as `pool(y, lengths=None)`.

    >>> MaxOverTime()(torch.tensor([[[1.0], [1.0]], [[3.0], [9.0]]]), [2, 1]).tolist()
    [[3.0], [1.0]]
    """

    def _over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return y.amax(0)
        return torch.where(_inside(y, lengths), y, -torch.inf).amax(0)


class AttentionOverTime(OverTime):
    """A mean over the steps of each sequence, whose weights softmax(vᵀ tanh(W y + b)) are learned.

    Called as `pool(y, lengths=None)`. Source: Z. Yang et al., "Hierarchical attention networks for
    document classification", NAACL 2016, section 2.2 (their u_w is v).

    Args:
        size: features, F; W is [F, F].
        batch_first: whether the batch is the first axis of y.

    >>> AttentionOverTime(4)(torch.randn(5, 2, 4), [5, 3]).shape
    torch.Size([2, 4])
    """

    def __init__(self, size: int, *, batch_first: bool = False) -> None:
        super().__init__(batch_first=batch_first)
        check_range(size=size)
        self.size = size
        self.W = nn.Linear(size, size)
        self.v = nn.Linear(size, 1, bias=False)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {"size": self.size, **super().config()}

    def check(self, y: Tensor) -> None:
        """Check what it takes a vector of, [T, B, F]; its weights have a size and a type."""
        super().check(y)
        if y.shape[2] != self.size:
            raise ShapeError(f"{self} takes y [T, B, {self.size}], got {list(y.shape)}")
        weight = self.v.weight
        if y.dtype != weight.dtype and not torch.is_autocast_enabled(y.device.type):
            raise DtypeError(f"{self} has weights of {weight.dtype}, got y of {y.dtype}")

    def weights(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """How much each step counts, [T, B], 1 in all for each sequence; y is [T, B, F]."""
        scores = self.v(torch.tanh(self.W(y)))
        if lengths is not None:
            scores = torch.where(_inside(y, lengths), scores, -torch.inf)
        weights: Tensor = scores.softmax(0).squeeze(-1)
        return weights

    def _over(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        inside = y if lengths is None else torch.where(_inside(y, lengths), y, 0)
        return (self.weights(y, lengths).unsqueeze(-1) * inside).sum(0)


#: What `pool_of` makes, by the names of commands.
POOL_KINDS = ("last", "mean", "max", "attention")


def pool_of(kind: str, size: int) -> OverTime:
    """The module of a kind, one of `POOL_KINDS`, for so many features."""
    if kind == "attention":
        return AttentionOverTime(size)
    return {"last": LastStep, "mean": MeanOverTime, "max": MaxOverTime}[kind]()


def _inside(y: Tensor, lengths: Tensor) -> Tensor:
    return (torch.arange(y.shape[0], device=y.device)[:, None] < lengths).unsqueeze(-1)


def pooling_of(net: nn.Module) -> tuple[str, OverTime] | None:
    """The first module of a net that makes one vector of a sequence, and its place, if any."""
    each = net.named_modules()
    return next(((path, part) for path, part in each if isinstance(part, OverTime)), None)


def refuse_pooling(net: nn.Module, what: str) -> None:
    """Say by name which module of a net makes one vector of a sequence.

    Raises:
        ConversionError: there is one.
    """
    found = pooling_of(net)
    if found is not None:
        path, module = found
        raise ConversionError(
            f"{path}, {module}, makes one vector of a whole sequence, which {what} has no form "
            "for: convert the modules before it, as cello.Stack(*modules)"
        )
