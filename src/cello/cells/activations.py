"""Activations by name, or any callable from tensor to tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cello.errors import ArgumentError, DtypeError

__all__ = ["ACTIVATIONS", "Activation", "activation_function"]

Activation = str | Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


def _softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, dim=-1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": _identity,
    "linear": _identity,
    "softmax": _softmax,
    "hard_sigmoid": F.hardsigmoid,
    "hard_tanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "gelu": F.gelu,
    "silu": F.silu,
}


def activation_function(activation: Activation, argument: str = "activation") -> Callable[..., Any]:
    """The function that `activation` names; a callable is returned as it is.

    Args:
        activation: one of the names in `ACTIVATIONS`, or any callable on tensors.
        argument: what the caller calls it, for the error message.

    Raises:
        ArgumentError: the name is unknown; the message lists those that are known.
        DtypeError: neither a name nor a callable.

    >>> activation_function("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if isinstance(activation, str):
        try:
            return ACTIVATIONS[activation]
        except KeyError:
            known = ", ".join(ACTIVATIONS)
            raise ArgumentError(
                f"{argument}={activation!r} is not an activation; known are {known}, "
                "or give any callable on tensors"
            ) from None
    if isinstance(activation, type):
        name = activation.__name__
        raise DtypeError(f"{argument} is the class {name} itself: build it first, as {name}()")
    if not callable(activation):
        raise DtypeError(
            f"{argument} must be a name or a callable on tensors, got {type(activation).__name__}"
        )
    return activation
