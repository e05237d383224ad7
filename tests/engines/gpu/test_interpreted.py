"""The loops in Triton, on its interpreter, against the step itself.

Only the arithmetic of a GPU is left out: what runs here is the text that a GPU runs.
"""

from __future__ import annotations

import os

import pytest
import torch

import cello
from cello.engines.gpu.engine import gpu_plan
from cello.errors import ArgumentError, EngineError
from cello.program import program_of
from tests.engines.test_matrix import SHAPES, outcome, same, sample
from tests.registry import CAPTURED, NOT_FUSED, I, make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
CELLS = [name for name in CAPTURED if name not in NOT_FUSED]
#: What every loop goes through at once: rows of several lengths, resets, from the end, recorded.
ALL_AT_ONCE = [("ragged", True, True, ())]
EVERYTHING = [
    (shape, reverse, resets, wanted)
    for shape in SHAPES
    for reverse in (False, True)
    for resets in (False, True)
    for wanted in (None, ())
]
#: Sums in float32 are taken in another order than in the step.
CLOSE = {torch.float32: 2e-4, torch.bfloat16: 5e-2}


@pytest.mark.parametrize("name", CELLS if FULL else CELLS[::4])
def test_every_cell(name: str) -> None:
    cell = make(name, torch.float32)
    for shape, reverse, resets, wanted in EVERYTHING if FULL else ALL_AT_ONCE:
        sizes = SHAPES[shape]
        given = sample(cell, sizes, torch.float32, resets)
        expected = outcome(cell, "reference", sizes, given, reverse, wanted)
        found = outcome(cell, "gpu", sizes, given, reverse, wanted)
        for ours, theirs in zip(found, expected, strict=True):
            same(ours, theirs, CLOSE[torch.float32])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["lstm", "jordan", "two-sizes", "convolutional"])
def test_every_shape(name: str, shape: str) -> None:
    """Other paths of the text: all rows at each step, one row, no reset, from the beginning."""
    cell, sizes = make(name, torch.float32), SHAPES[shape]
    for reverse in (False, True):
        given = sample(cell, sizes, torch.float32, resets=False)
        expected = outcome(cell, "reference", sizes, given, reverse, None)
        found = outcome(cell, "gpu", sizes, given, reverse, None)
        for ours, theirs in zip(found, expected, strict=True):
            same(ours, theirs, CLOSE[torch.float32])


@pytest.mark.parametrize("name", ["lstm", "gru", "leaky"])
def test_bfloat16(name: str) -> None:
    cell, sizes = make(name, torch.bfloat16), SHAPES["ragged"]
    given = sample(cell, sizes, torch.bfloat16, resets=True)
    found = outcome(cell, "gpu", sizes, given, False, None)
    exact = {
        key: tuple(part.float() for part in value) if isinstance(value, tuple) else value
        for key, value in given.items()
    }
    exact["data"] = given["data"].float()
    expected = outcome(cell.float(), "reference", sizes, exact, False, None)
    for name_of, value in expected[0].items():
        error = (found[0][name_of].float() - value).abs().max()
        assert error < CLOSE[torch.bfloat16], name_of


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
def test_more_rows_than_one_program_takes(rows: int) -> None:
    layer, x = cello.Recurrent(make("lstm", torch.float32)), torch.randn(3, rows, I)
    lengths = torch.arange(rows) % 4
    with cello.engine("reference"):
        expected, _ = layer(x, lengths=lengths)
    with cello.engine("gpu"):
        torch.testing.assert_close(layer(x, lengths=lengths)[0], expected)


def test_known_outputs_that_are_fed_back() -> None:
    layer, x = cello.Recurrent(make("jordan", torch.float32)), torch.randn(4, 3, I)
    targets = torch.randn(4, 3, layer.cell.output_size, requires_grad=True)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine):
            y, _ = layer(x, targets=targets)
        leaves = [targets, *layer.parameters()]
        found.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    torch.testing.assert_close(found[1], found[0])


def test_nan_and_infinity_are_where_the_step_has_them() -> None:
    layer, x = cello.Recurrent(make("lstm", torch.float32)), torch.randn(4, 3, I)
    x[1, 0, 0], x[2, 1, 1], x[0, 2, 0] = float("nan"), float("inf"), -1e30
    with cello.engine("reference"):
        expected, _ = layer(x)
    with cello.engine("gpu"):
        torch.testing.assert_close(layer(x)[0], expected, equal_nan=True)


def test_what_it_cannot_run_is_said() -> None:
    x = torch.zeros(2, 1, 3)
    with pytest.raises(
        EngineError, match=r"reckon in torch.float32 and torch.bfloat16, not in .*64"
    ):
        cello.Recurrent(make("lstm"), engine="gpu")(x.double())
    with pytest.raises(EngineError, match="matrices of at most 18,595 numbers here, not 65,536"):
        cello.Recurrent(cello.LSTMCell(3, 128), engine="gpu")(x)
    with pytest.raises(EngineError, match="vectors of at most 128 numbers, here are 256"):
        cello.Recurrent(cello.ElmanCell(3, 129), engine="gpu")(x)


def test_auto_leaves_it_alone() -> None:
    """Until it has been measured on a card, it runs where it is asked for."""
    layer, x = cello.Recurrent(cello.ElmanCell(3, 4)), torch.randn(3, 2, 3)
    layer(x)
    program = program_of(layer.cell, x.dtype, x.device)
    assert "gpu" not in program.derived
    with cello.engine("gpu"):
        layer(x)
    assert program.derived["gpu"] is gpu_plan(program, None)


def test_the_text_can_be_read() -> None:
    layer = cello.Recurrent(cello.LSTMCell(3, 4))
    text = layer.source(engine="gpu")
    assert text.startswith("# The forward loop of LSTMCell.\n")
    assert [line for line in text.splitlines() if line.startswith("def ")] == [
        "def before(",
        "def loop(",
    ]
    assert "i = 1.0 / (1.0 + tl.exp(-" in text
    assert "def sums(" in layer.source(engine="gpu", backward=True)
    with pytest.raises(ArgumentError, match=r"engine must be .*, got 'split'"):
        layer.source(engine="split")
