"""Names that C allows, and numbers as C writes them."""

from __future__ import annotations

import re

import pytest

from cello.engines.cpu.c.expressions import EXPRESSIONS, identifier, number
from cello.program.kernel.primitives import PRIMITIVES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("z_i", "z_i"),
        ("h_prev", "h_prev"),
        ("γ", "u3b3"),
        ("größe", "gruf6udfe"),
        ("d.a-b.weight", "du2eau2dbu2eweight"),
        ("1", "v1"),
        ("_hidden", "v_hidden_"),
        ("", "v"),
        ("double", "double_"),
        ("while", "while_"),
        ("row", "row_"),
        ("exp", "exp_"),
        ("v_exp", "v_exp_"),
    ],
)
def test_names_become_names_of_c(name: str, expected: str) -> None:
    assert identifier(name) == expected
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", identifier(name))


def test_names_do_not_clash() -> None:
    taken: list[str] = []
    for name in ("h", "h", "h_2", "int", "int", "int_", "γ", "u3b3"):
        made = identifier(name, taken)
        assert made not in taken
        taken.append(made)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "splat((real)0.1)"),
        (-0.0, "splat((real)-0.0)"),
        (1e300, "splat((real)1e+300)"),
        (float("nan"), "splat(NAN)"),
        (float("inf"), "splat(INFINITY)"),
        (float("-inf"), "splat(-INFINITY)"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert number(value) == expected


def test_every_primitive_has_its_c() -> None:
    assert EXPRESSIONS.keys() == PRIMITIVES.keys()
    for name, primitive in PRIMITIVES.items():
        holes = set(re.findall(r"{(\d*)}", EXPRESSIONS[name]))
        count = EXPRESSIONS[name].count("{}") or len(holes)
        wanted = 1 if primitive.passes else primitive.arguments
        assert count == wanted or name == "feature"
