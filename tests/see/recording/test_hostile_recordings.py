"""Recordings that are damaged, or meant to do harm: they load or one line says what is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import cello
from cello.errors import CelloError, ModelError
from cello.see.recording.file import _digest
from tests.hostile import Largest, mutated

#: The largest tensor that this small recording may make, in bytes.
BOUND = 1_000_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = cello.Stack(
        cello.Bidirectional(cello.LSTMCell(3, 4)), cello.GRU(8, 2), cello.LSTM(2, 2, num_layers=2)
    )
    path = tmp_path_factory.mktemp("recordings") / "run"
    cello.record(net, torch.randn(5, 3, 3), lengths=torch.tensor([2, 0, 5])).save(path)
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safetensors.safe_open(path, "pt") as file:
        head = json.loads(file.metadata()["cello"])
        return head, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path: Path, head: Any, tensors: dict[str, Tensor]) -> None:
    if isinstance(head, dict):
        head["sha256"] = _digest(tensors)
    safetensors.torch.save_file(tensors, path, {"cello": json.dumps(head)})


def use(path: Path) -> None:
    again = cello.load_recording(path)
    for name in again.names:
        assert len(again[name]) == again[name].shape[0]
    assert again.nbytes >= 0
    for layer in again.layers:
        again.layer(layer)
    repr(again)
    _ = again.output, again.state, again.lengths
    again.table()


def loads_or_says(path: Path) -> None:
    with Largest() as largest, suppress(CelloError):
        use(path)
    assert largest.bytes < BOUND


@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 2))
def test_any_change_of_the_head_loads_or_is_told(
    seed: int, times: int, recording: Path, tmp_path: Path
):
    chance = random.Random(seed)
    head, tensors = read(recording)
    for _ in range(times):
        head = mutated(head, chance)
    write(tmp_path / "run", head, tensors)
    loads_or_says(tmp_path / "run")


@given(seed=st.integers(0, 2**32 - 1))
def test_any_change_of_a_tensor_loads_or_is_told(seed: int, recording: Path, tmp_path: Path):
    chance = random.Random(seed)
    head, tensors = read(recording)
    name = chance.choice(sorted(tensors))
    change: Callable[[Tensor], Tensor] = chance.choice(
        (
            lambda t: t[:-1],
            lambda t: t.unsqueeze(0),
            lambda t: t.flatten(),
            lambda t: t.to(torch.float8_e4m3fn),
            lambda t: t.to(torch.int32),
            lambda t: t.to(torch.bool),
            lambda t: torch.full_like(t, -1),
            lambda t: torch.full_like(t, 2**40),
            lambda t: t.reshape(-1)[0],
            lambda t: t[:0],
        )
    )
    tensors[name] = change(tensors[name]).contiguous()
    write(tmp_path / "run", head, tensors)
    loads_or_says(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 10**9}, r"6 steps are there|7 steps are there, of 3,000,000,000 that length"),
        ({"length": 2}, "batch_sizes go beyond 2 steps of 3 sequences"),
        ({"length": -1}, r"layers\[0\]\.length must be a whole number from 0 to .*, got -1"),
        ({"batch_sizes": [2, 1, 1, 1]}, r"index must be int64 \[5\], got torch.int64 \[7\]"),
        ({"batch_sizes": [1, 2]}, r"batch_sizes must be a list of whole .*, never growing, got"),
        ({"rows": {"f": 3}}, r"layers\[0\]\.rows must be a table of names, got"),
        ({"batch_sizes": [4, 3]}, "batch_sizes go beyond 5 steps of 3 sequences"),
        ({"index": None}, "batch_sizes hold 7 steps, but there are 5 of each of 3 sequences"),
        ({"index": "nowhere"}, r"layers\[0\]: there is no tensor 'nowhere'"),
    ],
)
def test_what_is_said(change: dict[str, Any], message: str, recording: Path, tmp_path: Path):
    head, tensors = read(recording)
    head["layers"][0] |= change
    write(tmp_path / "run", head, tensors)
    with pytest.raises(ModelError, match=f"run is damaged: .*({message})"):
        cello.load_recording(tmp_path / "run")


def test_tensors_that_do_not_fit(recording: Path, tmp_path: Path):
    for key, change, message in (
        ("lengths", lambda t: t + 1, r"lengths must be from 0 to 5"),
        ("rows", lambda t: t.to(torch.float8_e4m3fn), r"must be \[7, …\], got torch\.float8"),
    ):
        head, tensors = read(recording)
        name = head["layers"][0][key]
        name = name if isinstance(name, str) else next(iter(name.values()))
        tensors[name] = change(tensors[name])
        write(tmp_path / "run", head, tensors)
        with pytest.raises(ModelError, match=message):
            cello.load_recording(tmp_path / "run")


def test_what_is_written_down_of_other_tensors_or_of_another_file(recording: Path, tmp_path: Path):
    head, tensors = read(recording)
    one, other = list(head["layers"][0]["rows"].values())[:2]
    swapped = tensors | {one: tensors[other], other: tensors[one]}
    safetensors.torch.save_file(swapped, tmp_path / "run", {"cello": json.dumps(head)})
    with pytest.raises(ModelError, match="its values are not those that were written"):
        cello.load_recording(tmp_path / "run")
    write(tmp_path / "run", head | {"kind": "cello model"}, tensors)
    with pytest.raises(ModelError, match="but not a recording"):
        cello.load_recording(tmp_path / "run")


def test_every_key_is_needed(recording: Path, tmp_path: Path):
    for key in ("layer", "length", "batch_size", "batch_sizes", "index", "lengths", "rows"):
        head, tensors = read(recording)
        del head["layers"][0][key]
        write(tmp_path / "run", head, tensors)
        with pytest.raises(ModelError, match=rf"run is damaged: layers\[0\]\.{key} is missing$"):
            cello.load_recording(tmp_path / "run")


def test_a_head_that_is_too_deep(recording: Path, tmp_path: Path):
    _, tensors = read(recording)
    safetensors.torch.save_file(tensors, tmp_path / "run", {"cello": "[" * 100_000})
    with pytest.raises(ModelError, match="run is no recording, or damaged: maximum recursion"):
        cello.load_recording(tmp_path / "run")
