"""Published cells, written as steps: none computes anything else, and four of five fuse."""

from __future__ import annotations

import warnings

import pytest
import torch

import cello
from cello.engines.choose import EngineWarning
from cello.errors import CaptureError
from cello.program.cache import program_of
from cello.program.kernel.lower import lower
from tests.cells.published import PUBLISHED, make_published
from tests.registry import x_of

#: Those whose step no program holds: it decides by its data.
STEP_BY_STEP = ("act",)
#: Those of which an operation has no fused form: sorting, inverses, complex numbers, …
SPLIT = (
    *("alif", "dnc", "gate_loop", "kalman", "lrua", "rims", "s4d", "traj_gru", "urnn"),
)  # fmt: skip


def engine_of(name: str) -> str:
    """The engine that "auto" takes."""
    cell = make_published(name)
    try:
        program = program_of(cell, torch.float64, torch.device("cpu"))
    except CaptureError:
        return "reference"
    try:
        lower(program)
    except CaptureError:
        return "split"
    return "cpu"


def test_four_of_five_fuse() -> None:
    found = {name: engine_of(name) for name in PUBLISHED}
    assert len(found) >= 60
    slow = [*STEP_BY_STEP, *SPLIT]
    assert {n for n, e in found.items() if e == "reference"} == set(STEP_BY_STEP)
    assert {n for n, e in found.items() if e == "split"} == set(SPLIT)
    assert 5 * (len(found) - len(slow)) >= 4 * len(found)


@pytest.mark.parametrize("name", PUBLISHED)
def test_none_computes_anything_else(name: str) -> None:
    cell = make_published(name)
    layer, x = cello.Recurrent(cell), x_of(cell, 3, 2).requires_grad_()
    lengths, found = torch.tensor([3, 2]), {}
    for engine in ("auto", "reference"):
        with warnings.catch_warnings(), cello.engine(engine):
            warnings.simplefilter("ignore", EngineWarning)
            y, state = layer(x, lengths=lengths)
        weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view_as(y)
        loss = (y * weights).sum() + sum(part.square().sum() for part in state)
        leaves = [x, *layer.parameters()]
        grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        found[engine] = [y, *state, *grads]
    assert all(part.isfinite().all() for part in found["reference"])
    torch.testing.assert_close(found["auto"], found["reference"], rtol=1e-9, atol=1e-11)
