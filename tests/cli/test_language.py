"""What commands print in Chinese."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from cello.cli.example_data.datafile import example_files
from cello.cli.output import paragraph
from tests.cli.running import run

CHINESE = {"LANGUAGE": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


@pytest.mark.parametrize("name", example_files())
def test_an_example_is_told_in_chinese_with_the_same_numbers(name: str):
    english, told = run("example", name).stdout, run("example", name, **CHINESE).stdout
    assert not is_chinese(english)
    title, *rest = told.splitlines()
    assert is_chinese(title)
    assert "一致" in told or name == "stacked"  # whose file states nothing
    numbers = [line for line in english.splitlines() if line.startswith("  ")]
    assert [line for line in rest if line.startswith("  ")] == numbers
    if "\nstep " in english:
        assert "步，单元 0" in told


def test_the_list_and_what_was_written_are_told_in_chinese(tmp_path: Path):
    head, _, *rows = run("example", **CHINESE).stdout.splitlines()
    assert head.split() == ["名称", "内容"]
    assert len(rows) == len(example_files())
    assert all(is_chinese(row) for row in rows)
    for option, name in (("--copy", "a.toml"), ("--html", "a.html")):
        told = run("example", "lstm", option, tmp_path / name, **CHINESE).stdout
        assert told.startswith("已写入")
        assert name in told


def test_a_value_that_is_not_as_stated_is_told_in_chinese(tmp_path: Path):
    run("example", "lstm-tanh", "--copy", tmp_path / "a.toml")
    text = (tmp_path / "a.toml").read_text("utf-8").replace("0.963621", "0.97")
    (tmp_path / "a.toml").write_text(text, "utf-8")
    assert "✗ 0 个数值" in run("run", tmp_path / "a.toml", **CHINESE).stdout


def test_json_and_other_languages_stay_english():
    plain = run("example", "lstm", "--json").stdout
    assert run("example", "lstm", "--json", **CHINESE).stdout == plain
    assert json.loads(plain)["title"] == "The LSTM, computed by hand"
    english = run("example").stdout
    for language in ({"LANG": "de_DE.UTF-8"}, {"LANG": ""}, {"LC_ALL": "en_GB.UTF-8"}):
        assert run("example", **(CHINESE | language)).stdout == english
    assert run("example", **(CHINESE | {"LANGUAGE": "en"})).stdout == english


def test_chinese_is_broken_between_signs_and_not_within_words():
    text = "一个 LSTM 块，三个输入 x1、x2、x3；门是 sigmoid。" * 9
    lines = paragraph(text).splitlines()
    assert len(lines) > 3
    assert all(40 < cell_len(line) <= 82 for line in lines[:-1])
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line[0] in "，。；、" for line in lines)
    assert sum(line.count("sigmoid") for line in lines) == 9
