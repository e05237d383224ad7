"""What no C is made of, names that C cannot have, and names that try to get out of a comment."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu.toolchain import build
from cello.errors import ArgumentError, ConversionError, DtypeError
from cello.layers import KHot, OneHot
from tests.registry import make


@pytest.mark.parametrize("name", ["int", "class", "1net", "a b", "a-b", "", "é", "a__b", "n" * 32])
def test_a_name_that_c_cannot_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^name must "):
        cello.to_c(cello.GRU(1, 2), tmp_path, name=name)


class Holds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = cello.GRU(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)[0]
        return y


@pytest.mark.parametrize(
    ("net", "arguments", "error", "words"),
    [
        (lambda: cello.Recurrent(make("branching", torch.float32)), {}, ConversionError, "net has"),
        (lambda: cello.Recurrent(make("mixing", torch.float32)), {}, ConversionError, "each row"),
        (Holds, {}, ConversionError, "Holds, holds recurrent layers"),
        (lambda: cello.Stack(KHot(5), cello.GRU(5, 2)), {}, ArgumentError, "ids must say"),
        (lambda: cello.Stack(OneHot(5), cello.GRU(5, 2)), {"ids": 2}, ArgumentError, "must be 1"),
        (lambda: cello.Stack(nn.Linear(2, 3), OneHot(5)), {}, ConversionError, "1 reads ids"),
        (
            lambda: cello.Stack(nn.Linear(2, 3), cello.GRU(5, 2)),
            {},
            ConversionError,
            "takes 5 numbers a step, 0 gives 3",
        ),
        (lambda: cello.GRU(1, 2).bfloat16(), {}, DtypeError, "has bfloat16"),
        (lambda: nn.Sequential(nn.Tanh()), {}, ArgumentError, "Tanh"),
        (nn.Identity, {}, ConversionError, "computes anything"),
        (lambda: cello.GRU(1, 2), {"weights": "int4"}, ArgumentError, "weights must be one of"),
        (lambda: cello.GRU(1, 2), {"math": "fast"}, ArgumentError, "math must be one of"),
        (lambda: cello.GRU, {}, DtypeError, "net must be a module"),
    ],
)
def test_what_has_no_c(
    net: Any, arguments: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        cello.to_c(net(), tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


class Hostile(cello.Cell):
    """Names that C has other uses for."""

    state = ("int", "W0", "é", "ue9", "unit")

    def __init__(self) -> None:
        super().__init__(2, 3)
        self.R = nn.Linear(5, 3)
        self.register_buffer("dot", torch.tensor([1.0, 2.0, 3.0]))

    def step(self, x: Tensor, *old: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        y = torch.tanh(self.R(torch.cat([x, old[0]], 1)) + old[2])
        prev_int = y * self.dot
        SUM0 = prev_int.softmax(-1) + old[3]
        select = SUM0 * old[1]
        copy = select + old[4]
        s_y = copy.clamp(-1, 1)
        return y, (s_y, copy, select, SUM0, y)


Hostile.__name__ = Hostile.__qualname__ = 'Ho*/int evil;/*"\\\n#error out'


def test_no_name_gets_out_of_its_place(tmp_path: Path) -> None:
    parts = OrderedDict({'*/ int evil(void) { return 1; } /*\n"': nn.Linear(2, 2)})
    net = cello.Stack(nn.Sequential(parts), cello.Recurrent(Hostile()))
    report = cello.to_c(net, tmp_path)
    assert report.difference is not None, report.why_not
    text = report.files[0].read_text()
    assert text.count("/*") == text.count("*/")
    assert "\n#error out" not in text


def test_without_a_compiler_it_says_that_nothing_was_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(build, "_chosen", {})
    report = cello.to_c(cello.GRU(1, 2), tmp_path)
    assert report.difference is None
    assert "NOT proved" in str(report)
    assert report.why_not is not None
    assert "no C compiler was found" in report.why_not
    assert {file.name for file in tmp_path.iterdir()} == {"net.c", "net.h"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConversionError, match="cannot write"):
        cello.to_c(cello.GRU(1, 2), tmp_path / "file" / "deeper")


def test_a_program_of_somebody_s_own_is_not_replaced(tmp_path: Path) -> None:
    cello.to_c(cello.GRU(1, 2), tmp_path)
    cello.to_c(cello.GRU(1, 2), tmp_path)
    (tmp_path / "net.c").write_text("int mine;")
    with pytest.raises(ConversionError, match=r"net\.c is there, and not made by Cello"):
        cello.to_c(cello.GRU(1, 2), tmp_path)
    assert (tmp_path / "net.c").read_text() == "int mine;"


def test_ids_that_are_not_there_count_as_none(tmp_path: Path) -> None:
    """The net refuses them; C, where nobody can raise, reads nothing outside of its tables."""
    report = cello.to_c(cello.Stack(nn.Embedding(5, 2), cello.GRU(2, 2)), tmp_path)
    assert "if (x[k] >= 0 && x[k] < 5)" in report.files[0].read_text()


class OneClass(cello.Cell):
    """Reads whole numbers, of which there is one."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__("integer", 4)
        self.W = torch.nn.Linear(1, 4)

    def step(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        h = torch.tanh(self.W(torch.nn.functional.one_hot(x, 1).float()) + h)
        return h, (h,)


def test_a_net_that_cannot_run_what_is_drawn_says_so(tmp_path: Path) -> None:
    net = cello.Recurrent(OneClass())
    for write, name in ((cello.to_c, "net"), (cello.to_onnx, "net.onnx")):
        with pytest.raises(ConversionError, match=r"the net itself cannot run .*num_classes"):
            write(net, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
