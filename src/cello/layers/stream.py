"""One step at a time: for inputs that arrive one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cello.cells.contract import check_x, kind_of, like_of
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
        self._parts = [
            _LayerStep(module, batch_size) if _is_recurrent(module) else module
            for module in self.modules
        ]
        self._layers = [part for part in self._parts if isinstance(part, _LayerStep)]
        self._has_others = len(self._layers) < len(self._parts)
        size = self._layers[0].cell.input_size if self._layers else 0
        self._shapes = {(batch_size, size), *([(size,)] if batch_size == 1 else [])}

    @property
    def state(self) -> list[Any]:
        """A copy of the states, a named tuple for each recurrent layer."""
        return [layer.state for layer in self._layers]

    @state.setter
    def state(self, states: Sequence[Any]) -> None:
        if len(states) != len(self._layers):
            raise ShapeError(
                f"state must have {len(self._layers)} parts, one for each recurrent layer, "
                f"got {len(states)}"
            )
        for layer, state in zip(self._layers, states, strict=True):
            layer.check(state)
        for layer, state in zip(self._layers, states, strict=True):
            layer.state = state

    def reset(self, rows: Tensor | None = None) -> None:
        """Set the state back to the initial state: of all rows, or where `rows` [B] is True."""
        if rows is None:
            for layer in self._layers:
                layer.begin()
            return
        if not isinstance(rows, Tensor) or rows.dtype != torch.bool:
            what = rows.dtype if isinstance(rows, Tensor) else type(rows).__name__
            raise DtypeError(f"rows must be a bool tensor [{self.batch_size}], got {what}")
        if list(rows.shape) != [self.batch_size]:
            raise ShapeError(
                f"rows must be a bool tensor [{self.batch_size}], got {list(rows.shape)}"
            )
        for layer in self._layers:
            parts = zip(layer.initial(), layer.state, strict=True)
            layer.state = [torch.where(rows[:, None], new, old) for new, old in parts]

    def __call__(self, x: Tensor) -> Tensor:
        """One step: x [B, I] or [I] → the output [B, O] or [O]."""
        if self._has_others or not isinstance(x, Tensor) or x.shape not in self._shapes:
            return self._through_all(x)
        for layer in self._layers:
            x = layer(x)
        return x

    @torch.no_grad()
    def _through_all(self, x: Any) -> Tensor:
        """One step through modules of any kind."""
        if not isinstance(x, Tensor):
            raise DtypeError(f"x must be a tensor, got {kind_of(x)}")
        axes = x.dim()
        single = axes == 0 or (axes == 1 and x.is_floating_point())
        if (1 if single else x.shape[0]) != self.batch_size:
            raise ShapeError(
                f"x must be one step of {self.batch_size} rows, [{self.batch_size}, size], "
                f"got {list(x.shape)}"
            )
        y = x.unsqueeze(0) if single else x
        for part in self._parts:
            y = part(y)
        return y.squeeze(0) if single else y


class _LayerStep:
    """A layer's step with its state: compiled where that can be, else the cell's own."""

    def __init__(self, layer: Recurrent, rows: int) -> None:
        self.layer, self.cell, self.rows = layer, layer.cell, rows
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        state = self.initial()
        part = next(iter(state), torch.zeros(()))
        self._compiled = one_step(self.cell, self.rows, part.dtype, part.device, self.layer.engine)
        self.state = state

    def initial(self) -> Any:
        """The initial state."""
        with torch.no_grad():
            parts = self.layer.begin(self.rows, like_of(self.layer))
            return self.cell.state_type(*(part.clone() for part in parts))

    @property
    def state(self) -> Any:
        """The state now, a named tuple; each part [B, size]."""
        return self._own if self._compiled is None else self.cell.state_type(*self._compiled.state)

    @state.setter
    def state(self, parts: Sequence[Tensor]) -> None:
        if self._compiled is None:
            self._own = self.cell.state_type(*parts)
        else:
            self._compiled.state = parts

    def check(self, state: Any) -> None:
        """Check a state that the user sets.

        Raises:
            ShapeError: its parts do not have the shapes of those there are.
        """
        expected = [list(part.shape) for part in self.state]
        found = [list(part.shape) for part in state]
        if found != expected:
            raise ShapeError(f"state must have parts of the shapes {expected}, got {found}")

    def __call__(self, x: Tensor) -> Tensor:
        """One step: x [B, I], or [I] of a single row."""
        compiled = self._compiled
        if (
            compiled is not None
            and compiled.takes(x)
            and may_run_compiled(x.device, self.layer.engine)
        ):
            return compiled(x)
        with torch.no_grad():
            y = x.unsqueeze(0) if x.dim() == 1 else x
            check_x(self.cell, y)
            y, self.state = self.cell.step(y, *self.state)
            return y.squeeze(0) if x.dim() == 1 else y


def _is_recurrent(module: Any) -> bool:
    return hasattr(module, "cell") and hasattr(module, "begin")
