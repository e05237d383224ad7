"""The C prelude against NumPy in higher precision, for every width of vector that there is here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.engines.cpu.c.kernels import WIDTHS, Array, Kernels, guarded


@pytest.fixture(
    scope="module",
    params=itertools.product(WIDTHS, (np.float32, np.float64)),
    ids=lambda pair: f"{pair[0]}-{pair[1].__name__}",
)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(*request.param)


# ------------------------------------------------------------ functions


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def sign(x: Array) -> Array:
    """As torch.sign: 0 for NaN."""
    return np.where(np.isnan(x), 0, np.sign(x))


# What each function is, and how far it may be from it: multiples of the distance between numbers.
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "exp": (np.exp, 1.01),
    "expm1": (np.expm1, 1.2),
    "log": (np.log, 1.01),
    "log1p": (np.log1p, 1.5),
    "sigmoid": (sigmoid, 3.5),
    "tanh": (np.tanh, 1.6),
    "sqrt": (np.sqrt, 0.6),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "erf": (np.vectorize(math.erf, otypes=[np.longdouble]), 2),
    "abs": (np.abs, 0),
    "floor": (np.floor, 0),
    "sign": (sign, 0),
    "recip": (np.reciprocal, 0.6),
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, -2, 0.5, -0.5, 1e-40, -1e-40, 3e38, -3e38]


def inputs(dtype: np.dtype) -> Array:
    """Numbers of all sizes, dense where functions bend, and those that are special."""
    largest = float(np.finfo(dtype).max)
    sizes = 10 ** np.linspace(-44, math.log10(largest) - 0.01, 4001)
    ranges = [np.linspace(-end, end, 8001) for end in (1, 10, 87, 110, 700, 760)]
    payload = np.array([0x7FC12345], np.uint32).view(np.float32)  # a NaN that carries something
    return np.concatenate([sizes, -sizes, *ranges, SPECIAL, payload]).astype(dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_follow_their_mathematics_over_all_numbers(kernels: Kernels, name: str):
    function, limit = FUNCTIONS[name]
    x = inputs(kernels.dtype)
    y = kernels.map(name, x)
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.longdouble))
        expected = exact.astype(kernels.dtype)
        error = np.abs(y.astype(np.longdouble) - exact) / np.abs(exact)
    smallest = np.finfo(kernels.dtype).smallest_normal
    tiny = np.abs(exact) < smallest
    plain = np.isfinite(expected) & ~tiny
    np.testing.assert_array_equal(y[~plain & ~tiny], expected[~plain & ~tiny])  # NaN and infinity
    assert np.all(np.abs(y[tiny] - exact[tiny]) <= smallest)
    assert error[plain].max() <= limit * kernels.eps
    odd = ("tanh", "expm1", "log1p", "sin", "erf", "sqrt")
    if name in odd:
        np.testing.assert_array_equal(np.signbit(y[x == 0]), np.signbit(x[x == 0]))


def test_exp_and_expm1_keep_what_lies_beneath_the_normal_numbers(kernels: Kernels):
    smallest = float(np.finfo(kernels.dtype).smallest_normal)
    x = np.linspace(math.log(smallest) - 15, math.log(smallest), 1000).astype(kernels.dtype)
    exact = np.exp(x.astype(np.longdouble))
    unit = float(np.finfo(kernels.dtype).smallest_subnormal)
    assert np.abs(kernels.map("exp", x) - exact).max() <= 1.01 * unit
    small = np.geomspace(unit, smallest, 1000).astype(kernels.dtype)
    assert np.abs(kernels.map("expm1", small) - small).max() <= unit


def test_gates_stay_within_their_bounds_and_saturate_fully(kernels: Kernels):
    x = np.linspace(0, 45, 400_001).astype(kernels.dtype)
    tanh = kernels.map("tanh", x)
    assert tanh.max() == 1.0
    np.testing.assert_array_equal(kernels.map("tanh", -x), -tanh)
    assert kernels.map("sigmoid", x).max() == 1.0
    assert kernels.map("sigmoid", np.array([0.0])) == 0.5
    assert kernels.map("sigmoid", np.array([-np.inf])) == 0.0


@pytest.mark.parametrize(("name", "function"), [("max", np.maximum), ("min", np.minimum)])
def test_max_and_min_are_nan_where_either_is(
    kernels: Kernels, name: str, function: Callable[[Array, Array], Array]
):
    special = np.array(SPECIAL, kernels.dtype)
    a, b = np.repeat(special, special.size), np.tile(special, special.size)
    np.testing.assert_array_equal(kernels.map(name, a, b), function(a, b))


def test_pow_of_all_pairs(kernels: Kernels):
    bases = np.array([0, -0.0, 1, -1, 2, -2, 0.3, 1e-3, np.inf, -np.inf, np.nan], kernels.dtype)
    a, b = np.repeat(bases, bases.size), np.tile(bases, bases.size)
    with np.errstate(all="ignore"):
        expected = a.astype(np.float64) ** b.astype(np.float64)
    np.testing.assert_allclose(kernels.map("pow", a, b), expected, rtol=4 * kernels.eps)


# ------------------------------------------------------------ lanes


def test_sum_and_extremes_of_the_lanes(kernels: Kernels):
    x = kernels.random(64 // kernels.dtype.itemsize)  # as many for every width
    result = np.zeros(3, kernels.dtype)

    def over_lanes(x: Array) -> Array:
        for i, name in enumerate(("sum", "max", "min")):
            kernels(f"fold_{name}_of", result[i:], x)
        return result

    exact = [x.astype(np.float64).sum(), x.max(), x.min()]
    np.testing.assert_allclose(over_lanes(x), exact, rtol=0, atol=8 * kernels.eps)
    for i in range(x.size):
        with_nan = x.copy()
        with_nan[i] = np.nan
        assert np.isnan(over_lanes(with_nan)).all()


def test_a_part_of_a_vector_is_read_and_written_and_nothing_else(kernels: Kernels):
    full = kernels.random(kernels.lanes)
    for n in range(kernels.lanes):
        part = guarded(full[:n])
        read, written = np.ones_like(full), guarded(np.ones_like(full[:n]))
        kernels("load_some", read, part, n)
        np.testing.assert_array_equal(read[:n], part)
        assert not read[n:].any()
        kernels("store_some", written, full, n)
        np.testing.assert_array_equal(written, part)


# ------------------------------------------------------------ products


@pytest.mark.parametrize("order", ["rows", "columns", "strided"])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 3), (16, 16), (33, 40), (70, 17), (64, 0)])
@pytest.mark.parametrize(("matrices", "unrolled"), [(1, 4), (4, 1), (3, 2)])
def test_packed_weights_are_the_weights(
    kernels: Kernels, matrices: int, unrolled: int, n: int, k: int, order: str
):
    width = unrolled * kernels.lanes
    blocks = -(-n // width)
    packed = np.full((blocks, k, matrices, width), np.nan, kernels.dtype)
    expected = np.zeros_like(packed)
    for d in range(matrices):
        if order == "rows":
            w = kernels.random(n, k)
        elif order == "columns":
            w = kernels.random(k, n).T
        else:
            w = kernels.random(n, 2 * k)[:, ::2]
        for i in range(n):
            expected[i // width, :, d, i % width] = w[i]
        rs, cs = (stride // w.itemsize for stride in w.strides)
        w = w if w.size else np.zeros(1, kernels.dtype)
        kernels("packs", packed, w, rs, cs, n, k, d, matrices, unrolled)
    np.testing.assert_array_equal(packed, expected)
