"""What the two operations take, and how it stands in their lists of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

from torch import Tensor

from cello.engines.fused.plan import Plan, plan_by_name
from cello.engines.fused.step_table import StepTable
from cello.engines.packing import packing_of
from cello.engines.run import Rows

__all__ = ["SCHEMA", "LoopCall", "Unpadded"]

#: The fields of `LoopCall` as an operation declares them.
SCHEMA = (
    "str plan, Tensor[] tensors, Tensor? forced, SymInt length, SymInt rows, Tensor? table, "
    "bool reverse, Tensor? reset, Tensor? lengths, str[] names"
)

_OPTIONAL = ("forced", "table", "reset", "lengths")  # fields of `LoopCall` that may hold a tensor


class LoopCall(NamedTuple):
    """What both operations take, before a few arguments of their own.

    Attributes:
        plan: the name of the plan, see `plan_by_name`.
        tensors: see `TensorPlaces`.
        forced: outputs that are fed back.
        length, rows, table, reverse: see `StepTable`.
        reset: which rows are reset before their step.
        lengths: of each sequence, if there are rows of padding: then rows are [T * B, …].
        names: what is recorded.
    """

    plan: str
    tensors: list[Tensor]
    forced: Tensor | None
    length: int
    rows: int
    table: Tensor | None
    reverse: bool
    reset: Tensor | None
    lengths: Tensor | None
    names: list[str]

    @classmethod
    def of(cls, args: Sequence[Any]) -> tuple[LoopCall, *tuple[Any, ...]]:
        """What an operation was called with: the call, and each argument that follows."""
        end = len(cls._fields)
        return cls(*args[:end]), *args[end:]

    @classmethod
    def over(
        cls, plan: str, tensors: Sequence[Tensor], rows: Rows, names: Sequence[str] = ()
    ) -> LoopCall:
        """A call on what goes through time; of `rows`, the `tensors` hold data and states."""
        steps = StepTable.of(rows.batch_sizes, rows.reverse)
        return cls(
            plan, list(tensors), rows.forced, steps.length, steps.rows, steps.table, rows.reverse,
            rows.reset, rows.lengths, list(names),
        )  # fmt: skip

    def without_tensors(self) -> tuple[LoopCall, list[str], list[Tensor]]:
        """The call without any tensor; the names of the optional ones that it has, and these."""
        plan, _, forced, length, rows, table, reverse, reset, lengths, names = self
        more = [
            (name, tensor)
            for name, tensor in zip(_OPTIONAL, (forced, table, reset, lengths), strict=True)
            if tensor is not None
        ]
        call = LoopCall(plan, [], None, length, rows, None, reverse, None, None, names)
        return call, [name for name, _ in more], [tensor for _, tensor in more]

    def with_tensors(self, tensors: list[Tensor], more: list[str]) -> LoopCall:
        """The reverse: with tensors again, those of the optional ones last."""
        if not more:
            return LoopCall(self[0], tensors, *self[2:])
        end = len(tensors) - len(more)
        given: dict[str, Any] = dict(zip(more, tensors[end:], strict=True))
        return self._replace(tensors=tensors[:end], **given)

    @property
    def loops(self) -> Plan:
        """The plan that it names."""
        return plan_by_name(self.plan)

    @property
    def steps(self) -> StepTable:
        """How many steps there are, and which rows each has."""
        total = self.tensors[0].shape[0]
        return StepTable(self.length, self.rows, total, self.table, self.reverse)


class Unpadded:
    """A call on rows with padding as one without, and what it makes with padding again.

    Attributes:
        call: the same without padding.
        packing: which rows are padding.
    """

    def __init__(self, call: LoopCall) -> None:
        assert call.lengths is not None
        self._places = places = call.loops.places
        self.packing, sizes = packing_of(call.lengths, call.length)
        pack, sort, tensors = self.packing.pack, self.packing.sort, call.tensors
        steps = StepTable.of(sizes, call.reverse)
        self.call = call._replace(
            tensors=[
                *map(pack, tensors[places.rows]),
                *tensors[places.shared],
                *map(sort, tensors[places.start]),
                *map(sort, tensors[places.initial]),
            ],
            forced=None if call.forced is None else pack(call.forced),
            length=steps.length,
            rows=steps.rows,
            table=steps.table,
            reset=None if call.reset is None else pack(call.reset),
            lengths=None,
        )

    def padded(self, made: Sequence[Tensor]) -> list[Tensor]:
        """What the forward loop makes: outputs, states, recorded values, the tape."""
        pad, unsort, places = self.packing.pad, self.packing.unsort, self._places
        return [pad(made[0]), *map(unsort, made[places.final]), *map(pad, made[places.recorded])]

    def unpadded(self, made: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The reverse of `padded`, also of gradients, which may be missing."""
        states = range(*self._places.final.indices(len(made)))
        return [
            part
            if part is None
            else self.packing.sort(part)
            if place in states
            else self.packing.pack(part)
            for place, part in enumerate(made)
        ]

    def padded_gradients(self, found: Sequence[Tensor], needs: Sequence[bool]) -> list[Tensor]:
        """What the backward loop makes: gradients of the tensors that need one, and of `forced`."""
        pad, unsort = self.packing.pad, self.packing.unsort
        how = {"array": pad, "shared": _same, "start": unsort, "initial": unsort}
        kinds = [kind for kind, _ in compress(self._places.names, needs)]
        kinds += ["array"] * (len(found) - len(kinds))
        return [how[kind](part) for kind, part in zip(kinds, found, strict=True)]


def _same(part: Tensor) -> Tensor:
    return part
