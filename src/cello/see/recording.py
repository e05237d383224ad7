"""A recording: every named value of every step, layer and direction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, ModelError, UnknownNameError
from cello.see.names import find, joined
from cello.see.outputs import is_plain_tuple, output_of
from cello.see.page import explore, to_html
from cello.see.plot import plot
from cello.see.rows import LayerRows, nbytes

if TYPE_CHECKING:
    import xarray

    from cello.see.explain import Explanation

__all__ = ["Call", "LeftOut", "Recording"]


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


class Recording:
    """What `cello.record` returns: the result of the call, and every named value of its steps.

    A value's name is the path of its layer in the net, the direction if there are two, and the
    name of the variable in the cell's `step`: "0.forward.f"; just "f" if the net is one layer.
    A layer that is called again in the same pass is another one: "rnn#2.f".

    Attributes:
        result: what the net returned.
        output: its first part, if it is a tuple.
        state: its second part, if it is a tuple of two; else None.
        names: of all values, layer by layer, in the order in which a step makes them.
        layers: the names without their last part.
        call: what was called; None if the recording comes from a file.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(3, 4))
    >>> rec = cello.record(layer, torch.randn(5, 2, 3), lengths=torch.tensor([5, 3]))
    >>> rec["c"].shape, "c" in rec, rec.lengths.tolist()
    (torch.Size([5, 2, 4]), True, [5, 3])
    """

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
        """Of all values, layer by layer, in the order in which a step makes them."""
        return tuple(self._where)

    @property
    def layers(self) -> tuple[str, ...]:
        """Of all layers, each direction by itself; "" for a net that is one layer."""
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
        self._check_holds_something()
        all_lengths = [_lengths(layer) for layer in self.by_layer.values()]
        if any(not torch.equal(lengths, all_lengths[0]) for lengths in all_lengths):
            raise ArgumentError(
                "the layers of this net saw sequences of different lengths: "
                "use lengths_of(name) for one of them"
            )
        return all_lengths[0]

    def lengths_of(self, name: str) -> Tensor:
        """The number of steps of each sequence in the layer that made the value `name`, [B]."""
        return _lengths(self._where[find(name, self.names)][0])

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
        self._check_holds_something()
        if name is not None:
            if name and self.layers == ("",):
                raise UnknownNameError(
                    f"there is no layer {name!r}: what was recorded is a single layer, without a "
                    "name; leave layer out"
                )
            return self.by_layer[find(name, self.layers)]
        if len(self.by_layer) != 1:
            raise ArgumentError(
                f"layer must be one of {', '.join(map(repr, self.layers))}: there are several"
            )
        return next(iter(self.by_layer.values()))

    def _check_holds_something(self) -> None:
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

    def table(
        self,
        batch: int = 0,
        units: Iterable[int] | None = None,
        names: str | Iterable[str] | None = None,
        steps: Iterable[int] | None = None,
        digits: int = 5,
    ) -> str:
        """One sequence as a table: a row for each step, a column for each unit of each value.

        Args:
            batch: which sequence.
            units: which units of each value; unless given all, or the first few if they are many.
            names: which values; unless given all but the old states, or the first few.
            steps: which steps; unless given all, or the first and the last if they are many.
            digits: significant digits.

        What is left out for the sake of width or height is said below the table.

        Raises:
            UnknownNameError: no value has one of these names.
            ArgumentError: there is no such sequence, unit or step.

        >>> import cello
        >>> layer = cello.Recurrent(cello.ElmanCell(1, 1, activation="identity", bias=False))
        >>> for weight in layer.parameters(): _ = nn.init.ones_(weight)
        >>> print(cello.record(layer, torch.tensor([[1.0], [2.0], [3.0]])).table(names=["x", "h"]))
          t    x    h
        ---  ---  ---
          0    1    1
          1    2    3
          2    3    6
        """
        from cello.see.table import table

        return table(self, batch, units, names, steps, digits)

    def to_xarray(self, *names: str) -> xarray.Dataset:
        """As an `xarray.Dataset` with the dimensions time, batch and unit.

        Where a sequence has ended there is NaN. The values that are asked for may differ in size:
        then "unit" is the size that most of them have, and "unit_3", say, that of a value of 3.

        Args:
            *names: which values; all unless given.

        Raises:
            UnknownNameError: no value has one of these names.
            ArgumentError: the values come from layers that saw different sequences.
            ImportError: xarray is not installed.

        >>> import cello
        >>> rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3))
        >>> rec.to_xarray("z").z.dims
        ('time', 'batch', 'unit')
        """
        from cello.see.labelled import to_xarray

        return to_xarray(self, *names)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into one file, which `cello.load_recording` reads.

        What the net returned is kept too, if it is made of tensors, tuples, lists and dicts. The
        file is written under another name and then renamed, so that an old file of this name is
        replaced by a whole new one or not at all.

        Raises:
            ModelError: the file cannot be written.
        """
        from cello.see.file import save

        save(self, path)

    plot = plot
    to_html = to_html
    explore = explore

    def explain(
        self,
        t: int,
        unit: int = 0,
        layer: str | None = None,
        batch: int = 0,
        names: str | Iterable[str] | None = None,
        *,
        terms: int = 6,
        digits: int = 5,
    ) -> Explanation:
        """The arithmetic of one step for one unit, with its numbers filled in.

        It is derived from the traced step, so it holds for a cell of your own as for ours: each
        value is shown as computed from the nearest values that have a name. In products the
        weight stands first, then what it weighs. The arithmetic is carried out again before it
        is shown, and must give what was recorded.

        Args:
            t: which step, from 0.
            unit: which unit of each value; a value with fewer units is left out.
            layer: which layer and direction; not needed if there is only one.
            batch: which sequence.
            names: which values; all that the step computes unless given.
            terms: of a sum of more products than these, the largest ones are shown.
            digits: significant digits.

        Returns:
            An explanation: print it, or take its `.latex()`.

        Raises:
            ArgumentError: there is no such step, unit or sequence, or the layer is not given.
            UnknownNameError: no value has one of these names, or no layer this name.
            CaptureError: the cell's step cannot be traced, says why.
            ModelError: the parameters changed since the recording, or there are none: a recording
                that comes from a file needs `cello.load_recording(path, net)`.

        >>> import cello
        >>> layer = cello.Recurrent(cello.ElmanCell(2, 1, activation="relu", bias=False))
        >>> _ = nn.init.constant_(layer.cell.W, 2.0), nn.init.constant_(layer.cell.R, 0.5)
        >>> rec = cello.record(layer, torch.tensor([[1.0, 2.0], [3.0, -5.0]]))
        >>> print(rec.explain(t=1))
        z = 2·3 + 2·(−5) + 0.5·6 = −1
        h = relu(−1) = 0
        """
        from cello.see.explain import explain

        return explain(self, t, unit, layer, batch, names, terms=terms, digits=digits)

    def __repr__(self) -> str:
        lines = [f"Recording of {len(self)} values, {self.nbytes:,} bytes"]
        for name, layer in self.by_layer.items():
            steps = layer.steps
            lines.append(
                f"  {name + ': ' if name else ''}{steps.length} steps of {steps.batch_size} "
                f"sequence{'s' if steps.batch_size != 1 else ''}: {' '.join(layer.rows)}"
            )
        return "\n".join(lines)


def _lengths(layer: LayerRows) -> Tensor:
    steps = layer.steps
    if steps.lengths is not None:
        return steps.lengths
    return torch.full((steps.batch_size,), steps.length)
