"""One step at a time: for inputs that arrive one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.contract.like import autocast_dtype
from cello.cells.contract.shapes import as_shaped, shown, width_of
from cello.cells.contract.state import has_shapes, step_on_rows
from cello.cells.contract.step_checks import check_x, kind_of, name_of
from cello.cells.tools import NotScripted
from cello.engines import Run, cpu, gpu, may_run_compiled, one_step, under_autocast
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.call.inputs import features_of, step_side_by_side
from cello.layers.call.steps import Steps
from cello.layers.scripted import Traceable

__all__ = ["BOTH_WAYS", "Stepper", "Streamed"]

#: Why a layer of both directions has no stepper.
BOTH_WAYS = (
    "a bidirectional layer cannot run one step at a time: its backward direction starts "
    "at the end of the sequence"
)


class Streamed(Traceable, NotScripted, nn.Module):
    """What runs through time, in one call or one step a call: layers, stacks, drop-ins."""

    batch_first: bool
    input_size: Any

    def run(self, steps: Steps, state: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run over steps; `reset` is [N]. The state comes and goes in the user's order."""
        raise NotImplementedError

    def _dense(self, x: Any, state: Any) -> tuple[Any, Any] | None:
        """What a call returns, if compiled loops are known for such an x and nobody watches."""
        return None

    def stream(self, batch_size: int | None = None, *, state: Any = None) -> Stepper:
        """One step at a time, with the same numbers as the whole sequence; see `Stepper`.

        The numbers of a drop-in are those that it has in eval mode.

        Args:
            batch_size: how many sequences run at once; as many as `state` has, or one.
            state: what to begin with, as the layer takes and returns it, such as after a history;
                the initial state unless given.

        Raises:
            ArgumentError: a layer reads from the end.
            ShapeError, DtypeError: the state is none of this layer.
        """
        return Stepper(self, batch_size, state=state)

    def source(self, *, backward: bool = False, whole: bool = False, engine: str = "cpu") -> str:
        """The text of the loops that a compiled engine makes of the cells, equal ones once.

        Args:
            backward: the loops that compute gradients, in place of those that compute outputs.
            whole: with what is the same in every file: the very text that is compiled.
            engine: "cpu" for C, "gpu" for Triton.

        Raises:
            ArgumentError: the engine is neither.
            EngineError: a cell cannot be compiled; names the reason.

        >>> import cello
        >>> print(cello.Recurrent(cello.GRUCell(3, 5)).source().splitlines()[0])
        /* The forward loop of GRUCell. */
        """
        listing = {"cpu": cpu.source, "gpu": gpu.source}.get(engine)
        if listing is None:
            raise ArgumentError(f'engine must be "cpu" or "gpu", got {engine!r}')
        loops = (listing(cell, backward=backward, whole=whole) for cell in self._own_cells())
        return "\n".join(dict.fromkeys(loops))

    def _own_cells(self) -> Sequence[Cell]:
        """The cells that it runs."""
        raise NotImplementedError

    def in_turn(self) -> list[Any]:
        """The modules that a step goes through; a `OneCell` for each cell.

        Raises:
            ArgumentError: a cell reads from the end.
        """
        raise NotImplementedError

    def batch_of(self, state: Any) -> int | None:
        """B of a state; 0 of one without the axis of the batch, None if there is no tensor."""
        raise NotImplementedError

    def states_of(self, state: Any, steps: Steps) -> list[Any]:
        """The state of each cell, out of the layer's own; each part [B, size].

        Raises:
            ShapeError, DtypeError: it is no state of this layer.
        """
        raise NotImplementedError

    def joined(self, states: list[Any], steps: Steps) -> Any:
        """The layer's own state, out of that of each cell."""
        raise NotImplementedError


class OneCell(Protocol):
    """A layer of one cell."""

    cell: Cell
    engine: str

    def like(self) -> Tensor:
        """A tensor with the dtype and device of its parameters."""

    def begin(self, batch_size: int, like: Tensor) -> tuple[Tensor, ...]:
        """The initial state for `batch_size` sequences, with the dtype and device of `like`."""


class Stepper:
    """Runs a layer or a stack one step a call and keeps the state in between.

    Made by `layer.stream(batch_size, state=state)`. It computes no gradients. The numbers are those
    of the layer over the whole sequence: to the bit on the engines "cpu" and "reference"; modules
    of PyTorch's in a stack round a step of few rows in their own way.

    On the CPU it runs the compiled step, if there is one. What the step reads besides tensors is
    what it was when the stepper was made or last reset as a whole; weights changed by an optimizer
    or by `load_state_dict` count from the next step on. Where the layer is brought to another dtype
    or device, the stepper follows with its state.

    Called as `stepper(x)` with x [B, I], or [I] if `batch_size` is 1; returns the output of that
    step in the same form.

    Attributes:
        state: the state now, a copy, in the form in which the layer takes and returns it, and that
            can be set. With inputs [I] it is that of a single sequence.

    Raises:
        ShapeError, DtypeError: x is not one step, or has another dtype than the parameters; a state
            does not fit the layer.
        ArgumentError: `batch_size` is not positive, or not that of the state.

    >>> import cello
    >>> layer = cello.LSTM(3, 2)
    >>> x = torch.randn(9, 1, 3)
    >>> _, state = layer(x[:5])           # the history
    >>> stepper = layer.stream(state=state)
    >>> one_by_one = torch.stack([stepper(x_t) for x_t in x[5:]])
    >>> torch.equal(one_by_one, layer(x)[0][5:])
    True
    >>> y, state = layer(x, stepper.state)  # and on with whole sequences
    """

    def __init__(
        self, layer: Streamed, batch_size: int | None = None, *, state: Any = None
    ) -> None:
        modules = layer.in_turn()
        self.layer = layer
        self.batch_size = _rows(layer, batch_size, state)
        self._parts = [
            _LayerStep(module, self.batch_size) if hasattr(module, "begin") else module
            for module in modules
        ]
        self._layers = [part for part in self._parts if isinstance(part, _LayerStep)]
        self._has_others = len(self._layers) < len(self._parts)
        size = self._layers[0].cell.input_size if self._layers else 0
        # The shapes of one step, and whether it comes without the axis of the batch.
        self._shapes: dict[tuple[int, ...], bool] = {}
        if isinstance(size, int):
            self._shapes[self.batch_size, size] = False
            if self.batch_size == 1:
                self._shapes[size,] = True
        self._single = False
        if state is not None:
            self.state = state

    @property
    def state(self) -> Any:
        """A copy of the state, as the layer takes and returns it."""
        states = [layer.state for layer in self._layers]
        return self.layer.joined(states, self._like(self._single))

    @state.setter
    def state(self, state: Any) -> None:
        single = self.batch_size == 1 and self.layer.batch_of(state) == 0
        states = self.layer.states_of(state, self._like(single))
        self._single = single
        for layer, part in zip(self._layers, states, strict=True):
            layer.state = layer.initial() if part is None else part

    def _like(self, single: bool) -> Steps:
        """One step without numbers, as a layer that is given the state would have it."""
        like = self._layers[0].layer.like() if self._layers else torch.zeros(())
        rows = like.new_empty(1, self.batch_size, 0)
        return Steps.of(rows[:, 0] if single else rows, unbatched=single)

    def reset(self, rows: Tensor | None = None) -> None:
        """Set the state back to the layer's initial one: of all rows, or where `rows` [B] is True.

        That is the initial state also where the stepper began with a state of yours.

        Raises:
            ShapeError, DtypeError: `rows` is no bool tensor [B].
        """
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
        single = self._shapes.get(x.shape) if isinstance(x, Tensor) else None
        if single is None or self._has_others:
            return self._through_all(x)
        self._single = single
        for layer in self._layers:
            x = layer(x)
        return x

    @torch.no_grad()
    def _through_all(self, x: Any) -> Tensor:
        """One step through modules of any kind."""
        first: Any = self._parts[0]
        if isinstance(first, _LayerStep) and not isinstance(first.cell.input_size, int):
            y, self._single = step_side_by_side(first.cell, x, self.batch_size)
            for part in self._parts:
                y = part(y)
            return y.squeeze(0) if self._single else y
        if not isinstance(x, Tensor):
            raise DtypeError(f"x must be a tensor, got {kind_of(x)}")
        axes = x.dim()
        single = axes == 0 or (axes == 1 and x.is_floating_point())
        if (1 if single else x.shape[0]) != self.batch_size:
            raise ShapeError(
                f"x must be one step, [{self.batch_size}, size], got {list(x.shape)}; how many "
                "sequences run at once is said by layer.stream(batch_size=…)"
            )
        y = x.unsqueeze(0) if single else x
        for part in self._parts:
            y = part(y)
        self._single = axes == 1 and single  # an id alone is a step of a batch of one, as [T, 1]
        return y.squeeze(0) if single else y


class _LayerStep:
    """A layer's step with its state: compiled where that can be, else the cell's own."""

    def __init__(self, layer: OneCell, rows: int) -> None:
        self.layer, self.cell, self.rows = layer, layer.cell, rows
        self.has_shapes = has_shapes(self.cell)
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        self._kind: Any = None
        self.state = self.initial()

    def initial(self) -> Any:
        """The initial state."""
        with torch.no_grad():
            parts = self.layer.begin(self.rows, self.layer.like())
            return self.cell.state_type(*(part.clone() for part in parts))

    @property
    def state(self) -> Any:
        """A copy of the state now, a named tuple; each part [B, size].

        It has the dtype of the layer, and is on its device; when it is set, the step follows it.
        """
        like = self.layer.like()
        parts = self._own if self._compiled is None else self._compiled.state
        return self.cell.state_type(*(part.to(like, copy=True) for part in parts))

    @state.setter
    def state(self, parts: Sequence[Tensor]) -> None:
        like = self.layer.like()
        if self._kind != (like.dtype, like.device):
            self._kind = (like.dtype, like.device)
            self._compiled = one_step(
                self.cell, self.rows, like.dtype, like.device, self.layer.engine
            )
        if self._compiled is None:
            self._own = [part.detach().clone() for part in parts]
        else:
            self._compiled.state = parts

    def __call__(self, x: Tensor) -> Tensor:
        """One step: x [B, I], or [I] of a single row."""
        if self.has_shapes:
            y: Tensor = as_shaped(self.cell.output_size, self._on_rows(self._checked(x)))
            return y
        return self._on_rows(x)

    def _checked(self, x: Tensor) -> Tensor:
        """What comes out of another layer, or side by side, as rows."""
        size = self.cell.input_size
        if x.shape[1:] not in (features_of(size), (width_of(size),)):
            raise ShapeError(
                f"{name_of(self.cell)} takes {shown(size, 'B')} a step, what comes to it is "
                f"{list(x.shape)}"
            )
        return x if x.dim() == 2 else x.reshape(len(x), width_of(size))

    def _on_rows(self, x: Tensor) -> Tensor:
        compiled = self._compiled
        if compiled is not None and may_run_compiled(self.layer.engine):
            made = compiled(x)
            if made is not None:
                return made
        like = self.layer.like()
        if self._kind != (like.dtype, like.device):
            self.state = self.state
            return self._on_rows(x)
        with torch.no_grad():
            y = x.unsqueeze(0) if x.dim() == 1 else x
            if not self.has_shapes:
                check_x(self.cell, y)
            now = self._own if compiled is None else compiled.state
            y, self.state = _step(self.cell, y, now)
            y = y.clone()  # it may be the input or the state under another name
            return y.squeeze(0) if x.dim() == 1 else y


def _step(cell: Cell, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
    """The cell's own step; under autocast as a layer runs it."""
    if autocast_dtype(x) is None:
        return step_on_rows(cell)(x, *state)
    this = under_autocast(Run(x, [len(x)], tuple(state), (), cell=cell))
    y, after = step_on_rows(cell)(this.data, *this.state)
    y = y if this.data is x else y.to(this.data.dtype)
    new = zip(after, this.state, state, strict=True)
    return y, [part.to(inside.dtype).to(outside.dtype) for part, inside, outside in new]


def _rows(layer: Streamed, batch_size: Any, state: Any) -> int:
    """How many sequences run at once: what was asked for, else those of the state, else one."""
    given = None if state is None else layer.batch_of(state)
    if batch_size is None:
        return given or 1
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        number = isinstance(batch_size, (int, float, str))
        got = (
            repr(batch_size) if number else f"{type(batch_size).__name__}; pass a state as state=…"
        )
        raise ArgumentError(f"batch_size must be a positive int, got {got}")
    if given and given != batch_size:
        raise ArgumentError(
            f"batch_size is {batch_size}, but the state is one of {given} sequences; beside a "
            "state, batch_size can be left out"
        )
    return batch_size
