"""Checkpoints that are damaged, or meant to do harm: a run goes on, or one line says why not."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import CelloError, ModelError
from cello.files import seal
from cello.train import Event, Options, fit
from cello.train.saved.checkpoint import FORMAT
from tests.hostile import Largest, mutated
from tests.train.fakes import FakeTask, make_net

#: The largest tensor that this small network may make, in bytes.
BOUND = 1_000_000
CPU = {"accelerator": "cpu", "devices": 1}


class Begun(Exception):
    """The run has been taken up."""


def begun(event: Event) -> None:
    if event.kind == "start":
        raise Begun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    fit(FakeTask(carry=True, batches=2), make_net(), Options(epochs=1, **CPU), path, progress=False)
    return path


def resume(folder: Path, state: bytes | None = None, manifest: bytes | None = None) -> None:
    """Go on from the newest checkpoint alone, with another state, whose hash is right."""
    *older, newest = sorted((folder / "checkpoint").glob("0*"))
    for path in older:
        shutil.rmtree(path)
    if state is not None:
        (newest / "state.json").write_bytes(state)
        entries = json.loads((newest / "manifest.json").read_bytes())
        entries["files"]["state.json"] = seal(state)
        (newest / "manifest.json").write_text(json.dumps(entries))
    if manifest is not None:
        (newest / "manifest.json").write_bytes(manifest)
    task, options = FakeTask(carry=True, batches=2), Options(epochs=2, **CPU)
    fit(task, make_net(), options, folder, resume=True, progress=False, on_event=begun)


@given(seed=st.integers(0, 2**32 - 1))
def test_any_change_of_the_state_is_taken_up_or_told(seed: int, folder: Path, tmp_path: Path):
    chance = random.Random(seed)
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    *_, newest = sorted((copy / "checkpoint").glob("0*"))
    state = mutated(json.loads((newest / "state.json").read_bytes()), chance)
    with Largest() as largest, suppress(CelloError, Begun), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resume(copy, json.dumps(state).encode())
    assert largest.bytes < BOUND


WRONG = [
    [],
    {},
    {"state.json": seal(b"")},
    *(dict.fromkeys(("state.json", "tensors.safetensors"), wrong) for wrong in ([], 1, {})),
    {"state.json": {"bytes": "1", "sha256": 1}},
    {"nothing.json": seal(b"")},
    {"../checkpoint": seal(b"")},
]


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{}",
        b'{"format": 1, "files": []}',
        b"[" * 99_999,
        json.dumps({"format": FORMAT}).encode(),
        *(json.dumps({"format": FORMAT, "files": files}).encode() for files in WRONG),
    ],
    ids=lambda manifest: manifest[:60].decode(),
)
def test_a_manifest_that_is_none(manifest: bytes, folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ModelError, match=r"^every checkpoint in .* is damaged: 0000"):
        resume(tmp_path / "copy", manifest=manifest)


def test_a_state_that_is_none(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ModelError, match=r"^the checkpoint in .* is damaged: "):
        resume(tmp_path / "copy", state=b"{}")


def test_the_copy_that_nobody_changed_is_taken_up(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(Begun):
        resume(tmp_path / "copy")
