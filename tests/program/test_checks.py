"""What a program must hold to is looked at: programs that do not are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import cello
from cello.errors import CaptureError
from cello.program import Program, capture
from cello.program.checks import check


def two_names(program: Program) -> None:
    program.x.name = program.state["h"].name


def used_before(program: Program) -> None:
    program.ops.reverse()


def twice(program: Program) -> None:
    program.ops.append(program.ops[-1])


def named_alike(program: Program) -> None:
    program.ops[-1].outputs[0].name = "x"


def never(program: Program) -> None:
    program.ops.pop()


def other_shape(program: Program) -> None:
    program.state["h"].shape = (*program.state["h"].shape, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (two_names, "two inputs of the program have one name"),
        (used_before, "is used before it is made"),
        (twice, "h is made twice"),
        (named_alike, "x is made twice"),
        (never, "h is never made"),
        (other_shape, r"the new h has shape \(B, 2\), the old one \(B, 2, 1\)"),
    ],
)
def test_what_is_unsound_is_refused(spoil: Callable[[Program], None], message: str) -> None:
    program = capture(cello.ElmanCell(3, 2))
    assert check(program) is program
    spoil(program)
    with pytest.raises(CaptureError, match=f"ElmanCell: .*{message}"):
        check(program)
