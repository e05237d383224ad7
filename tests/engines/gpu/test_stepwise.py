"""Large states: the loop step by step, on Triton's interpreter, against the step itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.runtime.errors import OutOfResources

import cello
from cello.engines.gpu import launch
from cello.engines.gpu.card import H100, why_not_whole
from cello.engines.gpu.compiled import precision
from cello.engines.gpu.engine import gpu_plan
from cello.engines.gpu.stepwise.multiply import Multiply, multiply_in
from cello.program import program_of
from tests.effort import FULL
from tests.engines.gpu.test_interpreted import CELLS, EVERYTHING, agree, check_fed_back
from tests.registry import make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

ONCE = [("ragged", True, True, ()), ("even", False, False, None)]


@pytest.fixture
def step_by_step_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small states too: tests with large ones would take long on the interpreter."""
    monkeypatch.setattr(launch, "why_not_whole", lambda *_: "a test asks for it")


@pytest.mark.parametrize("name", CELLS if FULL else CELLS[2::10])
def test_every_cell(
    name: str, device: torch.device, step_by_step_only: None, poison_empty: None
) -> None:
    cell = make(name, torch.float32).to(device)
    for shape, reverse, resets, wanted in EVERYTHING if FULL else ONCE:
        agree(cell, shape, reverse, resets, wanted)


def test_known_outputs_that_are_fed_back(device: torch.device, step_by_step_only: None) -> None:
    check_fed_back(device)


def test_large_states_run_step_by_step(device: torch.device) -> None:
    layer = cello.Recurrent(cello.GRUCell(5, 160)).to(device)
    x = torch.randn(3, 4, 5, device=device)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine):
            y, _ = layer(x, lengths=torch.tensor([3, 1, 2, 0]))
        found.append([y, *torch.autograd.grad(y.square().sum(), layer.parameters())])
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize(
    ("size", "rows", "reason"),
    [
        (64, 16, None),
        (64, 4096, None),
        (32, 100_000, "a step of one kernel would take"),
        (128, 16, "matrices of at most 18,595 numbers here, not 65,536"),
        (129, 16, "vectors of at most 128 numbers, here are 256"),
    ],
)
def test_which_way_a_loop_runs(size: int, rows: int, reason: str | None) -> None:
    """One kernel where all fits and few rows share its products; else step by step."""
    cell = cello.LSTMCell(3, size)
    plan = gpu_plan(program_of(cell, torch.float32, torch.device("cpu")), cell.feedback)
    library = plan.library_of(backward=False)
    found = why_not_whole(library.whole.text, library.stepwise.text, rows, H100)
    assert found is None if reason is None else found is not None and reason in found


def test_the_products_of_a_step_are_one() -> None:
    """Of an LSTM's four gates, and of their cotangents, whose sum is one product too."""
    layer = cello.Recurrent(cello.LSTMCell(3, 256))
    forward, backward = (layer.source(engine="gpu", backward=b) for b in (False, True))
    assert "#     now[:, 0:1024] = prev_h[:, 0:256] @ R.T[0:256, 0:1024]\n" in forward
    assert "#     now[:, 0:256] = cot_0[:, 0:1024] @ R[0:1024, 0:256]\n" in backward
    assert "Step by step, for one kernel holds vectors of at most 128 numbers" in forward


class _Compiled:
    """A function of Triton's as a card has it: what is launched says what found no register."""

    def __init__(self, function: Any, bytes_spilled: int) -> None:
        self.function, self.n_spills = function, bytes_spilled // 4

    def __getitem__(self, grid: Any) -> Any:
        if self.n_spills < 0:
            raise OutOfResources(250_000, 232_448, "shared memory")

        def launch(*args: Any, **options: Any) -> _Compiled:
            self.function[grid](*args, **options)
            return self

        return launch


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("spilled", [64, 68, -4])
def test_what_a_card_has_too_little_for_runs_another_way(spilled: int) -> None:
    """One kernel that spills is compiled by other plans; where each spills much, steps run."""
    layer, x = cello.Recurrent(cello.LSTMCell(3, 4)), torch.randn(4, 2, 3)
    expected = layer(x)[0]
    plan = gpu_plan(program_of(layer.cell, x.dtype, x.device), layer.cell.feedback)
    library = plan.forward(save=False).library
    library.whole.load()
    functions = library.whole.functions
    library.whole.functions = {n: _Compiled(f, spilled) for n, f in functions.items()}
    found = []
    for _ in range(4):
        with cello.engine("gpu"), torch.no_grad():
            torch.testing.assert_close(layer(x)[0], expected)
        found.append((library.whole.plan, library.way(2, x.device) is library.whole))
    assert found[:2] == [(1, True), (2, True)]
    assert found[2:] == [(0, True) if spilled == 64 else (2, False)] * 2
    if spilled == -4:
        assert "more than the card has: out of resource: shared memory" in library.whole.unfit


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_few_bits_are_multiplied_by_tensor_cores(dtype: torch.dtype) -> None:
    """On a GPU that is not there, so of the products only their shapes and dtypes are seen."""
    with FakeTensorMode():
        factor, matrix = (torch.empty(*shape, device="cuda") for shape in ((3, 8), (8, 5)))
        multiply, out = multiply_in(dtype, factor.device), torch.empty(3, 5, device="cuda")
        matrix = multiply.prepared(matrix)
        assert matrix.dtype == dtype
        for add in (False, True):
            multiply(factor, matrix, out, add=add)
    assert type(multiply_in(torch.float32, factor.device)) is Multiply
    assert type(multiply_in(dtype, torch.device("cpu"))) is Multiply


@pytest.mark.parametrize(
    ("dtype", "allowed", "hip", "expected"),
    [
        (torch.float32, "ieee", None, "tf32x3"),
        (torch.float32, "tf32", None, "tf32"),
        (torch.bfloat16, "ieee", None, "tf32"),
        (torch.float16, "ieee", None, "tf32"),
        (torch.float32, "tf32", "6.4", "ieee"),
    ],
)
def test_precision_of_products(
    dtype: torch.dtype,
    allowed: str,
    hip: str | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.version, "hip", hip)
    kept = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = allowed
    try:
        assert precision(dtype) == expected
    finally:
        torch.backends.cuda.matmul.fp32_precision = kept
