"""Data files: networks with their weights, inputs, and what is said of the results.

TOML, read by `cello run` and `cello example`; the files in `cello/examples` are models to copy.
A file has these keys:

    title, text      what it is about
    dtype            "float64" unless given; "float32"
    seed             for parameters without given weights; with a run and no seed, all need weights
    net              modules, one on top of the other; see `cello.convert.spec`
    parameters       how many there should be
    run              runs of the net, each with
        title        what it is about
        inputs       a row of numbers for each step; or a number each, for a net that reads ids
        show         names of recorded values, products such as "g * i", and "output"
        explain      tables (t, unit, layer): steps whose arithmetic is shown; of all layers
                     unless one is named
        stated       by name, the values that the results should have
        exercise     for the page of `cello example --html`: tables (text, hint, change, goal,
                     answer) as `cello.see.Exercise` has them; a goal is a table (name, t, unit,
                     low, high)
    zh               title and text in Chinese; an exercise has such a table for text and hint

or, in place of `net`, `parameters` and `run`, a list `network` of tables with these and a `title`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cello.cli.example_data.exercise import exercise_of, one_line
from cello.errors import ArgumentError, DataError, ModelError
from cello.ranges import check_range, is_number, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from cello.see import Exercise

__all__ = [
    "DataFile",
    "ExampleRun",
    "Explain",
    "Network",
    "Stated",
    "Written",
    "agrees",
    "data_file_of",
    "example_files",
    "example_titles",
    "read_data_file",
]


class Written(float):
    """A number with a decimal point, and the text that it was written as."""

    text: str

    def __new__(cls, text: str) -> Written:
        """The number that `text` says."""
        number = super().__new__(cls, text.replace("_", ""))
        number.text = text
        return number


#: What is said of one value: nothing, exactly this, or this to the digits written.
Stated = int | Written | None


def agrees(value: float, stated: int | Written) -> bool:
    """Whether a value is what is stated: an int exactly, another number to the digits written.

    >>> agrees(6.9995007, Written("6.999501")), agrees(7.0, 7), agrees(6.9995, 7)
    (True, True, False)
    """
    if not isinstance(stated, Written) or stated - stated != 0:  # exact, or infinite
        return value == stated
    exponent = Decimal(stated.text.replace("_", "")).as_tuple().exponent
    half_a_digit = float(f"5e{exponent}") / 10  # as text: 10.0**exponent may overflow
    return abs(value - stated) <= half_a_digit * (1 + 1e-9)


@dataclass(frozen=True)
class Explain:
    """A step whose arithmetic is shown."""

    t: int
    unit: int = 0
    layer: str | None = None


@dataclass(frozen=True, eq=False)
class ExampleRun:
    """One sequence through a network; `inputs` is [T, 1, I], or ids [T, 1]."""

    place: str
    title: str
    inputs: Tensor
    show: tuple[str, ...] | None
    explain: tuple[Explain, ...] | None
    stated: Mapping[str, list[list[Stated]]]
    exercises: tuple[Exercise, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights, and the runs of it."""

    title: str
    net: nn.Module
    parameters: int | None
    runs: tuple[ExampleRun, ...]


@dataclass(frozen=True, eq=False)
class DataFile:
    """What a data file holds; `name` is what errors call it, `chinese` has title and text."""

    name: str
    title: str
    text: str
    networks: tuple[Network, ...]
    chinese: Mapping[str, str]


class _File(Protocol):
    """A path, or a file of a package."""

    def read_bytes(self) -> bytes: ...


def example_files() -> dict[str, Any]:
    """The lecture's examples by name, each a file of this package."""
    folder = resources.files("cello") / "examples"
    found = {Path(file.name).stem: file for file in folder.iterdir() if file.name.endswith(".toml")}
    order = ("elman", "jordan", "bidirectional", "stacked", "lstm", "lstm-nine", "lstm-tanh")
    return {name: found[name] for name in sorted(found, key=_position(order))}


def example_titles(language: str = "en") -> dict[str, str]:
    """What each of the lecture's examples shows, by name, in "en" or "zh"; builds no network."""
    tables = {name: _tables(file, name) for name, file in example_files().items()}
    return {name: (own["zh"] if language == "zh" else own)["title"] for name, own in tables.items()}


def _position(order: Sequence[str]) -> Any:
    return lambda name: (order.index(name) if name in order else len(order), name)


def read_data_file(file: _File, name: str | None = None) -> DataFile:
    """Read a data file and build its networks.

    Args:
        file: a path, or a file of a package.
        name: what errors call it.

    Raises:
        DataError: the file cannot be read, or something in it is unknown, missing or does not
            fit; says where and what was expected.
    """
    name = str(file) if name is None else name
    return data_file_of(_tables(file, name), name)


def _tables(file: _File, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"), parse_float=Written)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text: {error}") from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise DataError(f"{name}: is not TOML: {error}") from error


def data_file_of(data: dict[str, Any], name: str) -> DataFile:
    """The same from what stands in the file, as plain data.

    Raises:
        DataError: as `read_data_file`.
    """
    try:
        return _Reader(name, data).read()
    except ModelError as error:
        raise DataError(f"{name}: {error}") from error


# ------------------------------------------------------------ keys and their values

_WORDS = {"title": str, "text": str}
_FILE = {**_WORDS, "dtype": str, "seed": int, "zh": dict}
_NETWORK = {"title": str, "net": list, "parameters": int, "run": list}
_RUN = {
    "title": str,
    "inputs": list,
    "show": list,
    "explain": list,
    "stated": dict,
    "exercise": list,
}
_EXPLAIN = {"t": int, "unit": int, "layer": str}
#: More than this nobody looks at, and printing it would take forever.
_MOST_NUMBERS = 10_000_000
_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table", Real: "a number"}


class _Reader:
    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name, self.data = name, data

    def read(self) -> DataFile:
        data = self.data
        networks = data.get("network")
        if networks is None:
            self.check(data, _FILE | _NETWORK, "")
            networks = [{key: data[key] for key in _NETWORK if key in data and key != "title"}]
        else:
            self.check(data, _FILE | {"network": list}, "")
        self.data = data
        chinese = data.get("zh", {})
        self.check(chinese, _WORDS, "zh")
        return DataFile(
            self.name,
            data.get("title", ""),
            one_line(data.get("text", "").strip()),
            tuple(
                self.network(table, f"network {number}" if "network" in data else "")
                for number, table in enumerate(networks, start=1)
            ),
            {key: one_line(text.strip()) for key, text in chinese.items()},
        )

    def network(self, table: Any, place: str) -> Network:
        self.check(table, _NETWORK, place)
        if not table.get("net"):
            raise self.error(place, "lacks the key net: expected at least one [[net]] table")
        runs = tuple(
            self.run(run, _joined(place, f"run {number}"))
            for number, run in enumerate(table.get("run", []), start=1)
        )
        net, drawn = self.build(table["net"], place)
        if drawn and runs and "seed" not in self.data:
            raise self.error(
                place,
                f"no weights are given for {', '.join(drawn)}: give them, or a seed = 0 at the top "
                "of the file to have them drawn",
            )
        return Network(table.get("title", ""), net, table.get("parameters"), runs)

    def build(self, modules: list[Any], place: str) -> tuple[nn.Module, tuple[str, ...]]:
        import torch

        from cello.convert import build_net

        seed, spec = self.data.get("seed", 0), {"type": "Stack", "modules": modules}
        try:
            check_range(seed=seed)
            with torch.random.fork_rng(devices=[]), torch.device("meta"):  # no memory, no numbers
                outline = build_net(spec).net
            count = sum(value.numel() for value in outline.state_dict().values())
            if count > _MOST_NUMBERS:
                raise ModelError(
                    f"net has {count:,} weights, expected at most {_MOST_NUMBERS:,}: this is for "
                    "networks whose numbers are to be looked at"
                )
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                built = build_net(spec, dtype=self.dtype())
        except (ModelError, ArgumentError) as error:
            raise self.error(place, str(error)) from error
        return built.net.eval(), built.drawn

    def dtype(self) -> torch.dtype:
        import torch

        names = {"float32": torch.float32, "float64": torch.float64}
        name = self.data.get("dtype", "float64")
        if name not in names:
            raise self.error("", f"dtype must be one of {', '.join(names)}, got {name!r}")
        return names[name]

    def run(self, table: Any, place: str) -> ExampleRun:
        self.check(table, _RUN, place)
        if not table.get("inputs"):
            raise self.error(place, "lacks the key inputs: expected a row of numbers for each step")
        show = table.get("show")
        if show is not None and not all(isinstance(name, str) for name in show):
            raise self.error(place, f"show must be a list of names, got {shown(show)}")
        inputs = self.inputs(table["inputs"], place)
        stated = table.get("stated", {})
        return ExampleRun(
            place,
            table.get("title", ""),
            inputs,
            None if show is None else tuple(show),
            self.explain(table.get("explain"), len(inputs), place),
            {name: self.stated(rows, name, len(inputs), place) for name, rows in stated.items()},
            tuple(
                self.exercise(own, _joined(place, f"exercise {number}"))
                for number, own in enumerate(table.get("exercise", []), start=1)
            ),
        )

    def inputs(self, rows: list[Any], place: str) -> Tensor:
        import torch

        ids = all(isinstance(row, int) and not isinstance(row, bool) for row in rows)
        for t, row in enumerate(() if ids else rows):
            if not isinstance(row, list) or not all(map(is_number, row)):
                raise self.error(
                    place,
                    f"inputs must hold a row of numbers for each step; step {t} is {shown(row)}",
                )
            if len(row) != len(rows[0]):
                raise self.error(
                    place,
                    f"inputs must have as many numbers at each step: {len(rows[0])} at step 0, "
                    f"{len(row)} at step {t}",
                )
        dtype = torch.long if ids else self.dtype()
        try:
            return torch.tensor(rows, dtype=dtype).unsqueeze(1)
        except (RuntimeError, OverflowError) as error:
            raise self.error(place, f"inputs: {error}") from error

    def explain(self, tables: Any, steps: int, place: str) -> tuple[Explain, ...] | None:
        if tables is None:
            return None
        for number, table in enumerate(tables, start=1):
            here = _joined(place, f"explain {number}")
            self.check(table, _EXPLAIN, here)
            if not 0 <= table.get("t", -1) < steps:
                raise self.error(here, f"t must be a step from 0 to {steps - 1}")
        return tuple(Explain(**table) for table in tables)

    def stated(self, rows: Any, name: str, steps: int, place: str) -> list[list[Stated]]:
        if not isinstance(rows, list) or len(rows) != steps:
            got = f"{len(rows)}" if isinstance(rows, list) else shown(rows)
            raise self.error(
                place, f"stated {name} must have an entry for each of the {steps} steps, got {got}"
            )
        result = []
        for row in rows:
            row = row if isinstance(row, list) else [row]
            if bad := [entry for entry in row if not (is_number(entry) or entry == "")]:
                raise self.error(
                    place, f'stated {name} must hold numbers, or "", got {shown(bad[0])}'
                )
            result.append([None if entry == "" else entry for entry in row])
        return result

    def exercise(self, table: Any, place: str) -> Exercise:
        try:
            return exercise_of(table, self.check, place)
        except ArgumentError as error:
            raise self.error(place, str(error)) from error

    # -------------------------------------------------------- errors

    def check(self, table: Any, keys: Mapping[str, type], place: str) -> None:
        """Check that `table` is a table, and its keys and the types of their values."""
        if not isinstance(table, dict):
            raise self.error(place, f"must be a table, got {shown(table)}")
        for key, value in table.items():
            if key not in keys:
                close = difflib.get_close_matches(key, keys, n=1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                raise self.error(
                    place, f"unknown key {shown(key)}{hint}; known are {', '.join(keys)}"
                )
            kind = keys[key]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise self.error(place, f"{key} must be {_KINDS[kind]}, got {shown(value)}")

    def error(self, place: str, message: str) -> DataError:
        return DataError(f"{_joined(self.name, place)}: {message}")


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)
