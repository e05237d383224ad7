"""Two cells, one reading forward and one backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from cello.cells import Cell, ForeignCell, state_type
from cello.cells.contract.given_state import parts_of
from cello.cells.contract.like import a_tensor_of, like_of
from cello.cells.contract.shapes import shape_of
from cello.engines import is_dense
from cello.errors import ArgumentError, CellError
from cello.layers.call.result import refuse_pair
from cello.layers.call.steps import Steps
from cello.layers.layer import Layer, step_of
from cello.layers.recurrent import Recurrent
from cello.layers.stream import BOTH_WAYS

__all__ = ["Bidirectional"]

_State = state_type(("forward", "backward"))

#: How two outputs become one; `axis` is the first one after those of time and batch.
_JOINS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "concat": lambda there, back, axis: torch.cat([there, back], dim=axis),
    "sum": lambda there, back, _: there + back,
    "mean": lambda there, back, _: (there + back) / 2,
}


class Bidirectional(Layer):
    """Two cells over one sequence, one in each direction: each output has seen past and future.

    The backward direction starts at each row's own last step; its outputs stay aligned with the
    inputs, so its last state belongs to the first step.

    Source: M. Schuster and K. Paliwal, "Bidirectional Recurrent Neural Networks", IEEE
    Transactions on Signal Processing 45 (1997), section II.

    Args:
        forward: the cell that reads forward (a `Cell`, or any module that `Recurrent` takes).
        backward: the cell that reads backward; a fresh one of the same shape unless given.
        join: how the two outputs become one: "concat" [.., 2 O], "sum" or "mean" [.., O].
        batch_first: x is [B, T, I], and so is the output.
        initial_state: "zeros", or "learned" for a parameter of each state.
        engine: see `Recurrent`.

    Called as `layer(x, state=None, *, lengths=None, reset=None)`, with the shapes of `Recurrent`.

    Returns:
        The output, and the final state: a named tuple (forward, backward) of the cells' states.

    Raises:
        ShapeError, DtypeError, ArgumentError: as `Recurrent`, and for cells that do not fit
            together.

    >>> import cello
    >>> layer = Bidirectional(cello.ElmanCell(3, 4))
    >>> y, state = layer(torch.zeros(5, 2, 3))
    >>> y.shape, state.backward.h.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        forward: Cell | nn.Module,
        backward: Cell | nn.Module | None = None,
        *,
        join: str = "concat",
        batch_first: bool = False,
        initial_state: str = "zeros",
        engine: str = "auto",
    ) -> None:
        super().__init__()
        if join not in _JOINS:
            raise ArgumentError(f'join must be "concat", "sum" or "mean", got {join!r}')
        there = step_of(forward)
        back = _fresh_copy(there) if backward is None else step_of(backward)
        if there is back:
            raise ArgumentError(
                "forward and backward are one and the same cell: leave backward out for a fresh "
                "one of the same shape, or pass copy.deepcopy(cell)"
            )
        for size in ("input_size", "output_size")[: 1 if join == "concat" else 2]:
            if getattr(there, size) != getattr(back, size):
                raise ArgumentError(
                    f'the two cells must have one {size} (join="{join}"), '
                    f"got {getattr(there, size)} and {getattr(back, size)}"
                )
        ends = [shape_of(cell.output_size) for cell in (there, back)]
        if ends[0][1:] != ends[1][1:] or not all(ends):
            raise ArgumentError(
                "the outputs of the two cells must differ in the first axis alone, got the "
                f"output_size {there.output_size} and {back.output_size}"
            )
        options: Any = {"initial_state": initial_state, "engine": engine}
        self.forward_layer = Recurrent(there, **options)
        self.backward_layer = Recurrent(back, reverse=True, **options)
        self.join = join
        self.batch_first = batch_first

    @property
    def input_size(self) -> Any:
        """I, features of one input; see `Recurrent.input_size`."""
        return self.forward_layer.input_size

    @property
    def output_size(self) -> Any:
        """Features of one joined output, or its shape: two are joined along the first axis."""
        there, back = self.forward_layer.output_size, self.backward_layer.output_size
        if self.join != "concat":
            return there
        if isinstance(there, int):
            return there + back
        return (there[0] + back[0], *there[1:])

    def run(self, steps: Steps, state: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run over steps; see `Streamed.run`."""
        refuse_pair("state", state)
        states: Any = (None, None) if state is None else state
        wanted = "a pair (forward, backward) of the two cells' states"
        states = parts_of(states, 2, "state", wanted)
        there, state_there = self.forward_layer.run(steps, states[0], reset)
        back, state_back = self.backward_layer.run(steps, states[1], reset)
        joined = _JOINS[self.join](there.data, back.data, 1)
        return steps.with_data(joined), _State(state_there, state_back)

    def _dense(self, x: Any, state: Any) -> tuple[Tensor, Any] | None:
        """See `Streamed`."""
        if type(self).run is not Bidirectional.run or not is_dense(x) or x.dim() != 3:
            return None
        states = (None, None) if state is None else state
        if not isinstance(states, (tuple, list)) or len(states) != 2:
            return None
        x = x.transpose(0, 1) if self.batch_first else x
        there = self.forward_layer._dense(x, states[0])
        back = None if there is None else self.backward_layer._dense(x, states[1])
        if there is None or back is None:
            return None
        y = _JOINS[self.join](there[0], back[0], 2)
        return y.transpose(0, 1) if self.batch_first else y, _State(there[1], back[1])

    def in_turn(self) -> NoReturn:
        """Not possible: the backward direction needs the end first.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(BOTH_WAYS)

    def _own_cells(self) -> list[Cell]:
        return [self.forward_layer.cell, self.backward_layer.cell]

    def extra_repr(self) -> str:
        """The options that are not the defaults."""
        shown = [f"join={self.join!r}"] if self.join != "concat" else []
        return ", ".join(shown + (["batch_first=True"] if self.batch_first else []))


def _fresh_copy(cell: Cell) -> Cell:
    """A cell of the same shape with parameters of its own.

    It is built anew from the cell's constructor arguments; a cell that does not keep them, or a
    third party's module, is copied, and its modules draw their parameters anew.
    """
    try:
        config = None if isinstance(cell, ForeignCell) else cell.config()
    except CellError:
        config = None
    if config is not None:
        like = like_of(cell)
        fresh = type(cell)(**copy.deepcopy(config)).train(cell.training)
        own = a_tensor_of(fresh)
        if own is not None and (own.device, own.dtype) != (like.device, like.dtype):
            # Not `to`, which would make complex parameters real.
            fresh._apply(  # type: ignore[no-untyped-call]
                lambda t: t.to(like.device, like.dtype if t.is_floating_point() else t.dtype)
            )
        return fresh
    twin = copy.deepcopy(cell)
    for module in twin.modules():
        draw = getattr(module, "reset_parameters", None)
        if callable(draw):
            draw()
    return twin
