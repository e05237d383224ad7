"""The results of a data file: values, whether they are as stated, and the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cello.cli.example_data.datafile import DataFile, ExampleRun, Explain, Network, Stated, agrees
from cello.cli.example_data.formulas import formulas, formulas_text
from cello.cli.example_data.readout import Readout, readout_of
from cello.errors import ArgumentError, CelloError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from cello.see import Recording

__all__ = ["DIGITS", "Arithmetic", "Column", "NetworkReport", "RunReport", "report"]

#: The name of what the network returns, beside those of recorded values.
OUTPUT = "output"

#: Significant digits of what is shown.
DIGITS = 7


@dataclass(frozen=True, eq=False)
class Column:
    """One value at every step: `values` [T][size], and what is stated of them."""

    name: str
    values: list[list[float]]
    stated: list[list[Stated]] | None

    def agreement(self) -> list[list[bool | None]]:
        """Whether each value is what is stated of it; None where nothing is."""
        if self.stated is None:
            return [[None] * len(row) for row in self.values]
        return [
            [None if s is None else agrees(v, s) for v, s in zip(row, stated, strict=True)]
            for row, stated in zip(self.values, self.stated, strict=True)
        ]


@dataclass(frozen=True)
class Arithmetic:
    """How the values of one step come about, as text with numbers."""

    layer: str
    t: int
    unit: int
    text: str
    latex: str


@dataclass(frozen=True, eq=False)
class RunReport:
    """What one sequence gave."""

    title: str
    inputs: list[Any]
    columns: list[Column]
    arithmetic: list[Arithmetic]
    recording: Recording


@dataclass(frozen=True, eq=False)
class NetworkReport:
    """A network, its equations (by layer, and as one text), its parameters, and its runs."""

    title: str
    equations: dict[str, str]
    equations_text: str
    parameters: int
    table: str
    stated_parameters: int | None
    runs: list[RunReport]


def report(file: DataFile, steps: Sequence[int] = ()) -> list[NetworkReport]:
    """Run every network of a data file.

    Args:
        file: see `cello.cli.example_data.datafile`.
        steps: the steps whose arithmetic is shown, in place of those that the file names.

    Raises:
        DataError: a name is unknown, or what is stated or fed in does not fit the network.
    """
    return [_network(file, network, steps) for network in file.networks]


def _network(file: DataFile, network: Network, steps: Sequence[int]) -> NetworkReport:
    from cello.see import count_parameters

    counted = count_parameters(network.net)
    return NetworkReport(
        network.title,
        formulas(network.net),
        formulas_text(network.net),
        counted.total,
        str(counted),
        network.parameters,
        [_run(file, network, run, steps) for run in network.runs],
    )


def _run(file: DataFile, network: Network, run: ExampleRun, steps: Sequence[int]) -> RunReport:
    import torch

    place = f"{file.name}: {run.place}"
    readout = readout_of(network.net)
    try:
        with torch.no_grad():
            rec, read = _recorded(network, run, readout)
        shown = run.show if run.show is not None else _all_names(rec)
        names = [*shown, *(name for name in run.stated if name not in shown)]
        columns = [_column(rec, name, run.stated.get(name), place) for name in names]
        arithmetic = [
            _arithmetic(rec, readout, read, choice)
            for choice in _choices(rec.layers, readout, run, steps)
        ]
    except DataError:
        raise
    except CelloError as error:
        raise DataError(f"{place}: {error}") from error
    inputs = run.inputs[:, 0].tolist()
    return RunReport(run.title, inputs, columns, arithmetic, rec)


def _recorded(
    network: Network, run: ExampleRun, readout: Readout | None
) -> tuple[Recording, Tensor]:
    """The recording, and what the readout read; of a net without one, its inputs."""
    from cello.see import record

    read = [run.inputs]
    module = network.net if readout is None else readout.module
    hook = module.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0]))
    try:
        return record(network.net, run.inputs), read[-1]
    except CelloError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:  # one of PyTorch's modules
        raise ArgumentError(f"the net cannot run on these inputs: {error}") from error
    finally:
        hook.remove()


def _all_names(rec: Recording) -> list[str]:
    """Everything but inputs and old states, and the output."""
    last = [name.rpartition(".")[2] for name in rec.names]
    own = [n for n, short in zip(rec.names, last, strict=True) if short != "x"]
    return [name for name in own if not name.endswith("_prev")] + [OUTPUT]


def _column(rec: Recording, name: str, stated: list[list[Stated]] | None, place: str) -> Column:
    values = _value(rec, name)[:, 0].tolist()
    if stated is not None:
        for t, (row, said) in enumerate(zip(values, stated, strict=True)):
            if len(row) != len(said):
                raise DataError(
                    f"{place}: stated {name} must have an entry for each of its {len(row)} units "
                    f"at each step, step {t} has {len(said)}"
                )
    return Column(name, values, stated)


def _value(rec: Recording, name: str) -> Tensor:
    """The value of that name, [T, B, size]; of "a * b" the product."""
    first, *others = (part.strip() for part in name.split("*"))
    value = rec.output if first == OUTPUT and OUTPUT not in rec else rec[first]
    for other in others:
        factor = _value(rec, other)
        if factor.shape != value.shape:
            raise ArgumentError(
                f"{name!r} multiplies values of {value.shape[-1]} and {factor.shape[-1]} units"
            )
        value = value * factor
    return value


def _choices(
    layers: Sequence[str], readout: Readout | None, run: ExampleRun, steps: Sequence[int]
) -> list[Explain]:
    """Which arithmetic is shown: what is asked for, else the last step; if no layer is, of all."""
    last = len(run.inputs) - 1
    if bad := [t for t in steps if not 0 <= t <= last]:
        raise ArgumentError(f"there is no step {bad[0]}: steps go from 0 to {last}")
    asked = [Explain(t) for t in steps or [last]]
    if run.explain is not None and not steps:
        asked = list(run.explain)
    chosen = []
    for choice in asked:
        if choice.layer is not None:
            chosen.append(choice)
            continue
        chosen += [replace(choice, layer=layer) for layer in layers]
        if readout is not None and choice.unit < readout.module.out_features:
            chosen.append(replace(choice, layer=readout.name))
    return chosen


def _arithmetic(
    rec: Recording, readout: Readout | None, read: Tensor, choice: Explain
) -> Arithmetic:
    if readout is not None and choice.layer == readout.name:
        explanation = readout.explain(read, choice.t, choice.unit, DIGITS)
    else:
        explanation = rec.explain(choice.t, choice.unit, choice.layer, digits=DIGITS)
    return Arithmetic(
        choice.layer or "", choice.t, choice.unit, str(explanation), explanation.latex()
    )
