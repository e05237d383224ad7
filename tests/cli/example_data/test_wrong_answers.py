"""The exercises of the examples: what reaches their goals is what was asked, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cello.cli.example_data.datafile import example_files, read_data_file
from cello.cli.example_data.page import exercises_of
from cello.errors import ArgumentError
from cello.see import Exercise, Recording, record

#: By example and number of the exercise: answers that reach something else.
WRONG: list[tuple[str, int, dict[str, Any]]] = [
    ("elman", 1, {"order": [1, 0, 2]}),
    ("elman", 2, {"0.R": [[1, 0], [0, 0]]}),  # one unit only
    ("elman", 3, {"0.R": [[0, 0], [1, 1]]}),
    ("jordan", 1, {"0.V": [[1, 1], [1, 1]]}),
    ("jordan", 2, {"0.V": [[0, 0], [1, 0]]}),
    ("bidirectional", 1, {"input": [[0, 0], [0, 0], [1, 1]]}),  # of other steps
    ("bidirectional", 2, {"0.backward.R": [[-0.25, -0.25], [-0.25, -0.25]]}),  # it cancels out
    ("stacked", 1, {"2.i": [[0, 0, 0], [1, 0, 0], [2, 0, 0]]}),
    ("stacked", 1, {"2.f": [[1, 0, 0], [2, 0, 0]]}),
    ("stacked", 2, {"3.R": [[1]]}),
    ("lstm", 1, {"i": [[4, 0, 7 / 3]]}),  # another 7
    ("lstm", 1, {"f": [[4, 0, 1]], "o": [[4, 0, 1]]}),  # two gates
    ("lstm", 2, {"input": [[3, 1, 0], [4, 1, 0], [2, -1, 0], [3, 1, 1], [3, -1, 0]]}),  # another 3
    ("lstm", 2, {"input": [[3, 1, 0], [0, 1, 0], [2, 0, 0], [1, 0, 1], [3, -1, 0]]}),
    ("lstm", 3, {"order": [0, 1, 3, 2, 4]}),  # at step 2
    ("lstm", 3, {"order": [0, 3, 1, 2, 4]}),  # at step 1
    ("lstm-nine", 1, {"0.W": [[0, 100, 0], [0, 100, 0], [2 / 7, 0, 0], [0, 0, 100]]}),
    ("lstm-nine", 2, {"0.b": [-10, 10, 0, -1000]}),  # the output gate is shut
    ("lstm-nine", 3, {"i": [[6, 0, 7 / 3]]}),  # another 7
    ("lstm-nine", 3, {"o": [[8, 0, 13 / 6]]}),
    ("lstm-tanh", 1, {"0.W": [[0, 100, 0], [0, 100, 0], [1, 0, 0], [0, 0, 7.453]]}),
    ("lstm-tanh", 2, {"input": [[3, 1, 0], [4, 1, 0], [2, -1, 0], [0.6, 1, 1], [3, -1, 0]]}),
]


def shown(name: str) -> tuple[list[Recording], list[Exercise]]:
    """What the page of an example shows, and its exercises."""
    file = read_data_file(example_files()[name], name)
    (network,) = [network for network in file.networks if network.runs]
    with torch.no_grad():
        recordings = [record(network.net, run.inputs) for run in network.runs]
    return recordings, exercises_of(network)


def test_each_exercise_has_a_wrong_answer():
    counts = {name: len(shown(name)[1]) for name in dict.fromkeys(name for name, *_ in WRONG)}
    assert sum(counts.values()) == 17
    every = {(name, number + 1) for name, count in counts.items() for number in range(count)}
    assert {(name, number) for name, number, _ in WRONG} == every


@pytest.mark.parametrize(("name", "number", "answer"), WRONG)
def test_a_wrong_answer_does_not_reach_the_goals(
    name: str, number: int, answer: dict[str, Any], tmp_path: Path
):
    recordings, exercises = shown(name)
    wrong = replace(exercises[number - 1], answer=answer)
    with pytest.raises(ArgumentError, match="its answer makes"):
        recordings[0].to_html(tmp_path / "page.html", exercises=[wrong])
