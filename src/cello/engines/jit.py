"""A loop of steps in the graph of `torch.jit.trace` holds for one size alone, and says so."""

from __future__ import annotations

import torch
from torch import Tensor

from cello.errors import ArgumentError

__all__ = ["of_one_size"]

_LIBRARY = torch.library.Library("cello", "FRAGMENT")
_LIBRARY.define("of_one_size(Tensor data, Tensor state, int steps, int rows) -> Tensor")


def _of_one_size(data: Tensor, state: Tensor, steps: int, rows: int) -> Tensor:
    if (len(data), len(state)) != (steps * rows, rows):
        found = len(data) // max(1, len(state))
        raise ArgumentError(
            f"torch.jit.trace has written down {steps} steps of {rows} sequences, one after "
            f"another, which run at that size alone; got {found} steps of {len(state)}"
        )
    return data.clone()


_LIBRARY.impl("of_one_size", _of_one_size, "CompositeImplicitAutograd")


def of_one_size(data: Tensor, state: Tensor, steps: int, rows: int) -> Tensor:
    """`data`, [steps * rows, …]; where a traced graph is given other numbers of them, an error.

    Raises:
        ArgumentError: the numbers are others.
    """
    checked: Tensor = torch.ops.cello.of_one_size(data, state, steps, rows)
    return checked
