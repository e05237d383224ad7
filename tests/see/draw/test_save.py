"""A drawing as text and as a file."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError
from cello.see.draw.paint.text import formula, plain, subscripted, tspans, width
from cello.see.formulas.notation import Symbol
from tests.see.draw.drawings import SVG, read


def test_svg_is_one_element_that_loads_nothing():
    drawing = cello.draw(cello.LSTMCell(3, 2))
    root = read(drawing.svg)
    assert root.tag == f"{SVG}svg"
    assert drawing._repr_svg_() == drawing.svg
    assert "href" not in drawing.svg
    assert "url(" not in drawing.svg
    assert "@import" not in drawing.svg


def test_light_and_dark():
    style = read(cello.draw(cello.ElmanCell(3, 2)).svg).find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme:dark" in style.text
    assert "currentColor" in style.text
    # Alone it has a ground of its own: what is around it may be of the other kind.
    alone, dark = re.findall(r"svg\.cello:root\{color:(\S+?);background:\S+?\}", style.text)
    assert brightness(alone) < 0.2 < 0.8 < brightness(dark)


def brightness(colour: str) -> float:
    return int(colour[1:3], 16) / 255


def test_the_same_drawing_each_time():
    code = "import cello; print(cello.draw(cello.zoo.SLSTMCell(3, 2)).svg, end='')"
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": "src", "PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert made == cello.draw(cello.zoo.SLSTMCell(3, 2)).svg


def test_save_as_svg(tmp_path):
    drawing = cello.draw(cello.Recurrent(cello.ElmanCell(3, 2)))
    drawing.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text("utf-8") == drawing.svg


def test_save_as_png(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib, cello[draw]")
    drawing = cello.draw(cello.LSTMCell(3, 2))
    drawing.save(str(tmp_path / "a.PNG"), scale=1)
    made = image.open(tmp_path / "a.PNG")
    assert made.size == (round(drawing.picture.width), round(drawing.picture.height))
    colours = {colour for _, colour in made.convert("RGB").getcolors(2**20)}
    assert (255, 255, 255) in colours  # paper
    assert any(max(colour) < 60 for colour in colours)  # lines
    assert any(b > r + 60 for r, _, b in colours)  # a memory
    assert any(r > b + 60 for r, _, b in colours)  # a gate
    large = image.open(io.BytesIO(drawing.png(scale=2)))
    assert large.size[0] == 2 * made.size[0]


def test_png_without_resvg(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ImportError, match=r"pip install 'cello\[draw\]', or save .* as \.svg"):
        cello.draw(nn.Linear(1, 1)).save(tmp_path / "a.png")


@pytest.mark.parametrize(("name", "told"), [("a.jpg", ".jpg"), ("a", "'")])
def test_other_endings(tmp_path, name: str, told: str):
    with pytest.raises(ArgumentError, match=rf"path must end in \.svg or \.png, got .*{told}"):
        cello.draw(nn.Linear(1, 1)).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (0, "scale must be a number above 0, got 0"),
        (float("nan"), "scale must be a number above 0, got nan"),
        ("2", "scale must be a number above 0, got '2'"),
        (1e6, "scale=1e\\+06 makes 138 × 175 into .* pixels; at most 1e\\+08 are drawn"),
    ],
)
def test_scales_that_there_are_not(tmp_path, scale: object, message: str):
    pytest.importorskip("resvg_py", reason="of the extra cello[draw]")
    with pytest.raises(ArgumentError, match=message):
        cello.draw(nn.Linear(1, 1)).save(tmp_path / "a.png", scale=scale)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder/a\.svg"):
        cello.draw(nn.Linear(1, 1)).save(tmp_path / "no folder" / "a.svg")


def test_subscripts():
    assert plain(subscripted("z_i")) == "z_i"
    assert tspans(subscripted("z_i")) == 'z<tspan dy="3" font-size="9.62">i</tspan>'
    assert tspans(formula(Symbol("x_prev")) + " < 3").endswith('<tspan dy="-3"> &lt; 3</tspan>')
    assert subscripted("_") == "_"
    assert subscripted("h") == "h"


def test_what_no_xml_may_hold_is_left_out():
    assert subscripted("a\x00b\x01\ud800") == "ab"


def test_a_subscript_takes_less_room():
    assert width(subscripted("z_iii")) < width("z_iii")


def test_a_recording_in_half_precision():
    layer = cello.Recurrent(cello.GRUCell(2, 2)).bfloat16()
    recording = cello.record(layer, torch.ones(2, 1, 2).bfloat16())
    assert cello.draw(layer.cell, recording=recording, t=1).svg.count('class="number"') > 5
