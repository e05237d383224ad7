"""A cell through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from cello.cells import Cell
from cello.cells.contract.given_state import batch_of
from cello.cells.contract.like import like_of
from cello.cells.contract.shapes import as_rows, as_shaped, is_several, shape_of
from cello.cells.contract.state import has_shapes, shapes_of, state_in_rows
from cello.engines import StepTable, check_engine, dense_loop, is_dense
from cello.errors import ArgumentError, ShapeError
from cello.layers.call.result import OutputAndState, refuse_pair
from cello.layers.call.states import state_given
from cello.layers.call.steps import Steps, of_its_own
from cello.layers.hooks.watch import is_unwatched
from cello.layers.layer import Layer, called, step_of
from cello.layers.quantized import Qconfig
from cello.layers.through_time import run_cell

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """A cell applied to every step of a sequence, its state carried from step to step.

    Args:
        cell: a `Cell`, or any module called as `cell(x, state)`, such as `nn.LSTMCell`. It gets
            back the state as it returned it, in any form; see `cello.cells.ForeignCell`.
        reverse: read from the end; outputs stay aligned with the inputs.
        batch_first: x is [B, T, I], and so is the output; the state is [B, size] either way.
        initial_state: "zeros", or "learned" for a parameter of each state.
        engine: "auto" (the fastest that can), "cpu", "split" or "reference"; see `cello.engine`.

    Called as `layer(x, state=None, *, lengths=None, reset=None, targets=None)`:
        x: [T, B, I], [T, I] for a single sequence, or a `PackedSequence`. Of a cell with several
            inputs a dict or tuple of them; one without the axis of time is the same at all steps.
        state: a tuple in the order of `cell.state`, each [B, size] ([size] for a single sequence).
        lengths: integers [B], zeros allowed; outputs past a row's end are 0.
        reset: bool [T, B]: before step t the state of that row goes back to the initial state.
        targets: [T, B, O], the known outputs, fed back in place of the network's own (teacher
            forcing); only for a cell with feedback, such as `JordanCell`.

    Returns:
        The output [T, B, O] in the form of x, and the final state, a named tuple with
        `.detach()`; of a module whose state is a dict, a named tuple, a data class or nested, the
        state as the module has it.

    Raises:
        ShapeError, DtypeError, ArgumentError: an argument does not fit; the message names it.
        CellError: the cell does not keep its contract.
        EngineError: the engine asked for cannot run this cell.

    >>> import cello
    >>> layer = Recurrent(cello.LSTMCell(3, 5))
    >>> y, state = layer(torch.zeros(7, 2, 3), lengths=torch.tensor([7, 4]))
    >>> y.shape, state.h.shape, state.c.shape
    (torch.Size([7, 2, 5]), torch.Size([2, 5]), torch.Size([2, 5]))
    >>> bool((y[4:, 1] == 0).all())
    True
    """

    qconfig = Qconfig(lambda layer: layer.cell._get_name() if layer.cell._parameters else "")

    def __init__(
        self,
        cell: Cell | nn.Module,
        *,
        reverse: bool = False,
        batch_first: bool = False,
        initial_state: str = "zeros",
        engine: str = "auto",
    ) -> None:
        super().__init__()
        if initial_state not in ("zeros", "learned"):
            raise ArgumentError(
                f'initial_state must be "zeros" or "learned", got {initial_state!r}; '
                "a state of your own is passed in the call: layer(x, state)"
            )
        self.cell = step_of(cell)
        self.reverse = reverse
        self.batch_first = batch_first
        self.initial_state = initial_state
        self.engine = check_engine(engine)
        if initial_state == "learned":
            like = like_of(self.cell)
            shapes = shapes_of(self.cell).items()
            self.initial = nn.ParameterDict({n: like.new_zeros(shape) for n, shape in shapes})

    @property
    def input_size(self) -> Any:
        """I, features of one input; see `Cell` for other shapes and several inputs."""
        return self.cell.input_size

    @property
    def output_size(self) -> Any:
        """O, features of one output, or its shape."""
        return self.cell.output_size

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> OutputAndState:
        """Run through time; see the class."""
        if lengths is reset is targets is None and (found := self._dense(x, state)) is not None:
            return OutputAndState(*found)
        return called(self, x, state, lengths, reset, targets=targets)

    def _dense(self, x: Any, state: Any) -> tuple[Tensor, Any] | None:
        """See `Streamed`."""
        if state is None and self.initial_state != "zeros":
            return None
        if type(self).run is not Recurrent.run or not is_dense(x) or x.dim() != 3:
            return None
        if not is_unwatched(x, self.engine):
            return None
        cell: Any = self._modules["cell"]
        x = x.transpose(0, 1) if self.batch_first else x
        T, B, _ = x.shape
        loop = dense_loop(cell, x, B, B)
        if loop is None or not loop.takes(state):
            return None
        y, final = loop(x, state, StepTable(T, B, T * B, None, self.reverse))
        state = cell.handed_out(cell.state_type(*final))
        return y.transpose(0, 1) if self.batch_first else y, state

    def run(
        self, steps: Steps, state: Any, reset: Tensor | None, targets: Tensor | None = None
    ) -> tuple[Steps, Any]:
        """Run over steps; see `Streamed.run`."""
        cell, takes, gives = self.cell, self.input_size, self.output_size
        if not isinstance(takes, int) and not is_several(takes):
            steps = steps.with_data(as_rows(takes, steps.data))
        (given,) = self.states_of(state, steps)
        if targets is not None:
            targets = self._rows_of(targets, steps)
        outputs, final = run_cell(
            cell,
            steps,
            given,
            None if self.initial_state == "zeros" else self.begin(steps.batch_size, steps.data),
            owner=self,
            reverse=self.reverse,
            reset=reset,
            targets=targets,
            engine=self.engine,
        )
        if not isinstance(gives, int):
            outputs = outputs.with_data(as_shaped(gives, outputs.data))
        return outputs, self.joined([final], steps)

    def begin(self, batch_size: int, like: Tensor) -> tuple[Tensor, ...]:
        """The initial state for `batch_size` sequences, with the dtype and device of `like`."""
        if self.initial_state == "zeros":
            zeros = self.cell.zero_state(batch_size, dtype=like.dtype, device=like.device)
            return state_in_rows(self.cell, zeros)
        own = (self.initial[name].flatten() for name in self.cell.state)
        return tuple(part.expand(batch_size, -1) for part in own)

    def like(self) -> Tensor:
        """A tensor with the dtype and device of its parameters."""
        return like_of(self)

    def in_turn(self) -> list[Recurrent]:
        """Itself; see `Streamed`.

        Raises:
            ArgumentError: it reads from the end.
        """
        if self.reverse:
            raise ArgumentError("a layer that reads from the end cannot run one step at a time")
        return [self]

    def batch_of(self, state: Any) -> int | None:
        """B of a state; see `Streamed`."""
        refuse_pair("state", state)
        return batch_of(self.cell, self.cell.taken_in(state))

    def states_of(self, state: Any, steps: Steps) -> list[Any]:
        """The state of its cell; see `Streamed`."""
        if state is None:
            return [None]
        refuse_pair("state", state)
        given = state_given(self.cell, self.cell.taken_in(state), steps)
        return [state_in_rows(self.cell, given)]

    def joined(self, states: list[Any], steps: Steps) -> Any:
        """The state as it goes out; see `Streamed`."""
        (state,) = states
        if has_shapes(self.cell):
            sizes = self.cell.state_sizes.values()
            state = type(state)(*map(as_shaped, sizes, state))
        if steps.form == "T":
            return self.cell.handed_out(type(state)(*(part.squeeze(0) for part in state)))
        return self.cell.handed_out(type(state)(*map(of_its_own, state)))

    def extra_repr(self) -> str:
        """The options that are not the defaults."""
        options = {
            "reverse": (self.reverse, False),
            "batch_first": (self.batch_first, False),
            "initial_state": (self.initial_state, "zeros"),
            "engine": (self.engine, "auto"),
        }
        return ", ".join(f"{n}={v!r}" for n, (v, default) in options.items() if v != default)

    def _own_cells(self) -> list[Cell]:
        return [self.cell]

    def _rows_of(self, targets: Tensor, steps: Steps) -> Tensor:
        name = self.cell.feedback
        if name is None:
            raise ArgumentError(
                f"targets are fed back only into a cell with feedback, such as JordanCell; "
                f"{type(self.cell).__name__} has none (a cell of your own names the state that is "
                'its output, as in feedback = "y")'
            )
        size = self.cell.state_sizes[name]
        rows = steps.like_user("targets", targets, 2 + len(shape_of(size)))
        if tuple(rows.shape[1:]) != shape_of(size):
            raise ShapeError(
                f"targets must have {size} features, the size of {name}, got {list(targets.shape)}"
            )
        return as_rows(size, rows).to(steps.data.dtype)
