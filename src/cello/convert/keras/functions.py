"""Keras's activations: each as a module of PyTorch's, or as one that is written here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError

__all__ = ["ACTIVATIONS", "CELL_NAMES", "KERAS_2", "KerasActivation"]

#: A name of ours: what was called hard_sigmoid before Keras 3.
KERAS_2 = "hard_sigmoid_of_keras_2"


_WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "exponential": torch.exp,
    KERAS_2: lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0),
    "sparse_plus": lambda x: torch.where(
        x <= -1, torch.zeros_like(x), torch.where(x < 1, 0.25 * (x + 1) * (x + 1), x)
    ),
    "sparse_sigmoid": lambda x: (0.5 * (x + 1)).clamp(0.0, 1.0),
    "squareplus": lambda x: 0.5 * (x + torch.sqrt(x * x + 4)),
}


class KerasActivation(nn.Module):
    """A function of Keras's that PyTorch has no module for.

    Args:
        name: exponential, hard_sigmoid_of_keras_2 (0.2 x + 0.5 between 0 and 1; that of Keras 3 is
            PyTorch's), sparse_plus, sparse_sigmoid or squareplus.

    Raises:
        ArgumentError: there is none of this name.

    >>> KerasActivation("hard_sigmoid_of_keras_2")(torch.tensor([-3.0, 0.0, 1.0]))
    tensor([0.0000, 0.5000, 0.7000])
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if not isinstance(name, str) or name not in _WRITTEN:
            raise ArgumentError(f"name must be one of {', '.join(_WRITTEN)}, got {name!r}")
        self.name = name

    def config(self) -> dict[str, Any]:
        """The arguments that make this module again."""
        return {"name": self.name}

    def extra_repr(self) -> str:
        """Its name, where it is printed."""
        return self.name

    def forward(self, x: Tensor) -> Tensor:
        """The function of x, of any shape."""
        return _WRITTEN[self.name](x)


#: Keras's activations by name, each what makes its module. All that Keras 3 has but `threshold`,
#: which takes numbers that no name says, and `sparsemax`, which Keras computes wrong.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "glu": lambda: nn.GLU(-1),
    "hard_shrink": nn.Hardshrink,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish,
    "hard_swish": nn.Hardswish,
    "hard_tanh": nn.Hardtanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "linear": nn.Identity,
    "log_sigmoid": nn.LogSigmoid,
    "log_softmax": lambda: nn.LogSoftmax(-1),
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "soft_shrink": nn.Softshrink,
    "softmax": lambda: nn.Softmax(-1),
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
    "tanh_shrink": nn.Tanhshrink,
    **{name: partial(KerasActivation, name) for name in _WRITTEN},
}

#: What a cell of ours calls those that it knows by name.
CELL_NAMES = {"swish": "silu"} | {
    name: name
    for name in (
        *("elu", "gelu", "hard_sigmoid", "hard_tanh", "linear", "relu", "sigmoid", "silu"),
        *("softmax", "softplus", "softsign", "tanh"),
    )
}
