"""What a third party's module returns: which of it is the output, and which the next state.

It is found out by trying: the state is what the module takes back and returns again in the same
form.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cello.cells.callers import users_level
from cello.cells.contract.like import like_of
from cello.cells.foreign.form import apart_from, filled
from cello.cells.isolated import isolated
from cello.cells.tracing import with_locals
from cello.errors import CellError

__all__ = ["Reading", "read"]

ROWS = 13  # of the batch that is tried: more than there are layers in a state [layers, B, size]


class Reading(NamedTuple):
    """How to read what a module returns.

    Attributes:
        how: one of `HOW`.
        form: of the state, with numbers in place of its tensors.
        shapes: of one row of each of them.
        output_size: of the output.
        axes: that of the rows in each of them: 0, or 1 in a state [layers, B, size].
        held: by the name of each local variable of the module's own function that holds a tensor,
            the number of the tensor of the state that it is, -1 if it is none.
    """

    how: str
    form: Any
    shapes: tuple[tuple[int, ...], ...]
    output_size: int
    axes: tuple[int, ...]
    held: Mapping[str, int] = MappingProxyType({})

    def __call__(self, result: Any) -> tuple[Tensor, list[Tensor]]:
        """The output and the parts of the next state, each [B, size].

        Raises:
            CellError: the module has returned another form than before.
        """
        output, state = _divided(self.how, result)
        form, parts = apart_from(state)
        if form != self.form:
            raise CellError(
                f"a module must return its state in one form, first it was {self.form}, "
                f"now it is {form} (numbers stand for tensors)"
            )
        parts = self.by_row(parts)
        rows = [part if part.dim() == 2 else part.reshape(len(part), -1) for part in parts]
        return (rows[0] if output is None else output), rows

    def state(self, parts: tuple[Tensor, ...]) -> Any:
        """The state as the module has it, of parts [B, size]."""
        own = [
            part if len(shape) == 1 else part.reshape(len(part), *shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        return self.filled(own)

    def by_row(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """The parts of a state of the module's, each with its rows first."""
        pairs = zip(parts, self.axes, strict=True)
        return [part.transpose(0, axis) if axis else part for part, axis in pairs]

    def filled(self, parts: Sequence[Tensor]) -> Any:
        """The state as the module has it, of parts with their rows first."""
        return filled(self.form, [part.contiguous() for part in self.by_row(parts)])

    def sizes(self) -> list[int]:
        """The size of each part."""
        return [int(torch.Size(shape).numel()) for shape in self.shapes]


def _divided(how: str, result: Any) -> tuple[Tensor | None, Any]:
    """The output, None if it is the first part of the state; and the state."""
    if how == "output, state":
        return result[0], result[1]
    return (result[0], tuple(result[1:])) if how == "output, *state" else (None, result)


#: The ways to read a result, the likeliest first where nothing tells them apart.
HOW = ("output, state", "output, *state", "state")


def read(module: nn.Module, input_size: int, hidden_size: int) -> Reading:
    """Find out how to read what `module(x, state)` returns.

    Raises:
        CellError: it cannot be called so, does not take back what it returns, or what it returns
            can be read in two ways.
    """
    tried = _copy(module)
    with isolated(tried), torch.no_grad():
        return _Trial(tried, input_size, hidden_size).reading()


def _copy(module: nn.Module) -> nn.Module:
    """A copy to try, so that nothing of it stays with the user's; itself if it has none.

    A lazy module is tried itself: that gives it its parameters.
    """
    if any(map(is_lazy, (*module.parameters(), *module.buffers()))):
        return module
    try:
        return copy.deepcopy(module).eval()
    except Exception:  # such as weights that are computed, a lock, an open file
        return module


class _Trial:
    """A module that is tried, with an input of a few rows."""

    def __init__(self, module: nn.Module, input_size: int, hidden_size: int) -> None:
        self.module, self.name = module, type(module).__name__
        like = like_of(module)
        self.new = partial(torch.zeros, dtype=like.dtype, device=like.device)
        self.is_meta = like.device.type == "meta"
        self.x = self.random(ROWS, input_size)
        self.hidden_size = hidden_size
        self.said: list[str] = []

    def random(self, *shape: int) -> Tensor:
        """The same numbers whenever it is asked, of a normal distribution."""
        made = torch.randn(*shape, generator=torch.Generator().manual_seed(1), device="cpu")
        return made.to(self.new(0))

    def __call__(self, state: Any, x: Tensor | None = None) -> Any:
        """One step; what is drawn in it is the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.module(self.x if x is None else x, state)

    def reading(self) -> Reading:
        """How to read what it returns."""
        for begin in self._beginnings():
            result = self._try(f"with {_shown(begin)} as the state", self, begin)
            ways = [] if result is None else [self._way(how, result) for how in _hows(result)]
            found = [reading for reading in ways if reading is not None]
            if found:
                reading = found[0] if len(found) == 1 else self._choice(found)
                if begin is None:
                    self._compare_beginnings(reading, result)
                return reading._replace(held=self._held(reading))
        raise CellError(
            f"{self.name} cannot be called as cell(x, state) with x [B, {self.x.shape[1]}]: "
            + "; ".join(dict.fromkeys(self.said))
            + f". A state with parts of several sizes is known only if {self.name} begins by "
            "itself where it is given None; else write a cello.Cell with state_sizes, whose step "
            "calls it"
        )

    def _beginnings(self) -> Iterator[Any]:
        """States to begin with: its own, if it has one, or some of zeros."""
        h = self.new(ROWS, self.hidden_size)
        yield from (None, h, (h,), [h], (h, h), [h, h], (h, h, h))

    def _try(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        """What is returned; None if something is raised, which is kept for a message."""
        try:
            return call(*args)
        except Exception as error:  # whatever a stranger's module raises
            lines = str(error).strip().split("\n")
            self.said.append(f"{what}: {lines[0] or type(error).__name__}")
            return None

    def _way(self, how: str, result: Any) -> Reading | None:
        """The result read so, if the module takes such a state and returns it again."""
        found: Reading | None = self._try(f"reading it as `{how}`", self._taken, how, result)
        return found

    def _taken(self, how: str, result: Any) -> Reading:
        output, state = _divided(how, result)
        reading = self._form(how, output, state)
        for begin in (state, self._state(reading, self.new)):
            if self._form(how, *_divided(how, self(begin))) != reading:
                raise CellError("it returns another form than it was given")
        return reading

    def _form(self, how: str, output: Tensor | None, state: Any) -> Reading:
        form, parts = apart_from(state)
        if not parts:
            raise CellError("a state must hold a tensor")
        axes = []
        for part in parts:
            if ROWS not in part.shape[:2]:
                shape = ", ".join("B" if n == ROWS else str(n) for n in part.shape)
                raise CellError(
                    f"a part of a state must be [B, …] or [layers, B, …], not [{shape}]"
                )
            axes.append(part.shape.index(ROWS))
            if part.dtype != self.x.dtype:
                raise CellError(
                    f"a part of a state must have the dtype of x, {self.x.dtype}, not {part.dtype}"
                )
        parts = [part.transpose(0, axis) for part, axis in zip(parts, axes, strict=True)]
        output = parts[0].reshape(ROWS, -1) if output is None else output
        if output.dim() != 2 or len(output) != ROWS:
            raise CellError(f"an output must be [B, size], not {list(output.shape)}")
        return Reading(
            how, form, tuple(tuple(p.shape[1:]) for p in parts), output.shape[1], tuple(axes)
        )

    def _state(self, reading: Reading, make: Callable[..., Tensor]) -> Any:
        return reading.filled([make(ROWS, *shape) for shape in reading.shapes])

    def _held(self, reading: Reading) -> dict[str, int]:
        """Which local variables hold the state as it is when the module returns, or as it was."""
        state = self._state(reading, self.new)
        result, variables = with_locals(self.module.forward, partial(self, state))
        after = apart_from(_divided(reading.how, result)[1])[1]
        numbers = {id(part): number for number, part in enumerate(apart_from(state)[1])}
        numbers.update((id(part), number) for number, part in enumerate(after))
        tensors = {name: held for name, held in variables.items() if isinstance(held, Tensor)}
        return {name: numbers.get(id(tensor), -1) for name, tensor in tensors.items()}

    def _compare_beginnings(self, reading: Reading, result: Any) -> None:
        """Say so if it does not begin with zeros by itself: a layer does."""
        zeros = self._state(reading, self.new)
        pairs = zip(apart_from(self(zeros))[1], apart_from(result)[1], strict=True)
        if not self.is_meta and not all(torch.allclose(a, b, equal_nan=True) for a, b in pairs):
            warnings.warn(
                f"{self.name} begins with a state of its own where it is given None, but a layer "
                "begins with zeros: pass the state to the layer, layer(x, state)",
                stacklevel=users_level(),
            )

    # ------------------------------------------------- where it takes back more than one part

    def _choice(self, found: list[Reading]) -> Reading:
        """The one of several readings that makes sense.

        A state that is read as if it were another gives a row the state of other rows, or has a
        part that the module never reads. Where neither is so, both must come to the same.
        """
        if self.is_meta:
            return found[0]
        for is_odd in (self._mixes_rows, self._ignores_a_part):
            found = [reading for reading in found if not is_odd(reading)] or found
        steps = [self._three_steps(reading) for reading in found]
        if all(
            torch.equal(a, b) for other in steps[1:] for a, b in zip(steps[0], other, strict=True)
        ):
            return found[0]
        ways = " or ".join(f"`{reading.how}`" for reading in found)
        raise CellError(
            f"what {self.name} returns can be read as {ways}, and it takes back both: let it "
            "return its state alone, or write a cello.Cell around it whose step says which is which"
        )

    def _mixes_rows(self, reading: Reading) -> bool:
        """Whether the first row of the state has a say in other rows."""
        parts = [self.random(ROWS, *shape) for shape in reading.shapes]
        before = self._made_of(reading, parts)
        for part in parts:
            part[0] += 1
        after = self._made_of(reading, parts)
        return not all(torch.equal(a[1:], b[1:]) for a, b in zip(before, after, strict=True))

    def _made_of(self, reading: Reading, parts: list[Tensor]) -> list[Tensor]:
        """All that is returned for a state, each with its rows first."""
        made = apart_from(self(reading.filled(parts)))[1]
        return [part.transpose(0, 1) if len(part) != ROWS else part for part in made]

    def _ignores_a_part(self, reading: Reading) -> bool:
        """Whether there is a part of the state on which nothing depends."""
        parts = [self.random(ROWS, *shape) for shape in reading.shapes]
        with torch.enable_grad():
            leaves = [part.clone().requires_grad_() for part in parts]
            made = apart_from(self(reading.filled(leaves)))[1]
            total = torch.stack([part.sum() for part in made]).sum()
        flows: Any = [None] * len(leaves)
        if total.requires_grad:
            flows = torch.autograd.grad(total, leaves, allow_unused=True)
        for number, flow in enumerate(flows):
            if flow is not None:
                continue
            changed = [part + (place == number) for place, part in enumerate(parts)]
            after = apart_from(self(reading.filled(changed)))[1]
            if all(torch.equal(a, b) for a, b in zip(made, after, strict=True)):
                return True
        return False

    def _three_steps(self, reading: Reading) -> list[Tensor]:
        state = self._state(reading, self.new)
        outputs = []
        for number in range(3):
            output, state = _divided(reading.how, self(state, self.x + number))
            outputs.append(apart_from(state)[1][0] if output is None else output)
        return outputs


def _hows(result: Any) -> list[str]:
    """The ways in which a result of this form can be read."""
    if not isinstance(result, (tuple, list)) or not result or not isinstance(result[0], Tensor):
        return ["state"]
    return [
        how
        for how, fits in zip(HOW, (len(result) == 2, len(result) > 2, True), strict=True)
        if fits
    ]


def _shown(state: Any) -> str:
    if isinstance(state, Tensor):
        return "[B, H]"
    if state is None:
        return "None"
    inside = ", ".join(map(_shown, state))
    comma = "," if isinstance(state, tuple) and len(state) == 1 else ""
    return f"[{inside}]" if isinstance(state, list) else f"({inside}{comma})"
