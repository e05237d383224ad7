"""A network as plain data, as JSON and TOML can hold it, and back.

A module is a table with its `type` and its constructor's arguments; modules inside modules are
tables inside tables::

    {"type": "Stack", "modules": [
        {"type": "Recurrent", "cell": {"type": "ElmanCell", "input_size": 2, "hidden_size": 2}},
        {"type": "Linear", "in_features": 2, "out_features": 1}]}

A table may also give `weights` (see `cello.convert.weights`); a saved model keeps them in a file
of their own. An argument that is None is left out, for TOML has no such value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from cello.cells import ACTIVATIONS
from cello.convert.kinds import CLASSES, KINDS, Kind, kinds_with
from cello.convert.weights import GivenWeights, set_weights
from cello.convert.widths import check_widths
from cello.errors import CelloError, ModelError
from cello.ranges import RANGES, check_range, shown

__all__ = ["Built", "build_net", "net_from_spec", "net_to_spec"]

#: What a table says besides arguments.
_OWN_KEYS = ("type", "weights")


def net_to_spec(net: nn.Module) -> dict[str, Any]:
    """The specification of `net`: all its modules and their arguments, without weights.

    Modules may be Cello's layers and cells, those of `torch.nn` that `cello.convert.kinds` names,
    and any other that gives its constructor's arguments by a method `config()`, as every
    `cello.Cell` does.

    Raises:
        ModelError: a module or an argument cannot be written down, such as an activation that is
            a function and not one of those that have a name.

    >>> net_to_spec(nn.Linear(2, 1))
    {'type': 'Linear', 'in_features': 2, 'out_features': 1, 'bias': True}
    """
    return _module_to_spec(net, "net")


def net_from_spec(
    spec: Mapping[str, Any],
    cells: Iterable[type[nn.Module]] = (),
    *,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """The network that `spec` describes; parameters that it gives no weights for are drawn.

    Args:
        spec: see the module.
        cells: classes of modules that are not Cello's, such as your own cells; a file can only
            choose among them by name.
        dtype: of the parameters; torch's default unless given.

    Raises:
        ModelError: something in `spec` is unknown, missing or does not fit; says where.
        ArgumentError: a class in `cells` has the name of one of Cello's.

    >>> net_from_spec({"type": "Linear", "in_features": 2, "out_features": 1})
    Linear(in_features=2, out_features=1, bias=True)
    """
    return build_net(spec, cells, dtype=dtype).net


class Built(NamedTuple):
    """A network from a specification, and the names of the parameters without given weights."""

    net: nn.Module
    drawn: tuple[str, ...]


def build_net(
    spec: Mapping[str, Any],
    cells: Iterable[type[nn.Module]] = (),
    *,
    dtype: torch.dtype | None = None,
) -> Built:
    """As `net_from_spec`, and say which parameters were drawn because no weights were given."""
    builder = _Builder(kinds_with(cells))
    net = builder.module(spec, "net")
    check_widths(net)
    if dtype is not None:
        net = net.to(dtype)
    given = set_weights(builder.given)
    drawn = (name for name, parameter in net.named_parameters() if id(parameter) not in given)
    return Built(net, tuple(drawn))


# ------------------------------------------------------------ to data


def _module_to_spec(module: nn.Module, path: str) -> dict[str, Any]:
    name = type(module).__name__
    if type(module) is CLASSES.get(name):
        kind = KINDS[name]
    elif name in KINDS:
        raise ModelError(
            f"{path} is a {name} that is not Cello's: rename the class, for a file holds its name "
            "only" + (f"; of PyTorch's layers use cello.{name}" if name in _DROP_INS else "")
        )
    elif callable(getattr(module, "config", None)):
        kind = kinds_with([type(module)])[name]
    else:
        raise ModelError(
            f"{path} is a {name}, which cannot be saved: give it a method config() that returns "
            "the arguments of its constructor by name, as every cello.Cell has"
        )
    try:
        arguments = kind.read(module)
    except CelloError as error:
        raise ModelError(f"{path} ({name}) cannot be saved: {error}") from error
    spec: dict[str, Any] = {"type": name}
    for argument, value in arguments.items():
        if argument in _OWN_KEYS:
            raise ModelError(
                f"{path} ({name}) has an argument {argument!r}, which is a word of the file: "
                "rename it"
            )
        if value is not None:
            place = path if argument == "modules" else f"{path}.{argument}"
            spec[argument] = _value_to_spec(value, place)
    return spec


_DROP_INS = ("RNN", "LSTM", "GRU")
_NAMES = {function: name for name, function in reversed(ACTIVATIONS.items())}


def _value_to_spec(value: Any, path: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, nn.Module):
        return _module_to_spec(value, path)
    if isinstance(value, (tuple, list)):
        return [_value_to_spec(part, f"{path}[{place}]") for place, part in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _value_to_spec(part, f"{path}.{key}") for key, part in value.items()}
    if callable(value):
        if value in _NAMES:
            return _NAMES[value]
        shown = getattr(value, "__name__", type(value).__name__)
        raise ModelError(
            f"{path} is the function {shown}, which cannot be saved: only activations with a name "
            f"can, {', '.join(ACTIVATIONS)}; or write a cell of your own that calls it in its step"
        )
    raise ModelError(
        f"{path} is of type {type(value).__name__}, which cannot be saved: only numbers, texts, "
        "lists, tables and modules can"
    )


# ------------------------------------------------------------ from data


class _Builder:
    """Builds modules, and notes the weights that their tables give."""

    def __init__(self, kinds: dict[str, Kind]) -> None:
        self.kinds = kinds
        self.given: list[GivenWeights] = []

    def module(self, spec: Any, path: str, depth: int = 0) -> nn.Module:
        if depth > _DEEPEST:
            raise ModelError(f"{path[:_LONGEST_NAME]}… stands more than {_DEEPEST} modules deep")
        if not isinstance(spec, Mapping):
            raise ModelError(
                f"{path} must be a table with a type, got {type(spec).__name__} {shown(spec)}"
            )
        if not isinstance(spec.get("type"), str):
            raise ModelError(f'{path} needs a type, such as type = "Recurrent"')
        name = spec["type"]
        if name not in self.kinds:
            known = shown(name).strip("'\"")
            raise ModelError(
                f"{path} is a {known}, which is no module of Cello"
                + _similar(known, self.kinds)
                + f"; a class of your own is passed as cells=[{known}]"
            )
        kind = self.kinds[name]
        arguments = {key: value for key, value in spec.items() if key not in _OWN_KEYS}
        if unknown := [key for key in arguments if key not in kind.arguments]:
            raise ModelError(
                f"{path} ({name}) has no argument {shown(unknown[0])}"
                + _similar(unknown[0][:_LONGEST_NAME], kind.arguments)
                + f"; it takes {', '.join(kind.arguments) or 'none'}"
            )
        if missing := [key for key in kind.required if key not in arguments]:
            plural = "s" * (len(missing) > 1)
            raise ModelError(
                f"{path} ({name}) lacks the argument{plural} {', '.join(map(repr, missing))}"
            )
        values = {
            key: self.modules(value, path, depth)
            if key == "modules"
            else self.value(value, path, key, depth)
            for key, value in arguments.items()
        }
        try:
            if name in KINDS:  # what a class of the caller's takes is its own affair
                check_range(**{key: value for key, value in values.items() if key in RANGES})
            module = kind.build(**values)
        except Exception as error:  # whatever a class raises on arguments that it cannot take
            told = str(error) if isinstance(error, _PLAIN) else f"{type(error).__name__}: {error}"
            raise ModelError(f"{path} ({name}): {told}") from error
        if "weights" in spec:
            self.given.append(GivenWeights(module, spec["weights"], f"{path} ({name})"))
        return module

    def modules(self, specs: Any, path: str, depth: int) -> list[nn.Module]:
        if not isinstance(specs, (tuple, list)):
            raise ModelError(f"{path}: modules must be a list of tables, got {shown(specs)}")
        return [
            self.module(spec, f"{path}[{place}]", depth + 1) for place, spec in enumerate(specs)
        ]

    def value(self, value: Any, path: str, key: str | int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ModelError(f"{path[:_LONGEST_NAME]}… stands more than {_DEEPEST} tables deep")
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
        if isinstance(value, Mapping):
            if "type" in value:
                return self.module(value, path, depth + 1)
            return {key: self.value(part, path, key, depth + 1) for key, part in value.items()}
        if isinstance(value, (tuple, list)):
            return [self.value(part, path, place, depth + 1) for place, part in enumerate(value)]
        return value


#: A module in a module in a module …: so many.
_DEEPEST = 50
_LONGEST_NAME = 60
#: Errors whose words say it all.
_PLAIN = (CelloError, TypeError, ValueError, RuntimeError)


def _similar(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
