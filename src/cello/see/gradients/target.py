"""A net as a function of its input, for attribution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.cells import Cell
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import Steps
from cello.see.numbers import whole
from cello.see.recording.outputs import is_batch_first, output_of, time_major

__all__ = ["AttributionTarget", "Target"]

#: (t, unit) of the output, or a function of it.
Target = tuple[int, int] | Callable[[Any], Tensor]

_TENSORS = (Tensor, PackedSequence)


class AttributionTarget:
    """A net whose input, or what its first module makes of ids, can be changed.

    Args:
        net: any module.
        x: what it takes, in any form.
        target: what is asked for; see `cello.attribute`.
        args: more of what the net takes.
        kwargs: likewise.

    Attributes:
        features: what can be changed, in the form of x; of a packed x padded, [T, B, I].
        batch_axis: of the features; None if there is a single sequence.

    Raises:
        DtypeError: x is neither a tensor nor packed, or the target is none.
        ArgumentError: x holds ids, of which no module makes features.
    """

    def __init__(
        self,
        net: nn.Module,
        x: Tensor | PackedSequence,
        target: Target,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(x, _TENSORS):
            raise DtypeError(f"x must be a tensor or a PackedSequence, got {type(x).__name__}")
        self.net, self.x, self.target = net, x, _checked(target)
        self.args, self.kwargs = args, dict(kwargs or {})
        self.encoder: nn.Module | None = None
        self.steps: Steps | None = None  # of features that the net takes without padding
        batch_first = not isinstance(x, PackedSequence) and is_batch_first(net)
        lengths = self.kwargs.get("lengths")
        is_ids = not x.data.is_floating_point()
        found = self._encoded() if is_ids else x.data.detach()
        if isinstance(x, PackedSequence) or (is_ids and lengths is not None and found.dim() == 2):
            self.steps = Steps.of(x, lengths=lengths, batch_first=batch_first)
        self.features = found if self.steps is None else self.steps.pad(found)
        if self.steps is not None and batch_first:
            self.features = self.features.transpose(0, 1)
        self.batch_axis = (0 if batch_first else 1) if self.features.dim() > 2 else None

    def reached(self, features: Tensor) -> Tensor:
        """The target for other features: one number for each sequence [B], or one in all [].

        Raises:
            ArgumentError: there is no such step or unit.
            ShapeError: it is something else.
        """
        given: Any = features
        if self.steps is not None:
            given = self.steps.unpad(features.transpose(0, 1) if self.batch_axis == 0 else features)
        if self.encoder is not None:
            with _hooks([self.encoder], lambda *_: given):
                result = self.net(self.x, *self.args, **self.kwargs)
        else:
            x = self.x._replace(data=given) if isinstance(self.x, PackedSequence) else given
            result = self.net(x, *self.args, **self.kwargs)
        return self._one_number_each(self._chosen(output_of(result)))

    def _chosen(self, output: Any) -> Any:
        if not isinstance(self.target, tuple):
            return self.target(output)
        t, unit = self.target
        y = time_major(output, self.net) if isinstance(output, _TENSORS) else None
        if y is None or y.dim() < (2 if self.batch_axis is None else 3):
            got = type(output).__name__ if y is None else list(y.shape)
            raise ShapeError(
                f"target (t, unit) is for an output with steps, the net returned {got}: pass a "
                "function of it, such as lambda y: y[:, unit]"
            )
        T, units = len(y), y.shape[-1]
        if not 0 <= t < T or not 0 <= unit < units:
            raise ArgumentError(
                f"target ({t}, {unit}) is not in the output, which has {T} steps and {units} "
                "units, counted from 0"
            )
        return y[t, ..., unit]

    def _one_number_each(self, reached: Any) -> Tensor:
        if not isinstance(reached, Tensor):
            raise ShapeError(
                f"the target must be one number for each sequence, got {type(reached).__name__}"
            )
        count = None if self.batch_axis is None else self.features.shape[self.batch_axis]
        if reached.dim() > 1 or (reached.dim() and count not in (None, len(reached))):
            there = "" if count is None else f" [{count}]"
            raise ShapeError(
                f"the target must be one number for each sequence{there}, or one in all [], "
                f"got {list(reached.shape)}"
            )
        return reached

    def _encoded(self) -> Tensor:
        """The features that the net makes of ids: the output of the first module that does."""
        made: list[Tensor] = []

        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            given = inputs[0].data if inputs and isinstance(inputs[0], _TENSORS) else None
            is_ids = given is not None and not given.is_floating_point()
            if not made and is_ids and isinstance(output, Tensor) and output.is_floating_point():
                self.encoder = module
                made.append(output.detach())

        # Not inside of cells: what reads one step is no encoder, and a hook there would have to run
        # at every step, in place of the compiled loop.
        inside = {
            id(part)
            for cell in self.net.modules()
            if isinstance(cell, Cell)
            for part in cell.modules()
        }
        outside = [module for module in self.net.modules() if id(module) not in inside]
        with _hooks(outside, look), torch.no_grad():
            self.net(self.x, *self.args, **self.kwargs)
        if not made:
            raise ArgumentError(
                f"x holds ids ({self.x.data.dtype}), and no module of {type(self.net).__name__} "
                "makes features of them: pass what the ids stand for"
            )
        return made[0]


@contextmanager
def _hooks(modules: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _checked(target: Any) -> Target:
    if callable(target):
        return target
    if not isinstance(target, tuple) or len(target) != 2:
        raise DtypeError(
            f"target must be (t, unit) or a function of the net's output, got {target!r}"
        )
    return whole("t of the target", target[0]), whole("unit of the target", target[1])
