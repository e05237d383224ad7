"""`cello tune`: the options of a training command that give the best model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cello.cli.command import Command, Group
from cello.cli.commands.train import command as train

__all__ = ["command"]

_OWN = ("folder", "resume", "quiet", "as_json", "trials", "search")
_EXAMPLES = {
    "tag": "cello tune tag --pieces 200 --epochs 1 --trials 4 -o tuned",
    "chars": "cello tune chars --epochs 1 --trials 4 -o tuned",
}


class _Tune(Group):
    """The commands of `cello train`, each as one that is run again and again."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command that tunes this task."""
        found = super().get_command(ctx, cmd_name)
        return None if found is None else _tuned(cmd_name, found)


def _tuned(task: str, trained: click.Command) -> Command:
    trials = click.Option(
        ["--trials"], type=click.IntRange(1, 100_000), default=20, show_default=True,
        help="How many trials to run, including those of the study that is resumed.",
    )  # fmt: skip
    search = click.Option(
        ["--search"], multiple=True, metavar="NAME=LOW..HIGH",
        help="An option to vary: NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C; may be given "
        "several times.  [default: those of hidden-size, learning-rate, dropout and weight-decay "
        "that are not given]",
    )  # fmt: skip

    def run(**values: Any) -> None:
        _run(task, trained, values)

    return Command(
        task,
        params=[trials, search, *trained.params],
        callback=run,
        help=f"Search the options of `cello train {task}` that give the best model.\n\n"
        f"Takes the options of `cello train {task}`: those you give stay fixed, others are varied "
        "from trial to trial. Each trial learns from the ones before, and trials that do worse "
        "than half of the others are stopped early. MODEL receives the best model, a table of all "
        "trials and their folders. Ctrl-C keeps what was done; --resume MODEL continues.",
        example=_EXAMPLES.get(task, f"cello tune {task} --epochs 1 --trials 4 -o tuned"),
    )


def _run(task: str, trained: click.Command, values: dict[str, Any]) -> None:
    """Try, and say what came of it."""
    from cello.cli.output import print_json, print_tables
    from cello.cli.training.remembered import words_of
    from cello.cli.training.shared import placed
    from cello.cli.tuning.space import Dimension, space_of
    from cello.cli.tuning.study import Study
    from cello.errors import ArgumentError, ModelError
    from cello.train import TrainingInterrupted
    from cello.train.saved import checkpoint
    from cello.train.saved.lock import check_free, locked

    values = placed(values)
    context, folder = click.get_current_context(), Path(values["folder"])
    fixed = {
        option.name: values[option.name]
        for option in trained.params
        if option.name not in _OWN
        and context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }
    words = words_of(trained.params, fixed)
    if folder.is_dir():
        check_free(folder)
    kept = Study.kept(folder)
    if values["resume"]:
        if kept is None:
            raise ModelError(f"there is no study in {folder}: leave --resume out")
        if kept.get("task") != task:
            raise ArgumentError(f"the study in {folder} is of {kept.get('task')}, not of {task}")
        if fixed and words != kept["words"]:
            raise ArgumentError(
                f"the study in {folder} was begun with other options: "
                f"{' '.join(kept['words']) or 'none'}; leave them out, or tune in another folder"
            )
        if values["search"] and [list(d) for d in _space(values, trained, fixed)] != kept["space"]:
            raise ArgumentError(
                f"the study in {folder} searches other options", argument="--search"
            )
        words, space = kept["words"], [Dimension(*d) for d in kept["space"]]
        space = [d._replace(choices=tuple(d.choices)) for d in space]
    else:
        if kept is not None:
            raise ArgumentError(
                f"{folder} holds a study already: --resume {folder} goes on with it"
            )
        space = space_of(values["search"], trained.params, fixed)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"must be a folder, but {folder} is a file", argument="--output")
    if checkpoint.exists(folder / "checkpoint"):
        raise ArgumentError(f"{folder} holds a run of cello train: tune in another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        study = Study(folder, trained, task, words, space, values.get("seed") or 0)
        try:
            study.run(values["trials"], quiet=values["quiet"] or values["as_json"])
        except TrainingInterrupted as stop:
            again = shlex.join(["cello", "tune", task, "--resume", str(folder)])
            raise TrainingInterrupted(
                f"stopped; finished trials ({len(study.finished)}) are kept, and so is the one "
                f"that was cut off; to continue: {again}",
                step=stop.step,
                exit_code=stop.exit_code,
            ) from stop
        head, rows = study.table()
    if values["as_json"]:
        print_json(
            {"folder": str(folder), "trials": [dict(zip(head, row, strict=True)) for row in rows]}
        )
        return
    print_tables(head, rows)
    best = study.best()
    if best is None:
        click.echo(f"no trial came to its end; what they did stands in {folder}")
    else:
        click.echo(f"the best model, of trial {best.number}, is in {folder}")


def _space(values: dict[str, Any], trained: click.Command, fixed: dict[str, Any]) -> list[Any]:
    from cello.cli.tuning.space import space_of

    return space_of(values["search"], trained.params, fixed)


command = _Tune(
    "tune",
    modules=train.modules,
    help="Search the options that give the best model, by training again and again.",
    example="""
    cello tune tag --pieces 200 --epochs 1 --trials 4 -o tuned
    cello tune tag --resume tuned --trials 8
    """,
    own="""
    cello tune tag --train train.txt --search network=lstm,bi-lstm --search layers=1..2 -o tuned
    """,
)
