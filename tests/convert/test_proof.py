"""The proof of a conversion finds what is wrong, wherever it is, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.convert.proof import Case, OtherSide, prove, reads_of, run_net
from cello.errors import ArgumentError, ConversionError
from tests.convert.nets import all_nets

NETS = {name: net for name, net in all_nets().items() if name != "own"}


def itself(net: Any) -> OtherSide:
    def other(case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        y, state = run_net(net, case)
        return y, list(state.values())

    return other


@pytest.mark.parametrize("name", NETS)
def test_equal_sides(name: str) -> None:
    proof = prove(NETS[name], itself(NETS[name]), name="itself")
    assert proof.largest == proof.relative == 0
    assert proof.cases > 10


def test_sizes_that_are_tried() -> None:
    net = cello.LSTM(3, 4)
    seen: list[Case] = []

    def other(case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        seen.append(case)
        return itself(net)(case)

    prove(net, other, name="itself")
    assert {1} < {case.x.shape[0] for case in seen}
    assert {1} < {case.x.shape[1] for case in seen}
    lengths = [case.lengths for case in seen if case.lengths is not None]
    assert any(0 in some for some in lengths)
    assert any(case.state is not None and case.lengths is not None for case in seen)
    assert any(bool((case.x == 0).all()) for case in seen)


WRONG: dict[str, tuple[Any, str]] = {
    "output": (lambda case, y, s: (y + 1e-3, s), r"the output\[.*\] is .* instead of"),
    "state": (lambda case, y, s: (y, [s[0], s[1] + 1e-3]), r"the final state\[1\]\["),
    "one step": (
        lambda case, y, s: (y if len(y) > 1 else y + 1, s),
        r"the output.*\(T = 1, B = 1\)",
    ),
    "lengths": (
        lambda case, y, s: (y if case.lengths is None else y + 1, s),
        r"lengths \[4, 1, 6, 3\]",
    ),
    "a state given": (
        lambda case, y, s: (y if case.state is None else y + 1, s),
        "with a state to begin with",
    ),
    "not a number": (lambda case, y, s: (y * torch.nan, s), "is nan instead of"),
    "shape": (lambda case, y, s: (y[..., :2], s), r"is \[1, 1, 2\] instead of \[1, 1, 4\]"),
    "parts": (lambda case, y, s: (y, s[:1]), "gives 1 tensors as the final state, the net 2"),
    "fails": (lambda case, y, s: 1 / 0, r"the other cannot run T = 1, B = 1: division by zero"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_is_found(fault: str) -> None:
    net = cello.LSTM(3, 4)
    wrong, words = WRONG[fault]

    def other(case: Case) -> tuple[Tensor, Sequence[Tensor]]:
        made: tuple[Tensor, Sequence[Tensor]] = wrong(case, *itself(net)(case))
        return made

    with pytest.raises(ConversionError, match=words):
        prove(net, other, name="the other")


def test_a_fault_of_weights_that_are_no_numbers_says_so() -> None:
    net = cello.LSTM(3, 4)
    net.weight_ih_l0.data[0, 0] = torch.nan
    told = r"instead of nan .*; the weights contain NaN: weight_ih_l0 \(1 of 4 tensors\)"
    with pytest.raises(ConversionError, match=told):
        prove(net, lambda case: itself(cello.LSTM(3, 4))(case), name="the other")


def test_the_net_keeps_its_mode() -> None:
    net = cello.Stack(cello.LSTM(3, 4), nn.Dropout(0.5)).train()
    prove(net, itself(net), name="itself")
    assert all(module.training for module in net.modules())


def test_what_is_read_must_be_known() -> None:
    with pytest.raises(ArgumentError, match="its first module, Softmax, does not say"):
        reads_of(cello.Stack(nn.Softmax(-1), cello.LSTM(3, 4)))
