"""One step at a time: for inputs that arrive one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cello.cells.contract import check_x, like_of
from cello.engines import may_run_compiled, one_step
from cello.errors import ArgumentError, DtypeError, ShapeError

if TYPE_CHECKING:
    from cello.layers.recurrent import Recurrent

__all__ = ["BOTH_WAYS", "Stepper"]

#: Why a layer of both directions has no stepper.
BOTH_WAYS = (
    "a bidirectional layer cannot run one step at a time: its backward direction starts "
    "at the end of the sequence"
)


class Stepper:
    """Runs a layer or a stack one step a call and keeps the state in between.

    Made by `layer.stream(batch_size)`. It computes no gradients; the numbers are those of the
    layer over the whole sequence.

    On the CPU it runs the compiled step, if there is one. What the step reads besides tensors is
    what it was when the stepper was made or last reset as a whole; weights changed by an optimizer
    or by `load_state_dict` count from the next step on.

    Called as `stepper(x)` with x [B, I], or [I] if `batch_size` is 1; returns the output of that
    step in the same form.

    Attributes:
        state: a named tuple for each recurrent layer, in order; each part [B, size].

    Raises:
        ShapeError, DtypeError: x is not one step, or has another dtype than the parameters.
        ArgumentError: `batch_size` is not positive.

    >>> import cello
    >>> layer = cello.Recurrent(cello.GRUCell(3, 2))
    >>> x = torch.randn(4, 1, 3)
    >>> stepper = layer.stream()
    >>> one_by_one = torch.stack([stepper(x_t) for x_t in x])
    >>> torch.allclose(one_by_one, layer(x)[0])
    True
    """

    def __init__(self, modules: Sequence[Any], batch_size: int = 1) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"batch_size must be a positive int, got {batch_size!r}")
        self.modules: list[Any] = list(modules)
        self.batch_size = batch_size
        self._recurrent = [module for module in self.modules if _is_recurrent(module)]
        self.reset()

    def reset(self, rows: Tensor | None = None) -> None:
        """Set the state back to the initial state: of all rows, or where `rows` [B] is True."""
        with torch.no_grad():
            fresh = [self._begin(layer) for layer in self._recurrent]
            if rows is None:
                self.state = fresh
                self._compiled = [
                    one_step(layer.cell, self.batch_size, *_kind(begin), layer.engine)
                    for layer, begin in zip(self._recurrent, fresh, strict=True)
                ]
                return
            if not isinstance(rows, Tensor) or rows.dtype != torch.bool:
                what = rows.dtype if isinstance(rows, Tensor) else type(rows).__name__
                raise DtypeError(f"rows must be a bool tensor [{self.batch_size}], got {what}")
            if list(rows.shape) != [self.batch_size]:
                raise ShapeError(
                    f"rows must be a bool tensor [{self.batch_size}], got {list(rows.shape)}"
                )
            for number, (new, old) in enumerate(zip(fresh, self.state, strict=True)):
                parts = zip(new, old, strict=True)
                self.state[number] = type(old)(
                    *(torch.where(rows[:, None], n, o) for n, o in parts)
                )

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """One step: x [B, I] or [I] → the output [B, O] or [O]."""
        if not isinstance(x, Tensor):
            raise DtypeError(f"x must be a tensor, got {type(x).__name__}")
        single = x.dim() == 0 or (x.dim() == 1 and x.is_floating_point())
        y = x.unsqueeze(0) if single else x
        if y.dim() < 1 or len(y) != self.batch_size:
            raise ShapeError(
                f"x must be one step of {self.batch_size} rows, [{self.batch_size}, size], "
                f"got {list(x.shape)}"
            )
        number = 0
        for module in self.modules:
            if not _is_recurrent(module):
                y = module(y)
                continue
            cell = module.cell
            check_x(cell, y)
            compiled, now = self._compiled[number], self.state[number]
            if compiled is not None and compiled.training != cell.training:
                compiled = None  # the cell has changed its mode since
            if compiled is not None and may_run_compiled(y.device, module.engine):
                y, state = compiled(y, now)
            else:
                y, state = cell.step(y, *now)
            self.state[number] = cell.state_type(*state)
            number += 1
        return y.squeeze(0) if single else y

    def _begin(self, layer: Recurrent) -> Any:
        like = like_of(layer)
        parts = layer.begin(self.batch_size, like)
        return layer.cell.state_type(*(part.clone() for part in parts))


def _kind(state: Any) -> tuple[torch.dtype, torch.device]:
    part = next(iter(state), torch.zeros(()))
    return part.dtype, part.device


def _is_recurrent(module: Any) -> bool:
    return hasattr(module, "cell") and hasattr(module, "begin")
