"""All that is made of one captured step: its loops, compiled when they are first needed."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from cello.engines.fused.tensor_places import TensorPlaces
from cello.engines.render import render as render_python
from cello.errors import CaptureError, CompilerError, EngineError, RangeError
from cello.program import Op, Program, Value, from_text, leaves_in, needed_ops, split, to_text
from cello.program.kernel import Kernel, backward_kernel, forward_kernel, lower, tape_of
from cello.program.kernel.nodes import Dot, Shared, ancestors
from cello.program.kernel.tape import Tape
from cello.program.precomputed import Ahead, ahead_of
from cello.program.sizes import said

__all__ = ["Loop", "Plan", "plan_by_name", "plan_of"]

_R = TypeVar("_R")
_P = TypeVar("_P", bound="Plan")

# Operations that take elements by their index.
_CHOOSING = {"embedding", "index", "gather"}


class Loop:
    """A loop, forward or backward; the tape is what the one leaves for the other."""

    def __init__(self, kernel: Kernel, library: Any, tape: Tape | None) -> None:
        self.kernel, self.library, self.tape = kernel, library, tape
        self.rendered = library.rendered
        self._recipe: Any = None

    def recipe(self, kind: Callable[[Plan, Loop, Sequence[str]], _R], plan: Plan, names: Any) -> _R:
        """The recipe of its calls, made by `kind` at the first one and kept."""
        if self._recipe is None:
            self._recipe = kind(plan, self, names)
        return cast(_R, self._recipe)


class Plan(ABC):
    """The loops of one program, in the language of an engine.

    Attributes:
        engine: whose loops they are.
        program: the captured step.
        name: under which operations of this process find it; see `plan_by_name`.
        shared: the tensors without rows that the loops read.
        drawn: the random numbers that are drawn before the loop.
        places: of the tensors that the operations take and make.
        paths: the parts of each parameter's full name.
        once: makes the shared tensors: of the program's parameters and constants.
        draw: draws, given the input.
        ahead: what runs ahead of the loop; `program` is the rest, `whole` all of it.
        widen: makes the loop's input, and what is named ahead of it; see `_widening`.
        backward_for: recipes of backward loops, by what is given and what is needed.
    """

    engine: ClassVar[str]

    def __init_subclass__(cls) -> None:
        _kinds[cls.engine] = cls

    def __init__(self, program: Program, feedback: str | None, ahead: Ahead | None = None) -> None:
        self.program, self.feedback, self.ahead = program, feedback, ahead
        self.whole = program
        self.lowered = lower(program)
        self.name = str(next(_numbers))
        self.is_built = False
        self.failure: str | None = None
        self._lock = threading.RLock()
        self._forward: dict[Any, Loop] = {}
        self._backward: dict[Any, Loop] = {}
        self.backward_for: dict[Any, Any] = {}
        self.shared = self._shared_values()
        made = {value for op in self.lowered.once for value in op.outputs}
        once = needed_ops(self.lowered.once, self.shared)
        given = dict.fromkeys(v for op in once for v in op.inputs if v not in made)
        self.given = list(given)
        self.once_made = [value for value in self.shared if value in made]
        self.paths = {name: name.split(".") for name in program.parameters}
        self.once = render_python("once", once, [], self.given, self.once_made)() if once else None
        drawn = self.lowered.drawn
        values = [v for op in drawn for v in op.outputs if v in self.lowered.values]
        self.drawn: list[Value] = values
        self.places = TensorPlaces(values, self.shared, list(program.state))
        self.widen = None if ahead is None else _widening(ahead)
        self.draw: Callable[..., Any] | None = (
            render_python("draw", drawn, [], [program.x], values)() if values else None
        )

    @cached_property
    def text(self) -> str:
        """A name under which operations of any process find it; see `plan_by_name`."""
        text = to_text(self.whole, self.feedback)
        text = text if self.engine == _UNNAMED else f"{self.engine}\n{text}"
        _by_name.setdefault(text, self)
        return text

    def _shared_values(self) -> list[Value]:
        values = self.lowered.values
        found: dict[Value, None] = {}
        for node in ancestors(n for value in values for n in self.lowered.nodes(value)):
            if isinstance(node, Shared):
                found[node.value] = None
            elif isinstance(node, Dot):
                found[node.matrix] = None
        return list(found)

    def forward(self, *, save: bool, names: Sequence[str] = ()) -> Loop:
        """The loop that leaves a tape if `save`, and records `names`."""
        key = (save, tuple(names))
        with self._lock:
            if key not in self._forward:
                tape = tape_of(self.lowered, names) if save else None
                kernel = forward_kernel(self.lowered, tape, names)
                self._forward[key] = Loop(kernel, self._library(kernel), tape)
            return self._forward[key]

    def backward(
        self, *, names: Sequence[str], seen: Sequence[str], x: bool, needed: frozenset[str]
    ) -> Loop:
        """The loop that computes gradients.

        Args:
            names: what the forward loop recorded: it decides what is on the tape.
            seen: the recorded names to which gradients come.
            x: whether the input's gradient is wanted.
            needed: the names of the shared tensors whose gradients are wanted.
        """
        key = (tuple(names), tuple(seen), x, needed)
        with self._lock:
            if key not in self._backward:
                values = [value for value in self.shared if value.name in needed]
                tape = self.forward(save=True, names=names).tape
                assert tape is not None
                kernel = backward_kernel(self.lowered, tape, seen=seen, needs_x=x, needed=values)
                self._backward[key] = Loop(kernel, self._library(kernel), tape)
            return self._backward[key]

    @abstractmethod
    def _library(self, kernel: Kernel) -> Any:
        """The loop as a function, with what it was `rendered` as."""

    def build(self, *, train: bool) -> None:
        """Compile what a first call needs, forward and backward at the same time.

        Raises:
            CompilerError: it cannot be built; remembered.
        """
        if self.failure is not None:
            raise CompilerError(self.failure)
        try:
            self._build(train)
        except CompilerError as error:
            self.failure = str(error)
            raise
        self.is_built = True

    def _build(self, train: bool) -> None:
        loops: list[Loop] = [self.forward(save=train)]
        if train:
            needed = frozenset(value.name for value in self.shared)
            loops.append(self.backward(names=(), seen=(), x=True, needed=needed))
        with ThreadPoolExecutor(max_workers=len(loops)) as workers:
            for done in [workers.submit(loop.library.load) for loop in loops]:
                done.result()


Widening = Callable[[Tensor, Mapping[Value, Tensor]], tuple[Tensor, dict[str, Tensor]]]


def _widening(ahead: Ahead) -> Widening:
    """The function that runs the operations ahead of the loop.

    It takes the input and the parameters and constants by value, and returns the loop's input, and
    by its name what only it makes.
    """
    made = list(dict.fromkeys([*ahead.columns, *ahead.names.values()]))
    function = render_python("ahead", ahead.ops, [], [ahead.x, *ahead.given], made)()
    choosing = [op for op in ahead.ops if op.target._opname in _CHOOSING]

    def widen(data: Tensor, known: Mapping[Value, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            parts = function(data, *(known[value] for value in ahead.given))
        except IndexError as error:
            places = dict.fromkeys(said(op.where) for op in choosing)
            raise RangeError(
                f"a number in the input has no row in the table that it is looked up in: {error} "
                + " or ".join(places)
            ) from error
        found = dict(zip(made, parts, strict=True))
        columns = [found[value].flatten(1) for value in ahead.columns]
        return torch.cat([data, *columns], dim=1), {n: found[v] for n, v in ahead.names.items()}

    return widen


_UNNAMED = "cpu"  # the engine of a text that names none
_kinds: dict[str, type[Plan]] = {}
_numbers = itertools.count(1)
_by_name: WeakValueDictionary[str, Plan] = WeakValueDictionary()
_lock = threading.Lock()


def plan_of(kind: type[_P], program: Program, feedback: str | None, *, whole: bool = False) -> _P:
    """The plan of a program.

    Args:
        kind: that of an engine.
        program: the captured step.
        feedback: see `Cell.feedback`.
        whole: whether the loop has to do all by itself that it can, also what PyTorch's operation
            does ahead of it because it refuses numbers that are out of range; a loop has NaN there.

    Raises:
        CaptureError: a fused loop does not have all its operations.
    """
    key = f"{kind.engine}, whole" if whole else kind.engine
    plan: _P | str | None = program.derived.get(key)  # or why there is none
    if plan is None:
        with _lock:
            plan = program.derived.get(key)
            if plan is None:
                early = set() if whole else _choosing(program)
                plan = program.derived[key] = _made(kind, program, feedback, early)
    if isinstance(plan, str):
        raise CaptureError(plan)
    return plan


def _choosing(program: Program) -> set[Op]:
    """The operations that take elements by indices in the input."""
    ops = [op for op in split(program).before if op.target._opname in _CHOOSING]
    given = {op: op.args[2 if op.target._opname == "gather" else 1] for op in ops}
    return {op for op in ops if any(value.batched for value in leaves_in(given[op], Value))}


def _made(kind: type[_P], program: Program, feedback: str | None, early: set[Op]) -> _P | str:
    """The plan; `early` runs ahead of the loop, and so does what a loop cannot have."""
    ahead = ahead_of(program, early) if early else None
    while True:
        try:
            plan = kind(program if ahead is None else ahead.program, feedback, ahead)
        except CaptureError as error:
            if error.op is None or error.op in early:
                return str(error)
            early.add(error.op)
            ahead = ahead_of(program, early)
            if ahead is None:
                return str(error)
            continue
        plan.whole = program
        _by_name[plan.name] = plan
        return plan


def plan_by_name(name: str) -> Plan:
    """The plan that an operation names, by its name in this process or by its whole program.

    Raises:
        EngineError: another process has named it, or a version of Cello that writes programs
            in another form.
    """
    plan = _by_name.get(name)
    if plan is not None:
        return plan
    if name.isdecimal():
        raise EngineError(
            f"no cell has been compiled under the name {name} in this process: a graph that "
            "torch.compile has made holds only where it was made; torch.export.save keeps models"
        )
    return _plan_of_text(name)


@lru_cache(maxsize=256)
def _plan_of_text(text: str) -> Plan:
    engine, _, program = text.rpartition("\n")
    return plan_of(_kinds[engine or _UNNAMED], *from_text(program))
