"""Steps that return what they were given, under another name or with other axes."""

from __future__ import annotations

import re
from collections.abc import Callable
from keyword import iskeyword

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu.c.prelude import driver, prelude
from tests.engines.cpu.random_cells import make_cell
from tests.engines.test_matrix import outcome, same, sample

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, tuple[Tensor, Tensor]]]

#: What a step returns, given the input, the old states and the new ones, all [B, 4].
RETURNED: dict[str, Callable[..., tuple[Tensor, tuple[Tensor, Tensor]]]] = {
    "a view": lambda x, a, b, c, d: (c.view(-1, 2, 2), (c, d)),
    "a view of the old state": lambda x, a, b, c, d: (a.view(-1, 2, 2), (c, d)),
    "a view of the input": lambda x, a, b, c, d: (x.view(-1, 2, 2), (c, d)),
    "views of a view": lambda x, a, b, c, d: (
        c.view(-1, 2, 2).view(-1, 4, 1),
        (c.view(-1, 2, 2).reshape(-1, 4), d),
    ),
    "an axis more": lambda x, a, b, c, d: (c.unsqueeze(1), (c, d)),
    "an axis more at the end": lambda x, a, b, c, d: (c.unsqueeze(-1), (c, d)),
    "an axis less": lambda x, a, b, c, d: (c[:, 1], (c, d)),
    "the input": lambda x, a, b, c, d: (x, (c, d)),
    "the input kept": lambda x, a, b, c, d: (a, (x, d)),
    "the old state": lambda x, a, b, c, d: (b, (c, d)),
    "nothing new": lambda x, a, b, c, d: (a, (a, b)),
    "states exchanged": lambda x, a, b, c, d: (c, (b, a)),
    "one state twice": lambda x, a, b, c, d: (x + b, (c, c)),
    "one state three times": lambda x, a, b, c, d: (c, (c, c)),
    "states that share a half": lambda x, a, b, c, d: (
        x * a,
        (torch.cat([c[:, :2], d[:, :2]], 1), torch.cat([d[:, :2], c[:, :2]], 1)),
    ),
    "constants": lambda x, a, b, c, d: (
        torch.zeros_like(c),
        (torch.full_like(a, 0.5), d),
    ),
}


class Returns(cello.Cell):
    """Returns what `returned` makes of the input, the old states and the new ones."""

    state = ("a", "b")

    def __init__(self, returned: Callable[..., tuple[Tensor, tuple[Tensor, Tensor]]]) -> None:
        super().__init__(4, 4)
        self.W = nn.Linear(4, 8)
        self.R = nn.Linear(8, 8, bias=False)
        self.returned = returned

    def step(self, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        c, d = torch.tanh(self.W(x) + self.R(torch.cat([a, b], 1))).chunk(2, 1)
        return self.returned(x, a, b, c, d)


@pytest.mark.parametrize("name", RETURNED)
def test_what_is_returned_may_be_anything(name: str, poison_empty: None) -> None:
    torch.manual_seed(1)
    cell = Returns(RETURNED[name]).double()
    for sizes, reverse in (([3, 3, 3], False), ([4, 2, 1], True)):
        given = sample(cell, sizes, torch.float64, resets=reverse)
        expected = outcome(cell, "reference", sizes, given, reverse, ())
        for engine in ("cpu", "split"):
            for ours, theirs in zip(
                outcome(cell, engine, sizes, given, reverse, ()), expected, strict=True
            ):
                same(ours, theirs, 1e-10)


def test_a_parameter_may_be_the_output() -> None:
    class Constant(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 2)
            self.y = nn.Parameter(torch.randn(5))

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            return self.y.expand(len(x), -1), (h + x[:, :2],)

    cell = Constant().double()
    given = sample(cell, [3, 2], torch.float64, resets=False)
    expected = outcome(cell, "reference", [3, 2], given, False, ())
    for engine in ("cpu", "split"):
        for ours, theirs in zip(
            outcome(cell, engine, [3, 2], given, False, ()), expected, strict=True
        ):
            same(ours, theirs, 1e-10)


def test_every_name_of_the_c_may_be_a_variable() -> None:
    """No local variable of a step is mistaken for a function, a type or a macro of the C."""
    text = prelude() + driver()
    found = sorted(set(re.findall(r"\b[A-Za-z]\w*", re.sub(r"/\*.*?\*/", "", text, flags=re.S))))
    names = [name for name in found if not iskeyword(name) and name not in ("x", "h", "torch", "F")]
    names += ["linux", "unix", "EOF", "NULL"]
    forms = (
        "{} * p", "torch.where({} > 0.3, p, {})", "torch.tanh({})", "{} + (p > {}).to(p.dtype)",
        "{} - {}.mean(-1, keepdim=True)", "{}.clamp(max=1.0) / 2",
    )  # fmt: skip
    lines, last = ["p = x + h"], "p"
    for number, name in enumerate([*names, *names]):
        lines.append(f"{name} = {forms[number % len(forms)].replace('{}', last)}")
        last = name
    source = "\n".join(
        [
            "class RandomCell(cello.Cell):",
            "    state = ('h',)",
            "    def __init__(self):",
            "        super().__init__(3, 3)",
            "    def step(self, x, h):",
            *(f"        {line}" for line in lines),
            f"        return {last}, ({last},)",
        ]
    )
    assert len(names) > 150
    x = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    layer = cello.Recurrent(make_cell(source), engine="cpu")
    layer(x)[0].sum().backward()
    assert x.grad is not None
