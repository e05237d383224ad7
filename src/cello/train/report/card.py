"""A model's card: what it is for, what it was trained on and how, its scores, how it is used.

Mitchell et al. 2019, "Model cards for model reporting". What is particular to a task it tells
itself, by `about`; all else is the same for every task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from shlex import quote
from typing import Any

from torch import nn

from cello._version import __version__
from cello.tasks.base import About, Task
from cello.train.options import Options
from cello.train.report.score_table import score_table

__all__ = ["MARK", "card"]

#: The first line of a card: a file without it is somebody's own, and stays.
MARK = "<!-- Written by Cello after each best epoch. Without this line it is yours, and stays. -->"

_ANY = About(
    "was trained on data of your own",
    python="net = load_model({folder!r})",
    shell=("cello show {folder}",),
)
_IMPORTS = """\
from cello.convert import load_model, read_config
from cello.tasks import task_from_config
"""
_TELLS = {
    "epochs": "epochs asked for",
    "clip_norm": "largest norm of gradients",
    "warmup_steps": "steps of warm-up",
}
_NOT_TOLD = {"accelerator", "devices", "nodes", "strategy", "log", "log_every"}


def card(
    task: Task,
    net: nn.Module,
    options: Options,
    *,
    name: str,
    scores: Mapping[str, Mapping[str, float]],
    done: Mapping[str, Any],
    origin: str | None = None,
) -> str:
    """The card as Markdown.

    Args:
        task: what the net was trained on; `about` is asked, where it has that.
        net: the network.
        options: of the training.
        name: of the model's folder.
        scores: the metrics of each split, by its name, for `score_table`.
        done: more rows for the table on the training.
        origin: the command that began the run.
    """
    about: About = getattr(task, "about", lambda: _ANY)()
    parameters = sum(parameter.numel() for parameter in net.parameters())
    size = sum(parameter.nbytes for parameter in net.parameters())
    options_told = {
        _TELLS.get(key, key.replace("_", " ")): value
        for key, value in asdict(options).items()
        if value is not None and key not in _NOT_TOLD and not key.startswith("checkpoint_")
    }
    head, rows, note = score_table(scores)
    python = f"{_IMPORTS}\n{about.python.format(folder=name)}"
    parts = [
        MARK,
        f"# {_cell(name)}",
        f"A recurrent network that {_cell(about.does)}. Trained with Cello {__version__}, written "
        f"on {date.today().isoformat()}; {parameters:,} parameters, {size:,} bytes.",
        "## Scores\n\n" + _table(head, rows) if rows else "",
        f"{note[0].upper()}{note[1:]}." if note else "",
        "## Use\n\n" + _code("python", python),
        _code("sh", "\n".join(line.format(folder=quote(name)) for line in about.shell)),
        "## Data\n\n" + _table(["", ""], about.data.items()) if about.data else "",
        "## Training\n\n" + _table(["", ""], {**done, **options_told}.items()),
        _code("sh", origin) if origin else "",
        "## Network\n\n" + _code("text", str(net)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as Markdown has it in a table: in one line, its signs as they are."""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    for sign in "\\`*_<|#[":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())


def _code(language: str, text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.strip()}\n{fence}"
