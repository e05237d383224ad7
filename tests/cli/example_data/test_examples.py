"""Every number that the lecture states, recomputed here in plain Python and met by the examples."""

from __future__ import annotations

import json
from math import exp, tanh
from pathlib import Path

import pytest

from cello.cli.example_data.datafile import DataFile, Written, agrees, example_files, read_data_file
from cello.cli.example_data.report import NetworkReport, report
from tests.cli.running import run, run_json

FILES = example_files()


def load(name: str) -> DataFile:
    return read_data_file(FILES[name], name)


def networks(name: str) -> list[NetworkReport]:
    return report(load(name))


def values(name: str, run: int = 0) -> dict[str, list[list[float]]]:
    """The columns of one run of an example."""
    (network,) = networks(name)
    return {column.name: column.values for column in network.runs[run].columns}


def first_unit(rows: list[list[float]]) -> list[float]:
    assert all(row == [row[0]] * len(row) for row in rows)  # all units are always equal
    return [row[0] for row in rows]


def test_the_examples_are_all_there():
    assert list(FILES) == [
        "elman",
        "jordan",
        "bidirectional",
        "stacked",
        "lstm",
        "lstm-nine",
        "lstm-tanh",
        "parameters",
    ]


@pytest.mark.parametrize("name", FILES)
def test_whatever_an_example_states_is_so(name: str):
    found = networks(name)
    verdicts = [
        verdict
        for network in found
        for run in network.runs
        for column in run.columns
        for row in column.agreement()
        for verdict in row
        if verdict is not None
    ]
    counts = [n.parameters == n.stated_parameters for n in found if n.stated_parameters is not None]
    assert (len(verdicts), len(counts)) == {
        "elman": (36, 0),
        "jordan": (12, 0),
        "bidirectional": (18, 0),
        "stacked": (0, 0),
        "lstm": (55, 0),
        "lstm-nine": (18, 0),
        "lstm-tanh": (1, 0),
        "parameters": (0, 6),
    }[name]
    assert all(verdicts)
    assert all(counts)


# ------------------------------------------------------------ lecture, sections 1 and 2


@pytest.mark.parametrize(
    ("number", "inputs", "hidden", "output"),
    [
        (0, [1, 1, 2], [2, 6, 16], [4, 12, 32]),
        (1, [2, 1, 1], [4, 10, 22], [8, 20, 44]),
        (2, [1, 2, 1], [2, 8, 18], [4, 16, 36]),
    ],
)
def test_elman(number: int, inputs: list[int], hidden: list[int], output: list[int]):
    found, h, expected = values("elman", number), 0, []
    for x in inputs:
        h = 2 * x + 2 * h  # two inputs and two units, all weights 1
        expected.append(h)
    assert expected == hidden == first_unit(found["h"])
    assert [2 * h for h in expected] == output == first_unit(found["output"])


def test_jordan():
    found, y, hidden = values("jordan"), 0, []
    for x in (1, 1, 2):
        hidden.append(2 * x + 2 * y)
        y = 2 * hidden[-1]
    assert hidden == [2, 10, 44] == first_unit(found["h"])
    assert [2 * h for h in hidden] == [4, 20, 88] == first_unit(found["y"])


def test_bidirectional():
    found = values("bidirectional")
    forward, backward = first_unit(found["forward.h"]), first_unit(found["backward.h"])
    assert (forward, backward) == ([2, 6, 16], [22, 10, 4])
    expected = [2 * f + 2 * b for f, b in zip(forward, backward, strict=True)]
    assert expected == [48, 32, 40] == first_unit(found["output"])


def test_stacked():
    found = values("stacked")
    hidden = [2, 6, 16]
    there = [2 * 2, 2 * 6 + 4, 2 * 16 + 16]  # one unit, two inputs
    back = [2 * 2 + 44, 2 * 6 + 32, 2 * 16]
    memory, y, jordan = 0, 0, []
    memories = []
    for x in (a + b for a, b in zip(there, back, strict=True)):
        memory += x
        memories.append(memory)
        y = 2 * (memory + y)
        jordan.append(y)
    assert first_unit(found["0.h"]) == hidden
    assert first_unit(found["1.forward.h"]) == there
    assert first_unit(found["1.backward.h"]) == back
    assert first_unit(found["2.c"]) == memories
    assert first_unit(found["3.y"]) == jordan


# ------------------------------------------------------------ lecture, section 4


def sigmoid(z: float) -> float:
    return 1 / (1 + exp(-z))


def block(columns: list[tuple[int, int, int]], g=lambda z: z, h=lambda c: c):
    """The lecture's LSTM block: the memory and the output after each column."""
    c, memories, outputs = 0.0, [], []
    for x1, x2, x3 in columns:
        c = g(x1) * sigmoid(100 * x2 - 10) + c * sigmoid(100 * x2 + 10)
        memories.append(c)
        outputs.append(h(c) * sigmoid(100 * x3 - 10))
    return memories, outputs


COMPUTED = [(3, 1, 0), (4, 1, 0), (2, 0, 0), (1, 0, 1), (3, -1, 0)]
NINE = [
    *((1, 0, 0), (3, 1, 0), (2, 0, 0), (4, 1, 0), (2, 0, 0)),
    *((1, 0, 1), (3, -1, 0), (6, 1, 0), (1, 0, 1)),
]


def close(expected: list[float]) -> list[object]:
    """The same to the last bits of a float64."""
    return [pytest.approx(value, rel=1e-14, abs=0) for value in expected]


def test_lstm():
    found = {name: first_unit(rows) for name, rows in values("lstm").items()}
    memories, outputs = block(COMPUTED)
    assert found["c"] == close(memories)
    assert found["h"] == close(outputs)
    assert found["z"] == [3, 4, 2, 1, 3]
    assert found["z_i"] == [90, 90, -10, -10, -110]
    assert found["z_f"] == [110, 110, 10, 10, -90]
    assert found["z_o"] == [-10, -10, -10, 90, -10]
    assert found["i"] == close([sigmoid(z) for z in found["z_i"]])
    assert found["f"] == close([sigmoid(z) for z in found["z_f"]])
    assert found["o"] == close([sigmoid(z) for z in found["z_o"]])
    assert found["g * i"] == close([3, 4, 2 * sigmoid(-10), sigmoid(-10), 3 * sigmoid(-110)])
    before = [0, *memories[:-1]]
    assert found["c_prev * f"] == close([c * f for c, f in zip(before, found["f"], strict=True)])
    assert found["c"][:2] == [3, 7]  # exactly
    assert [f"{c:.6f}" for c in found["c"][2:4]] == ["6.999773", "6.999501"]
    assert [f"{h:.3e}" for h in found["h"][:3]] == ["1.362e-04", "3.178e-04", "3.178e-04"]
    assert f"{found['h'][3]:.6f}" == "6.999501"
    assert [f"{v:.1e}" for v in (found["c"][4], found["h"][4])] == ["5.7e-39", "2.6e-43"]


def test_nine_columns():
    found = {name: first_unit(rows) for name, rows in values("lstm-nine").items()}
    memories, outputs = block(NINE)
    assert found["c"] == close(memories)
    assert found["h"] == close(outputs)
    assert (f"{found['h'][5]:.6f}", f"{found['h'][8]:.6f}") == ("6.999501", "5.999773")
    whole = [0, 3, 3, 7, 7, 7, 0, 6, 6], [0, 0, 0, 0, 0, 7, 0, 0, 6]
    pairs = zip(found["c"] + found["h"], whole[0] + whole[1], strict=True)
    assert f"{max(abs(a - b) for a, b in pairs):.1e}" == "5.0e-04"


def test_tanh_cannot_reproduce_it():
    found = {name: first_unit(rows) for name, rows in values("lstm-tanh").items()}
    memories, outputs = block(COMPUTED, tanh, tanh)
    assert found["c"] == close(memories)
    assert found["h"] == close(outputs)
    assert f"{found['h'][3]:.6f}" == "0.963621"


def test_the_arithmetic_is_shown():
    (network,) = networks("lstm")
    text = "\n".join(step.text for step in network.runs[0].arithmetic)
    steps = [(step.t, step.unit) for step in network.runs[0].arithmetic]
    assert steps == [(0, 0), (1, 0), (3, 0)]
    for line in (
        "z_f = 0·3 + 100·1 + 0·0 + 10 = 110",  # the first step: open, but there is nothing to keep
        "c = 1·3 + 1·0 = 3",
        "h = 4.5398e-5·3 = 1.3619e-4",
        "z_i = 0·4 + 100·1 + 0·0 − 10 = 90",
        "i = σ(90) = 1",
        "c = 1·4 + 1·3 = 7",
        "c = 4.5398e-5·1 + 0.9999546·6.999773 = 6.999501",
    ):
        assert line in text.splitlines()


# ------------------------------------------------------------ lecture, section 5


def test_parameters():
    counts = {network.title: network.parameters for network in networks("parameters")}
    I, H = 2, 2  # noqa: E741
    assert counts == {
        "Feed-forward layer": H * I + H,
        "LSTM without recurrence": 4 * (H * I + H),
        "Elman (RNN)": H * I + H * H + H,
        "GRU": 3 * (H * I + H * H + H),
        "LSTM": 4 * (H * I + H * H + H),
        "LSTM with peepholes": 4 * (H * I + H * H + H) + 3 * H,
    }
    assert list(counts.values()) == [6, 24, 10, 30, 40, 46]


# ------------------------------------------------------------ the command


def test_a_list():
    output = run("example").stdout
    assert [line.split()[0] for line in output.splitlines()[2:]] == list(FILES)
    assert run_json("example")["lstm"] == "The LSTM, computed by hand"


def test_a_table_with_ticks():
    output = run("example", "elman").stdout
    assert "2    2 2  16 16 ✓  32 32 ✓" in output
    assert output.count("✓ 12 of 12 values are as stated") == 3
    assert "✗" not in output
    assert "  z = W x + R h_prev\n  h = z\n" in output
    assert "step 2, unit 0, layer 0:\n  z[0] = 1·2 + 1·2 + 1·6 + 1·6 = 16\n" in output


@pytest.mark.parametrize("name", FILES)
def test_every_example_prints_itself(name: str):
    output = run("example", name).stdout
    assert output.startswith(load(name).title)
    assert "✗" not in output


def test_json():
    data = run_json("example", "lstm")
    (network,) = data["networks"]
    (only,) = network["runs"]
    assert only["values"]["c"][:2] == [[3.0], [7.0]]
    assert only["stated"]["c"][3] == [6.999501]
    assert only["agrees"]["c"] == [[True]] * 5
    assert [step["t"] for step in only["arithmetic"]] == [0, 1, 3]
    assert network["parameters"] == 16
    assert set(network["equations"]) == {"0"}


def test_other_steps_can_be_explained():
    output = run("example", "lstm", "--step", 0, "--step", 2).stdout
    assert "step 0, unit 0:" in output
    assert "step 2, unit 0:" in output
    assert "step 1," not in output
    result = run("example", "lstm", "--step", 5, code=2)
    assert "there is no step 5: steps go from 0 to 4" in result.stderr


def test_an_example_can_be_copied_and_changed(tmp_path: Path):
    target = tmp_path / "mine.toml"
    assert "wrote" in run("example", "elman", "--copy", target).stdout
    assert target.read_bytes() == FILES["elman"].read_bytes()
    changed = target.read_text().replace("W = [[1, 1], [1, 1]]", "W = [[1, 1], [1, 2]]")
    target.write_text(changed)
    output = run("run", target).stdout
    assert "2 3 ✗ (2 2)" in output
    assert "values are as stated" in output
    data = run_json("run", target)
    assert data["networks"][0]["runs"][0]["agrees"]["h"][0] == [True, False]


def test_nothing_is_overwritten(tmp_path: Path):
    target = tmp_path / "mine.toml"
    target.write_text("mine")
    result = run("example", "elman", "--copy", target, code=2)
    assert "mine.toml is there already: choose another name" in result.stderr
    assert target.read_text() == "mine"
    result = run("example", "elman", "--copy", tmp_path / "nowhere" / "x.toml", code=2)
    assert "cannot be written: No such file or directory" in result.stderr


def test_an_unknown_example():
    result = run("example", "elmo", code=2)
    assert "there is no example 'elmo'; there are elman, jordan, " in result.stderr
    assert "need the NAME" in run("example", "--step", 1, code=2).stderr


# ------------------------------------------------------------ agreement


@pytest.mark.parametrize(
    ("value", "stated", "verdict"),
    [
        (7.0, 7, True),
        (7.0000001, 7, False),
        (6.9995007, Written("6.999501"), True),
        (6.999502, Written("6.999501"), False),
        (6.9995, Written("7.00"), True),
        (6.99, Written("7.00"), False),
        (4.5398e-5, Written("4.54e-5"), True),
        (4.55e-5, Written("4.54e-5"), False),
        (5.73e-39, Written("5.7e-39"), True),
        (0.0, Written("5.7e-39"), False),
        (float("inf"), Written("inf"), True),
        (3.0, Written("inf"), False),
        (float("nan"), Written("7.00"), False),
        (1000.4, Written("1_000.4"), True),
    ],
)
def test_what_agrees(value: float, stated: int | Written, verdict: bool):
    assert agrees(value, stated) is verdict


def test_written_numbers_stay_numbers():
    assert json.dumps(Written("0.50")) == "0.5"


def test_an_example_as_a_page(tmp_path: Path):
    page = tmp_path / "lstm.html"
    out = run("example", "lstm", "--html", page).stdout
    assert out == f"wrote {page}: open it in a browser\n"
    text = page.read_text(encoding="utf-8")
    head = text.partition('id="head">')[2].partition("</script>")[0]
    (sequence,) = json.loads(head)["sequences"]
    assert sequence["tokens"][:2] == ["3, 1, 0", "4, 1, 0"]
    result = run("example", "parameters", "--html", page, code=2)
    assert "there is no page of it, for it has no runs" in result.stderr
    assert "need the NAME of an example" in run("example", "--html", page, code=2).stderr
