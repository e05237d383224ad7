"""Exercises: the page says what is reached, and by what; each answer is proved beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError, CelloError, UnknownNameError
from cello.see import Exercise, Goal
from tests.cli.running import run

browser = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

EXAMPLES = ["elman", "jordan", "bidirectional", "stacked", "lstm", "lstm-nine", "lstm-tanh"]


@pytest.fixture
def example(watched: Callable, tmp_path: Path) -> Callable[..., Any]:
    def opened(name: str, **options: Any) -> Any:
        run("example", name, "--html", tmp_path / "page.html")
        page = watched(tmp_path / "page.html", **options)
        page.until("whatif.before")
        return page

    return opened


def settle(page: Any) -> None:
    page.until("!whatif.busy")
    page.settle()


def begin(page: Any, number: int = 0) -> None:
    page.page.get_by_role("button", name="Try it").click()
    for _ in range(number):
        page.page.get_by_role("button", name="next exercise").click()
    page.until(f"exercises.on && exercises.number === {number}")
    settle(page)


def status(page: Any) -> str:
    return page.text(".exercise [role=status]")


@pytest.mark.parametrize("name", EXAMPLES)
class TestExamples:
    pytestmark = browser

    def test_their_answers_solve_them_on_the_page(self, name: str, example: Callable):
        page = example(name)
        begin(page)
        count = page.page.evaluate("exercises.all.length")
        assert 1 <= count <= 3
        for number in range(count):
            assert page.text(".exercise h2") == f"Exercise {number + 1} of {count}"
            assert status(page) == "Not yet."
            page.page.get_by_role("button", name="show me", exact=True).click()
            page.until("document.querySelector('.exercise').classList.contains('solved')")
            settle(page)
            assert status(page) == "✓ Solved, by the answer that was shown."
            page.page.get_by_role("button", name="hint", exact=True).click()
            assert page.page.locator(".exercise .note").is_visible()
            if number + 1 < count:
                page.page.get_by_role("button", name="next exercise").click()
                page.until(f"exercises.on && exercises.number === {number + 1}")
                settle(page)
        page.page.locator("[data-control='中文']").click()
        page.until("document.querySelector('.exercise h2').textContent.startsWith('练习')")
        assert "完成" in status(page)
        text = page.text(".exercise p, .about .given")
        assert any(letter > "\u4e00" for letter in text)

    def test_they_are_for_everyone(self, name: str, example: Callable):
        for width, theme in ((1440, "light"), (320, "dark")):
            page = example(
                name, viewport={"width": width, "height": 700}, color_scheme=theme, has_touch=True
            )
            begin(page)
            page.page.get_by_role("button", name="hint", exact=True).click()
            assert page.barriers() == []
            page.page.get_by_role("button", name="show me", exact=True).click()
            page.until("document.querySelector('.exercise').classList.contains('solved')")
            settle(page)
            assert page.barriers() == []
            assert page.page.evaluate("document.documentElement.scrollWidth") <= width
            small = page.page.eval_on_selector_all(
                ".exercise button",
                "all => all.filter((one) => one.getBoundingClientRect().height < 44).length",
            )
            assert small == 0
            page.shot(f"{width}")


class TestPage:
    pytestmark = browser

    def test_a_gate_is_opened_by_keyboard(self, example: Callable):
        page = example("lstm")
        page.page.get_by_role("button", name="Try it").press("Enter")
        page.until("exercises.on")
        settle(page)
        assert page.state("t") == 4
        heading = "document.activeElement.textContent"
        assert page.page.evaluate(heading) == "Exercise 1 of 3"
        page.page.get_by_role("button", name="the gate f").press("Enter")
        settle(page)
        assert page.page.evaluate("document.activeElement.dataset.key") == "force"
        page.page.locator(".whatif [data-key=open]").press("Enter")
        page.until("document.querySelector('.exercise').classList.contains('solved')")
        settle(page)
        assert status(page) == "✓ Solved."
        assert page.text(".goals").startswith("✓ c at step 4 is 7 · wanted: 6.9 to 7.1")
        assert page.text(".exercise h2") == "Exercise 1 of 3 · ✓ solved"
        page.page.get_by_role("button", name="begin anew").press("Enter")
        page.until("!document.querySelector('.exercise').classList.contains('solved')")
        settle(page)
        assert status(page) == "Not yet."
        page.page.get_by_role("button", name="end", exact=True).press("Enter")
        assert page.page.locator(".exercise").is_hidden()
        assert page.page.locator("aside .whatif").count() == 1
        page.press("ArrowLeft")
        assert page.state("t") == 3

    def test_what_may_not_be_changed_does_not_solve_it(self, example: Callable):
        page = example("lstm")
        begin(page)
        page.page.evaluate("whatif.force('0', 'c', 0, 4, 4, 7)")
        page.until("document.querySelector('.goals .right')")
        settle(page)
        assert status(page).endswith("set c back.")
        page.page.evaluate("whatif.undo()")
        settle(page)
        page.page.evaluate("whatif.setInput(4, 1, 0)")  # x2 of the last step
        page.until("document.querySelector('.goals .right')")
        settle(page)
        assert status(page).endswith("set the numbers of the input back.")
        assert not page.page.evaluate("exercises.solved.size")

    def test_inputs_change_places_until_it_is_solved(self, example: Callable):
        page = example("elman")
        begin(page)
        for t in (1, 0):
            page.page.get_by_role("button", name="the order of the inputs").click()
            page.call(f"e.go({t})")
            page.page.locator(".whatif [data-key=swap]").click()
            settle(page)
        assert status(page) == "✓ Solved."
        page.page.evaluate("whatif.setInput(0, 0, 3)")
        settle(page)
        assert "✓ Solved" not in status(page)

    def test_weights_are_typed_until_it_is_solved(self, example: Callable):
        page = example("elman")
        begin(page, 1)
        page.page.get_by_role("button", name="the weights 0.R").click()
        number = page.page.evaluate("whatif.running.weights.findIndex(({name}) => name === '0.R')")
        assert page.page.evaluate("document.activeElement.dataset.key") == f"w{number}/0"
        for place in (1, 2):
            assert "✓ Solved" not in status(page)
            field = page.page.locator(f".whatif [data-key='w{number}/{place}']")
            field.fill("0")
            field.press("Tab")
            settle(page)
        assert status(page) == "✓ Solved."
        page.call("await e.sequence(0)")  # what was recorded is looked at
        assert page.page.evaluate("exercises.on")
        page.page.get_by_role("button", name="begin anew").click()
        settle(page)
        page.call("await e.sequence(1)")  # another sequence
        assert page.page.locator(".exercise").is_hidden()


def recorded(batch: int = 1) -> cello.Recording:
    torch.manual_seed(0)
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 3)), nn.Linear(3, 1))
    with torch.no_grad():
        return cello.record(net, torch.randn(4, batch, 2))


ZERO = {"0.R": [[0.0] * 3] * 3, "0.W": [[0.0] * 2] * 3, "b": [0.0] * 3}
DONE = Exercise("Make it 0.", [Goal("h", 3, 1, low=0, high=0)], ZERO)


class TestFile:
    def test_one_of_one_s_own(self, tmp_path: Path):
        path = recorded(2).to_html(
            tmp_path / "a.html",
            title={"en": "A title", "zh": "标题"},
            exercises=[DONE, replace(DONE, text={"zh": "使它为 0。"}, sequence=1)],
        )
        text = path.read_text(encoding="utf-8")
        assert "<title>A title</title>" in text
        assert '"text": "Make it 0."' in text
        assert '"text": {"zh": "使它为 0。"}' in text

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            (
                {"answer": {"0.R": [[0.0] * 3] * 3}},
                r"its answer makes h\[1\] at step 3 .*expected 0",
            ),
            ({"goals": [Goal("h", 3, low=-1.0, high=1.0)]}, "reached without a change"),
            ({"goals": [Goal("h", 4)]}, "h has 4 steps of 3 units"),
            ({"goals": [Goal("h", 3, 3)]}, "h has 4 steps of 3 units"),
            ({"answer": {"0.R": [[0.0] * 3]}}, r"of the shape \[3, 3\], got \[1, 3\]"),
            ({"answer": {"0.R": "x"}}, "0.R must be numbers, got 'x'"),
            ({"answer": {"order": [0, 0, 1, 2]}}, "order must name each step"),
            ({"answer": {"order": 3}}, "order must name each step"),
            ({"answer": {"order": ["a", 1, 2, 3]}}, "order must name each step"),
            ({"answer": {"input": [[1.0, 2.0]]}}, r"input must be numbers of the shape \[4, 2\]"),
            ({"answer": {"h": [(4, 0, 1.0)]}}, "h must be forced by triples"),
            ({"answer": {"h": 4}}, "h must be forced by triples"),
            ({"answer": {"h": [([], 0, 1.0)]}}, "h must be forced by triples"),
            ({"sequence": 1}, "sequence must be from 0 to 0, got 1"),
        ],
    )
    def test_what_does_not_fit_is_told(self, changes: dict[str, Any], told: str, tmp_path: Path):
        given = {"text": "Do it.", "goals": DONE.goals, "answer": ZERO} | changes
        with pytest.raises(ArgumentError, match=r"exercises\[0\]: .*" + told):
            recorded().to_html(tmp_path / "a.html", exercises=[Exercise(**given)])
        assert not (tmp_path / "a.html").exists()

    def test_names_that_nothing_has_are_told(self, tmp_path: Path):
        for changes in ({"answer": {"Q": 1}}, {"goals": [Goal("q", 0)]}, {"change": ["0.R", "?"]}):
            given = {"text": "", "goals": DONE.goals, "answer": {"0.R": [[0.0] * 3] * 3}} | changes
            with pytest.raises(UnknownNameError, match=r"exercises\[0\]: nothing is named"):
                recorded().to_html(tmp_path / "a.html", exercises=[Exercise(**given)])

    def test_a_page_that_cannot_run_its_net_has_none(self, tmp_path: Path):
        rec = recorded()
        rec.save(tmp_path / "a.safetensors")
        loaded = cello.load_recording(tmp_path / "a.safetensors")
        with pytest.raises(ArgumentError, match="a net that the page can run: the recording does"):
            loaded.to_html(tmp_path / "a.html", exercises=[DONE])
        with pytest.raises(ArgumentError, match="exercises must hold Exercises, got 'x'"):
            rec.to_html(tmp_path / "a.html", exercises=["x"])  # type: ignore[list-item]

    @pytest.mark.parametrize(
        ("make", "told"),
        [
            (lambda: Goal("h", -1), "t of a goal must be counted from 0, got -1"),
            (lambda: Goal("h", True), "t of a goal"),
            (lambda: Goal("h", 0, 1.5), "unit of a goal"),
            (lambda: Goal(1, 0), "name of a goal"),
            (lambda: Goal("h", 0, low=1, high=0), "range of numbers"),
            (lambda: Goal("h", 0, low=math.nan), "range of numbers"),
            (lambda: Exercise(1, [Goal("h", 0)], ZERO), "text must be a string, or strings by"),
            (lambda: Exercise({"fr": "a"}, [Goal("h", 0)], ZERO), "text must be"),
            (lambda: Exercise("", [], ZERO), "goals must be Goals"),
            (lambda: Exercise("", 3, ZERO), "goals must be Goals"),
            (lambda: Exercise("", [Goal("h", 0)], {}), "answer must say"),
            (lambda: Exercise("", [Goal("h", 0)], ZERO, ["h"]), "change does not name it"),
            (lambda: Exercise("", [Goal("h", 0)], ZERO, 3), "change must hold names"),
        ],
    )
    def test_what_is_none_is_told(self, make: Callable[[], Any], told: str):
        with pytest.raises(CelloError, match=told):
            make()
        with pytest.raises(ArgumentError, match="title must be a string, or strings by language"):
            recorded().to_html("never.html", title={"fr": "a"})

    def test_the_net_and_its_input_stay_as_they_were(self, tmp_path: Path):
        rec = recorded()
        before = {name: value.clone() for name, value in rec.call.net.state_dict().items()}
        x = rec.call.x.clone()
        order = Exercise("", [Goal("0.x", 0, low=rec["0.x"][1, 0, 0].item() - 1e-6,
                                   high=rec["0.x"][1, 0, 0].item() + 1e-6)],
                         {"order": [1, 0, 2, 3]})  # fmt: skip
        rec.to_html(tmp_path / "a.html", exercises=[DONE, order])
        assert torch.equal(rec.call.x, x)
        assert all(torch.equal(v, before[name]) for name, v in rec.call.net.state_dict().items())
