"""What several processes have to agree on. With one process all of it does nothing."""

from __future__ import annotations

from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from cello.train.saved.run_state import Mean

__all__ = ["gather", "highest", "mean"]


def highest(fabric: Fabric, value: int) -> int:
    """The highest of the values that the processes give."""
    return value if fabric.world_size == 1 else round(_reduce(fabric, [value], "max")[0])


def mean(fabric: Fabric, mine: Mean) -> float:
    """The mean over the values in all processes."""
    if fabric.world_size == 1:
        return mine.value
    total, count = _reduce(fabric, [mine.total, mine.count], "sum")
    return Mean(total, round(count)).value


def gather(fabric: Fabric, mine: Any) -> list[Any]:
    """What each process gives, in the order of their ranks, on the CPU."""
    if fabric.world_size == 1:
        return [mine]
    mine = move_data_to_device(mine, torch.device("cpu"))
    return [fabric.broadcast(mine, src=rank) for rank in range(fabric.world_size)]


def _reduce(fabric: Fabric, values: list[float], how: str) -> list[float]:
    tensor = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    return cast(Tensor, fabric.all_reduce(tensor, reduce_op=how)).tolist()
