"""A step may call its states, variables and parameters as it likes, the C of its loop as well."""

from __future__ import annotations

import re
from keyword import kwlist

import pytest
import torch
from torch import nn

import cello
from cello.cells.cell import is_name
from tests.engines.cpu.test_random_cells import scaled
from tests.engines.test_matrix import outcome, sample

# Words of C and its headers, of our own loops' text, and such as would be written alike in C.
AWKWARD = """
    auto int long double register asm typeof linux unix main errno stdin time signal index j0 y1
    gamma signgam isnan isinf signbit exp2 NAN INFINITY EOF INT_MAX M_PI RAND_MAX I sum_0 before_1
    loop_1 after_1 loop_1_0_0 loop_1_units t0 t1 next_t0 new_t0 s_t0 own_h last_prev_h prev_h next_h
    next_next_h start_h final_h grad_h grad_of_h forced grad_forced tape y dx cot_0 x_ h_ h_2 left_
    left_2 ü ufc ufc_ vufc größe gruf6udfe γ u3b3 xü xufc ü2 ufc2 v_exp V_exp exp exp_
""".split()


def words_of_the_source() -> list[str]:
    """Every word of what is compiled for an LSTM."""
    layer = cello.Recurrent(cello.LSTMCell(3, 4))
    text = "".join(layer.source(backward=backward, whole=True) for backward in (False, True))
    return sorted(set(re.findall(r"[^\W\d]\w*", text)))


def named(words: list[str], line: str) -> cello.Cell:
    """A cell whose states, variables and parameters are called so, with such a line for each."""
    lines = ["before = x[:, :1]", *map(line.format, words)]
    body = "\n    ".join([*lines, f"return before, ({', '.join(words)},)"])
    made: dict[str, object] = {"torch": torch}
    exec(f"def step(self, x, {', '.join(words)}):\n    {body}", made)
    cell = type("Named", (cello.Cell,), {"state": tuple(words), "step": made["step"]})(3, 2)
    for name, shape in (("p", (2,)), ("m", (3, 2))):
        cell.add_module(name, nn.Module())
        for word in words:
            cell.get_submodule(name).register_parameter(word, nn.Parameter(torch.randn(shape)))
    return cell.double()


def usable(words: list[str]) -> list[str]:
    """Those that a state, a variable and a parameter may have."""
    taken = {"x", "self", "torch", "before", *kwlist, *dir(nn.Module())}
    return [word for word in dict.fromkeys(words) if is_name(word) and word not in taken]


def agree(cell: cello.Cell, wanted: tuple[str, ...] | None) -> None:
    sizes = [3, 2]
    given = sample(cell, sizes, torch.float64, resets=True)
    ours = outcome(cell, "cpu", sizes, given, False, wanted)
    theirs = outcome(cell, "reference", sizes, given, False, wanted)
    for found, expected in zip(ours, theirs, strict=True):
        scaled(found, expected)


@pytest.mark.parametrize("wanted", [None, ()], ids=["plain", "recorded"])
def test_awkward_names(wanted: tuple[str, ...] | None) -> None:
    line = "{0} = torch.tanh({0} * self.p.{0} + x @ self.m.{0} + before); before = {0}"
    agree(named(usable(AWKWARD), line), wanted)


def test_all_words_of_the_source_may_be_names() -> None:
    words = usable(words_of_the_source())
    assert len(words) > 300
    for first in range(0, len(words), 100):
        line = "{0} = {0} * self.p.{0} + before; before = {0} * 0.5"
        agree(named(words[first : first + 100], line), None)
