"""Interventions: setting any value of any step, and seeing what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from cello.cells.contract.like import like_of
from cello.engines import Hook, Run
from cello.errors import CaptureError, DtypeError, UnknownNameError
from cello.layers import Steps, hooking
from cello.layers.paths import cells_of, check_net, joined, outer_paths
from cello.program import Program, Value, program_of
from cello.see.intervention.edits import Edit
from cello.see.names import find

__all__ = ["intervene"]

#: A number, a tensor, or a function of the value's rows and t.
Set = float | Tensor | Callable[[Tensor, int], Tensor]
Entry = tuple[Any, Any, Set]


@contextmanager
def intervene(net: nn.Module, values: Mapping[str, Entry | Iterable[Entry]]) -> Iterator[None]:
    """Set named values while `net` runs inside the block: all that follows, follows from them.

    It works on every layer and direction and on cells of your own, inside `cello.record` (which
    then shows the values as they were set) and inside another such block. Gradients flow through
    what was not set, and into a value that is a tensor.

    Args:
        net: a layer, a stack, or any module with such in it.
        values: what is set, by the names of a recording: (t, unit, value), or a list of such.
            t and unit are counted from 0, as numbers, slices or lists of numbers; None or `...`
            for all. t is the place in the sequence, in either direction. The value is a number;
            or a tensor that fits [steps, sequences, units]; or a function that is given the rows
            [sequences that have this step, units] and t, and returns what is to stand there.

    The name of a state, such as "h", is what the step produces; "h_prev" is what it reads. Two
    names of one value are set together. Steppers, and what `torch.compile` has traced, stay as
    they are.

    Short sequences, and all with a function among the values, run step by step, one operation
    after the other. Long ones run on the engines, compiled with the values that are set as inputs.

    Raises:
        DtypeError: `net` is no module, or what is set is not such a triple.
        ArgumentError: there is no layer of ours in `net`, or no such unit or, once it runs, step.
        UnknownNameError: nothing has this name; lists the names near it.
        ShapeError: a value does not fit, once it runs.
        CaptureError: the cell's step cannot be traced.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(3, 4))
    >>> x = torch.randn(6, 2, 3)
    >>> with intervene(layer, {"f": (3, ..., 0.0), "i": (3, ..., 0.0)}):   # forget all at step 3
    ...     rec = cello.record(layer, x)
    >>> rec["c"][3].abs().max().item(), bool(rec["c"][4].any())
    (0.0, True)
    """
    with hooking(_Intervention(check_net(net), values)):
        yield


class _Intervention:
    """Sets values of the layers of one net."""

    def __init__(self, net: nn.Module, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise DtypeError(
                f"values must be a dict such as {{'f': (t, unit, value)}}, got {values!r}"
            )
        self.paths = outer_paths(net)
        programs, untraced = _programs_of(net)
        shapes = {
            joined(path, name): value.shape[1:]
            for path, program in programs.items()
            for name, value in program.names.items()
        }
        self.edits: dict[str, list[Edit]] = {}
        for name, entries in values.items():
            full = _found(name, list(shapes), untraced)
            many = entries if isinstance(entries, list) else [entries]
            self.edits[full] = [Edit(full, shapes[full], entry) for entry in many]

    def hooks(
        self, module: nn.Module, place: str, run: Run, steps: Steps
    ) -> dict[Value, list[Hook]]:
        """What is set in this run."""
        if module not in self.paths:
            return {}
        path = joined(self.paths[module], place)
        found: dict[Value, list[Hook]] = {}
        for name, edits in self.edits.items():
            layer, _, own = name.rpartition(".")
            if layer == path and edits:
                value = run.captured().names[own]
                found.setdefault(value, []).extend(edit.on(steps) for edit in edits)
        return found


def _found(name: str, names: list[str], untraced: Mapping[str, str]) -> str:
    try:
        return find(name, names)
    except UnknownNameError:
        for path, reason in untraced.items():
            if not path or str(name).startswith(f"{path}."):
                raise CaptureError(f"{name!r} cannot be set: {reason}") from None
        raise


def _programs_of(net: nn.Module) -> tuple[dict[str, Program], dict[str, str]]:
    """The traced step of every cell, by the layer's path; and why others cannot be traced."""
    programs: dict[str, Program] = {}
    reasons: dict[str, str] = {}
    for layer, path in outer_paths(net).items():
        for place, cell in cells_of(layer).items():
            try:
                like = like_of(cell)
                programs[joined(path, place)] = program_of(cell, like.dtype, like.device)
            except CaptureError as error:
                reasons[joined(path, place)] = str(error)
    return programs, reasons
