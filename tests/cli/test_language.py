"""What commands print in Chinese."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import torch
from rich.cells import cell_len

import cello
from cello.cli import language
from cello.cli.diagnosis_chinese import SENTENCES, in_chinese, print_in_chinese
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


#: What parts of sentences say that are words.
WORDS = {
    "how": "always shut",
    "place": "last",
    "end": "backward",
    "right": "first",
    "other": "forward",
}


def sentences(path: str) -> Iterator[str]:
    """The texts of all findings that a file of the package makes, with their parts filled in."""
    tree = ast.parse((resources.files("cello") / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        is_finding = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"
        for arg in node.args if is_finding else ():
            if isinstance(arg, ast.Constant) and arg.value:
                yield arg.value
            elif isinstance(arg, ast.JoinedStr):
                yield "".join(
                    part.value
                    if isinstance(part, ast.Constant)
                    else WORDS.get(getattr(part.value, "id", ""), "7")
                    for part in arg.values
                )


def test_all_that_commands_say_has_chinese_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(language, "chinese", lambda: True)
    texts = [
        call.args[0].value
        for path in Path(str(resources.files("cello"))).rglob("cli/**/*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "said"
        if isinstance(call.args[0], ast.Constant)
    ]
    assert len(texts) > 15
    for text in texts:
        parts = text.count("{}")
        told = language.said(text, *range(parts))
        assert is_chinese(told)
        assert all(str(part) in told for part in range(parts))


def test_all_that_a_diagnosis_finds_has_chinese_words():
    rooms = ("see/diagnosis/values.py", "see/diagnosis/gradients.py", "cli/answers/forecasts.py")
    found = [text for room in rooms for text in sentences(room)]
    assert len(found) > 30
    assert [text for text in found if not is_chinese(in_chinese(text))] == []
    for english, chinese in SENTENCES.items():
        assert english.count("{}") == chinese.count("{}")


def test_a_diagnosis_is_told_in_chinese(capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    net = cello.Recurrent(cello.LSTMCell(4, 8, forget_bias=-8.0))
    found = cello.diagnose(net, torch.randn(60, 8, 4))
    print_in_chinese(found)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"在 8 个序列的 480 步里发现 {len(found)} 个问题"
    told = [line for line in lines if line and not line.startswith("  state")]
    assert all(map(is_chinese, told))
    assert sum(line.startswith("通常有用：") for line in told) == len(found) > 0


def test_json_and_other_languages_stay_english():
    plain = run("example", "lstm", "--json").stdout
    assert run("example", "lstm", "--json", **CHINESE).stdout == plain
    assert json.loads(plain)["title"] == "The LSTM, computed by hand"
    english = run("example").stdout
    for other in ({"LANG": "de_DE.UTF-8"}, {"LANG": ""}, {"LC_ALL": "en_GB.UTF-8"}):
        assert run("example", **(CHINESE | other)).stdout == english
    assert run("example", **(CHINESE | {"LANGUAGE": "en"})).stdout == english


def test_chinese_is_broken_between_signs_and_not_within_words():
    text = "一个 LSTM 块，三个输入 x1、x2、x3；门是 sigmoid。" * 9
    lines = paragraph(text).splitlines()
    assert len(lines) > 3
    assert all(40 < cell_len(line) <= 82 for line in lines[:-1])
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line[0] in "，。；、" for line in lines)
    assert sum(line.count("sigmoid") for line in lines) == 9
