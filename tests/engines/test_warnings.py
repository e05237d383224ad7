"""What is said where a slower engine runs: of which cell, and once for each class and reason."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines import choose


class Decides(nn.Module):
    """A cell of a stranger's that no program can hold."""

    input_size, hidden_size = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(7, 4)

    def forward(self, x: Tensor, h: Tensor | None) -> Tensor:
        h = x.new_zeros(len(x), 4) if h is None else h
        h = torch.tanh(self.mix(torch.cat([x, h], -1)))
        return h / 2 if float(h.sum()) > 1e6 else h


class DecidesToo(Decides):
    """Another one, with the same reason."""


def said(*layers: nn.Module, dtype: torch.dtype = torch.float32) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for layer in layers:
            layer.to(dtype)(torch.randn(4, 2, 3, dtype=dtype))
    return [str(one.message) for one in caught if one.category is cello.EngineWarning]


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "_warned", set())


def test_each_class_of_cells_is_named_once() -> None:
    kinds = (Decides, Decides, DecidesToo, DecidesToo)
    first, second = said(*(cello.Recurrent(kind()) for kind in kinds))
    assert first.startswith("Decides.forward cannot be captured: it decides by the values")
    assert first.endswith("; engine 'cpu' leaves Decides to a slower one")
    assert second.endswith("; engine 'cpu' leaves DecidesToo to a slower one")


def test_a_dtype_without_loops_is_said_of_each_class() -> None:
    layers = [cello.Recurrent(cello.GRUCell(3, 4)), cello.Recurrent(nn.GRUCell(3, 4))]
    layers += [cello.Recurrent(cello.LSTMCell(3, 4)), cello.GRU(3, 4)]
    found = said(*layers, dtype=torch.float16)
    assert [one.split("leaves ")[1] for one in found] == [
        f"{name} to a slower one" for name in ("GRUCell", "LSTMCell", "GRU")
    ]
