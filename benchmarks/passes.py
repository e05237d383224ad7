"""A layer and its peer, forward and forward + backward: what the `bench_*` files compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Case

__all__ = ["both_passes"]

LEAST_RATIO = 0.95

Side = tuple[
    Callable[[Tensor], Any], nn.Module
]  # what runs, and the module whose parameters it has


def both_passes(name: str, ours: Side, theirs: Side, x: Tensor) -> Iterator[Case]:
    """Both cases for an input x [T, B, H]."""
    sizes = dict(zip("TBH", x.shape, strict=True))
    sizes = {axis: sizes[axis] for axis in "BTH"}
    yield Case(
        f"{name} forward",
        forward(ours[0], x),
        forward(theirs[0], x),
        sizes,
        least_ratio=LEAST_RATIO,
    )
    # A gradient adds T·B terms, which the two sides may do in different orders.
    yield Case(
        f"{name} forward + backward",
        backward(*ours, x.clone()),
        backward(*theirs, x.clone()),
        sizes,
        rtol=1e-4,
        atol=1e-6,
        least_ratio=LEAST_RATIO,
    )


def forward(run: Callable[[Tensor], Any], x: Tensor) -> Callable[[], Any]:
    """A function that computes outputs and final state, without gradients."""

    def call() -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.no_grad():
            y, state = run(x)
        return y, tuple(state)

    return call


def backward(run: Callable[[Tensor], Any], module: nn.Module, x: Tensor) -> Callable[[], Any]:
    """A function that computes outputs and the gradients of all parameters and of the input."""
    wanted = [x.requires_grad_(), *module.parameters()]
    # Different weights for all steps; divided so that a gradient is a mean over steps and rows.
    weights = torch.linspace(-1.0, 1.0, x.shape[0])[:, None, None] / (x.shape[0] * x.shape[1])

    def call() -> tuple[Tensor, tuple[Tensor, ...]]:
        y, _ = run(x)
        return y.detach(), torch.autograd.grad((weights * y).sum(), wanted)

    return call
