"""Refuses networks that do not fit into this machine's memory, before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from cello.errors import ArgumentError

__all__ = ["make_if_it_fits"]

Module = TypeVar("Module", bound=nn.Module)

#: A weight, its gradient and the two averages of AdamW.
_COPIES = 4


def make_if_it_fits(make: Callable[[], Module], argument: str) -> Module:
    """What `make` makes, if training it fits into this machine's memory.

    Args:
        make: makes a module.
        argument: the name of what its size comes from, such as "hidden_size".

    Raises:
        ArgumentError: its weights, their gradients and the optimizer's averages take more memory
            than the machine has.

    >>> make_if_it_fits(lambda: nn.Linear(10**6, 10**6), "in_features")
    Traceback (most recent call last):
    cello.errors.ArgumentError: in_features must be smaller: training 1,000,001,000,000 \
parameters takes 16,000 GB, more than this machine's memory
    """
    try:
        with torch.device("meta"):  # nothing is allocated or drawn
            outline = make()
    except RuntimeError as error:  # more than 2**63 bytes
        raise ArgumentError(f"must be smaller: {error}", argument=argument) from error
    count = sum(parameter.numel() for parameter in outline.parameters())
    size = sum(parameter.nbytes for parameter in outline.parameters()) * _COPIES
    if size > _memory():
        raise ArgumentError(
            f"must be smaller: training {count:,} parameters takes {size / 1e9:,.0f} GB, more than "
            "this machine's memory",
            argument=argument,
        )
    return make()


def _memory() -> float:
    """Bytes of memory that this machine has; without a bound where the system does not say it."""
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if not hasattr(os, "sysconf") or any(name not in os.sysconf_names for name in names):
        return float("inf")
    pages, size = (os.sysconf(name) for name in names)
    return pages * size if pages > 0 and size > 0 else float("inf")
