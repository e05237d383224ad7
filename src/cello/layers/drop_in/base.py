"""`cello.RNN`, `cello.LSTM` and `cello.GRU`: PyTorch's layers on our engines, and open.

They hold what their namesakes hold, under the same names, and run our cells over it. Where no cell
can be compiled, as on a GPU, PyTorch's own code runs, as far as it can what is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from operator import is_
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from cello.cells import Cell
from cello.cells.contract.given_state import batch_of
from cello.cells.tools import is_proxy, leaf
from cello.engines import (
    StepTable,
    autocast_active,
    current_engine,
    dense_loop,
    is_dense,
    loops_compile,
    only_the_step_may_run,
    warn_once,
)
from cello.errors import ArgumentError
from cello.layers.call.result import refuse_pair
from cello.layers.call.states import stacked, state_of_parts, states_stacked, unstacked
from cello.layers.call.steps import Steps, of_its_own
from cello.layers.hooks.watch import hook_providers, is_unwatched, observer
from cello.layers.layer import check_input, check_reset
from cello.layers.quantized import Qconfig
from cello.layers.recurrent import Recurrent
from cello.layers.scripted import lent
from cello.layers.stream import BOTH_WAYS, Streamed
from cello.layers.through_time import run_cell
from cello.program import is_captured

__all__ = ["DropIn"]

#: What PyTorch's forward calls of a layer: a subclass that overrides one has PyTorch's forward.
_CALLED = (
    "check_forward_args",
    "check_hidden_size",
    "check_input",
    "get_expected_cell_size",
    "get_expected_hidden_size",
    "permute_hidden",
)


def _is_ours(kind: type) -> bool:
    """Whether a class is none of a user's."""
    return kind.__module__.startswith(__name__.rpartition(".")[0])


class DropIn(Streamed, nn.RNNBase):
    """What the three have in common; see `LSTM`."""

    #: The layer of PyTorch's that it stands for. It is not derived from it, for torch.compile
    #: refuses whatever is an `nn.RNN`, `nn.LSTM` or `nn.GRU`.
    namesake: ClassVar[Any]
    qconfig = Qconfig(lambda layer: f"cello.{layer._get_name()}")
    _kept_cells: list[Cell]
    _names: list[dict[str, str]]  # for each cell: the names of its parameters there, and here
    _overridden: ClassVar[str | None] = None  # one of `_CALLED` that a subclass overrides

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        users = takewhile(lambda base: not _is_ours(base), cls.__mro__)
        overridden = {name for base in users for name in vars(base)}
        cls._overridden = next(filter(overridden.__contains__, _CALLED), None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        vars(self).update(vars(_UNDRAWN[self.namesake](*args, **kwargs)))
        self._make_cells()
        # As the constructor of PyTorch's does in the end, by methods that a subclass may override.
        self._init_flat_weights()
        self.reset_parameters()

    def _new_cell(self, input_size: int) -> Cell:
        raise NotImplementedError

    def forward(
        self,
        input: Any,  # noqa: A002 - PyTorch's name
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run through time; see `LSTM`."""
        if is_proxy(input):
            node: tuple[Any, Any] = leaf(self, input, hx, lengths=lengths, reset=reset)
            return node
        if lengths is reset is None and (found := self._dense(input, hx)) is not None:
            return found
        x = input.data if isinstance(input, PackedSequence) else input
        whole = lengths is reset is None
        torchs = self._torchs_code_runs(x, whole=whole and x is input)
        if torchs and whole:
            return self._call_torch(input, hx)
        steps = check_input(self, input, lengths, self.batch_first, "input")
        run = self.run if torchs else self._run_cells
        done, state = run(steps, hx, check_reset(steps, reset, "input"))
        return done.to_user(), state

    def run(self, steps: Steps, hx: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run over steps; the state comes and goes as PyTorch has it."""
        torch_can = reset is None and (not steps.is_ragged or steps.can_be_packed)
        if torch_can and self._torchs_code_runs(steps.data, whole=not steps.is_ragged):
            return self._run_torch(steps, hx)
        return self._run_cells(steps, hx, reset)

    def _dense(self, x: Any, hx: Any) -> tuple[Any, Any] | None:
        """See `Streamed`."""
        if self._overridden or (self.dropout and self.training):
            return None
        if not is_dense(x) or x.dim() != 3 or x.dtype is torch.bfloat16:
            return None
        if not is_unwatched(x, "auto") or not self._weights_are_parameters():
            return None
        self._give(self._flat_weights)
        x = x.transpose(0, 1) if self.batch_first else x
        cells, ways = self._kept_cells, 1 + self.bidirectional
        final: list[Any] = []
        (T, B, _), alone = x.shape, len(cells) == 1
        if hx is None:
            states: Sequence[Any] = [None] * len(cells)
        elif alone:
            states = [hx if isinstance(hx, tuple) else (hx,)]
        else:
            states = unstacked(hx, len(cells))
        for first in range(0, len(states), ways):
            outputs = []
            for number in range(first, first + ways):
                cell, state = cells[number], states[number]
                loop = dense_loop(cell, x, B, B)
                if loop is None or not loop.takes(state, stacked=alone):
                    return None
                made, end = loop(x, state, StepTable(T, B, T * B, None, number > first), alone)
                outputs.append(made)
                final.append(end)
            x = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
        if not final:
            return None
        last = state_of_parts(final[0]) if alone else stacked(final)
        if self.batch_first:
            return x.transpose(0, 1), last  # what is made last has its gradient first
        return x if alone else of_its_own(x), last

    def _torchs_code_runs(self, x: Any, *, whole: bool) -> bool:
        """Whether PyTorch's own code runs: it is faster, or no cell compiles; unless asked not to.

        In a step that is captured it always does: its functions are written down as equations.

        Args:
            x: what comes in.
            whole: all sequences have all steps.
        """
        if not isinstance(x, Tensor) or not x.numel() or not x.is_floating_point():
            return False
        if is_captured():
            return True
        if current_engine() != "auto" or observer() or hook_providers() or only_the_step_may_run():
            return False
        if self._overridden is not None:
            if not torch.compiler.is_compiling():
                name = type(self).__name__
                warn_once(f"{name} overrides {self._overridden}, so PyTorch's own code runs")
            return True
        if self._refuses_gradients(x):
            return False
        if autocast_active(x.device) or (whole and self._has_instructions(x)):
            return True
        return not loops_compile(x.dtype, x.device, type(self).__name__)

    def _has_instructions(self, x: Tensor) -> bool:
        """Whether PyTorch has a loop for this that uses the processor's own bfloat16.

        Ours computes in float32: there it takes two to five times as long.
        """
        return False

    def _refuses_gradients(self, x: Tensor) -> bool:
        """Whether PyTorch's code raises under autocast on some processors, if gradients are on."""
        return False

    def _call_torch(self, x: Any, hx: Any) -> tuple[Any, Any]:
        """PyTorch's own code as it is; what it refuses is refused in our words."""
        result: tuple[Any, Any]
        if torch.compiler.is_compiling():
            result = self.namesake.forward(self, x, hx)
            return result
        try:
            result = self.namesake.forward(self, x, hx)
            return result
        except (RuntimeError, TypeError, ValueError):
            self.states_of(hx, check_input(self, x, None, self.batch_first, "input"))
            raise

    def _for_the_old_exporter(self, *args: Any, **kwargs: Any) -> Any:
        """PyTorch's own code, which that exporter knows; it passes every argument by its place."""
        x, hx, *more = [*args, None][: max(2, len(args))]
        if [*more, *kwargs.values()].count(None) < len(more) + len(kwargs):
            return super()._for_the_old_exporter()
        return self.namesake.forward(self, x, hx)

    def _run_torch(self, steps: Steps, hx: Any) -> tuple[Steps, Any]:
        """Run PyTorch's own code."""
        if steps.is_ragged:
            packed, state = self.namesake.forward(self, steps.packed(), hx)
            return steps.with_data(packed.data), state
        if steps.form == "T":
            y, state = self.namesake.forward(self, steps.data, hx)
            return steps.with_data(y), state
        x = steps.pad(steps.data)
        y, state = self.namesake.forward(self, x.transpose(0, 1) if self.batch_first else x, hx)
        y = y.transpose(0, 1) if self.batch_first else y
        return steps.with_data(steps.unpad(y)), state

    def _run_cells(self, steps: Steps, hx: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run our cells."""
        cells, places = self._cells(), self._places()
        states = self.states_of(hx, steps)
        ways = 1 + self.bidirectional
        final: list[Any] = []
        for layer in range(self.num_layers):
            outputs = []
            for backward in range(ways):
                number = len(final)
                made, state = run_cell(
                    cells[number],
                    steps,
                    states[number],
                    None,
                    owner=self,
                    place=places[number],
                    reverse=backward == 1,
                    reset=reset,
                    parameters=self._parameters_of(number),
                )
                outputs.append(made.data)
                final.append(state)
            data = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
            steps = steps.with_data(data)
        return steps, self.joined(final, steps)

    def states_of(self, hx: Any, steps: Steps) -> list[Any]:
        """The state of each cell out of PyTorch's stacked one; see `Streamed`."""
        cells = self._kept_cells
        return [None] * len(cells) if hx is None else states_stacked(cells, hx, steps)

    def joined(self, states: list[Any], steps: Steps) -> Any:
        """PyTorch's stacked state out of that of each cell; see `Streamed`."""
        if steps.form == "T":
            states = [tuple(part.squeeze(0) for part in state) for state in states]
        return stacked(states)

    def cells(self) -> dict[str, Cell]:
        """Our cells over the parameters as they are now, by place: "0", or "0.forward", …."""
        return dict(zip(self._places(), self._cells(), strict=True))

    def _places(self) -> list[str]:
        """The name of each cell, in the order of `_cells`."""
        directions = (".forward", ".backward") if self.bidirectional else ("",)
        return [f"{layer}{way}" for layer in range(self.num_layers) for way in directions]

    def _make_cells(self) -> None:
        """Make our cells, with nothing in the place of their parameters."""
        ways = 1 + self.bidirectional
        below = (self.proj_size or self.hidden_size) * ways
        with torch.device("meta"):  # takes no memory and no random numbers
            self._kept_cells = [
                self._new_cell(self.input_size if number < ways else below)
                for number in range(self.num_layers * ways)
            ]
        endings = [f"_l{n}{way}" for n in range(self.num_layers) for way in ("", "_reverse")[:ways]]
        self._names = [
            {name: name + ending for name, value in cell._parameters.items() if value is not None}
            for cell, ending in zip(self._kept_cells, endings, strict=True)
        ]

    def _cells(self) -> list[Cell]:
        """Our cells over the parameters as they are now, layer by layer, forward first."""
        if torch.compiler.is_compiling():
            from cello.engines.traced import take_parameters

            take_parameters(self)
        else:
            self.take_parameters()
        return self._kept_cells

    def _weights_are_parameters(self) -> bool:
        """Whether the weights are neither computed nor have been replaced."""
        mine = map(self._parameters.get, self._flat_weights_names)
        return all(map(is_, mine, self._flat_weights))

    def _weights_have_changed(self) -> bool:
        """As PyTorch's code asks; a step that is captured may not make anew what is right."""
        if is_captured() and self._weights_are_parameters():
            return False
        changed: bool = super()._weights_have_changed()  # type: ignore[no-untyped-call]
        return changed

    def take_parameters(self) -> None:
        """Give our cells the weights as they are now: those that PyTorch's code would run with."""
        weights = self._flat_weights
        if not self._weights_are_parameters():
            if torch.compiler.is_compiling():  # a tracer must not see the list changed
                weights = [getattr(self, name) for name in self._flat_weights_names]
            else:
                self._update_flat_weights()
                weights = self._flat_weights
        self._give(weights)

    def _give(self, weights: Sequence[Any]) -> None:
        """Put the weights into the places of our cells' parameters."""
        left = iter(weights)
        for cell, names in zip(self._kept_cells, self._names, strict=True):
            held = cell._parameters
            for name in names:
                now = next(left)
                if held[name] is not now:
                    held[name] = now

    def _parameters_of(self, number: int) -> dict[str, Tensor] | None:
        """A cell's parameters where a tracer has to see them come from this layer."""
        if not torch.compiler.is_compiling():
            return None
        return {name: getattr(self, own) for name, own in self._names[number].items()}

    def __getstate__(self) -> dict[str, Any]:
        """Without the cells, which are made again."""
        state = dict(super().__getstate__())  # type: ignore[no-untyped-call]
        del state["_kept_cells"], state["_names"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was pickled or copied."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._make_cells()

    def _replicate_for_data_parallel(self) -> DropIn:
        replica: DropIn = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._make_cells()
        return replica

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` takes: PyTorch's layer, over the same parameters."""
        if not _is_ours(type(self)):
            super().__prepare_scriptable__()
        twin: nn.RNNBase = object.__new__(self.namesake)
        twin.__setstate__(self.__getstate__())
        return lent(self, twin)

    def _own_cells(self) -> list[Cell]:
        return self._cells()

    def in_turn(self) -> list[Recurrent]:
        """Its cells; see `Streamed`."""
        if self.bidirectional:
            raise ArgumentError(BOTH_WAYS)
        return [Recurrent(cell) for cell in self._cells()]

    def batch_of(self, state: Any) -> int | None:
        """B of a state; see `Streamed`."""
        refuse_pair("hx", state)
        return batch_of(self._kept_cells[0], state, 1)


#: PyTorch's layers as they are before their parameters are drawn.
_UNDRAWN: dict[Any, Any] = {
    kind: type(kind.__name__, (kind,), {"reset_parameters": lambda _layer: None})
    for kind in (nn.RNN, nn.LSTM, nn.GRU)
}
