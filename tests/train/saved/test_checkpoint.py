import errno
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from cello import files
from cello.errors import ModelError
from cello.train.saved import checkpoint
from tests.durable import inode, on_disk
from tests.train.fakes import run_python


def tree(number: int) -> dict:
    return {"number": number, "w": torch.full((3, 2), float(number)), "state": {0: torch.ones(1)}}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back(tmp_path: Path):
    shared = torch.arange(6.0)
    whole = {"a": shared, "b": shared, "part": shared[2:], "t": shared.view(2, 3).T, "x": [1, "a"]}
    checkpoint.save(tmp_path, whole, step=3)
    back = checkpoint.load(tmp_path)
    assert back["x"] == [1, "a"]
    for name in ("a", "b", "part", "t"):
        assert torch.equal(back[name], whole[name])


def test_the_newest_two_are_kept(tmp_path: Path):
    for number in range(1, 6):
        checkpoint.save(tmp_path, tree(number), step=10 * number)
    assert names(tmp_path) == ["000004-step-40", "000005-step-50"]
    assert checkpoint.load(tmp_path)["number"] == 5


def test_the_same_step_may_be_saved_twice(tmp_path: Path):
    checkpoint.save(tmp_path, tree(1), step=7)
    checkpoint.save(tmp_path, tree(2), step=7)
    assert checkpoint.load(tmp_path)["number"] == 2


def test_nothing_is_pickled(tmp_path: Path):
    path = checkpoint.save(tmp_path, tree(1), step=1)
    assert names(path) == ["manifest.json", "state.json", "tensors.safetensors"]
    for name in ("manifest.json", "state.json"):
        json.loads((path / name).read_text(encoding="utf-8"))
    data = (path / "tensors.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["w"]["shape"] == [3, 2]


def test_no_checkpoint(tmp_path: Path):
    assert not checkpoint.exists(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"^no checkpoint in .*nowhere: train without resume"):
        checkpoint.load(tmp_path / "nowhere")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["manifest.json", "state.json", "tensors.safetensors"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str, damage):
    checkpoint.save(tmp_path, tree(1), step=1)
    newest = checkpoint.save(tmp_path, tree(2), step=2)
    damage(newest / name)
    with pytest.warns(
        UserWarning,
        match=r"checkpoint 000002-step-2: .*; going on from the one before it, 000001-step-1",
    ):
        assert checkpoint.load(tmp_path)["number"] == 1


@pytest.mark.parametrize("key", ["bytes", "sha256"])
@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
def test_a_manifest_of_other_files_is_passed_over(tmp_path: Path, name: str, key: str):
    first, second = (checkpoint.save(tmp_path, tree(n), step=10**n) for n in (1, 2))
    manifests = [json.loads((path / "manifest.json").read_bytes()) for path in (first, second)]
    manifests[1]["files"][name][key] = manifests[0]["files"][name][key] if key != "bytes" else 1
    (second / "manifest.json").write_text(json.dumps(manifests[1]))
    with pytest.warns(UserWarning, match=rf"2-step-100: {name} is damaged: .*the one before it"):
        assert checkpoint.load(tmp_path)["number"] == 1


def test_everything_is_on_the_disk_before_its_name_is(tmp_path: Path):
    with on_disk() as done:
        path = checkpoint.save(tmp_path, tree(1), step=1)
    files = sorted(path.iterdir())
    assert sorted(done[:3]) == sorted(map(inode, files))
    assert done[3:] == [inode(path), "renamed", inode(tmp_path)]


def test_all_damaged(tmp_path: Path):
    for number in (1, 2):
        cut(checkpoint.save(tmp_path, tree(number), step=number) / "tensors.safetensors")
    message = r"every checkpoint in .* is damaged: 000002.* has 151 bytes instead of 156; 000001"
    with pytest.raises(ModelError, match=message):
        checkpoint.load(tmp_path)


def test_another_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = checkpoint.FORMAT
    monkeypatch.setattr(checkpoint, "FORMAT", known + 1)
    checkpoint.save(tmp_path, tree(1), step=1)
    monkeypatch.undo()
    message = rf"is of format {known + 1}; this one, .*, reads from {known} to {known}: update"
    with pytest.raises(ModelError, match=message):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("broken", ["open", "fsync", "rename"])
def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
):
    checkpoint.save(tmp_path, tree(1), step=1)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if broken == "open":
        monkeypatch.setattr(files, "open", full, raising=False)
    elif broken == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, tree(2), step=2)
    monkeypatch.undo()
    assert names(tmp_path) == ["000001-step-1"]
    assert checkpoint.load(tmp_path)["number"] == 1
    checkpoint.save(tmp_path, tree(3), step=3)
    assert checkpoint.load(tmp_path)["number"] == 3


# A process forks children. Each saves a checkpoint after two others and is killed before, or in
# the middle of, the n-th thing that it asks of the system; the last one is not killed at all.
KILLED = """
import os, shutil, signal, sys, torch
from pathlib import Path
from cello.train.saved import checkpoint

root, left = Path(sys.argv[1]), 0

def die_before(module, name):
    real = getattr(module, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(module, name, call)

def half(path, data):
    global left
    left -= 1
    if left == 0:
        path.write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)

for number in range(1, 100):
    folder = root / f"{number:02d}"
    for step in (1, 2):
        checkpoint.save(folder, {"step": step, "w": torch.full((9,), float(step))}, step=step)
    child = os.fork()
    if child == 0:
        left, write, checkpoint.write = number, checkpoint.write, half
        for module, name in [(os, "fsync"), (os, "mkdir"), (os, "replace"), (os, "unlink")]:
            die_before(module, name)
        checkpoint.save(folder, {"step": 3, "w": torch.full((9,), 3.0)}, step=3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(0 if os.waitstatus_to_exitcode(status) == 0 else "the child failed")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork and no SIGKILL on Windows")
def test_killed_anywhere_in_saving(tmp_path: Path):
    run_python(KILLED, str(tmp_path))
    folders = sorted(tmp_path.iterdir())
    steps = []
    for folder in folders:
        tree = checkpoint.load(folder)  # would warn, and so fail, if one were damaged
        assert torch.equal(tree["w"], torch.full((9,), float(tree["step"])))
        steps.append(tree["step"])
        for path in folder.glob("0*"):  # what bears the name of a checkpoint is whole
            assert names(path) == ["manifest.json", "state.json", "tensors.safetensors"]
        checkpoint.save(folder, {"step": 4}, step=4)
        assert checkpoint.load(folder) == {"step": 4}
        assert not [name for name in names(folder) if name.startswith(".")]
    # At first the old one is what is left, then the new one: never nothing.
    assert steps == sorted(steps)
    assert set(steps) == {2, 3}
    assert steps.count(2) >= 9  # folder, and for each of three files: half, before the sync


# The file system itself refuses: a limit on the size of files, as a full disk would.
LIMITED = """
import resource, sys, torch
from pathlib import Path
from cello.train.saved import checkpoint

folder = Path(sys.argv[1])
checkpoint.save(folder, {"step": 1}, step=1)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
try:
    checkpoint.save(folder, {"step": 2, "w": torch.zeros(100_000)}, step=2)
except OSError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)  # for what measures coverage
    sys.exit(f"OSError {error.errno}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits on Windows")
def test_a_file_that_the_system_cuts_off(tmp_path: Path):
    result = run_python(LIMITED, str(tmp_path), check=False)
    assert result.stderr.strip() == f"OSError {errno.EFBIG}"
    assert names(tmp_path) == ["000001-step-1"]
    assert checkpoint.load(tmp_path) == {"step": 1}
