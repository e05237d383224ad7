"""Equations of values with several axes: two different parts of one never read the same."""

# ruff: noqa: E501 (a case on a line)
from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import cello
from tests.see.arithmetic.test_explain import Step
from tests.see.draw.drawings import labels


class Shaped(cello.Cell):
    """A state with two axes, and a step that is given."""

    state = ("S",)

    def __init__(self, made: Callable[[Tensor], Tensor]) -> None:
        super().__init__(2, 4, output_size=(4, 4), state_sizes={"S": (4, 4)})
        self.made = made

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        S = S * self.made(S).flatten(1).sum(1)[:, None, None]
        return S, (S,)


SHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "S_prev[1:3, :]": lambda S: S[:, 1:3],
    "S_prev[:, 1:3]": lambda S: S[:, :, 1:3],
    "S_prev[1:3, :][:, 0:2]": lambda S: S[:, 1:3, :2],
    "S_prev[0:2, :][:, 1:3]": lambda S: S[:, :2, 1:3],
    "S_prev[1:2, :]": lambda S: S[:, 1:2],
    "S_prev[:, 1:2]": lambda S: S[:, :, 1:2],
    "S_prev[1, :]": lambda S: S[:, 1],
    "S_prev[:, 1]": lambda S: S[:, :, 1],
    "S_prev[1, :][1:3]": lambda S: S[:, 1, 1:3],
    "S_prev[1:3, :][:, 1]": lambda S: S[:, 1:3, 1],
    "S_prev[0:3:2, :]": lambda S: S[:, ::2],
    "S_prev[:, 0:3:2]": lambda S: S[:, :, ::2],
    "S_prev[1:4:2, :]": lambda S: S[:, 1::2],
    "S_prev[0:4:3, :]": lambda S: S[:, ::3],
    "concat(S_prev[1:4, :], S_prev[0:1, :], dim=-2)": lambda S: torch.cat([S[:, 1:], S[:, :1]], 1),
    "concat(S_prev[:, 1:4], S_prev[:, 0:1], dim=-1)": lambda S: torch.cat([S[..., 1:], S[..., :1]], 2),
    "stack(S_prev[1, :], S_prev[2, :], dim=-2)": lambda S: torch.stack([S[:, 1], S[:, 2]], 1),
    "stack(S_prev[1, :], S_prev[2, :], dim=-1)": lambda S: torch.stack([S[:, 1], S[:, 2]], 2),
    "mean(S_prev, dim=-2)": lambda S: S.mean(1),
    "mean(S_prev, dim=-1)": lambda S: S.mean(2),
    "sum(S_prev, dim=-2)": lambda S: S.sum(1, keepdim=True),
    "max(S_prev, dim=-2)": lambda S: S.amax(1),
    "max(S_prev, dim=-1)": lambda S: S.max(2).values,
    "softmax(S_prev, dim=-2)": lambda S: S.softmax(1),
    "cumsum(S_prev, dim=-1)": lambda S: S.cumsum(2),
    "norm(S_prev, dim=-2)": lambda S: torch.linalg.vector_norm(S, dim=1),
    "layer_norm(S_prev, dim=-1)": lambda S: F.layer_norm(S, (4,)),
    "layer_norm(S_prev)": lambda S: F.layer_norm(S, (4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("written", SHAPED)
def test_what_is_taken_of_a_value_with_axes_says_of_which(written: str) -> None:
    cell = Shaped(SHAPED[written])
    assert cello.equations(cell) == f"S = S_prev ⊙ sum({written})"
    latex = cello.equations(cell, latex=True)
    shown = re.findall(r"\[.*?\]", written)
    assert re.findall(r"\[.*?\]", latex) == shown
    assert re.findall(r"dim}=(-\d)", latex) == re.findall(r"dim=(-\d)", written)
    drawn = " ".join(labels(cello.draw(cell).svg))
    assert all(part in drawn for part in (*shown, *re.findall(r"dim=-\d", written)))


def test_columns_of_a_parameter_are_not_its_rows() -> None:
    def columns(s: Step, x: Tensor, h: Tensor) -> Tensor:
        return x[:, :2] @ s.W.weight[:, :2].T

    def rows(s: Step, x: Tensor, h: Tensor) -> Tensor:
        return x[:, :2] @ s.W.weight[:2]

    assert cello.equations(Step(columns)) == "h = W[:, 0:2] x[0:2]"
    assert cello.equations(Step(rows)) == "h = W[0:2]ᵀ x[0:2]"
