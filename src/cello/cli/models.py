"""A saved model, opened for use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cello.errors import ModelError
from cello.ranges import shown

if TYPE_CHECKING:
    from torch import nn

    from cello.tasks import Characters, Tagging

__all__ = ["Model", "open_model"]


_TASKS: dict[str | None, tuple[str, str]] = {
    "tag": ("tags", "cello predict"),
    "chars": ("predicts characters", "cello sample"),
    None: ("has no task", "cello show"),
}


class Model(NamedTuple):
    """The network in eval mode, its task without data (None if it has none), and the config."""

    net: nn.Module
    task: Tagging | Characters | None
    config: dict[str, Any]


def open_model(folder: Path, *, task: str | None = None, must_answer: bool = False) -> Model:
    """Load a model that `cello train` or `cello.save_model` wrote, or another library.

    Args:
        folder: where it is, or a file in a format that `cello import` knows.
        task: the task that it must be for: "tag" or "chars"; it must then answer.
        must_answer: whether weights that contain NaN are an error; else a warning tells them.

    Raises:
        ModelError: there is no model, it is damaged, its network and its task do not fit each
            other, it is for another task than `task`, or it must answer and holds NaN.
    """
    from cello.convert import CONFIG, read_config
    from cello.tasks import check_network, task_from_config

    if folder.is_file() and task is None:
        return _of_another_library(folder, must_answer=must_answer)
    config = read_config(folder)
    told = config.get("task")
    found = told.get("task") if isinstance(told, dict) else None
    if task is not None and found != task:
        what, better = _TASKS.get(found, ("", "")) if isinstance(found, str | None) else ("", "")
        if what:
            raise ModelError(f"{folder} {what}: use {better}")
        known = "one of tag, chars"
        raise ModelError(f"{folder / CONFIG}: task.task must be {known}, got {shown(found)}")
    with _named(folder / CONFIG):
        opened = None if told is None else task_from_config(told)
    net = _load(folder, must_answer=must_answer or task is not None)
    if opened is not None:
        with _named(folder / CONFIG):
            check_network(opened, net)
    return Model(net, opened, config)


def _of_another_library(file: Path, *, must_answer: bool) -> Model:
    from cello.convert import net_to_spec, not_numbers, open_file

    net = open_file(file)
    if must_answer and (said := not_numbers(net)):
        raise ModelError(f"{file}: {said}; whatever it reads, it can give no answer")
    return Model(net, None, {"net": net_to_spec(net), "task": None})


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors in a model name the file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _load(folder: Path, *, must_answer: bool) -> nn.Module:
    """The network; weights that contain NaN are an error only where it must answer."""
    from cello.convert import load_model

    with warnings.catch_warnings():
        if must_answer:
            warnings.filterwarnings("error", message=".*the weights contain NaN")
        try:
            return load_model(folder)
        except UserWarning as warning:
            raise ModelError(f"{warning}; whatever it reads, it can give no answer") from None
