"""Every entry of the table of operations as users see it: formula, numbers, picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import cello
from cello.program.operations import OPERATIONS, is_random
from cello.see.arithmetic.templates import line_templates
from tests.program.test_operations import one
from tests.see.arithmetic import test_explain

#: What Python has no function for that takes the numbers that are written out.
OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "any": lambda *numbers: any(numbers),
    "all": lambda *numbers: all(numbers),
    "count_nonzero": lambda *numbers: sum(map(bool, numbers)),
    "nansum": lambda *numbers: sum(numbers),
    "argmax": lambda *numbers: numbers.index(max(numbers)),
    "argmin": lambda *numbers: numbers.index(min(numbers)),
    "hard_tanh": F.hardtanh,
    "hard_sigmoid": F.hardsigmoid,
}


def number(value: Any) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float64)


def function(name: str) -> Callable[..., Any]:
    """PyTorch's by that name, of plain numbers."""
    theirs: Any = OF_NUMBERS.get(name) or getattr(torch, name, None) or getattr(F, name)
    if name in ("any", "all", "count_nonzero", "nansum", "argmax", "argmin"):
        return theirs  # of any number of them
    if name.endswith("_loss"):
        return lambda a, b, *_: theirs(number(a), number(b), reduction="none").item()
    if name in ("elu", "celu", "leaky_relu", "hard_tanh", "nan_to_num", "threshold"):
        return lambda x, *options: theirs(number(x), *options).item()
    return lambda *numbers: theirs(*map(number, numbers)).item()


NAMES = {
    n: e.written if isinstance(e.written, str) and e.written else n for n, e in OPERATIONS.items()
}
FUNCTIONS = {
    name: function(name)
    for name in NAMES.values()
    if name in OF_NUMBERS or hasattr(torch, name) or hasattr(F, name)
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_its_texts(name: str, monkeypatch: pytest.MonkeyPatch, step_by_step: None):
    """Each line, read by Python, comes to what was recorded, and nothing is the tracer's name.

    Lines with random numbers, or with what nobody has set, are not read.
    """
    cell = one(name).double()
    rec = cello.record(cello.Recurrent(cell), torch.randn(2, 1, 4, dtype=torch.float64))
    ops = cello.program.program_as_is(cell).ops
    if not any(is_random(op) or op.target._opname == "empty" for op in ops):
        monkeypatch.setattr(test_explain, "FUNCTIONS", FUNCTIONS | test_explain.FUNCTIONS)
        test_explain.check_by_reading(rec)
    explained, page = rec.explain(1, 1), str(line_templates([rec.layer(None)]))
    texts = [str(explained), explained.latex(), page, rec.table(), cello.draw(cell).svg]
    for text in (*texts, cello.equations(cell), cello.equations(cell, latex=True)):
        assert not re.search(r"aten|\b(native_\w*|convolution|unbind)\b", text)
