"""Checkpoints that survive a kill, a crash and a full disk.

A checkpoint is a folder of its own::

    000007-step-1500/
        tensors.safetensors    weights, optimizer, generators, carried state
        state.json             everything else
        manifest.json          the size and SHA-256 of both

It is written under another name, forced to the disk, and only then renamed, so what bears the
name of a checkpoint is complete. The one before is kept as well, in case the newest is damaged:
`load` checks the manifest, and goes back with a warning. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from cello.errors import ModelError
from cello.files import rename, seal, sync_folder, write
from cello.sealed import check_format, check_seal, tensors_of, to_bytes
from cello.tree import flatten, unflatten

__all__ = ["FORMAT", "exists", "load", "save"]

FORMAT = 2  # files of format 1 hold less about the data
KEEP = 2
_NAME = re.compile(r"(\d{6,})-step-\d+")
_UNFINISHED = ".unfinished-"


def save(folder: Path, tree: Any, *, step: int) -> Path:
    """Write `tree` (see `cello.tree`) as the newest checkpoint in `folder`.

    Raises:
        OSError: it cannot be written; the checkpoints that were there are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)

    plain, tensors = flatten(tree)
    files = {
        "tensors.safetensors": to_bytes(tensors),
        "state.json": json.dumps(plain, indent=1).encode(),
    }
    files["manifest.json"] = json.dumps(
        {"format": FORMAT, "files": {name: seal(data) for name, data in files.items()}}, indent=1
    ).encode()

    before = _complete(folder)
    number = int(_NAME.fullmatch(before[-1].name)[1]) + 1 if before else 1  # type: ignore[index]
    target = folder / f"{number:06d}-step-{step}"
    unfinished = folder / f"{_UNFINISHED}{target.name}"
    try:
        unfinished.mkdir()
        for name, data in files.items():
            write(unfinished / name, data)
        sync_folder(unfinished)
        rename(unfinished, target)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for old in before[: 1 - KEEP]:
        gone = folder / f"{_UNFINISHED}{old.name}"
        rename(old, gone)
        shutil.rmtree(gone, ignore_errors=True)
    return target


def exists(folder: Path) -> bool:
    """Whether `folder` holds a checkpoint, damaged or not."""
    return bool(_complete(folder))


def load(folder: Path) -> Any:
    """The tree of the newest checkpoint in `folder` that is whole.

    Warns about each damaged one that it passes over.

    Raises:
        ModelError: there is none.
    """
    damaged = []
    for path in reversed(_complete(folder)):
        try:
            tree = _read(path)
        except Exception as error:  # any: the bytes may be anything
            damaged.append(f"{path.name}: {error}")
            continue
        for why in damaged:
            warnings.warn(
                f"checkpoint {why}; going on from the one before it, {path.name}", stacklevel=2
            )
        return tree
    if damaged:
        raise ModelError(f"every checkpoint in {folder} is damaged: " + "; ".join(damaged))
    raise ModelError(f"no checkpoint in {folder}: train without resume first")


def _complete(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[0]))


def _read(path: Path) -> Any:
    manifest = json.loads((path / "manifest.json").read_bytes())
    check_format(manifest, "its manifest", newest=FORMAT, oldest=FORMAT)
    files = {name: (path / name).read_bytes() for name in manifest["files"]}
    for name, data in files.items():
        check_seal(data, manifest["files"][name], name)
    tensors = tensors_of(files["tensors.safetensors"], "tensors.safetensors")
    return unflatten(json.loads(files["state.json"]), tensors)
