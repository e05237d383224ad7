from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cello
from cello.cli.example_data.datafile import read_data_file
from cello.errors import DataError
from tests.cli.running import run, run_json

NET = """
[[net]]
type = "Recurrent"
cell = {type = "ElmanCell", input_size = 2, hidden_size = 1, activation = "relu", bias = false}
weights = {"cell.W" = [[1, 2]], "cell.R" = [[0.5]]}
"""
RUN = "[[run]]\ninputs = [[1, 0], [0, 1], [-9, 0]]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "net.toml"


def test_a_file_of_ones_own(file: Path):
    file.write_text(NET + RUN)
    output = run("run", file).stdout
    assert "2    -9 0" in output
    assert "✓" not in output  # nothing is stated
    (network,) = run_json("run", file)["networks"]
    (only,) = network["runs"]
    assert only["inputs"] == [[1, 0], [0, 1], [-9, 0]]
    assert only["values"]["0.h"] == [[1], [2.5], [0]]
    assert only["values"]["output"] == only["values"]["0.h"]
    assert (only["stated"], only["agrees"]) == ({}, {})
    assert [(step["layer"], step["t"]) for step in only["arithmetic"]] == [("0", 2)]


def test_a_net_without_a_run_is_shown(file: Path):
    file.write_text(NET)
    output = run("run", file).stdout
    assert "parameters: 3" in output


def test_a_seed_draws_what_is_not_given(file: Path):
    text = "seed = 4\n" + NET.replace(', "cell.R" = [[0.5]]', "") + RUN
    file.write_text(text)
    first, second = run_json("run", file), run_json("run", file)
    assert first == second
    file.write_text(text.replace("seed = 4", "seed = 5"))
    assert run_json("run", file) != first


def test_a_net_may_read_ids(file: Path):
    file.write_text(
        """
        seed = 0
        [[net]]
        type = "Embedding"
        num_embeddings = 3
        embedding_dim = 2
        weights = {weight = [[0, 0], [1, 0], [0, 1]]}
        [[net]]
        type = "GRU"
        input_size = 2
        hidden_size = 2
        [[run]]
        inputs = [2, 0, 1]
        show = ["h"]
        """
    )
    (network,) = run_json("run", file)["networks"]
    assert network["runs"][0]["inputs"] == [2, 0, 1]
    assert [len(row) for row in network["runs"][0]["values"]["h"]] == [2, 2, 2]


def test_float64_unless_asked_otherwise(file: Path):
    file.write_text(NET)
    data = read_data_file(file)
    assert data.networks[0].net[0].cell.W.dtype == torch.float64
    file.write_text('dtype = "float32"\n' + NET)
    assert read_data_file(file).networks[0].net[0].cell.W.dtype == torch.float32


def test_several_networks(file: Path):
    cell = '{type = "GRUCell", input_size = 1, hidden_size = 1}'
    file.write_text(
        "seed = 0\n"
        + "".join(
            f'[[network]]\ntitle = "{title}"\nparameters = {count}\n'
            f'net = [{{type = "Recurrent", cell = {cell}}}]\n'
            "[[network.run]]\ninputs = [[1]]\n"
            for title, count in (("one", 9), ("two", 10))
        )
    )
    output = run("run", file).stdout
    assert "parameters: 9 ✓" in output
    assert "parameters: 9 ✗ (10)" in output


def test_reading_draws_no_random_numbers(file: Path):
    file.write_text("seed = 0\n" + NET)
    before = torch.get_rng_state()
    read_data_file(file)
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x =", r"^FILE: is not TOML: Invalid value \(at end of document\)$"),
        ("", r"^FILE: lacks the key net: expected at least one \[\[net\]\] table$"),
        ("nett = []", r"^FILE: unknown key 'nett' \(did you mean net\?\); known are title, text"),
        ("title = 3\n" + NET, r"^FILE: title must be a text, got 3$"),
        ("net = 3", r"^FILE: net must be a list, got 3$"),
        ("net = [3]", r"^FILE: net\[0\] must be a table with a type, got int 3$"),
        ('dtype = "half"\n' + NET, r"^FILE: dtype must be one of float32, float64, got 'half'$"),
        (
            NET.replace("ElmanCell", "ElmoCell"),
            r"^FILE: net\[0\]\.cell is a ElmoCell, which is no module of Cello "
            r"\(did you mean ElmanCell\?\)",
        ),
        (
            NET.replace("hidden_size", "hiden_size"),
            r"^FILE: net\[0\]\.cell \(ElmanCell\) has no argument 'hiden_size' \(did you mean ",
        ),
        (
            NET.replace("[[1, 2]]", "[[1, 2], [3, 4]]"),
            r"^FILE: net\[0\] \(Recurrent\): weight cell\.W must be \[1, 2\], got \[2, 2\]$",
        ),
        (
            NET.replace(', "cell.R" = [[0.5]]', "") + RUN,
            r"^FILE: no weights are given for 0\.cell\.R: give them, or a seed = 0 at the top",
        ),
        (
            NET + "[[run]]",
            r"^FILE: run 1: lacks the key inputs: expected a row of numbers",
        ),
        (
            NET + "[[run]]\ninput = []",
            r"^FILE: run 1: unknown key 'input' \(did you mean input",
        ),
        (NET + RUN + "run = 3", r"^FILE: run 1: unknown key 'run'"),
        (
            NET + "[[run]]\ninputs = [[1, 2], [1]]",
            r"^FILE: run 1: inputs must have as many numbers at each step: 2 at step 0, 1 at ",
        ),
        (
            NET + '[[run]]\ninputs = [[1, "a"]]',
            r"^FILE: run 1: inputs must hold a row of numbers for each step; step 0 is \[1, 'a'\]$",
        ),
        (
            NET + "[[run]]\ninputs = [[1, 2, 3]]",
            r"^FILE: run 1: x must have 2 features \(input_size of Recurrent\) on its last axis",
        ),
        (
            NET + '[[net]]\ntype = "Linear"\nin_features = 3\nout_features = 1\nbias = false\n'
            "weights = {weight = [[1, 1, 1]]}\n" + RUN,
            r"^FILE: run 1: the net cannot run on these inputs: mat1 and mat2 shapes cannot be mul",
        ),
        (NET + RUN + "show = [1]", r"^FILE: run 1: show must be a list of names, got \[1\]$"),
        (NET + RUN + 'show = ["q"]', r"^FILE: run 1: nothing is named 'q'; "),
        (
            NET + RUN + 'show = ["x * h"]',
            r"^FILE: run 1: 'x \* h' multiplies values of 2 and 1 uni",
        ),
        (
            NET + RUN + "explain = [{t = 3}]",
            r"^FILE: run 1: explain 1: t must be a step from 0 to",
        ),
        (NET + RUN + "explain = [{unit = 0}]", r"^FILE: run 1: explain 1: t must be a step from 0"),
        (NET + RUN + "explain = [{t = 0, unit = 9}]", r"^FILE: run 1: .*unit"),
        (NET + RUN + "explain = [3]", r"^FILE: run 1: explain 1: must be a table, got 3$"),
        (
            NET + RUN + "stated = {h = [1, 2]}",
            r"^FILE: run 1: stated h must have an entry for each of the 3 steps, got 2$",
        ),
        (
            NET + RUN + "stated = {h = 3}",
            r"^FILE: run 1: stated h must have an entry for each of the 3 steps, got 3$",
        ),
        (
            NET + RUN + "stated = {h = [[1, 1], [2, 2], [3, 3]]}",
            r"^FILE: run 1: stated h must have an entry for each of its 1 units at each step, ",
        ),
        (
            NET + RUN + 'stated = {h = [1, 2, "3"]}',
            r"^FILE: run 1: stated h must hold numbers, or \"\", got '3'$",
        ),
        ("[[network]]\nnett = []", r"^FILE: network 1: unknown key 'nett'"),
        ("[[network]]\nnet = []", r"^FILE: network 1: lacks the key net"),
        ("network = [3]", r"^FILE: network 1: must be a table, got 3$"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text: str, message: str, file: Path):
    from cello.cli.example_data.report import report

    file.write_text(text)
    with pytest.raises(DataError, match=message.replace("FILE", "net")):
        report(read_data_file(file, "net"))


def test_exercises_of_other_numbers_are_named(tmp_path: Path):
    run("example", "lstm", "--copy", tmp_path / "my.toml")
    text = (tmp_path / "my.toml").read_text(encoding="utf-8")
    changed = text.replace("[[3, 1, 0], [4", "[[5, 1, 0], [4")
    assert changed != text
    (tmp_path / "my.toml").write_text(changed, encoding="utf-8-sig")  # as Notepad writes it
    run("run", tmp_path / "my.toml")
    stderr = run("run", tmp_path / "my.toml", "--html", tmp_path / "my.html", code=2).stderr
    assert "my.toml: exercises[0]: its answer makes c[0] at step 4" in stderr
    assert "take them out" in stderr
    assert not (tmp_path / "my.html").exists()


def test_a_missing_file_and_a_folder_and_a_binary(tmp_path: Path):
    assert "net.toml: No such file or directory" in run("run", tmp_path / "net.toml", code=2).stderr
    assert "Is a directory" in run("run", tmp_path, code=2).stderr
    (tmp_path / "net.toml").write_bytes(b"\xff\xfe")
    assert "net.toml: is not UTF-8 text" in run("run", tmp_path / "net.toml", code=2).stderr


def test_no_class_is_taken_from_a_file(file: Path):
    class Spy(cello.ElmanCell):
        pass

    file.write_text(NET.replace("ElmanCell", "Spy"))
    with pytest.raises(DataError, match="is a Spy, which is no module of Cello"):
        read_data_file(file)
