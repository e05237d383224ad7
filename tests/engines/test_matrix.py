"""Every cell on every engine against the cell's own step: outputs, final state, every gradient."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from torch import Tensor

import cello
from cello.cells.contract.shapes import width_of
from cello.engines import ENGINES, Run, run
from tests.effort import FULL
from tests.registry import CAPTURED, CELLS, COMPILED_ONCE, NOT_FUSED, OTHER_GRADIENT, RANDOM, make

# Every choice makes a file of C for most cells; `make test-full` tries all of them.
SHAPES = {"one row": [1] * 4, "even": [3] * 5, "ragged": [4, 4, 2, 1], "single step": [7]}


def engines_for(name: str) -> list[str]:
    return [engine for engine in ENGINES if engine != "cpu" or name not in NOT_FUSED]


def sample(cell: cello.Cell, sizes: list[int], dtype: torch.dtype, resets: bool) -> dict:
    rows, B = sum(sizes), sizes[0] + 1  # the last row has no step at all
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    widths = [width_of(size) for size in cell.state_sizes.values()]
    return {
        "data": draw(rows, width_of(cell.input_size)),
        "state": tuple(draw(B, size) for size in widths),
        "initial": tuple(draw(B, size) for size in widths),
        "reset": torch.rand(rows, generator=generator) < 0.3 if resets else None,
    }


def outcome(
    cell: cello.Cell,
    engine: str,
    sizes: list[int],
    given: dict,
    reverse: bool,
    wanted: tuple | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor | None], dict[str, Tensor]]:
    """Results, gradients and what was recorded, by name."""
    data = given["data"].clone().requires_grad_()
    state = tuple(part.clone().requires_grad_() for part in given["state"])
    initial = tuple(part.clone().requires_grad_() for part in given["initial"])
    this = Run(data, sizes, state, initial, reverse, given["reset"], cell=cell, wanted=wanted)
    done = run(this, engine)
    results = {"output": done.output, **dict(zip(cell.state, done.state, strict=True))}
    leaves = {"x": data, **dict(cell.named_parameters())}
    for kind, parts in (("state", state), ("initial", initial)):
        leaves |= {f"{kind}.{n}": p for n, p in zip(cell.state, parts, strict=True)}
    weight = torch.Generator().manual_seed(3)
    loss = sum(
        (value * torch.randn(value.shape, generator=weight, dtype=torch.float64).to(value)).sum()
        for value in results.values()
    )
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = dict(zip(leaves, found, strict=True))
    return results, gradients, done.recorded


def same(ours: dict, theirs: dict, tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        mine = ours[name]
        if value is None or mine is None:  # not reached: no gradient, or one of zeros
            rest = value if mine is None else mine
            assert rest is None or not rest.any(), name
            continue
        assert (mine.shape, mine.dtype) == (value.shape, value.dtype), name
        torch.testing.assert_close(
            mine, value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("name", CAPTURED)
@pytest.mark.parametrize("shape", SHAPES)
def test_engines_agree(name: str, shape: str, poison_empty: None) -> None:
    cell, sizes = make(name), SHAPES[shape]
    for reverse, resets in itertools.product((False, True), repeat=2):
        given = sample(cell, sizes, torch.float64, resets)
        expected = outcome(cell, "reference", sizes, given, reverse, ())
        for engine in engines_for(name):
            # The fused loop that records is another one: once, with everything else at hand.
            records = FULL or engine != "cpu" or (shape == "ragged" and reverse and resets)
            for wanted in (None, ()) if records else (None,):
                found = outcome(cell, engine, sizes, given, reverse, wanted)
                same(found[0], expected[0], 1e-10)
                same(found[1], expected[1], 1e-10)
                if wanted == ():
                    same(found[2], expected[2], 1e-10)


@torch.no_grad()
def greatest_error(found: dict, truth: dict) -> float:
    """The greatest difference from float64, in parts of the greatest number of each tensor."""
    errors = [
        float((found[name].double() - value).abs().max() / max(1.0, float(value.abs().max())))
        for name, value in truth.items()
        if value is not None and found[name] is not None and value.numel()
    ]
    return max(errors, default=0.0)


# Roundings of results, and of gradients, which are sums of such, that count as none.
ROUNDING = {torch.float32: (2**-20, 2**-18), torch.bfloat16: (2**-8, 0.02)}


@pytest.mark.parametrize("name", [n for n in CAPTURED if n not in COMPILED_ONCE])
@pytest.mark.parametrize("dtype", ROUNDING)
def test_few_bits_err_no_more_than_in_the_step_itself(name: str, dtype: torch.dtype) -> None:
    """Both against float64, for the step itself may err: in bfloat16, a norm of 4 features does."""
    cell, sizes = make(name, dtype), SHAPES["ragged"]
    given = sample(cell, sizes, dtype, resets=True)
    own = outcome(cell, "reference", sizes, given, False, None)
    found = {e: outcome(cell, e, sizes, given, False, None) for e in engines_for(name)}
    exact = {
        key: tuple(part.double() for part in value) if key in ("state", "initial") else value
        for key, value in given.items()
    }
    exact["data"] = given["data"].double()
    truth = outcome(cell.double(), "reference", sizes, exact, False, None)
    for part, rounding in enumerate(ROUNDING[dtype]):
        most = max(rounding, 1.5 * greatest_error(own[part], truth[part]))
        for engine, results in found.items():
            assert all(value is None or value.dtype == dtype for value in results[part].values())
            assert greatest_error(results[part], truth[part]) <= most, (engine, part)


@pytest.mark.parametrize("name", CELLS)
def test_gradcheck(name: str) -> None:
    cell = make(name)
    sizes = [2, 2, 1]
    given = sample(cell, sizes, torch.float64, resets=name != "elman")
    count = len(cell.state)
    parameters = dict(cell.named_parameters())

    def function(data: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        state, initial = rest[:count], rest[count : 2 * count]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cello.EngineWarning)
            done = run(Run(data, sizes, state, initial, False, given["reset"], cell=cell))
        return done.output, *done.state

    leaves = [given["data"], *given["state"], *given["initial"]]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    # The parameters are leaves that the cell holds: gradcheck changes them in place.
    if name not in OTHER_GRADIENT:
        assert torch.autograd.gradcheck(function, (*leaves, *parameters.values()))


@pytest.mark.parametrize("name", RANDOM)
def test_gradcheck_with_what_is_drawn(name: str) -> None:
    torch.manual_seed(1)
    cell, sizes = RANDOM[name]().double(), [2, 2, 1]
    given = sample(cell, sizes, torch.float64, resets=True)

    def function(data: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(2)  # the same numbers each time
        done = run(Run(data, sizes, state, state, False, given["reset"], cell=cell), "cpu")
        return done.output, *done.state

    leaves = [leaf.clone().requires_grad_() for leaf in (given["data"], *given["state"])]
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@pytest.mark.parametrize("name", ["lstm", "gru", "jordan", "leaky"])
def test_double_backward(name: str) -> None:
    layer = cello.Recurrent(make(name))
    x = torch.randn(3, 2, width_of(layer.input_size), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


@pytest.mark.parametrize("name", [n for n in CAPTURED if n not in COMPILED_ONCE])
def test_recording_changes_no_bit(name: str) -> None:
    cell, sizes = make(name, torch.float32), SHAPES["ragged"]
    given = sample(cell, sizes, torch.float32, resets=True)
    for engine in engines_for(name):
        plain = outcome(cell, engine, sizes, given, False, None)
        recorded = outcome(cell, engine, sizes, given, False, ())
        for part in (0, 1):
            for key, value in plain[part].items():
                other = recorded[part][key]
                assert value is other is None or torch.equal(value, other), (engine, key)
        assert set(recorded[2]) >= {"x", *cell.state, *(f"{n}_prev" for n in cell.state)}


@pytest.mark.parametrize("name", CAPTURED if FULL else ["lstm", "gru", "jordan", "two-sizes"])
def test_what_is_kept_for_gradients_changes_no_bit(name: str) -> None:
    cell, sizes = make(name, torch.float32), SHAPES["ragged"]
    given = sample(cell, sizes, torch.float32, resets=True)
    for engine in engines_for(name):
        trained = outcome(cell, engine, sizes, given, False, None)[0]
        with torch.no_grad():
            states = given["state"], given["initial"]
            done = run(Run(given["data"], sizes, *states, reset=given["reset"], cell=cell), engine)
        for key, value in zip(trained, (done.output, *done.state), strict=True):
            assert torch.equal(trained[key], value), (engine, key)


def test_registry_is_complete() -> None:
    ours = {type(make(name)) for name in CELLS}
    library = {
        kind
        for name in cello.__all__
        if isinstance(kind := getattr(cello, name), type)
        if issubclass(kind, cello.Cell) and kind is not cello.Cell
    }
    assert library <= ours
