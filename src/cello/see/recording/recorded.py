"""What a recording holds: every named value of every step, layer and direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, ModelError, UnknownNameError
from cello.layers.paths import joined
from cello.see.names import find, find_layer
from cello.see.recording.outputs import by_step, is_plain_tuple, output_of
from cello.see.recording.rows import LayerRows, nbytes

__all__ = [
    "Call",
    "LeftOut",
    "Recorded",
    "output_by_sequence",
    "output_by_step",
    "outputs_of",
]


class Call(NamedTuple):
    """What was called: `net(x, *args, **kwargs)`."""

    net: nn.Module
    x: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """Stands for a result that a file cannot hold."""

    why: str


class Recorded:
    """The result of a call, and every named value of its steps; see `cello.Recording`."""

    def __init__(self, layers: Sequence[LayerRows], result: Any, call: Call | None = None) -> None:
        self.by_layer = {layer.layer: layer for layer in layers}
        self._where = {
            joined(layer.layer, name): (layer, name) for layer in layers for name in layer.rows
        }
        self._result, self.call = result, call

    @property
    def result(self) -> Any:
        """What the net returned.

        Raises:
            ModelError: the recording comes from a file, which could not hold it.
        """
        if isinstance(self._result, LeftOut):
            raise ModelError(
                f"the file of this recording does not hold the result: {self._result.why}"
            )
        return self._result

    @property
    def output(self) -> Any:
        """What the net returned; of a tuple the first part."""
        return output_of(self.result)

    @property
    def state(self) -> Any:
        """The final state: the second part of what the net returned, if that was a pair."""
        return self.result[1] if is_plain_tuple(self.result) and len(self.result) == 2 else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all values, layer by layer, in the order in which a step makes them."""
        return tuple(self._where)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers, one for each direction; "" for a net that is one layer."""
        return tuple(self.by_layer)

    def __getitem__(self, name: str) -> Tensor:
        """The value of that name at every step, [T, B, size]; zero where a sequence has ended.

        The end of a name is enough where only one name ends so.

        Raises:
            UnknownNameError: no value has this name, or more than one; lists those near it.
        """
        layer, own = self._where[find(name, self.names)]
        return layer.steps.pad(layer.rows[own])

    def __contains__(self, name: object) -> bool:
        """Whether `rec[name]` gives a value."""
        try:
            return isinstance(name, str) and bool(find(name, self.names))
        except UnknownNameError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)

    @property
    def lengths(self) -> Tensor:
        """The number of steps of each sequence, [B].

        Raises:
            ArgumentError: the layers saw sequences of different lengths; see `lengths_of`.
        """
        self.check_holds_something()
        all_lengths = [layer.steps.all_lengths for layer in self.by_layer.values()]
        if any(not torch.equal(lengths, all_lengths[0]) for lengths in all_lengths):
            raise ArgumentError(
                "the layers of this net saw sequences of different lengths: "
                "use lengths_of(name) for one of them"
            )
        return all_lengths[0]

    def lengths_of(self, name: str) -> Tensor:
        """The number of steps of each sequence in the layer that made the value `name`, [B]."""
        return self._where[find(name, self.names)][0].steps.all_lengths

    @property
    def nbytes(self) -> int:
        """The memory that the recorded values take; names of one value share it."""
        return nbytes(rows for layer in self.by_layer.values() for rows in layer.rows.values())

    def layer(self, name: str | None = None) -> LayerRows:
        """The rows of one layer; of the only one if no name is given.

        Raises:
            ArgumentError: no name is given, but there are several layers.
            UnknownNameError: there is no such layer.
        """
        self.check_holds_something()
        if name and self.layers == ("",):
            raise UnknownNameError(
                f"there is no layer {name!r}: what was recorded is a single layer, without a "
                "name; leave layer out"
            )
        return self.by_layer[find_layer(name, self.layers)]

    def check_holds_something(self) -> None:
        """Check that there is a value.

        Raises:
            ArgumentError: there is none.
        """
        if not self.by_layer:
            raise ArgumentError("this recording holds no values: record with a wider only=")

    def select(self, names: str | Iterable[str] | None) -> dict[str, tuple[LayerRows, Tensor]]:
        """Layer and rows of the values asked for, by full name; of all if `names` is None."""
        if names is None:
            wanted = list(self.names)
        else:
            asked = [names] if isinstance(names, str) else names
            wanted = [find(name, self.names) for name in asked]
        return {
            name: (self._where[name][0], self._where[name][0].rows[self._where[name][1]])
            for name in wanted
        }

    def __repr__(self) -> str:
        values = f"{len(self)} value{'s' if len(self) != 1 else ''}"
        lines = [f"Recording of {values}, {self.nbytes:,} bytes"]
        for name, layer in self.by_layer.items():
            steps = layer.steps
            lines.append(
                f"  {name + ': ' if name else ''}{steps.length} "
                f"step{'s' if steps.length != 1 else ''} of {steps.batch_size} "
                f"sequence{'s' if steps.batch_size != 1 else ''}: {' '.join(layer.rows)}"
            )
        return "\n".join(lines)


def output_by_step(recorded: Recorded) -> tuple[LayerRows, Tensor] | None:
    """What the net returned, [T, B, size], if it is a row of numbers for each step.

    The layer tells which rows belong to a sequence.
    """
    if isinstance(recorded._result, LeftOut) or not recorded.by_layer:
        return None
    layer = list(recorded.by_layer.values())[-1]
    output = by_step(recorded.output, layer.steps)
    return None if output is None else (layer, output)


def output_by_sequence(recorded: Recorded) -> Tensor | None:
    """What the net returned, [B, size], if it is a row of numbers for each sequence as a whole."""
    if isinstance(recorded._result, LeftOut) or output_by_step(recorded) or not recorded.by_layer:
        return None
    steps, output = list(recorded.by_layer.values())[-1].steps, recorded.output
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    rows = output.unsqueeze(0) if steps.form == "T" and output.dim() == 1 else output
    return rows if rows.dim() == 2 and len(rows) == steps.batch_size else None


def outputs_of(recorded: Recorded) -> tuple[LayerRows, Tensor] | None:
    """As `output_by_step`; a row for each sequence as a whole is that of one step, [1, B, size]."""
    found, whole = output_by_step(recorded), output_by_sequence(recorded)
    return found if whole is None else (list(recorded.by_layer.values())[-1], whole.unsqueeze(0))
