"""Checkpoints that survive a kill, a crash and a full disk.

A checkpoint is a folder of its own::

    000007-step-1500/
        tensors.safetensors    weights, optimizer, generators, carried state
        state.json             everything else
        manifest.json          the size and SHA-256 of both

It is written under another name, forced to the disk, and only then renamed, so what bears the
name of a checkpoint is complete. The one before is kept as well, for the day on which a disk
forgets: `load` checks the manifest, and goes back to it with a warning. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from cello.errors import ModelError
from cello.tree import join, split

__all__ = ["FORMAT", "exists", "load", "save"]

FORMAT = 1
KEEP = 2
_NAME = re.compile(r"(\d{6,})-step-\d+")
_UNFINISHED = ".unfinished-"


def save(folder: Path, tree: Any, *, step: int) -> Path:
    """Write `tree` (see `cello.tree`) as the newest checkpoint in `folder`.

    Raises:
        OSError: it cannot be written; the checkpoints that were there are untouched.
    """
    import safetensors.torch

    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)

    plain, tensors = split(tree)
    files = {
        "tensors.safetensors": safetensors.torch.save(_own_memory(tensors)),
        "state.json": json.dumps(plain, indent=1).encode(),
    }
    files["manifest.json"] = json.dumps(
        {"format": FORMAT, "files": {name: _seal(data) for name, data in files.items()}}, indent=1
    ).encode()

    before = _complete(folder)
    number = int(_NAME.fullmatch(before[-1].name)[1]) + 1 if before else 1  # type: ignore[index]
    target = folder / f"{number:06d}-step-{step}"
    unfinished = folder / f"{_UNFINISHED}{target.name}"
    try:
        unfinished.mkdir()
        for name, data in files.items():
            _write(unfinished / name, data)
        _sync_folder(unfinished)
        unfinished.rename(target)
        _sync_folder(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for old in before[: 1 - KEEP]:
        gone = old.rename(folder / f"{_UNFINISHED}{old.name}")
        shutil.rmtree(gone, ignore_errors=True)
    return target


def exists(folder: Path) -> bool:
    """Whether `folder` holds a checkpoint, be it damaged."""
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
        except (OSError, ValueError, KeyError, TypeError) as error:
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


def _own_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU that share no memory, as the file format wants them."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        result[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return result


def _seal(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Force the names in `folder` to the disk, where the system knows how to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> Any:
    import safetensors.torch

    manifest = json.loads((path / "manifest.json").read_bytes())
    if manifest["format"] != FORMAT:
        raise ValueError(f"is of format {manifest['format']}, this version reads {FORMAT}")
    files = {}
    for name, seal in manifest["files"].items():
        data = (path / name).read_bytes()
        if len(data) != seal["bytes"]:
            raise ValueError(f"{name} has {len(data)} bytes instead of {seal['bytes']}")
        if _seal(data) != seal:
            raise ValueError(f"the bytes of {name} have changed (SHA-256 differs)")
        files[name] = data
    tensors = safetensors.torch.load(files["tensors.safetensors"])
    return join(json.loads(files["state.json"]), tensors)
