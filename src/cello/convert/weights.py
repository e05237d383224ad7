"""Weights that stand in a specification, as a person writes them.

A table of parameters by name, each a nested list; a parameter that holds the gates of a cell one
below the other may also be a table by gate::

    weights = {W = [[1, 0], [0, 1]], b = [0, 0]}                       an ElmanCell
    weights = {W = {i = [[0, 100, 0]], f = …, g = …, o = …}, b = …}    an LSTMCell

A module inside is reached by a dot: `weights = {"initial.h" = [0, 1]}` of a `Recurrent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.errors import ModelError
from cello.ranges import is_number, shown

__all__ = ["GivenWeights", "set_weights"]


class GivenWeights(NamedTuple):
    """The weights that a specification gives for `module`, and where it does so."""

    module: nn.Module
    weights: Any
    path: str


@torch.no_grad()
def set_weights(given: Iterable[GivenWeights]) -> set[int]:
    """Put weights into their modules, and return the ids of the parameters that have them now.

    Raises:
        ModelError: a name is unknown, or the numbers do not have the parameter's shape.
    """
    done = set()
    for module, weights, path in given:
        if not isinstance(weights, Mapping):
            raise ModelError(f"{path}: weights must be a table of parameters by name")
        parameters = dict(module.named_parameters())
        for name, numbers in weights.items():
            if name not in parameters:
                known = ", ".join(parameters) or "none"
                raise ModelError(f"{path} has no parameter {name!r}; it has {known}")
            parameter = parameters[name]
            value = _value(module, name, numbers, parameter, path)
            if value.shape != parameter.shape:
                raise ModelError(
                    f"{path}: weight {name} must be {list(parameter.shape)}, "
                    f"got {list(value.shape)}"
                )
            parameter.copy_(value)
            done.add(id(parameter))
    return done


def _value(module: nn.Module, name: str, numbers: Any, parameter: Tensor, path: str) -> Tensor:
    if not isinstance(numbers, Mapping):
        return _tensor(numbers, parameter, f"{path}: weight {name}", list(parameter.shape))
    owner = module.get_submodule(name.rpartition(".")[0])
    gates: tuple[str, ...] = getattr(owner, "gates", ())
    rows = getattr(owner, "hidden_size", 0)
    if not gates or parameter.shape[0] != rows * len(gates):
        raise ModelError(f"{path}: weight {name} must be a list of numbers, not a table by gate")
    if set(numbers) != set(gates):
        raise ModelError(
            f"{path}: weight {name} must have the gates {', '.join(gates)}, "
            f"got {', '.join(numbers) or 'none'}"
        )
    shape = [rows, *parameter.shape[1:]]
    parts = []
    for gate in gates:
        part = _tensor(numbers[gate], parameter, f"{path}: weight {name}.{gate}", shape)
        if list(part.shape) != shape:
            raise ModelError(
                f"{path}: weight {name}.{gate} must be {shape}, got {list(part.shape)}"
            )
        parts.append(part)
    return torch.cat(parts)


def _tensor(numbers: Any, like: Tensor, what: str, shape: list[int]) -> Tensor:
    try:
        if not _all_numbers(numbers):
            raise ValueError(f"got {shown(numbers)}")
        # Not on the device "meta", where joining parts would first import PyTorch's compiler.
        return torch.tensor(numbers, dtype=like.dtype, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{what} must be numbers in nested lists {shape}: {error}") from error


def _all_numbers(numbers: Any) -> bool:
    """Whether nested lists hold numbers only; True and False are none."""
    if isinstance(numbers, (list, tuple)):
        return all(map(_all_numbers, numbers))
    return is_number(numbers)
