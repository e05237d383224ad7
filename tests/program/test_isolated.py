"""Capture and what goes on around it: neither sees the other."""

from __future__ import annotations

import cProfile
import gc
import weakref

import torch
from torch.utils.checkpoint import checkpoint

import cello
from tests.registry import LeakyCell


def test_a_profiler_goes_on() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    cello.Recurrent(LeakyCell(), engine="split")(torch.zeros(2, 1, 3))
    shaped = cello.zoo.MLSTMCell(3, 4)  # whose step gets its shapes from code of ours
    cello.Recurrent(shaped, engine="split")(torch.zeros(2, 1, 3))
    sorted([3, 1, 2])
    profiler.disable()
    assert any("sorted" in str(entry.code) for entry in profiler.getstats())


def test_a_trace_lets_go_of_the_parameters() -> None:
    cell = cello.GRUCell(3, 4)  # its products save views of them
    cello.program.capture(cell)
    gone = [weakref.ref(parameter) for parameter in cell.parameters()]
    del cell
    for _ in range(3):  # what a collected cell held is collected after it
        gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_capture_is_not_seen_from_around() -> None:
    """The first run may be inside of checkpoint, which counts what is saved, or of inference."""
    x = torch.randn(3, 2, 3, requires_grad=True)
    layer = cello.Recurrent(LeakyCell(), engine="split")
    y = checkpoint(lambda x: layer(x)[0], x, use_reentrant=False)
    (found,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(found, torch.autograd.grad(layer(x)[0].sum(), x)[0])

    class Constant(cello.Cell):
        state = ("h",)

        def step(self, x, h):
            h = h + x * torch.tensor([1.0, 2.0, 3.0])
            return h, (h,)

    layer = cello.Recurrent(Constant(3, 3), engine="split")
    with torch.inference_mode():
        expected, _ = layer(x)
    y, _ = layer(x)
    torch.testing.assert_close(y, expected.clone())
    y.sum().backward()
