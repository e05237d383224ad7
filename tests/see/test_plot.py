"""`Recording.plot`: what is on the axes."""

from __future__ import annotations

import sys

import pytest
import torch

import cello
from cello.errors import ArgumentError, UnknownNameError

matplotlib = pytest.importorskip("matplotlib", reason="of the extra cello[draw]")


@pytest.fixture(autouse=True)
def _without_a_screen():
    from matplotlib import pyplot

    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    pyplot.close("all")
    matplotlib.use(before)


def recorded() -> cello.Recording:
    torch.manual_seed(0)
    net = cello.Bidirectional(cello.LSTMCell(3, 6))
    return cello.record(net, torch.randn(7, 2, 3), lengths=torch.tensor([7, 4]))


def test_a_heat_map_holds_the_units_along_time():
    rec = recorded()
    ax = rec.plot("forward.c", batch=1)
    (image,) = ax.get_images()
    shown = torch.from_numpy(image.get_array().data)
    assert torch.equal(shown, rec["forward.c"][:4, 1].T)
    low, high = image.get_clim()
    assert low == -high == -rec["forward.c"][:4, 1].abs().max()


def test_gates_are_coloured_from_0_to_1():
    (image,) = recorded().plot("forward.f").get_images()
    assert image.get_clim() == (0, 1)


def test_lines_of_single_units():
    rec = recorded()
    ax = rec.plot("forward.h", unit=[5, 0])
    first, second = ax.get_lines()[:2]
    assert torch.equal(torch.as_tensor(first.get_ydata()), rec["forward.h"][:, 0, 5])
    assert torch.equal(torch.as_tensor(second.get_ydata()), rec["forward.h"][:, 0, 0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["unit 5", "unit 0"]
    assert first.get_linestyle() != second.get_linestyle()


def test_padding_and_direction_are_shown():
    rec = recorded()
    ax = rec.plot("backward.h", batch=1)
    assert "padding" in [text.get_text() for text in ax.texts]
    assert [patch.get_hatch() for patch in ax.patches] == ["//"]
    assert ax.get_xlim() == (-0.5, 6.5)
    assert ax.get_xlabel() == "← read from the end"
    assert ax.get_title() == "backward.h, sequence 1"
    whole = rec.plot("forward.h", unit=0)
    assert [text.get_text() for text in whole.texts] == []
    assert whole.get_xlabel() == "step →"


@pytest.mark.parametrize("reverse", [True, False])
def test_the_direction_of_a_layer_without_a_name(reverse: bool):
    layer = cello.Recurrent(cello.ElmanCell(3, 2), reverse=reverse)
    rec = cello.record(layer, torch.randn(4, 1, 3))
    assert rec.plot("h").get_xlabel() == ("← read from the end" if reverse else "step →")


def test_tokens_stand_below_the_steps():
    ax = recorded().plot("forward.i", batch=1, tokens=["a", "\n", "$x$", "<b>"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "⏎", "$x$", "<b>"]
    ax.figure.canvas.draw()  # neither mathematics nor markup


def test_an_axes_of_ones_own():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert recorded().plot("forward.h", ax=ax) is ax


def test_values_that_are_not_finite_or_not_there():
    cell = cello.Recurrent(cello.ElmanCell(1, 2, activation="relu"))
    rec = cello.record(cell, torch.tensor([[float("inf")], [float("nan")]]))
    rec.plot("z").figure.canvas.draw()
    empty = cello.record(cell, torch.zeros(0, 1, 1))
    assert empty.plot("h", unit=0).get_lines()[0].get_xdata().size == 0
    empty.plot("h")


def test_what_makes_no_sense():
    rec = recorded()
    with pytest.raises(ArgumentError, match="unit=6 is no unit of this value, which has 6"):
        rec.plot("forward.h", unit=6)
    with pytest.raises(ArgumentError, match="tokens must be 7, one for each step, got 3"):
        rec.plot("forward.h", tokens="abc")
    with pytest.raises(ArgumentError, match="batch=2 is no sequence"):
        rec.plot("forward.h", batch=2)
    with pytest.raises(UnknownNameError, match="nothing is named 'q'"):
        rec.plot("q")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'cello\[draw\]'"):
        recorded().plot("forward.h")
