"""The config of a saved model: read, and checked before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cello.errors import ModelError
from cello.ranges import shown
from cello.sealed import check_format

__all__ = ["CONFIG", "FORMAT", "read_config"]

#: Of config.json; raised when an older Cello could not read what a newer one writes.
FORMAT = 1

CONFIG = "config.json"


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config of a saved model: format, cello (the version that wrote it), net, task, weights.

    Raises:
        ModelError: there is no model in `folder`, its config is damaged, or of a newer format.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ModelError(f"{folder} does not exist: expected the folder of a saved model")
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder} is no saved model: it has no {CONFIG}")
    try:
        config = json.loads(path.read_bytes(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or type(config.get("format")) is not int:
        raise ModelError(f"{path} is not the config of a model of Cello: it states no format")
    check_format(config, str(path), newest=FORMAT)
    for key in ("net", "weights"):
        if not isinstance(config.get(key), dict):
            raise ModelError(f"{path} is damaged: {key} is missing or no table")
    if not isinstance(config.get("task"), (dict, type(None))):
        raise ModelError(
            f"{path} is damaged: task must be a table or null, got {shown(config['task'])}"
        )
    if problem := _problem(config["weights"]):
        raise ModelError(f"{path} is damaged: {problem}")
    return config


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON, which says nothing certain if a key stands in it twice."""
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one table")
    return table


def _problem(weights: dict[str, Any]) -> str | None:
    """What is wrong with the entry that says which weights belong to the config."""
    size, digest = weights.get("bytes"), weights.get("sha256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return f"weights.bytes must be the size of the weights' file, got {shown(size)}"
    if not isinstance(digest, str):
        return f"weights.sha256 must be a text, got {shown(digest)}"
    shared = weights.get("shared", {})
    if not (isinstance(shared, dict) and all(isinstance(v, str) for v in shared.values())):
        return f"weights.shared must be a table of names by names, got {shown(shared)}"
    return None
