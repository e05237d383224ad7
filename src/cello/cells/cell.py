"""The cell: one step of a recurrent network, written once in plain PyTorch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cello.cells.contract.given_state import check_call
from cello.cells.contract.shapes import checked_size, positive
from cello.cells.contract.state import HasState, state_type
from cello.cells.contract.step_checks import check_step_result
from cello.cells.tools import NotScripted, is_proxy, leaf
from cello.cells.tracing import unwarned
from cello.errors import CellError

__all__ = ["Cell", "is_name"]


def is_name(name: str) -> bool:
    """Whether a state may be called so: x is the input, `NAME_prev` its old value."""
    taken = name.startswith("_") or name.endswith("_prev") or name in ("x", "detach")
    return name.isidentifier() and not iskeyword(name) and not taken


def _no_step(cell: Cell, *_: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One step: `step(self, x, *state)` returns (output, next state); every subclass writes it."""
    raise CellError(
        f"{type(cell).__name__} has no step: write def step(self, x, {', '.join(cell.state)}) "
        "that returns (output, next state)"
    )


class Cell(NotScripted, HasState):
    """One step of a recurrent network; subclass it and write `state` and `step`.

    A subclass names what it carries in `state` and computes one step in `step`. The local
    variables of `step` that hold tensors when it returns are the names seen in a recording; a
    state's old value is then called `NAME_prev`, its new value `NAME`.

    Args:
        input_size: features of one input, I, for x [B, I]; a tuple for x [B, *shape]; "integer" for
            one whole number a row, [B]. For several inputs a dict of such sizes by name, or a
            tuple of shapes: `step` then gets a dict, or a tuple, of tensors.
        hidden_size: units, H.
        output_size: features of one output, or its shape; `hidden_size` unless given.
        state_sizes: the size of each state whose size is not `hidden_size`, by name; a tuple for a
            state [B, *shape], such as a matrix.

    Attributes:
        state: the names of all that is carried, in order.
        gates: names of the gates that packed parameters hold along their first dimension.
        feedback: the state that is the network's own output, which teacher forcing replaces.

    Raises:
        CellError: `state` is not a tuple of distinct names, or `step` returns something else
            than `(output, next state)`.
        ArgumentError: a size is not a positive integer.

    >>> class Leaky(Cell):
    ...     state = ("h",)
    ...     def __init__(self, input_size, hidden_size):
    ...         super().__init__(input_size, hidden_size)
    ...         self.W = nn.Linear(input_size, hidden_size)
    ...     def step(self, x, h):
    ...         h = 0.9 * h + 0.1 * torch.tanh(self.W(x))
    ...         return h, (h,)
    >>> cell = Leaky(3, 2)
    >>> y, state = cell(torch.zeros(5, 3))      # one step of five rows, from the zero state
    >>> y.shape, state.h.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    state: ClassVar[tuple[str, ...]] = ()
    gates: ClassVar[tuple[str, ...]] = ()
    feedback: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check `state` as soon as a subclass is written."""
        super().__init_subclass__(**kwargs)
        names = cls.__dict__.get("state", ())
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise CellError(
                f"{cls.__name__}.state must be a tuple of names such as ('h',) or ('h', 'c'), "
                f"got {names!r}"
            )
        if not all(map(is_name, names)) or len(set(names)) != len(names):
            raise CellError(
                f"{cls.__name__}.state must hold distinct variable names that neither start with "
                f"an underscore nor end in _prev; x is the input's name, and detach is a method of "
                f"states; got {names!r}"
            )
        if cls.feedback is not None and cls.feedback not in cls.state:
            raise CellError(
                f"{cls.__name__}.feedback is {cls.feedback!r}, which {cls.__name__}.state "
                f"{cls.state!r} does not hold"
            )
        if names:
            state_type(names)  # made now: torch.compile cannot trace how a type is made

    def __init__(
        self,
        input_size: Any,
        hidden_size: int,
        *,
        output_size: int | tuple[int, ...] | None = None,
        state_sizes: Mapping[str, int | tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__()
        if not self.state:
            raise CellError(
                f"{type(self).__name__} names no state: give the class a line such as "
                "state = ('h',) with the names of what is carried from step to step"
            )
        self.input_size = checked_size("input_size", input_size, several=True)
        self.hidden_size = positive("hidden_size", hidden_size)
        self.output_size = checked_size(
            "output_size", hidden_size if output_size is None else output_size
        )
        sizes = dict(state_sizes or {})
        if unknown := sorted(set(sizes) - set(self.state)):
            raise CellError(
                f"state_sizes names {', '.join(unknown)}, which {type(self).__name__}.state "
                f"{self.state!r} does not hold"
            )
        self.state_sizes = {
            name: checked_size(f"state_sizes[{name!r}]", sizes.get(name, hidden_size))
            for name in self.state
        }

    #: One step, for a batch of rows: the equations. Every subclass writes `step(self, x, *state)`
    #: with x [B, input_size] and each state [B, size]; it returns the output [B, output_size] and
    #: the next state, a tuple in the order of `state`.
    step: Callable[..., tuple[Tensor, tuple[Tensor, ...]]] = _no_step

    def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Any]:
        """One step, called like any module.

        Args:
            x: [B, input_size]; see `input_size` for other shapes and several inputs.
            state: a tuple in the order of `self.state`, each [B, size]; zeros unless given.

        Returns:
            The output [B, output_size] and the next state as a named tuple.

        Raises:
            ShapeError, DtypeError: x or the state does not fit the cell.
            CellError: `step` does not return what it must.
        """
        if is_proxy(x):
            node: tuple[Tensor, Any] = leaf(self, x, state)
            return node
        with unwarned():
            state = check_call(self, x, state)
        result = self.step(x, *state)
        with unwarned():
            check_step_result(self, result, len(state[0]))
        return result[0], self.state_type(*result[1])

    def follows_autocast(self, _device: torch.device) -> bool:
        """Whether under autocast a layer of this cell works in autocast's dtype as a whole.

        Input and state are then brought to that dtype before the step, and output and state come
        in it, as in PyTorch's layer of that name. Else each operation of the step chooses by
        itself, and the state keeps its dtype.
        """
        return False

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, read from the attributes of the same names.

        A cell that stores each argument of its `__init__` under the argument's own name can be
        printed, saved and built again from this.

        Raises:
            CellError: arguments are not stored under their names; names them all.
        """
        names = list(self._arguments())
        if gone := [name for name in names if not hasattr(self, name)]:
            plural = "s" * (len(gone) > 1)
            raise CellError(
                f"{type(self).__name__} does not keep its argument{plural} "
                f"{', '.join(map(repr, gone))}: write "
                f"{'; '.join(f'self.{name} = {name}' for name in gone)} in __init__ so that "
                f"{'they' if plural else 'it'} can be saved and shown"
            )
        return {name: getattr(self, name) for name in names}

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments, each with its default."""
        given = list(inspect.signature(type(self).__init__).parameters.values())[1:]
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {p.name: p.default for p in given if p.kind not in several}

    def extra_repr(self) -> str:
        """The constructor's arguments that are not the defaults."""
        sizes = dict.fromkeys(self.state, self.hidden_size)
        derived = {"output_size": self.hidden_size, "state_sizes": sizes}  # unless given
        shown = []
        for name, default in self._arguments().items():
            value = getattr(self, name, default)
            if value is inspect.Parameter.empty or isinstance(value, nn.Module):
                continue
            if value == derived.get(name):
                continue
            if default is inspect.Parameter.empty:
                shown.append(f"{value}")
            elif value is not default and value != default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown)

    def _uniform(self, *shape: int) -> Any:
        """A parameter drawn as PyTorch draws those of its recurrent layers."""
        bound = 1 / math.sqrt(self.hidden_size)
        return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

    def _optional(self, wanted: bool, *shape: int) -> Any:
        return self._uniform(*shape) if wanted else None
