"""Where products and sums are fused is written in the prelude, and no compiler chooses.

So each number that comes out is known to the last bit: it is computed again here.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.engines.cpu.c.kernels import EXACT, WIDTHS, Array, Kernels
from tests.engines.cpu.c.test_prelude import inputs
from tests.engines.cpu.compilers import COMMANDS

KINDS = list(itertools.product(WIDTHS, (np.float32, np.float64)))
LENGTHS = [0, 1, 2, 7, 22]


def name_of(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


@np.vectorize
def rounded_once(a: float, b: float, c: float) -> float:
    return float(Fraction(a) * Fraction(b) + Fraction(c))


class Exactly:
    """The products as the prelude has them, in NumPy."""

    def __init__(self, kernels: Kernels) -> None:
        self.dtype, self.lanes = kernels.dtype, kernels.lanes
        eps = kernels.eps
        a, c = np.full(self.lanes, 1 + eps), np.full(self.lanes, -1 - 2 * eps)
        y = np.zeros(self.lanes, self.dtype)
        kernels("muladds", y, *(part.astype(self.dtype) for part in (a, a, c)))
        self.fuses = bool(y.all())  # what is left of eps ** 2

    def muladd(self, a: Array, b: Array, c: Array) -> Array:
        if not self.fuses:
            return a * b + c
        if self.dtype == np.float64:
            return rounded_once(a, b, c)
        return (a.astype(np.float64) * b + c).astype(np.float32)

    def dots(self, start: Array, weights: Array, x: Array) -> Array:
        """start[r, v] + sum over k of x[r, k] weights[k, v], in stretches, each its own sum."""
        k, V, _ = weights.shape
        stretches = {1: 4, 2: 2}.get(V, 1)
        sums = [start, *[np.zeros_like(start)] * (stretches - 1)]
        for kk in range(k):
            part = min(kk // max(k // stretches, 1), stretches - 1) if k >= stretches else -1
            sums[part] = self.muladd(x[:, kk, None, None], weights[kk], sums[part])
        return sum(sums[1:], sums[0])


def check(kernels: Kernels, vectors: int, k: int) -> None:
    """Any number of rows gives what is computed here, so that rows do not depend on each other."""
    weights = kernels.random(k, vectors, kernels.lanes)
    start = kernels.random(kernels.rows, vectors, kernels.lanes)
    x = kernels.random(kernels.rows, k)
    expected = Exactly(kernels).dots(start, weights, x)
    for m in range(1, kernels.rows + 1):
        found = start[:m].copy()
        kernels("dots", vectors, m, found, weights, k, x, k)
        np.testing.assert_array_equal(found, expected[:m])


@pytest.mark.parametrize(("width", "dtype"), KINDS, ids=name_of)
@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_dots_of_any_number_of_rows(width: str, dtype: type, vectors: int):
    kernels = Kernels(width, dtype)
    for k in LENGTHS:
        check(kernels, vectors, k)
        weights = kernels.random(k, vectors, kernels.lanes).astype(np.float64)
        x = kernels.random(kernels.rows, k).astype(np.float64)
        found = np.zeros((kernels.rows, vectors, kernels.lanes), dtype)
        kernels("dots", vectors, kernels.rows, found, weights.astype(dtype), k, x.astype(dtype), k)
        exact = np.einsum("rk,kvl->rvl", x, weights)
        scale = np.einsum("rk,kvl->rvl", np.abs(x), np.abs(weights))
        assert np.all(np.abs(found - exact) <= (k + 1) * kernels.eps * scale)


@pytest.mark.parametrize(("width", "dtype"), KINDS, ids=name_of)
def test_the_processors_own_multiply_add_is_used(width: str, dtype: type):
    able = torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512", "NEON", "SVE"))
    assert Exactly(Kernels(width, dtype)).fuses == (able and "not fused" not in width)


@pytest.mark.parametrize(("width", "dtype"), KINDS, ids=name_of)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_compiler_gives_the_same_bits(
    command: str, width: str, dtype: type, monkeypatch: pytest.MonkeyPatch
):
    usual = Kernels(width, dtype)
    monkeypatch.setenv("CC", command)
    kernels = Kernels(width, dtype, EXACT)
    assert (kernels.lanes, kernels.rows) == (usual.lanes, usual.rows)
    for vectors, k in itertools.product((1, 2, 3, 4), LENGTHS):
        check(kernels, vectors, k)
    x = inputs(kernels.dtype)
    for name in ("exp", "expm1", "log", "log1p", "sigmoid", "tanh"):
        np.testing.assert_array_equal(kernels.map(name, x), usual.map(name, x), err_msg=name)
