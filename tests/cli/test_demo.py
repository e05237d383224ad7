"""`cello demo` from end to end, on a few files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

import cello
from cello.cli.answers import coloured
from cello.cli.commands import demo
from cello.cli.demo import memory_shown as demo_memory
from cello.tasks import python_tagging
from cello.tasks.readers.corpus import standard_library

FILES = ("textwrap.py", "shlex.py", "cmd.py", "sched.py", "bisect.py", "heapq.py", "queue.py")


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(d for d in standard_library() if d.name in FILES)
    module = sys.modules["cello.tasks.python_tagging"]
    monkeypatch.setattr(module, "standard_library", lambda: few)
    monkeypatch.setattr(demo_memory, "standard_library", lambda: few)


@pytest.mark.usefixtures("few_files")
@pytest.mark.optimised  # it trains five taggers
def test_demo(tmp_path: Path) -> None:
    options = ["--epochs", "1", "--pieces", "32", "--parameters", "3000", "-o", str(tmp_path)]
    result = CliRunner().invoke(demo.command, options, catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    (head,) = [n for n, line in enumerate(lines) if line.startswith("network")]
    rows = lines[head + 2 : head + 7]
    assert [row.split("  ")[0] for row in rows] == list(demo.KINDS.values())
    for row in rows:
        parameters = int(row[20:].split()[0].replace(",", ""))
        assert parameters == pytest.approx(3000, rel=0.05)
        compiled, reference = map(float, row.split()[-2:])
        assert compiled > 0
        assert reference > 0
    assert lines[head].split()[-3:] == ["an", "epoch*", "reference*"]
    assert "passes of an epoch, from 1 of its 1 batches" in " ".join(lines)
    assert "area under the ROC curve 0." in result.stdout
    assert "coloured by memory" in result.stdout
    assert str(tmp_path / "lstm.html") in lines[-3]
    page = (tmp_path / "lstm.html").read_text(encoding="utf-8")
    unit = int(result.stdout.split("coloured by memory ")[1].split(".")[0])
    assert f'"begin": {{"layer": "1.0", "value": "c", "unit": {unit}, "t": ' in page
    net = cello.load_model(tmp_path / "lstm")
    assert isinstance(net[1], cello.LSTM)

    again = CliRunner().invoke(demo.command, options, catch_exceptions=False)
    assert "epoch 1/1" not in again.stderr  # it was done already
    told = lines[head].index("an epoch*")  # what stands right of it is measured anew
    table = slice(head, head + 7)
    cut = [[line[:told] for line in text[table]] for text in (again.stdout.splitlines(), lines)]
    assert cut[0] == cut[1]


def test_passage_has_a_comment_a_long_string_and_code() -> None:
    documents = [d for d in standard_library() if d.name in FILES]
    document, start, end = demo_memory._passage(documents)
    text = document.text[start:end]
    assert text.count("\n") == demo_memory.LINES
    assert "#" in text
    assert '"""' in text or "'''" in text


def test_search_data_is_aligned() -> None:
    document = next(d for d in standard_library() if d.name == "textwrap.py")
    task = python_tagging([document._replace(name=name) for name in "abc"], pieces=1)
    net = cello.Stack(task.features.encoder(), cello.LSTM(len(task.features.vocabulary), 3))
    values, inside = demo_memory._search_data(task, net, [document])
    count = len(document.text) // demo_memory.PIECE * demo_memory.PIECE
    assert values.shape == (count, 3)
    assert inside.shape == (count,)
    assert 0.2 < inside.double().mean() < 0.8


def test_colours_and_digits() -> None:
    plain = Console(width=80, color_system=None)
    with plain.capture() as capture:
        coloured.print_coloured(plain, "ab\nc\n", [0.0, 0.5, 1.0, 2.0, -1.0], 0.0, 1.0, "xyzuv")
    assert capture.get().splitlines() == ["ab ", "049", "xyz", "c ", "90", "uv"]
    bright = Console(width=80, force_terminal=True, color_system="truecolor", no_color=False)
    with bright.capture() as capture:
        coloured.print_coloured(bright, "ab", [0.0, 1.0], 0.0, 1.0)
    assert "48;2;38;88;160" in capture.get()
    assert "48;2;200;92;10" in capture.get()


def test_rank_units() -> None:
    from cello.see.probing.units import rank_units

    labels = torch.tensor([0, 0, 1, 1, 1]).bool()
    values = torch.tensor([[0.0, 3, 1], [1, 2, 1], [2, 1, 1], [3, 0, 1], [0.5, -1, 1]])
    best, second, third = rank_units(values, labels)
    assert (best.unit, best.auc, best.strength) == (1, 0.0, 1.0)
    assert second.unit == 0
    assert second.auc == pytest.approx(5 / 6)
    assert (third.unit, third.strength) == (2, 0.5)
    with pytest.raises(cello.errors.ShapeError, match=r"values must be \[N, H\]"):
        rank_units(values[0], labels)
    with pytest.raises(cello.errors.ArgumentError, match="with the property and steps without"):
        rank_units(values, torch.ones(5).bool())


@pytest.mark.usefixtures("few_files")
def test_seconds_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    from cello.cli.demo import seconds as demo_seconds

    task = python_tagging(pieces=40, piece_length=16, batch_size=8)
    net = cello.Stack(
        task.features.encoder(),
        cello.Recurrent(cello.ElmanCell(len(task.features.vocabulary), 3)),
        torch.nn.Linear(3, task.output_size),
    ).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    engines, clock = [], iter([0.0, 0.3, 10.0, 10.6])
    monkeypatch.setattr(demo_seconds.time, "perf_counter", lambda: next(clock))
    loss = type(task).loss

    def spied(self: object, *args: object) -> object:
        engines.append(cello.engines.current_engine())
        return loss(self, *args)

    monkeypatch.setattr(type(task), "loss", spied)
    # Three of five batches are measured, after one that is not.
    assert demo_seconds.epoch_seconds(task, net) == pytest.approx([0.3 * 5 / 3, 0.6 * 5 / 3])
    assert engines == ["auto"] * 4 + ["reference"] * 4
    assert not net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert "from 3 of its 5 batches" in demo_seconds.footnote(task)
