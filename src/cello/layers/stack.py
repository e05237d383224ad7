"""Layers one on top of another, with ordinary modules between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import SequenceKey, register_pytree_node

from cello.cells import Cell, detach
from cello.cells.contract.given_state import parts_of
from cello.cells.contract.shapes import width_of
from cello.cells.contract.step_checks import described, refuse_odd
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.call.inputs import features_of
from cello.layers.call.result import OutputAndState, refuse_pair
from cello.layers.call.steps import Steps
from cello.layers.drop_in import DropIn
from cello.layers.drop_in.accelerate import accelerate
from cello.layers.encoders import (
    KHot,
    Log,
    OneHot,
    Projection,
    WindowEmbedding,
    WindowProjection,
)
from cello.layers.layer import Layer, called, check_input
from cello.layers.outputs.crf import CRF
from cello.layers.outputs.pooling import OverTime
from cello.layers.recurrent import Recurrent
from cello.layers.stream import Streamed

__all__ = ["Stack", "StackState"]


class StackState(tuple[Any, ...]):
    """The state of a stack: an entry for each module, None for one that carries nothing."""

    __slots__ = ()

    def detach(self) -> StackState:
        """The same state cut from the graph, for truncated backpropagation."""
        return StackState(detach(part) for part in self)


# As states are: see cello.cells.contract.state.
torch.serialization.add_safe_globals([StackState])
register_pytree_node(
    StackState,
    lambda state: (list(state), None),
    lambda parts, _: StackState(parts),
    serialized_type_name="cello.StackState",
    flatten_with_keys_fn=lambda state: ([(SequenceKey(n), p) for n, p in enumerate(state)], None),
)


class Stack(Streamed):
    """Any mixture of recurrent layers and ordinary modules, run as one network.

    Ordinary modules work on each step by itself: without lengths they see the tensor as it is
    ([T, B, F]); with lengths, or a packed input, they see the rows of all steps ([N, F]), so that
    no work is spent on padding, and what lies past a row's end is 0.

    Args:
        *modules: `Recurrent`, `Bidirectional`, `cello.LSTM` and its kin, or any module from
            tensor to tensor, such as `nn.Linear`, `nn.Dropout`, `nn.Embedding`.
        batch_first: x is [B, T, ...], and so is the output. It holds for all layers inside.

    Called as `net(x, state=None, *, lengths=None, reset=None, targets=None)`, with the shapes of
    `Recurrent`; `targets` go to the one layer whose cell has feedback.

    Returns:
        The output, and the final state: a tuple with an entry for each module (None for one
        without a state), with `.detach()`.

    Raises:
        ShapeError, DtypeError, ArgumentError: an argument does not fit; the message names it.

    >>> import torch, cello
    >>> net = Stack(
    ...     cello.Bidirectional(cello.LSTMCell(8, 16)),
    ...     nn.Dropout(0.1),
    ...     cello.Recurrent(cello.JordanCell(32, 16, output_size=10)),
    ... )
    >>> y, state = net(torch.zeros(5, 2, 8))
    >>> y.shape, state[0].forward.c.shape, state[1], state[2].y.shape
    (torch.Size([5, 2, 10]), torch.Size([2, 16]), None, torch.Size([2, 10]))
    """

    def __init__(self, *modules: nn.Module, batch_first: bool = False) -> None:
        super().__init__()
        if not modules:
            raise ArgumentError("a Stack needs at least one module")
        self.batch_first = batch_first
        for number, module in enumerate(modules):
            self.add_module(str(number), self._checked(number, module))

    def _checked(self, number: int, module: Any) -> nn.Module:
        if isinstance(module, (Cell, nn.RNNCellBase)):
            raise DtypeError(
                f"module {number} is a {type(module).__name__}, one step only: "
                "wrap it as cello.Recurrent(cell)"
            )
        if not isinstance(module, nn.Module):
            what = type(module).__name__
            if isinstance(module, type):
                what = f"the class {module.__name__} itself: build it first"
            if isinstance(module, (list, tuple)):
                what += ": give the modules one by one, cello.Stack(*modules)"
            if isinstance(module, Mapping):
                what += ": give the modules one by one, cello.Stack(*modules.values())"
            raise DtypeError(f"module {number} must be an nn.Module, got {what}")
        if isinstance(module, nn.RNNBase) and not isinstance(module, DropIn):
            module = accelerate(module)
        if isinstance(module, Streamed) and module.batch_first and not self.batch_first:
            raise ArgumentError(
                f"module {number} has batch_first=True, the Stack has not: "
                "give batch_first=True to the Stack, for all layers inside"
            )
        checked: nn.Module = module
        return checked

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, number: int) -> Any:
        return list(self)[number]

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> OutputAndState:
        """Run all modules; see the class."""
        return called(self, x, state, lengths, reset, targets=targets)

    def _steps(self, x: Any, lengths: Any) -> Steps:
        first = self[0]
        if isinstance(first, (Layer, DropIn)):
            steps = check_input(first, x, lengths, self.batch_first)
        else:
            steps = self._any_input(x, lengths)
        if steps.is_padded and not _each_row_alone(self):
            return steps.without_padding()
        return steps

    def _any_input(self, x: Any, lengths: Tensor | Sequence[int] | None) -> Steps:
        """Steps of an input that only the first module understands."""
        if isinstance(x, Tensor) and (x.is_nested or x.dim() != 2):
            refuse_odd("x", x)  # what is taken apart; a module may take a sparse matrix
        if isinstance(x, Tensor) and x.dim() < 2:
            raise ShapeError(f"x must be [T, B, ...] or [B, T, ...], got {list(x.shape)}")
        float_2d = isinstance(x, Tensor) and x.dim() == 2 and x.is_floating_point()
        return Steps.of(x, lengths=lengths, batch_first=self.batch_first, unbatched=float_2d)

    def run(
        self, steps: Steps, state: Any, reset: Tensor | None, targets: Tensor | None = None
    ) -> tuple[Steps, StackState]:
        """Run over steps; see `Streamed.run`."""
        states = self._entries(state)
        fed = self._fed_back() if targets is not None else None
        final: list[Any] = []
        for number, (module, part) in enumerate(zip(self, states, strict=True)):
            if isinstance(module, OverTime):
                steps, part = module.pooled(steps), None
            elif isinstance(module, Streamed):
                if steps.is_pooled:
                    raise ArgumentError(
                        f"module {number} ({type(module).__name__}) reads steps, and the module "
                        "before has made one vector of them"
                    )
                if not isinstance(module, Stack):
                    _check_features(number, module, steps)
                if module is fed:
                    steps, part = fed.run(steps, part, reset, targets)
                elif reset is None and (found := _dense(module, steps, part)) is not None:
                    steps, part = found
                else:
                    steps, part = module.run(steps, part, reset)
            else:
                steps, part = _applied(number, module, steps), None
            final.append(part)
        return steps, StackState(final)

    def _entries(self, state: Any) -> Sequence[Any]:
        """The state of each module.

        Raises:
            DtypeError: it has not an entry for each, or one for a module without a state.
        """
        pair = isinstance(state, tuple) and [*map(type, state[1:])] == [StackState]
        if pair and not (len(self) == 2 and isinstance(self[1], Stack)):  # whose state it may be
            state = OutputAndState(*state)
        refuse_pair("state", state)
        if state is None:
            return (None,) * len(self)
        each = f"an entry for each of the {len(self)} modules (None for one without a state)"
        parts = parts_of(state, len(self), "state", f"a tuple with {each}")
        for number, (module, part) in enumerate(zip(self, parts, strict=True)):
            is_none = part is None or (isinstance(part, tuple) and not part)  # () in a traced graph
            if not (isinstance(module, Streamed) or is_none):
                raise DtypeError(
                    f"state[{number}] must be None, for module {number} of the Stack "
                    f"({type(module).__name__}) has no state; got {described(part)}"
                )
        return parts

    def _fed_back(self) -> Recurrent:
        fed = [m for m in self if isinstance(m, Recurrent) and m.cell.feedback is not None]
        if len(fed) != 1:
            raise ArgumentError(
                "targets are fed back into the one layer whose cell has feedback, such as "
                f"JordanCell; this stack has {len(fed)} such layers"
            )
        return fed[0]

    def _own_cells(self) -> list[Cell]:
        return [cell for m in self if isinstance(m, Streamed) for cell in m._own_cells()]

    def in_turn(self) -> list[Any]:
        """The modules of all that it holds; see `Streamed`."""
        for number, module in enumerate(self):
            if isinstance(module, OverTime):
                raise ArgumentError(
                    f"module {number}, {module}, needs the whole sequence: nothing comes out after "
                    "one step; stream the modules before it"
                )
        parts = (m.in_turn() if isinstance(m, Streamed) else [m] for m in self)
        return [module for some in parts for module in some]

    def batch_of(self, state: Any) -> int | None:
        """B of a state; see `Streamed`."""
        pairs = zip(self, self._entries(state), strict=True)
        found = (module.batch_of(part) for module, part in pairs if isinstance(module, Streamed))
        return next((rows for rows in found if rows is not None), None)

    def states_of(self, state: Any, steps: Steps) -> list[Any]:
        """The state of each cell inside; see `Streamed`."""
        pairs = zip(self, self._entries(state), strict=True)
        return [s for m, part in pairs if isinstance(m, Streamed) for s in m.states_of(part, steps)]

    def joined(self, states: list[Any], steps: Steps) -> StackState:
        """The state of the stack; see `Streamed`."""
        left = iter(states)
        return StackState(
            m.joined([next(left) for part in m.in_turn() if hasattr(part, "begin")], steps)
            if isinstance(m, Streamed)
            else None
            for m in self
        )


#: Modules known to make of each row what they make of it among others, padding or not.
_EACH_ROW_ALONE = (
    CRF, Layer, DropIn, KHot, Log, OneHot, Projection, WindowEmbedding, WindowProjection,
    nn.Linear, nn.Identity, nn.Dropout, nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.Tanh, nn.ReLU,
    nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, OverTime,
)  # fmt: skip


def _each_row_alone(module: Any) -> bool:
    if isinstance(module, (Stack, nn.Sequential)):
        return all(_each_row_alone(part) for part in module)
    return isinstance(module, _EACH_ROW_ALONE)


def _dense(module: Streamed, steps: Steps, state: Any) -> tuple[Steps, Any] | None:
    """What a module makes of a whole tensor of steps, if it knows how to at once."""
    if steps.whole is None or steps.form != "TB" or module.batch_first:
        return None
    found = module._dense(steps.whole, state)
    return None if found is None else (steps.with_data(found[0].flatten(0, 1), found[0]), found[1])


def _applied(number: int, module: nn.Module, steps: Steps) -> Steps:
    try:
        return steps.map(module)
    except Exception as error:
        shape = list(steps.data.shape if steps.is_ragged else steps.to_user().shape)
        error.add_note(f"in module {number} of the Stack, {module}, which was given {shape}")
        raise


def _check_features(number: int, layer: Streamed, steps: Steps) -> None:
    shape, wanted = list(steps.data.shape[1:]), list(features_of(layer.input_size))
    if shape not in (wanted, [width_of(layer.input_size)] if number == 0 else wanted):
        takes = layer.input_size if len(wanted) == 1 else wanted
        raise ShapeError(
            f"module {number} ({type(layer).__name__}) takes {takes} features a step, "
            f"what comes to it has {shape}"
        )
