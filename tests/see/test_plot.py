"""`Recording.plot`: what is on the axes."""

from __future__ import annotations

import json
import re
import sys

import pytest
import torch

import cello
from cello.errors import ArgumentError, UnknownNameError

pytestmark = pytest.mark.usefixtures("step_by_step")

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


def labels_of(ax) -> list[str]:
    ax.figure.canvas.draw()  # warnings of missing letters come here, and are errors
    return seen(ax.xaxis)


def seen(axis) -> list[str]:
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [label.get_text() for place, label in ticks if low <= place <= high]


def test_letters_that_the_usual_font_lacks(monkeypatch):
    """Another font has them, or they are replaced: no box, and no warning."""
    word = ["台北", "ab", "\U0010ffff", "👩\u200d👧"]
    ax = recorded().plot("forward.i", batch=1, tokens=word)
    shown = labels_of(ax)
    families = ax.get_xticklabels()[0].get_fontfamily()
    assert shown[0] == ("台北" if len(families) > 1 else "��")
    assert shown[1:3] == ["ab", "�"]
    assert shown[3] in ("👩👧", "��")


def test_letters_that_no_font_has(monkeypatch):
    manager = matplotlib.font_manager.fontManager
    usual = [font for font in manager.ttflist if font.name == "DejaVu Sans"]  # Matplotlib's own
    monkeypatch.setattr(manager, "ttflist", usual)
    ax = recorded().plot("forward.i", batch=1, tokens="a北b京")
    assert labels_of(ax) == ["a", "�", "b", "�"]


def test_long_tokens_are_cut():
    ax = recorded().plot("forward.i", batch=1, tokens=["a" * 16, "b" * 17, "", " "])
    assert labels_of(ax) == ["a" * 16, "b" * 15 + "…", "", "␣"]


@pytest.mark.parametrize("units", [1, 2, 40])
@pytest.mark.parametrize("unit", [None, 0])
@pytest.mark.parametrize("tokens", [["a very long word"] * 6, list("abcdef"), None])
def test_there_is_room_for_the_picture_whatever_its_labels(units, unit, tokens):
    rec = cello.record(cello.Recurrent(cello.ElmanCell(1, units)), torch.randn(6, 1, 1))
    ax = rec.plot("h", unit=unit, tokens=tokens)
    ax.figure.canvas.draw()  # a picture that has collapsed warns here
    inches = ax.get_window_extent().height / ax.figure.dpi
    assert inches > (0.2 if unit is None else 1.0)


def test_lines_of_a_gate_are_shown_from_0_to_1():
    rec = recorded()
    ax = rec.plot("forward.i", unit=[0, 1])
    low, high = ax.get_ylim()
    assert low <= 0 < 1 <= high < 1.2
    rec.plot("forward.c", unit=0, ax=ax)  # what is there already stays in sight
    low, high = ax.get_ylim()
    assert low <= 0 < 1 <= high


def test_of_many_steps_some_have_their_token():
    layer = cello.Recurrent(cello.GRUCell(1, 2))
    rec = cello.record(layer, torch.randn(2000, 1))
    ax = rec.plot("h", tokens=[f"w{t}" for t in range(2000)])
    shown = [label for label in labels_of(ax) if label]
    assert 3 < len(shown) < 20
    assert all(re.fullmatch(r"(\d+)\nw\1", label) for label in shown)
    lines = rec.plot("h", unit=[0, 1]).get_lines()
    assert [line.get_marker() for line in lines[:2]] == ["", ""]


def test_a_single_step_and_a_single_unit_have_whole_ticks():
    rec = cello.record(cello.Recurrent(cello.ElmanCell(1, 1)), torch.ones(1, 1, 1))
    ax = rec.plot("h")
    assert labels_of(ax) == ["0"]
    assert seen(ax.yaxis) == ["0"]


def test_an_axes_of_ones_own():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert recorded().plot("forward.h", ax=ax) is ax


def test_values_that_are_not_finite_or_not_there():
    cell = cello.Recurrent(cello.ElmanCell(1, 2, activation="relu"))
    rec = cello.record(cell, torch.tensor([[1.0], [float("inf")], [float("nan")]]))
    ax = rec.plot("z")
    ax.figure.canvas.draw()
    (image,) = ax.get_images()
    assert image.get_cmap().get_bad()[:3].tolist() == pytest.approx([0.8, 0.8, 0.8])
    assert ax.get_title() == "z (grey: not finite)"
    (grey,) = rec.plot("z", unit=0).collections
    extents = [path.get_extents() for path in grey.get_paths()]
    assert [(box.x0, box.x1) for box in extents] == [(0.5, 1.5), (1.5, 2.5)]
    with cello.engine("auto"):
        empty = cello.record(cell, torch.zeros(0, 1, 1))
    assert empty.plot("h", unit=0).get_lines()[0].get_xdata().size == 0
    empty.plot("h")


def test_what_makes_no_sense():
    rec = recorded()
    with pytest.raises(ArgumentError, match="unit=6 is no unit of this value, which has 6"):
        rec.plot("forward.h", unit=6)
    for tokens in ("abc", "abcdefgh"):
        with pytest.raises(ArgumentError, match=f"be 7, one for each step, got {len(tokens)}"):
            rec.plot("forward.h", tokens=tokens)
    with pytest.raises(ArgumentError, match="unit must be one or more units, got none"):
        rec.plot("forward.h", unit=[])
    with pytest.raises(ArgumentError, match="batch=2 is no sequence"):
        rec.plot("forward.h", batch=2)
    with pytest.raises(UnknownNameError, match="nothing is named 'q'"):
        rec.plot("q")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'cello\[draw\]'"):
        recorded().plot("forward.h")


def test_plot_page_and_terminal_have_the_same_colours():
    from rich.console import Console

    from cello.cli.answers.coloured import print_coloured
    from cello.see.colours import ENDS, MISSING
    from cello.see.page.bundle import script

    low, _, high = ENDS["light"]
    for name in ("forward.c", "forward.f"):
        (image,) = recorded().plot(name).get_images()
        for end, colour in ((0.0, low), (1.0, high)):
            assert [round(255 * part) for part in image.get_cmap()(end)[:3]] == list(colour)
    console = Console(color_system="truecolor", force_terminal=True, record=True)
    print_coloured(console, "ab", [0.0, 1.0], 0.0, 1.0)
    told = console.export_text(styles=True)
    assert all("48;2;{};{};{}m".format(*colour) in told for colour in (low, high))
    known = script("colours").split(";\n")[0].removeprefix("const NUMBER_COLOURS = ")
    assert json.loads(known) == json.loads(json.dumps({"ends": ENDS, "missing": MISSING}))
