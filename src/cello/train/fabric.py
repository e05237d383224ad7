"""Lightning Fabric, made from our options: devices, nodes, strategy and precision are its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric import Fabric
from lightning_fabric.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning_fabric.utilities import rank_zero_only

from cello.errors import ArgumentError
from cello.train.options import Options

__all__ = ["is_first_process", "make_fabric", "quiet"]


def make_fabric(options: Options) -> Fabric:
    """A Fabric for `options`, not launched yet.

    Raises:
        ArgumentError: Fabric does not take these options on this machine, or the strategy does
            not keep all weights in each process, which our checkpoints need.
    """
    asked = {
        "accelerator": options.accelerator,
        "devices": options.devices,
        "num_nodes": options.nodes,
        "strategy": options.strategy,
        "precision": options.precision,
    }
    try:
        fabric = Fabric(**asked)
    except (ValueError, TypeError, RuntimeError, ImportError, OverflowError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        raise ArgumentError(f"Lightning Fabric does not take {given}: {error}") from error
    if isinstance(fabric.strategy, (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)):
        raise ArgumentError(
            f"strategy={options.strategy!r} spreads the weights over processes; checkpoints need "
            "them whole in each: use 'auto' or 'ddp'"
        )
    return fabric


def is_first_process() -> bool:
    """Whether this process is the first of those that train together, as far as is known yet."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def quiet() -> Iterator[None]:
    """Within this, Fabric logs warnings and errors only."""
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
