"""The loops in Triton against the step itself, on Triton's interpreter and on a card.

The interpreter leaves out only the arithmetic of a GPU: it runs the text that a GPU runs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
import torch

import cello
from cello.engines.fused import step_table
from cello.engines.gpu import write
from cello.engines.gpu.engine import gpu_plan
from cello.errors import ArgumentError, EngineError
from cello.program import program_of
from tests.effort import FULL
from tests.engines.gpu.conftest import moved
from tests.engines.test_matrix import ROUNDING, SHAPES, greatest_error, outcome, same, sample
from tests.registry import CAPTURED, NOT_FUSED, RANDOM, I, make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

CELLS = [name for name in CAPTURED if name not in NOT_FUSED]
#: What every loop goes through at once: rows of several lengths, resets, from the end, recorded.
ALL_AT_ONCE = [("ragged", True, True, ())]
#: Each shape with each pair of what may come with it.
EVERYTHING = [
    (shape, reverse, resets, wanted)
    for shape in SHAPES
    for reverse in (False, True)
    for resets, wanted in ((reverse, None), (not reverse, ()))
]
#: Sums in float32 are taken in another order than in the step.
CLOSE = 2e-4


def agree(cell: cello.Cell, shape: str, reverse: bool, resets: bool, wanted: tuple | None) -> None:
    """Results, every gradient and what is recorded are those of the step, on the cell's device."""
    sizes, device = SHAPES[shape], next(chain(cell.parameters(), cell.buffers())).device
    given = moved(sample(cell, sizes, torch.float32, resets), device)
    expected = outcome(cell, "reference", sizes, given, reverse, wanted)
    found = outcome(cell, "gpu", sizes, given, reverse, wanted)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs, CLOSE)


@pytest.mark.parametrize("name", CELLS if FULL else CELLS[::6])
def test_every_cell(name: str, device: torch.device) -> None:
    cell = make(name, torch.float32).to(device)
    for shape, reverse, resets, wanted in EVERYTHING if FULL else ALL_AT_ONCE:
        agree(cell, shape, reverse, resets, wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["lstm", "jordan", "two-sizes", "convolutional"])
def test_every_shape(name: str, shape: str, device: torch.device) -> None:
    """Other paths of the text: all rows at each step, one row, no reset, from the beginning."""
    cell = make(name, torch.float32).to(device)
    for reverse in (False, True):
        agree(cell, shape, reverse, False, None)


#: Beside what a block of Triton's has: a power of two, at least 16 where there are products.
AWKWARD = [(1, 1), (2, 15), (17, 3), (33, 16)]
SIZED: dict[str, Callable[[int, int], cello.Cell]] = {
    "lstm": cello.LSTMCell,
    "gru": cello.GRUCell,
    "elman": cello.ElmanCell,
    "jordan": lambda inputs, units: cello.JordanCell(inputs, units, output_size=3),
}


@pytest.mark.parametrize("sizes", AWKWARD, ids=str)
@pytest.mark.parametrize("name", SIZED if FULL else ["lstm"])
def test_awkward_sizes(name: str, sizes: tuple[int, int], device: torch.device) -> None:
    agree(SIZED[name](*sizes).to(device), "ragged", False, True, ())


@pytest.mark.parametrize("name", CELLS if FULL else ["lstm", "gru", "leaky"])
def test_bfloat16(name: str, device: torch.device) -> None:
    """Against float64, no further from it than the step itself is."""
    cell, sizes = make(name, torch.bfloat16).to(device), SHAPES["ragged"]
    given = moved(sample(cell, sizes, torch.bfloat16, resets=True), device)
    own, found = (outcome(cell, e, sizes, given, False, None) for e in ("reference", "gpu"))
    exact = {
        key: tuple(part.double() for part in value) if isinstance(value, tuple) else value
        for key, value in given.items()
    }
    exact["data"] = given["data"].double()
    truth = outcome(cell.double(), "reference", sizes, exact, False, None)
    for part, rounding in enumerate(ROUNDING[torch.bfloat16]):
        assert all(v is None or v.dtype == torch.bfloat16 for v in found[part].values())
        most = max(rounding, 1.5 * greatest_error(own[part], truth[part]))
        assert greatest_error(found[part], truth[part]) <= most, part


@pytest.mark.parametrize("name", RANDOM if FULL else [*RANDOM][:2])
def test_what_is_drawn(name: str, device: torch.device) -> None:
    """The same numbers are drawn before the loop as in the step, each time from one seed."""
    layer = cello.Recurrent(RANDOM[name]().to(device))
    x = torch.randn(4, 3, layer.cell.input_size, device=device, requires_grad=True)
    found = []
    for engine in ("split", "gpu"):
        torch.manual_seed(1)
        with cello.engine(engine):
            y, _ = layer(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    torch.testing.assert_close(found[1], found[0], rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("name", ["lstm", "jordan"])
def test_double_backward(name: str, device: torch.device) -> None:
    layer = cello.Recurrent(make(name, torch.float32).to(device))
    x = torch.randn(3, 2, I, device=device, requires_grad=True)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine):
            y, _ = layer(x)
            (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
def test_more_rows_than_one_program_takes(rows: int, device: torch.device) -> None:
    layer = cello.Recurrent(make("lstm", torch.float32).to(device))
    x, lengths = torch.randn(3, rows, I, device=device), torch.arange(rows) % 4
    with cello.engine("reference"):
        expected, _ = layer(x, lengths=lengths)
    with cello.engine("gpu"):
        torch.testing.assert_close(layer(x, lengths=lengths)[0], expected)


def test_gradients_of_vectors_are_sums_of_sums(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    """Here of two steps each: the parts of all four steps are there."""
    for module in (step_table, write):
        monkeypatch.setattr(module, "SUMMED", 2)
    agree(make("leaky", torch.float32).to(device), "ragged", False, False, None)


def check_fed_back(device: torch.device) -> None:
    """Known outputs that are fed back: outputs and gradients are those of the step."""
    layer = cello.Recurrent(make("jordan", torch.float32).to(device))
    x = torch.randn(4, 3, I, device=device)
    targets = torch.randn(4, 3, layer.cell.output_size, device=device, requires_grad=True)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine):
            y, _ = layer(x, targets=targets)
        leaves = [targets, *layer.parameters()]
        found.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    torch.testing.assert_close(found[1], found[0])


def test_known_outputs_that_are_fed_back(device: torch.device) -> None:
    check_fed_back(device)


def test_nan_and_infinity_are_where_the_step_has_them(device: torch.device) -> None:
    layer = cello.Recurrent(make("lstm", torch.float32).to(device))
    x = torch.randn(4, 3, I, device=device)
    x[1, 0, 0], x[2, 1, 1], x[0, 2, 0] = float("nan"), float("inf"), -1e30
    with cello.engine("reference"):
        expected, _ = layer(x)
    with cello.engine("gpu"):
        torch.testing.assert_close(layer(x)[0], expected, equal_nan=True)


class Wide(cello.Cell):
    """An output of very many numbers."""

    state = ("h",)

    def step(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        return h.expand(-1, self.output_size), (h + x[:, :1],)


def test_what_it_cannot_run_is_said(device: torch.device) -> None:
    x = torch.zeros(2, 1, 3, device=device)
    with pytest.raises(
        EngineError, match=r"torch.float32, torch.bfloat16 and torch.float16, not torch.float64"
    ):
        cello.Recurrent(make("lstm").to(device), engine="gpu")(x.double())
    with pytest.raises(EngineError, match="vectors of at most 32,768 numbers, here are 65,536"):
        cello.Recurrent(Wide(3, 1, output_size=40_000).to(device), engine="gpu")(x)


@pytest.mark.usefixtures("interpreted")
def test_auto_leaves_it_alone_on_a_cpu() -> None:
    """There it runs where it is asked for, on the interpreter."""
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
