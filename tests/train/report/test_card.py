from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from cello.tasks import About, Characters, Forecasting, Tagging
from cello.tasks.readers.corpus import Document
from cello.train import Options, fit
from cello.train.report.card import MARK, card
from cello.train.report.score_table import score_table
from tests.train.fakes import FakeTask, make_net

CPU = {"accelerator": "cpu"}


def made(task: FakeTask | Tagging | Characters, name: str = "model", **more: object) -> str:
    scores = {"validation": {"accuracy": 0.5, "accuracy/O": 1.0}, "test": {}}
    options = Options(epochs=3, weight_decay=0.25)
    return card(task, make_net(), options, name=name, scores=scores, done={"steps": 12345}, **more)


def test_a_task_that_tells_nothing_has_a_card_too():
    text = made(FakeTask(), origin="cello train fake -o model")
    assert text.startswith(MARK)
    for line in ("| validation | 0.5000 |", "| steps | 12,345 |", "| weight decay | 0.25 |"):
        assert line in text.splitlines()
    assert "accuracy/O" not in text
    parameters = sum(parameter.numel() for parameter in make_net().parameters())
    assert f"{parameters:,} parameters, {4 * parameters:,} bytes" in text
    assert "```sh\ncello train fake -o model\n```" in text
    assert "net = load_model('model')" in text
    assert "cello show model" in text


def test_forecasts_stand_beside_those_that_need_no_learning():
    of_net = {"mase": 0.85, "coverage": 0.38}
    naive = {f"{name}/naive": value for name, value in {"mase": 0.8, "coverage": 0.79}.items()}
    scores = {"test": {**of_net, **naive}}
    text = card(FakeTask(), make_net(), Options(), name="m", scores=scores, done={})
    for line in (
        "|  | forecast | mase | coverage |",
        "| test | the network | 0.8500 | 0.3800 |",
        "| test | naive | 0.8000 | 0.7900 |",
        "On test, the naive forecast is better than the network's: its MASE is lower.",
    ):
        assert line in text.splitlines()
    still = {"mase": float("nan"), "mase/naive": float("nan"), "smape": 1.0, "smape/naive": 0.0}
    assert score_table({"test": still}).note.endswith("its sMAPE is lower")


def test_classes_stand_beside_the_most_frequent_one():
    scores = {"accuracy": 0.75, "majority": 0.75}
    note = "on test, naming the most frequent class each time is right as often"
    assert score_table({"test": scores}).note == note
    assert score_table({"test": scores | {"accuracy": 0.76}}).note == ""


def test_what_a_task_tells_stays_where_it_belongs():
    class Hostile(FakeTask):
        def about(self) -> About:
            return About(
                "reads | and\n# heads", {"a|b\n# c": "<b>`"}, "x = {folder!r}, {{}}", ("a",)
            )

    text = made(Hostile(), name="my 'model'\n# x")
    assert "| a\\|b \\# c | \\<b>\\` |" in text
    assert """x = "my 'model'\\n# x", {}""" in text
    heads = [line for line in text.splitlines() if line.startswith("# ")]
    assert heads == ["# my 'model' \\# x"]


@pytest.mark.parametrize("kind", ["words", "characters", "numbers"])
def test_the_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    if kind == "words":
        file = tmp_path / "x.txt"
        file.write_text("to O\nRome B-to\n\n" * 6)
        task: Any = Tagging.from_conll(file, min_count=1, batch_size=4)
    elif kind == "numbers":
        lines = "\n".join(f"{day},{day * day % 11 + day}" for day in range(60))
        (tmp_path / "new.csv").write_text("day,{sold}\n" + lines + "\n")
        with pytest.warns(UserWarning, match="no column of times"):
            task = Forecasting.from_table(
                tmp_path / "new.csv", target=["{sold}"], horizon=2, context=4, windows=8
            )
    else:
        task = Characters.from_documents([Document("x", "{} {a} " * 60)], batch_size=2)
    from cello.tasks import build_network

    torch.manual_seed(0)
    reads = task.input_size if kind == "numbers" else task.features.encoder()
    net = build_network("gru", reads, 3, task.output_size, numbers=kind == "numbers")
    fit(task, net, Options(epochs=1, **CPU), tmp_path / "model", progress=False, origin="cello x")
    text = (tmp_path / "model" / "README.md").read_text()
    assert "\ncello x\n" in text
    monkeypatch.chdir(tmp_path)
    (python,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    exec(python, {})
    if kind == "words":
        assert "| sequences for training | 5 |" in text
        assert "| tags | B-to, O, written as IOB |" in text
        assert "cello predict model words.txt" in text
    if kind == "numbers":
        assert "that forecasts {sold}: 2 steps from the 4 before" in text


def test_a_file_of_somebody_stays(tmp_path: Path):
    (tmp_path / "README.md").write_text("mine")
    fit(FakeTask(), make_net(), Options(epochs=1, **CPU), tmp_path, progress=False)
    assert (tmp_path / "README.md").read_text() == "mine"
    (tmp_path / "README.md").unlink()
    fit(FakeTask(), make_net(), Options(epochs=2, **CPU), tmp_path, resume=True, progress=False)
    assert "| test |" in (tmp_path / "README.md").read_text()
