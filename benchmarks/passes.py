"""A layer and its peer, forward and forward + backward: what many `bench_*` files compare."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.case import Case, Group

__all__ = [
    "GRID",
    "Aims",
    "allowed",
    "backward",
    "by_place",
    "cotangent",
    "forward",
    "sizes_of",
    "two_passes",
]

GRID = [  # B, T, H; the input has H features too
    (1, 100, 32),
    (1, 100, 64),
    (1, 100, 128),
    (1, 100, 256),
    (1, 100, 512),
    (16, 100, 64),
    (16, 1000, 64),
    (32, 100, 128),
    (64, 100, 256),
    (32, 100, 512),
]
QUICK_SIZES = GRID[0], GRID[5]

FORWARD, BACKWARD = "forward", "forward + backward"

#: What runs, and the module whose parameters it has.
Side = tuple[Callable[[Tensor], Any], nn.Module]


#: rtol and atol, see `Case`.
Tolerance = tuple[float, float | Callable[[], float]]


class Aims(NamedTuple):
    """What is wanted of a pass: the least ratio of each case, and the group that it belongs to."""

    least_ratio: float | None = None
    group: Group | None = None


def allowed(call_of: Callable[[nn.Module, Tensor], Any], module: nn.Module, x: Tensor) -> float:
    """How far results may be from those of a peer: twice what rounding does to the peer's own.

    Args:
        call_of: makes the peer's call of a module and an input.
        module: the peer, in float32.
        x: the input.
    """
    single = _tensors(call_of(module, x)())
    double = _tensors(call_of(copy.deepcopy(module).double(), x.double())())
    errors = [(a - b).abs().max().item() for a, b in zip(single, double, strict=True)]
    return max(1e-6, 2 * max(errors))


def _tensors(result: Any) -> list[Tensor]:
    """All tensors of a nested result."""
    if isinstance(result, Tensor):
        return [result]
    return [tensor for part in result or () for tensor in _tensors(part)]


def sizes_of(x: Tensor) -> dict[str, int | str]:
    """The columns for an input x [T, B, H], or of another shape with H numbers a row."""
    steps, batch, *shape = x.shape
    return {"B": batch, "T": steps, "H": math.prod(shape)}


def two_passes(
    name: str,
    ours: Side,
    theirs: Side,
    x: Tensor,
    aims: tuple[Aims, Aims],
    tolerances: tuple[Tolerance, Tolerance] = ((1e-5, 1e-6), (1e-4, 1e-6)),
) -> Iterator[Case]:
    """Both cases for an input x [T, B, H].

    Args:
        name: of the cell, or what is special.
        ours: what runs, and the module whose parameters it has.
        theirs: the same.
        x: the input.
        aims: of the forward pass, of both passes.
        tolerances: rtol and atol of the two. A gradient adds T·B terms, which the two sides may
            do in different orders.
    """
    sizes = sizes_of(x)
    quick = (sizes["B"], sizes["T"], sizes["H"]) in QUICK_SIZES
    runs: tuple[Any, ...] = (
        (FORWARD, forward(ours[0], x), forward(theirs[0], x), (by_place, by_place)),
        (BACKWARD, backward(*ours, x.clone()), backward(*theirs, x.clone()), (tuple, tuple)),
    )
    for (which, our_run, their_run, compared), aim, (rtol, atol) in zip(
        runs, aims, tolerances, strict=True
    ):
        yield Case(
            f"{name} {which}",
            our_run,
            their_run,
            sizes,
            rtol=rtol,
            atol=atol,
            compared=compared,
            group=aim.group,
            quick=quick,
            least_ratio=aim.least_ratio,
        )


def forward(run: Callable[[Tensor], Any], x: Tensor) -> Callable[[], Any]:
    """A function that computes outputs and final state, without gradients."""

    @torch.no_grad()
    def call() -> Any:
        return run(x)

    return call


def backward(run: Callable[[Tensor], Any], module: nn.Module, x: Tensor) -> Callable[[], Any]:
    """A function that computes outputs and the gradients of all parameters and of the input."""
    wanted = [x.requires_grad_(), *(p for p in module.parameters() if p.requires_grad)]

    def call() -> tuple[Tensor, tuple[Tensor, ...]]:
        y, _ = run(x)
        weights = cotangent(y.shape, y.dtype)
        return y.detach(), torch.autograd.grad(y, wanted, weights, allow_unused=True)

    return call


@lru_cache(maxsize=1)
def cotangent(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """What goes backward into outputs [T, B, O]: other weights at every step.

    Divided so that a parameter's gradient is a mean over steps and rows.
    """
    steps, rows = shape[:2]
    weights = torch.linspace(-1.0, 1.0, steps) / (steps * rows)
    return weights.reshape(-1, *(1 for _ in shape[1:])).expand(shape).to(dtype).contiguous()


def by_place(result: Any) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """The outputs, and the final state of each layer and direction, whichever way it came."""
    y, state = result
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    if not isinstance(parts[0], Tensor):
        return y, [tuple(place) for place in parts]
    if parts[0].dim() == 3:  # PyTorch's: each part [layers · directions, B, size]
        return y, list(zip(*(part.unbind(0) for part in parts), strict=True))
    return y, [parts]
