"""Every pointwise function in JavaScript is PyTorch's, of numbers of every kind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from cello.engines.cpu.c.expressions import JAVASCRIPT
from cello.program.kernel.primitives import PRIMITIVES
from cello.see.page.bundle import script

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

INF, NAN = float("inf"), float("nan")
NUMBERS = [
    -INF, -1e30, -30.5, -3.0, -2.5, -2.0, -1.9, -1.5, -1.0, -0.5, -1e-9, -0.0, 0.0, 1e-9, 0.3, 0.5,
    1.0, 1.5, 2.0, 2.1, 2.5, 3.5, 5.9, 6.5, 27.5, 1e30, INF, NAN,
]  # fmt: skip

#: What PyTorch calls otherwise, or has no name for.
OTHERWISE: dict[str, Any] = {
    "max": torch.maximum, "min": torch.minimum, "rint": torch.round, "copy": lambda x: x,
    "stop": lambda x: x, "recip": torch.reciprocal,
    "at_least": lambda x, low: torch.where((x < low) | low.isnan(), low, x),
    "at_most": lambda x, high: torch.where((x > high) | high.isnan(), high, x),
    "where": lambda mask, a, b: torch.where(mask != 0, a, b),
    "share": lambda a, b, c: torch.where(c == c, a, b),
    "and": torch.logical_and, "or": torch.logical_or, "not": torch.logical_not,
}  # fmt: skip
TRUTHS = {"and": 2, "or": 2, "not": 1, "where": 1}
NAMES = [n for n, p in PRIMITIVES.items() if not p.passes and n != "feature"]


@pytest.fixture(scope="module")
def page(browser: Any) -> Any:
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", NAMES)
def test_function(name: str, page: Any) -> None:
    count = PRIMITIVES[name].arguments
    function = OTHERWISE.get(name) or getattr(torch, name)
    masks = TRUTHS.get(name, 0)
    rows = [row for row in product(NUMBERS, repeat=count) if count < 3 or hash(row) % 7 == 0]
    if masks:
        rows = [tuple(float(v > 0) for v in row[:masks]) + row[masks:] for row in rows]
    arguments = [torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)]
    expected = function(*arguments).double()
    letters = "abc"[:count]
    given = [f"({v} !== 0)" if n < masks else v for n, v in enumerate(letters)]
    code = JAVASCRIPT[name].format(*given)
    found = page.evaluate(
        f"(rows) => {{ {script('functions')}; "
        f"return rows.map(([{','.join(letters)}]) => Number({code})); }}",
        rows,
    )
    got = torch.tensor(found, dtype=torch.float64)
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-300, equal_nan=True)


def test_every_primitive_has_its_javascript() -> None:
    assert JAVASCRIPT.keys() == PRIMITIVES.keys()
