"""Every compiler and width of vectors gives the same bits."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.compiling import quickly
from tests.effort import FULL
from tests.engines.cpu.bits.test_bits import (
    FEW,
    TYPES,
    B,
    I,
    T,
    alone_and_among_others,
    gradients,
    layer_of,
    same,
)
from tests.engines.cpu.c.kernels import WIDTHS
from tests.engines.cpu.compilers import COMMANDS

render: Any = importlib.import_module("cello.engines.cpu.c.render")

pytestmark = pytest.mark.optimised


@pytest.fixture
def x() -> Tensor:
    return torch.randn(T, B, I)


def promise_of(name: str, dtype: torch.dtype, x: Tensor) -> tuple[Tensor, ...]:
    """What a new layer makes of x, if a row is the same alone."""
    layer = layer_of(name, dtype)
    x = x.to(dtype)
    alone_and_among_others(layer, x)
    return gradients(layer, x)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "dtype"), list(itertools.product(FEW if FULL else ["gru"], TYPES))
)
def test_every_compiler_gives_the_same_bits(
    name: str, dtype: torch.dtype, command: str, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = promise_of(name, dtype, x)
    monkeypatch.setenv("CC", command)
    same(promise_of(name, dtype, x), usual)


@pytest.mark.parametrize(("name", "dtype"), list(itertools.product(FEW, TYPES)))
def test_what_tests_compile_gives_the_same_bits(name: str, dtype: torch.dtype, x: Tensor) -> None:
    usual = promise_of(name, dtype, x)
    quickly(True)
    same(promise_of(name, dtype, x), usual)


@pytest.mark.parametrize("command", COMMANDS if FULL else [None])
@pytest.mark.parametrize("width", list(WIDTHS)[1:])
@pytest.mark.parametrize(
    ("name", "dtype"),
    list(itertools.product(("gru", "lstm with norms"), TYPES)),
)
def test_every_width_of_vector_gives_the_same_bits(
    name: str,
    dtype: torch.dtype,
    width: str,
    command: str | None,
    x: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for processors without a multiply-add, which round products too."""
    usual = promise_of(name, dtype, x)
    if command is not None:
        monkeypatch.setenv("CC", command)
    whole = render.prelude
    monkeypatch.setattr(render, "prelude", lambda **kind: WIDTHS[width] + whole(**kind))
    found = promise_of(name, dtype, x)
    if "not fused" not in width:
        same(found, usual)
