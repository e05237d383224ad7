"""What one changes on a page is what Python makes of the same change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import cello
from cello.see.page.running import given
from tests.see.page.nets import NETS, TEXT, typeset

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

T = len(TEXT)


def lecture() -> cello.Recurrent:
    """The lecture's LSTM: x2 opens the gates to the memory, x3 lets it out."""
    cell = cello.LSTMCell(
        3, 1, activation="linear", output_activation="linear", recurrent=False
    ).double()
    with torch.no_grad():
        cell.W.copy_(torch.tensor([[0, 100, 0], [0, 100, 0], [1, 0, 0], [0, 0, 100]]))
        cell.b.copy_(torch.tensor([-10, 10, 0, -10]))
    return cello.Recurrent(cell)


def numbers() -> torch.Tensor:
    rows = [[3, 1, 0], [4, 1, 0], [2, 0, 0], [1, 0, 1], [3, -1, 0]]
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(1)


def recorded(net: nn.Module, x: torch.Tensor, changes: Any = None) -> cello.Recording:
    with torch.no_grad(), cello.intervene(net, changes or {}):
        return cello.record(net, x)


class Page:
    """A page that runs its net."""

    def __init__(self, watched: Any) -> None:
        self.watched, self.page = watched, watched.page
        watched.until("whatif.before")

    def settle(self) -> None:
        self.watched.until("!whatif.busy")
        self.watched.settle()

    def do(self, code: str) -> Any:
        """Evaluate code in which `w` are the changes and `e` is the explorer."""
        found = self.page.evaluate(f"async () => {{ const w = whatif, e = explorer; {code} }}")
        self.settle()
        return found

    def field(self, key: str) -> Any:
        return self.page.locator(f".whatif [data-key='{key}']")

    def write(self, key: str, value: float | str) -> None:
        self.field(key).fill(str(value))
        self.field(key).press("Tab")
        self.settle()

    def values(self, layer: str) -> dict[str, list[float]]:
        """All numbers that the page shows of a layer of the sequence that is looked at."""
        found: dict[str, list[float]] = self.page.evaluate(
            """async (layer) => {
                const { book, sequence } = explorer.state, found = {};
                for (const { name } of book.layer(sequence, layer).values) {
                    found[name] = Array.from((await book.numbers(sequence, layer, name)).data);
                }
                return found;
            }""",
            layer,
        )
        return found

    def check(self, rec: cello.Recording, tolerance: float = 1e-12) -> None:
        """Check that all numbers in sight are those of a recording."""
        for layer in rec.layers:
            found = self.values(layer)
            rows = rec.layer(layer)
            assert found.keys() == rows.rows.keys()
            for name, values in rows.rows.items():
                got = torch.tensor(found[name], dtype=torch.float64)
                expected = rows.sequence(values, 0).flatten().double()
                torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def page(watched: Callable, tmp_path: Path) -> Page:
    path = recorded(lecture(), numbers()).to_html(tmp_path / "page.html", title="lecture")
    return Page(watched(path))


@pytest.mark.parametrize("name", NETS)
def test_every_page_runs_its_net_as_it_was_recorded(
    name: str, watched: Callable, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    rec = recorded(NETS[name](), torch.randn(T, 1, 3))
    page = Page(watched(rec.to_html(tmp_path / "page.html", TEXT)))
    count, largest, equal = page.do("return [w.before.count, w.before.largest, w.before.equal]")
    values = sum(rows.numel() for layer in rec.by_layer.values() for rows in layer.rows.values())
    assert count == values + (0 if rec.layers == ("",) else rec.output.numel())
    assert equal
    assert 0 <= largest < 1e-5
    assert f"{count} numbers as recorded" in page.watched.text(".whatif .note")
    page.watched.shot()


def test_another_number_is_read(page: Page) -> None:
    page.watched.press("Home")
    page.write("x0", 5)
    x = numbers()
    x[0, 0, 0] = 5
    rec = recorded(lecture(), x)
    page.check(rec)
    assert page.values("")["c"][1] == pytest.approx(9)
    assert page.page.locator(".text").first.inner_text().startswith("5, 1, 0")
    cells = page.page.locator(".outcome tbody tr").nth(1).locator("td")
    outputs = [recorded(lecture(), numbers()).output, rec.output]
    told = [cello.see.numbers.short(output[3, 0, 0].item(), 4) for output in outputs]
    assert cells.all_inner_texts() == told  # where it changes most, before the last one
    page.watched.shot()


def test_a_number_is_typed_as_one_writes_it(page: Page) -> None:
    page.watched.press("Home")
    page.write("x0", "1,5")
    assert page.values("")["x"][0] == 1.5
    page.write("x0", "−2")
    assert page.values("")["x"][0] == -2
    for nonsense in ("abc", "1e400", ""):
        page.write("x0", nonsense)
        assert page.field("x0").input_value() == "−2"
    assert page.values("")["x"][0] == -2


def test_what_is_clicked_stays_under_the_pointer(watched: Callable, tmp_path: Path) -> None:
    path = recorded(lecture(), numbers()).to_html(tmp_path / "page.html")
    size = {"width": 1280, "height": 1300}  # which the page does not fill
    page = Page(watched(path, viewport=size))
    page.do("e.go(2)")
    gate = page.page.locator(".diagram .number[data-value=f]")
    box = gate.bounding_box()
    for value in (0.0, 1.0):
        page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.settle()
        top = """document.querySelector('.diagram').shadowRoot
            .querySelector('.number[data-value=f]').getBoundingClientRect().top"""
        page.watched.until(f"Math.abs({top} - {box['y']}) < 2")
        page.check(recorded(lecture(), numbers(), {"f": (2, 0, value)}))


class Delay(cello.Cell):
    """Remembers the last inputs in a memory with two axes."""

    state = ("h", "line")

    def __init__(self) -> None:
        super().__init__(2, 3, state_sizes={"line": (2, 2)})
        self.W = nn.Linear(4, 3)

    def step(self, x: torch.Tensor, h: torch.Tensor, line: torch.Tensor) -> Any:
        line = torch.cat([x.unsqueeze(1), line[:, :-1]], 1)
        h = torch.tanh(h + self.W(line.flatten(1)))
        return h, (h, line)


def test_a_value_that_cannot_be_forced_says_so(watched: Callable, tmp_path: Path) -> None:
    rec = recorded(cello.Recurrent(Delay()), torch.randn(6, 1, 2))
    page = Page(watched(rec.to_html(tmp_path / "page.html")))
    assert "Delay with 3 units" in page.watched.text(".about")
    page.do("await e.value('line')")
    assert "line cannot be forced in this page" in page.watched.text(".whatif")
    page.do("await e.value('h')")
    assert "cannot be forced" not in page.watched.text(".whatif")


def test_a_number_is_dragged_and_stepped(page: Page) -> None:
    page.watched.press("Home")
    box = page.field("x0").bounding_box()
    page.page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 36, box["y"] + 10, steps=4)
    page.page.mouse.up()
    page.settle()
    assert page.values("")["x"][0] == 5
    page.field("x0").press("ArrowUp")
    page.settle()
    x = numbers()
    x[0, 0, 0] = 6
    page.check(recorded(lecture(), x))


def test_inputs_change_places(page: Page) -> None:
    page.do("e.go(1)")
    page.field("swap").click()
    page.settle()
    page.check(recorded(lecture(), numbers()[[0, 2, 1, 3, 4]]))
    page.field("swap").click()
    page.settle()
    assert page.page.evaluate("explorer.state.sequence") == 0  # nothing is changed any more
    page.check(recorded(lecture(), numbers()))


def test_a_gate_is_shut_and_opened_in_the_diagram(page: Page) -> None:
    page.do("e.go(2)")
    gate = page.page.locator(".diagram .number[data-value=f]")
    for value in (0.0, 1.0):
        gate.click()
        page.settle()
        rec = recorded(lecture(), numbers(), {"f": (2, 0, value)})
        page.check(rec)
        assert page.watched.numbers()["f"] == value
        assert "forced" in page.watched.text(".detail tr[data-name=f]")
    assert page.values("")["c"][3] == pytest.approx(7, abs=1e-2)
    gate.click()
    page.settle()
    page.check(recorded(lecture(), numbers()))
    assert page.page.evaluate("explorer.state.sequence") == 0


def test_a_gate_is_shut_for_good_and_all_is_set_back(page: Page) -> None:
    page.do("await e.value('f')")
    page.field("shutall").click()
    page.settle()
    page.check(recorded(lecture(), numbers(), {"f": (..., 0, 0.0)}))
    page.watched.shot()
    page.field("undo").click()
    page.settle()
    page.check(recorded(lecture(), numbers()))
    assert page.page.locator(".outcome").count() == 0


def test_the_curve_is_drawn(page: Page) -> None:
    page.page.get_by_label("draw on the curve").check()
    canvas = page.page.locator(".curve canvas").first.bounding_box()
    zoom = page.page.evaluate("explorer.state.zoom")
    page.page.mouse.move(canvas["x"] + 1.5 * zoom, canvas["y"] + 6)
    page.page.mouse.down()
    page.page.mouse.move(canvas["x"] + 3.5 * zoom, canvas["y"] + 6)
    page.page.mouse.up()
    page.settle()
    drawn = page.do("return [...w.forced.values()].map(({ from, value }) => [from, value])")
    assert [t for t, _ in drawn] == [1, 2, 3]
    page.check(recorded(lecture(), numbers(), {"c": [(t, 0, value) for t, value in drawn]}))
    assert all(value == pytest.approx(7, abs=0.2) for _, value in drawn)


def test_a_weight_is_changed(page: Page) -> None:
    page.watched.unfold(page.page.locator(".whatif summary"))
    number = page.page.evaluate("whatif.running.weights.findIndex(({ name }) => name === 'W')")
    page.field("weight").select_option(str(number))
    page.write(f"w{number}/6", 2)
    net = lecture()
    with torch.no_grad():
        net.cell.W[2, 0] = 2
    page.check(recorded(net, numbers()))
    assert page.values("")["c"][1] == pytest.approx(14)
    page.watched.call("e.go(1)")
    told = page.page.eval_on_selector_all(".arithmetic", "all => all.map(({ title }) => title)")
    assert len(told) == 10
    explained = str(recorded(net, numbers()).explain(1)).splitlines()
    assert {line.replace(" + 0 =", " =") for line in told} <= {typeset(line) for line in explained}
    page.watched.shot()
    page.write(f"w{number}/6", 1)
    page.check(recorded(lecture(), numbers()))


def test_what_is_unfolded_stays_so_where_all_is_drawn_anew_meanwhile(page: Page) -> None:
    page.do("document.querySelector('.whatif summary').click(); w.panel.draw()")
    page.page.locator(".weights .scrub").first.wait_for()


def test_another_text_is_typed(watched: Callable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = cello.Stack(nn.Embedding(5, 4), cello.LSTM(4, 6), nn.Linear(6, 2))
    letters = "abcde"

    def ids(text: str) -> torch.Tensor:
        return torch.tensor([[letters.index(letter)] for letter in text])

    text = "abcadbacd"
    page = Page(watched(recorded(net, ids(text)).to_html(tmp_path / "page.html", text)))
    typed = page.page.get_by_label("What to read")
    assert typed.input_value() == text
    typed.fill("abcdda")
    page.page.wait_for_timeout(100)
    page.settle()
    page.watched.until("whatif.after?.input.length === 6")
    page.settle()
    rec = recorded(net, ids("abcdda"))
    page.check(rec, 1e-5)
    output = torch.tensor(page.values("")["output"])
    torch.testing.assert_close(output, rec.output.flatten(), rtol=1e-5, atol=1e-5)
    typed.fill("abcddaeb")  # the recording has no e
    page.watched.until("whatif.after?.input.length === 7")
    page.settle()
    assert "“e”" in page.watched.text(".whatif .failed")
    page.check(recorded(net, ids("abcddab")), 1e-5)


def test_several_sequences_their_states_and_resets(watched: Callable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = cello.Recurrent(cello.GRUCell(3, 4)).double()
    x = torch.randn(6, 2, 3).double()
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3, 1] = True
    with torch.no_grad():
        rec = cello.record(net, x, torch.randn(2, 4).double(), lengths=[6, 5], reset=reset)
    page = Page(watched(rec.to_html(tmp_path / "page.html")))
    for sequence in (1, 0, 1):
        page.do(f"await e.sequence({sequence})")
        page.watched.until("whatif.before")
        assert page.do("return [w.before.equal, w.before.largest < 1e-12]") == [True, True]
    page.do("e.go(4)")
    page.write("x1", 3)
    x[4, 1, 1] = 3
    alone = recorded(net, x[3:5, 1:])  # from the reset on
    assert page.values("")["h"][-8:] == pytest.approx(alone["h"].flatten().tolist(), abs=1e-12)


class Weather(cello.Cell):
    """It reads two measurements, four of another kind, and which day it is."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__({"wind": 2, "map": (2, 2), "day": "integer"}, 3)
        self.wind, self.map, self.day = nn.Linear(2, 3), nn.Linear(4, 3), nn.Embedding(7, 3)

    def step(self, x: Any, h: torch.Tensor) -> Any:
        h = torch.tanh(
            h + self.wind(x["wind"]) + self.map(x["map"].flatten(1)) + self.day(x["day"])
        )
        return h, (h,)


def test_each_of_several_inputs_is_changed(watched: Callable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = cello.Stack(cello.Recurrent(Weather()), nn.Linear(3, 2)).double()
    x = {"wind": torch.randn(5, 1, 2), "map": torch.randn(1, 2, 2)}  # one map for all steps
    given = {name: part.double() for name, part in x.items()}
    given["day"] = torch.tensor([[0], [1], [2], [3], [4]])
    page = Page(watched(recorded(net, given).to_html(tmp_path / "page.html")))
    page.do("e.go(2)")
    names = page.page.locator(".whatif .row label:has([data-key^=x])").all_inner_texts()
    parts = {"wind": 2, "map": 4}
    assert names == [f"x_{n}[{i}]" for n, size in parts.items() for i in range(size)] + ["x_day"]
    page.write("x1", 0.5)
    page.write("x3", -2)
    page.write("x6", 5.8)  # a day is a whole number
    given["map"] = given["map"].expand(5, 1, 2, 2).clone()
    given["wind"][2, 0, 1], given["map"][2, 0, 0, 1], given["day"][2] = 0.5, -2, 6
    page.check(recorded(net, given))


def test_packed_sequences_run_with_their_resets(watched: Callable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = cello.Recurrent(cello.GRUCell(2, 3)).double()
    sequences = [torch.randn(length, 2).double() for length in (2, 4)]
    reset = torch.zeros(4, 2, dtype=torch.bool)
    reset[3, 1] = True
    with torch.no_grad():
        rec = cello.record(net, pack_sequence(sequences, enforce_sorted=False), reset=reset)
    page = Page(watched(rec.to_html(tmp_path / "page.html")))
    page.do("await e.sequence(1)")
    page.watched.until("whatif.before")
    assert page.do("return [w.before.equal, w.before.largest < 1e-12]") == [True, True]
    page.do("e.go(3)")
    page.write("x1", 3)
    sequences[1][3, 1] = 3
    alone = recorded(net, sequences[1][3:].unsqueeze(1))  # from the reset on
    assert page.values("")["h"][-3:] == pytest.approx(alone["h"].flatten().tolist(), abs=1e-12)


def test_an_input_of_many_numbers_is_folded_up(watched: Callable, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = cello.Recurrent(cello.ElmanCell(120, 2)).double(), torch.randn(3, 1, 120).double()
    page = Page(watched(recorded(net, x).to_html(tmp_path / "page.html")))
    page.do("e.go(1)")
    assert page.field("x5").count() == 0
    page.watched.unfold(page.page.locator(".whatif summary").first)
    assert page.page.locator(".whatif [data-key^=x]").count() == 96
    assert "the first 96 of 120" in page.watched.text(".whatif")
    page.write("x95", 4)
    x[1, 0, 95] = 4
    page.check(recorded(net, x))


def test_a_net_that_is_not_equal_here_cannot_be_changed(watched: Callable, tmp_path: Path) -> None:
    path = recorded(lecture(), numbers()).to_html(tmp_path / "page.html")
    text = path.read_text()
    broken = text.replace("v_sigmoid = (x) =>", "v_sigmoid = (x) => 1e-3 +")
    assert broken != text
    policy = text.index("script-src '")
    path.write_text(
        broken.replace(text[policy : text.index(";", policy)], "script-src 'unsafe-inline'")
    )
    page = Page(watched(path))
    assert "other numbers than were recorded" in page.watched.text(".whatif .note")
    assert page.page.locator(".whatif input, .whatif button").count() == 0
    page.page.locator(".diagram .number[data-value=f]").click()
    page.settle()
    assert page.page.evaluate("explorer.state.sequence") == 0


def test_what_cannot_run_says_why(
    watched: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec = recorded(lecture(), numbers())
    rec.save(tmp_path / "rec.safetensors")
    loaded = cello.load_recording(tmp_path / "rec.safetensors")
    page = watched(loaded.to_html(tmp_path / "page.html"))
    assert "does not hold the net" in page.text(".whatif")
    monkeypatch.setattr(given, "LARGEST", 100)
    page = watched(rec.to_html(tmp_path / "page.html"))
    assert "its weights take 0.0 MB" in page.text(".whatif")
