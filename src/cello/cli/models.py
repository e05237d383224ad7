"""A saved model, opened for use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cello.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from cello.tasks import Characters, Tagging

__all__ = ["Model", "open_model"]


class Model(NamedTuple):
    """The network in eval mode, its task without data (None if it has none), and the config."""

    net: nn.Module
    task: Tagging | Characters | None
    config: dict[str, Any]


def open_model(folder: Path, *, task: str | None = None) -> Model:
    """Load a model that `cello train` or `cello.save_model` wrote.

    Args:
        folder: where it is.
        task: the task that it must be for: "tag" or "chars".

    Raises:
        ModelError: there is no model, it is damaged, or it is for another task.
    """
    from cello.convert import load_model, read_config
    from cello.tasks import task_from_config

    config = read_config(folder)
    told = config.get("task")
    found = told.get("task") if isinstance(told, dict) else None
    if task is not None and found != task:
        what = {"tag": "tags", "chars": "predicts characters", None: "has no task"}.get(
            found, found
        )
        better = {"tag": "cello predict", "chars": "cello sample", None: "cello show"}.get(found)
        raise ModelError(f"{folder} {what}" + (f": use {better}" if better else ""))
    opened = task_from_config(told) if isinstance(told, dict) else None
    return Model(load_model(folder), opened, config)
