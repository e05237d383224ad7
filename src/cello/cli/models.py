"""A saved model, or a file of another library's, opened for use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cello.cli.output import busy
from cello.errors import ArgumentError, ModelError
from cello.ranges import shown

if TYPE_CHECKING:
    from torch import nn

    from cello.cli.number_files import NumberReader
    from cello.tasks import FileTask

__all__ = ["Model", "open_model"]


_TASKS: dict[str | None, tuple[str, str]] = {
    "tag": ("tags", "cello predict"),
    "chars": ("predicts characters", "cello sample"),
    "classify": ("gives whole sequences a label", "cello predict"),
    "forecast": ("forecasts", "cello predict"),
    None: ("has no task", "cello show"),
}


class Model(NamedTuple):
    """The network in eval mode, its task without data (None if it has none), and the config."""

    net: nn.Module
    task: FileTask | None
    config: dict[str, Any]

    @property
    def reader(self) -> FileTask | NumberReader:
        """What tells what the net reads of a file: its task; without one, it reads numbers."""
        from cello.cli.number_files import NumberReader

        return NumberReader(self.net) if self.task is None else self.task

    def check_columns(self, **columns: int | str | None) -> None:
        """Refuse columns, by the names of the options, where the model's files have none.

        Raises:
            ArgumentError: one is given, and the model does not read words and their tags.
        """
        from cello.tasks import Tagging

        if isinstance(self.task, Tagging) and self.task.reads_columns:
            return
        for name, column in columns.items():
            if column is not None:
                problem = f"is for models that read columns, of words and tags, got {column!r}"
                raise ArgumentError(problem, argument=name)


def open_model(
    path: Path,
    *,
    tasks: Sequence[str | None] | None = None,
    must_answer: bool = False,
    prove: bool = True,
) -> Model:
    """Load a model that `cello train` or `cello.save_model` wrote, or another library.

    Args:
        path: the folder where it is, a file in it, or a file in a format that `cello import` knows.
        tasks: those that it may be for, such as "tag" or None; any unless given.
        must_answer: whether weights that contain NaN are an error; else a warning tells them.
        prove: whether what is made of a file of Keras's is run beside Keras, which takes a while.

    Raises:
        ModelError: there is no model, it is damaged, its network and its task do not fit each
            other, it is for another task, or it must answer and holds NaN.
    """
    from cello.convert import CONFIG, load_model, read_config
    from cello.tasks import check_network, task_from_config

    folder = _folder_of(path)
    if folder is None:
        _check_task(None, tasks, path)
        with _answering(must_answer):
            return _of_another_library(path, prove=prove)
    config = read_config(folder)
    told = config.get("task")
    found = told.get("task") if isinstance(told, dict) else None
    _check_task(found, tasks, folder)
    with _named(folder / CONFIG):
        opened = None if told is None else task_from_config(told)
    with _answering(must_answer):
        net = load_model(folder)
    if opened is not None:
        with _named(folder / CONFIG):
            check_network(opened, net)
    return Model(net, opened, config)


def _folder_of(path: Path) -> Path | None:
    """The folder of the saved model that this is, or is a file of; None for another's file."""
    from cello.convert import CONFIG
    from cello.convert.saved import WEIGHTS

    if not path.exists():
        raise ModelError(
            f"{path} does not exist: expected the folder of a saved model, or a file of another "
            "library's"
        )
    if path.is_file() and not (path.name in (CONFIG, WEIGHTS) and (path.parent / CONFIG).is_file()):
        return None
    return path.parent if path.is_file() else path


def _check_task(found: Any, tasks: Sequence[str | None] | None, path: Path) -> None:
    if tasks is None or found in tasks:
        return
    from cello.convert import CONFIG

    if not isinstance(found, str | None) or found not in _TASKS:
        raise ModelError(
            f"{path / CONFIG}: task.task must be one of {', '.join(filter(None, _TASKS))}, got "
            f"{shown(found)}"
        )
    what, better = _TASKS[found]
    raise ModelError(f"{path} {what}: use {better}")


def _of_another_library(file: Path, *, prove: bool) -> Model:
    from cello.cells import Cell
    from cello.convert import net_to_spec, open_file
    from cello.layers import Recurrent

    with busy(f"reading {file}"):
        net = open_file(file, prove=prove)
    if isinstance(net, Cell):
        net = Recurrent(net)  # a step alone reads no sequences
    return Model(net, None, {"net": net_to_spec(net), "task": None})


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors in a model name the file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


@contextmanager
def _answering(must: bool) -> Iterator[None]:
    """Weights that contain NaN are an error where the net must answer."""
    with warnings.catch_warnings():
        if must:
            warnings.filterwarnings("error", message=".*the weights contain NaN")
        try:
            yield
        except UserWarning as warning:
            raise ModelError(f"{warning}; whatever it reads, it can give no answer") from None
