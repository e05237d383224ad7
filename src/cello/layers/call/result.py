"""What a layer returns: the output and the state, as one pair."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import _register_namedtuple

from cello.errors import DtypeError

__all__ = ["OutputAndState", "refuse_pair"]


class OutputAndState(NamedTuple):
    """The output and the final state of a layer or a stack: `y, state = layer(x)`.

    What takes the pair for a tensor, as when the layer stands in an `nn.Sequential`, is told so.

    Raises:
        DtypeError: a function of PyTorch's is given the pair, or asks for what only a tensor has;
            then the error is an `AttributeError` too.

    >>> import cello
    >>> net = torch.nn.Sequential(cello.Recurrent(cello.GRUCell(3, 4)), torch.nn.Linear(4, 2))
    >>> net(torch.zeros(5, 1, 3))
    Traceback (most recent call last):
        ...
    cello.errors.DtypeError: linear was given the pair (output, state) that a recurrent layer ...
    """

    output: Any
    state: Any

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse it: no function takes the pair."""
        name = getattr(func, "__name__", str(func))
        raise DtypeError(
            f"{name} was given the pair (output, state) that a recurrent layer returns, and takes "
            f"the output alone: {_INSTEAD}"
        )

    def __getattr__(self, name: str) -> NoReturn:
        """Called for what a pair does not have."""
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(f"the pair (output, state) has no attribute {name!r}")
        raise _NoTensorError(
            f"{name} was asked of the pair (output, state) that a recurrent layer returns, and is "
            f"the output's alone: {_INSTEAD}"
        )


_INSTEAD = (
    "y, state = layer(x); in place of nn.Sequential, cello.Stack hands on the output of each layer"
)


class _NoTensorError(DtypeError, AttributeError):
    """The pair was taken for a tensor. An AttributeError, so that `hasattr` says no."""


def refuse_pair(name: str, state: Any) -> None:
    """Refuse a state that is all that a layer returned.

    Raises:
        DtypeError: it is the pair.
    """
    if isinstance(state, OutputAndState):
        raise DtypeError(
            f"{name} must be a state alone, got the pair (output, state) that a recurrent layer "
            "returns: y, state = layer(x)"
        )


# As states are: see cello.cells.contract.state.
torch.serialization.add_safe_globals([OutputAndState])
_register_namedtuple(OutputAndState, serialized_type_name="cello.OutputAndState")
