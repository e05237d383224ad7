"""What the commands `cello train …` share: the network, the run, the result."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cello.cli.answers.classes import print_confusion
from cello.cli.answers.scores import print_scores
from cello.cli.output import json_option, print_json
from cello.cli.parameter_types import FilePath
from cello.cli.source_constants import constant
from cello.cli.training.options import Help, OrWord, filled, given, options_of
from cello.cli.training.remembered import command_of, recalled, remember
from cello.cli.training.watch import watching
from cello.ranges import RANGES, check_range

if TYPE_CHECKING:
    from cello.tasks import FileTask
    from cello.train import Event, Result

__all__ = ["NETWORK", "OPTIONS", "begin", "complete", "placed", "refuse", "train", "training"]

_SCHEDULES = constant("cello.train.options:SCHEDULES")

#: Options of `cello.train.fit`, each an option of the command.
OPTIONS = {
    "epochs": Help("Passes over the training data."),
    "learning_rate": Help("The learning rate of AdamW."),
    "weight_decay": Help("The weight decay of AdamW."),
    "clip_norm": Help(
        "Scale gradients down to this norm, all taken together.", OrWord(float, "none")
    ),
    "schedule": Help("How the learning rate changes after the warm-up.", click.Choice(_SCHEDULES)),
    "warmup_steps": Help("Over how many steps the learning rate rises at first."),
    "patience": Help("Stop after this many epochs without improvement.", OrWord(int, "none")),
    "seed": Help("Seed of all random numbers: initial weights, order of the data, dropout."),
    "checkpoint_steps": Help("Save a checkpoint every so many steps.", OrWord(int, "none")),
    "checkpoint_seconds": Help("Save a checkpoint every so many seconds.", OrWord(float, "none")),
    "log": Help(
        "Where to write metrics: csv, tensorboard; may be given twice.", str, multiple=True
    ),
    "log_every": Help("Write a row of the log every so many steps."),
    "accelerator": Help("cpu, gpu, …, as in Lightning Fabric."),
    "devices": Help("How many devices, as in Lightning Fabric.", OrWord(int, "auto")),
    "nodes": Help("How many machines, as in Lightning Fabric."),
    "strategy": Help("How devices work together, as in Lightning Fabric."),
    "precision": Help("Such as bf16-mixed, as in Lightning Fabric.", str),
}

#: Options of `cello.tasks.build_network`.
NETWORK = {
    "layers": Help("How many recurrent layers."),
    "dropout": Help(
        "Share of values set to zero in training, between layers and before the readout."
    ),
}

#: What comes last of a network, an option of some tasks.
_LAST = ("crf", "pool")

_HIDDEN_SIZE = 64
#: Types of spans whose F1 is shown at the end.
_MOST_TYPES = 10


def training(kinds: str) -> Callable[[Any], Any]:
    """A decorator that adds the options of every training command.

    Args:
        kinds: where the constant stands that names the kinds of networks that can do this.
    """
    options: list[Callable[[Any], Any]] = [
        click.option(
            "-o",
            "--output",
            "folder",
            type=FilePath(file_okay=False),
            metavar="MODEL",
            help="The folder for the model, its log and its checkpoints; not needed with --resume.",
        ),
        click.option(
            "--resume",
            is_flag=False,
            flag_value="",
            metavar="[MODEL]",
            help="Continue the run in MODEL where it stopped, with the options it began with.",
        ),
        click.option(
            "--network",
            "kind",
            type=click.Choice(constant(kinds)),
            default="lstm",
            show_default=True,
            help="Kind of network.",
        ),
        click.option(
            "--hidden-size", type=int, help=f"Units in each layer.  [default: {_HIDDEN_SIZE}]"
        ),
        click.option(
            "--parameters",
            type=int,
            help="Choose the hidden size that gives about this many parameters.",
        ),
        options_of("cello.tasks.networks:build_network", NETWORK),
        options_of("cello.train.options:Options", OPTIONS),
        click.option("--quiet", is_flag=True, help="Show no progress."),
        json_option,
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse(values: dict[str, Any], names: Iterable[str], why: str) -> None:
    """Refuse options that mean nothing here.

    Raises:
        click.UsageError: one of `names` is given.
    """
    for name in given(values, names):
        raise click.UsageError(f"--{name.replace('_', '-')} {why}")


def begin(values: dict[str, Any]) -> dict[str, Any]:
    """Take a resumed run's options from it; and check all options, before any data are read.

    Args:
        values: the values of the command's options by name.

    Returns:
        The values to train with.
    """
    values = placed(values)
    _check_ranges(values)  # which takes no import that takes long
    from cello.train.loop import check_folder

    check_folder(values["folder"], values["resume"])
    notes: list[str] = []
    if values["resume"]:
        asked = values
        values, notes = recalled(values)
        for one, other in (("hidden_size", "parameters"), ("parameters", "hidden_size")):
            if asked[one] is not None and asked[other] is None:
                values[other] = None
    _check(values)
    if _is_first_process():
        for note in notes:
            click.echo(f"cello: {note}", err=True)
    return values


def placed(values: dict[str, Any]) -> dict[str, Any]:
    """The options with a folder, which `--resume MODEL` may name too.

    Raises:
        click.UsageError: none is named, or two.
    """
    folder, resume = values["folder"], values["resume"]
    if resume and folder is not None and Path(resume) != folder:
        raise click.UsageError(f"--resume names {resume}, and --output {folder}: leave one out")
    if not resume and folder is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    return {**values, "folder": folder or Path(resume), "resume": resume is not None}


def _check_ranges(values: dict[str, Any]) -> None:
    if values["parameters"] is not None and values["hidden_size"] is not None:
        raise click.UsageError("--hidden-size and --parameters exclude each other")
    # A text is no number that is out of its range: its option takes words, such as a column's name.
    numbers = {n: v for n, v in given(values, RANGES).items() if not isinstance(v, str)}
    check_range(**numbers)


def _check(values: dict[str, Any]) -> None:
    """Check each option by itself; whether it fits the data is checked once these are known."""
    from cello.tasks.networks import check_dropout
    from cello.train import Options
    from cello.train.fabric import make_fabric, quiet
    from cello.train.report.log import check_log

    _check_ranges(values)
    options = Options(**given(values, OPTIONS))
    check_dropout(given(values, NETWORK).get("dropout", 0.0))
    check_log(options.log)
    with quiet():
        make_fabric(options)


def complete(values: dict[str, Any], names: Iterable[str], **computed: Any) -> dict[str, Any]:
    """The value of every option, for the run's folder to keep: a default may change one day.

    Args:
        values: the values of the command's options by name.
        names: the options of the task.
        **computed: what is usual where that depends on other options.
    """
    if values["parameters"] is None:
        computed["hidden_size"] = _HIDDEN_SIZE
    return filled(values, (*names, *NETWORK, *OPTIONS), **computed)


def train(task: FileTask, values: dict[str, Any]) -> None:
    """Build the network, train it, and say what came of it.

    Args:
        task: what to train on.
        values: the values of the command's options by name, complete.
    """
    import torch

    from cello.train import Options, TrainingInterrupted, fit

    options = Options(**given(values, OPTIONS))
    torch.manual_seed(options.seed)
    net = _network(task, values)

    seen: set[str] = set()
    watch = watching()

    def listen(event: Event) -> None:
        seen.add(event.kind)
        if event.kind == "start":
            remember(values)
        if watch is not None:
            watch.on_event(event)

    try:
        result = fit(
            task,
            net,
            options,
            values["folder"],
            resume=values["resume"],
            progress=not (values["quiet"] or values["as_json"] or watch is not None),
            on_event=listen,
            origin=command_of(values),
        )
    except TrainingInterrupted as stop:
        raise TrainingInterrupted(
            f"stopped at step {stop.step}; the checkpoint in {values['folder'] / 'checkpoint'} is "
            f"complete; to continue: {_resume_command(values)}",
            step=stop.step,
            exit_code=stop.exit_code,
        ) from stop
    if watch is not None:
        watch.result = result
        watch.parameters = sum(parameter.numel() for parameter in net.parameters())
    elif _is_first_process():
        if "epoch" not in seen:
            click.echo(f"cello: {_nothing_to_do(result, values)}", err=True)
        _print_result(result, task, net, values["as_json"])


def _network(task: FileTask, values: dict[str, Any]) -> Any:
    from cello.tasks import build_network, fitting_hidden_size

    kind, size, encoder = values["kind"], values["hidden_size"], task.encoder()
    if size is None:
        size = fitting_hidden_size(
            values["parameters"], kind, encoder, task.output_size,
            **given(values, ("layers", *_LAST)),
        )  # fmt: skip
    options = given(values, (*NETWORK, *_LAST))
    return build_network(
        kind, encoder, size, task.output_size, numbers=task.labels is None, **options
    )


def _nothing_to_do(result: Result, values: dict[str, Any]) -> str:
    epochs, folder = len(result.history), values["folder"]
    if result.stopped_early:
        waited = epochs - result.best_epoch
        return (
            f"there was nothing to do: the run in {folder} stopped early, {waited} epochs after "
            f"its best; to continue, give it more patience: {_resume_command(values)} --patience "
            f"{2 * waited}"
        )
    return (
        f"there was nothing to do: the run in {folder} has finished all its epochs ({epochs}); to "
        f"continue, ask for more: {_resume_command(values)} --epochs {2 * epochs}"
    )


def _resume_command(values: dict[str, Any]) -> str:
    context = click.get_current_context()
    flags = [flag for flag, name in (("--quiet", "quiet"), ("--json", "as_json")) if values[name]]
    words = ["cello", "train", str(context.info_name), "-o", str(values["folder"]), *flags]
    return shlex.join([*words, "--resume"])


def _is_first_process() -> bool:
    from cello.train.fabric import is_first_process

    return is_first_process()


def _print_result(
    result: Result,
    task: FileTask,
    net: Any,
    as_json: bool,
) -> None:
    parameters = sum(parameter.numel() for parameter in net.parameters())
    if as_json:
        values = result._asdict()
        print_json({**values, "folder": str(result.folder), "parameters": parameters})
        return
    print_scores(
        {"validation": result.validation, "test": result.test},
        task.scheme,
        most=_MOST_TYPES,
    )
    print_confusion(task, net)
    early = ", stopped early" if result.stopped_early else ""
    steps = "1 step" if result.steps == 1 else f"{result.steps:,} steps"
    click.echo(
        f"{parameters:,} parameters, {steps} in {result.seconds:.1f} s{early}; "
        f"the best network, of epoch {result.best_epoch}, is in {result.folder}"
    )
