"""The page's text, without a browser."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
import torch

import cello
from cello.errors import ArgumentError, DtypeError, ModelError, UnknownNameError
from cello.see.page.bundle import script
from tests.see.page.nets import TEXT, recorded

APP = resources.files("cello.see.page") / "app"
MODULES = sorted(Path(str(APP)).glob("*.js"))


def test_top_level_names_of_the_front_end_are_there_once():
    """For its modules are joined, and JavaScript would take the last of two functions."""
    names = [
        name
        for path in MODULES
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:function|const|let|class) +(\w+)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    entries = {"begin", "render", "asking", "ask"}
    assert len(names) > 60
    assert sorted({name for name in names if names.count(name) > 1} - entries) == []


@pytest.mark.parametrize("entry", ["offline", "live", "widget"])
def test_nothing_is_loaded_from_a_network(entry: str):
    text = script(entry) + (APP / "page.css").read_text(encoding="utf-8")
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    assert re.findall(r"https?://|//[a-z]+\.[a-z]+/|@import|innerHTML|insertAdjacent", text) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_files_stay_small(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 150  # Chinese and patterns are long


def test_the_page_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_text("old")
    assert recorded("elman").to_html(str(path)) == path
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.optimised  # many numbers are computed
def test_many_numbers_are_halved(tmp_path: Path):
    net = cello.Recurrent(cello.GRUCell(64, 64))
    with torch.no_grad():
        rec = cello.record(net, torch.randn(3000, 1, 64))
        short = cello.record(net, torch.randn(2, 1, 64))
    path = rec.to_html(tmp_path / "page.html")
    halves = sum(rec[name].numel() for name in rec.names) * 2
    without = short.to_html(tmp_path / "short.html").stat().st_size  # weights and the page's code
    assert path.stat().st_size < 1.3 * halves + without
    assert '"dtype": "float16"' in path.read_text(encoding="utf-8")


def test_only_some_values(tmp_path: Path):
    path = recorded("stacked").to_html(tmp_path / "page.html", names=["0.f", "1.c"])
    found = re.findall(r'"name": "(\w+)", "kind"', path.read_text(encoding="utf-8"))
    assert found == ["f", "c"]


def test_wrong_arguments_are_errors(tmp_path: Path):
    rec, path = recorded("elman"), tmp_path / "page.html"
    with pytest.raises(ArgumentError, match=r"^tokens of sequence 0 must be 39, one for each step"):
        rec.to_html(path, "abc")
    with pytest.raises(ArgumentError, match=r"^tokens must have an entry for each of the 2 seq"):
        recorded("elman", 3, batch=2).to_html(path, ["abc"])
    with pytest.raises(DtypeError, match=r"^tokens must be strings, or for each sequence a list"):
        rec.to_html(path, [1] * len(TEXT))  # type: ignore[list-item]
    with pytest.raises(DtypeError, match=r"^expected must be strings, .*, got int$"):
        rec.to_html(path, expected=[1] * len(TEXT))  # type: ignore[list-item]
    empty = cello.record(cello.Recurrent(cello.ElmanCell(2, 3)), torch.zeros(5, 0, 2))
    with pytest.raises(ArgumentError, match=r"^a page needs at least one sequence"):
        empty.to_html(path)
    with pytest.raises(ArgumentError, match=r"^precision must be one of None, 'float16', "):
        rec.to_html(path, precision="int8")
    with pytest.raises(UnknownNameError, match=r"^nothing is named 'q'"):
        rec.to_html(path, names="q")
    with pytest.raises(UnknownNameError, match=r"^nothing is named 'q'"):
        rec.to_html(path, begin=("q", 0))
    with pytest.raises(ArgumentError, match=r"^begin: h has the units 0 to \d, got 99"):
        rec.to_html(path, begin=("h", 99))
    with pytest.raises(ArgumentError, match=r"^begin: h has the steps 0 to 38, got 39"):
        rec.to_html(path, begin=("h", 0, 39))
    with pytest.raises(ModelError, match=r"^cannot write the page "):
        rec.to_html(tmp_path / "nowhere" / "page.html")
    assert not path.exists()


def test_a_recording_of_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(ArgumentError, match=r"^this recording holds no values"):
        cello.Recording([], None).to_html(tmp_path / "page.html")


def test_a_recording_from_a_file_has_no_arithmetic(tmp_path: Path):
    recorded("elman").save(tmp_path / "rec")
    loaded = cello.load_recording(tmp_path / "rec")
    text = loaded.to_html(tmp_path / "page.html", TEXT).read_text(encoding="utf-8")
    assert '"arithmetic": {}' in text
