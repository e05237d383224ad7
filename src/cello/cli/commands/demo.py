"""`cello demo`: the main job, from text to a memory that can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cello.cli.command import Command
from cello.cli.language import said
from cello.cli.output import paragraph, print_tables
from cello.cli.parameter_types import FilePath
from cello.ranges import check_range

if TYPE_CHECKING:
    from torch import nn

    from cello.tasks import Tagging
    from cello.train import Result

__all__ = ["command"]

KINDS = {
    "elman": "Elman",
    "jordan": "Jordan",
    "bi-elman": "bidirectional Elman",
    "lstm": "LSTM",
    "bi-lstm": "bidirectional LSTM",
}
RATES = {"lstm": 2e-2, "bi-lstm": 2e-2}  # learning rates; the others learn at 5e-3
SHOWN = "lstm"  # the network whose memory is shown


@click.command(
    cls=Command,
    example="""
    cello demo
    cello demo --epochs 1 --pieces 600 -o quick
    """,
)
@click.option(
    "-o",
    "--output",
    type=FilePath(file_okay=False),
    default=Path("runs/demo"),
    show_default=True,
    metavar="FOLDER",
    help="Where the models go; a run that was stopped goes on from there.",
)
@click.option("--parameters", default=26_000, show_default=True, help="Of each network, about.")
@click.option("--epochs", default=3, show_default=True, help="Passes over the training pieces.")
@click.option("--pieces", default=6000, show_default=True, help="Training pieces an epoch.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same numbers.")
def command(output: Path, parameters: int, epochs: int, pieces: int, seed: int) -> None:
    """Train five networks on real text and look into the memory of one.

    The text is the source of Python's own standard library; the job is to tell the kind of each
    character (keyword, name, string, comment ...). Some can be told from the character itself;
    whether it is inside a string or a comment must be remembered. It takes 2 to 5 minutes on two
    cores. All learn by AdamW with a cosine schedule, the LSTMs at a rate of 2e-2, the others at
    5e-3.
    """
    import torch

    from cello.cli.demo.memory_shown import show_memory
    from cello.cli.demo.seconds import HEAD, epoch_seconds, footnote
    from cello.tasks import python_tagging

    check_range(parameters=parameters, epochs=epochs, pieces=pieces, seed=seed)
    torch.set_num_threads(1)  # steps this small gain nothing from a second thread
    task = python_tagging(pieces=pieces, seed=seed)
    rows = []
    for kind, title in KINDS.items():
        net, result = _train(task, kind, title, output / kind, parameters, epochs, seed)
        count = sum(parameter.numel() for parameter in net.parameters())
        shares = (result.test["accuracy"], result.test["memory_accuracy"])
        percent = [f"{100 * share:.1f} %" for share in shares]
        epoch = [f"{seconds:.3g}" for seconds in epoch_seconds(task, net)]
        rows.append([title, f"{count:,}", *percent, f"{result.seconds:.0f}", *epoch])
        if kind == SHOWN:
            shown = net
    click.echo(said("\nOn files that no network has seen:\n"))
    columns = ["network", "parameters", "accuracy", "in strings, comments", "seconds", *HEAD]
    head = [said(column) for column in columns]
    print_tables(head, rows)
    click.echo("\n" + paragraph(footnote(task)))
    show_memory(task, shown, output / f"{SHOWN}.html")
    click.echo(said("\nThe models are in {}; try: cello show {}", output, output / SHOWN))


def _train(
    task: Tagging, kind: str, title: str, folder: Path, parameters: int, epochs: int, seed: int
) -> tuple[nn.Module, Result]:
    """Train one network, or finish what an earlier run began."""
    import torch

    from cello.tasks import build_network, fitting_hidden_size
    from cello.train import Options, fit

    torch.manual_seed(seed)
    encoder = task.features.encoder()
    size = fitting_hidden_size(parameters, kind, encoder, task.output_size)
    net = build_network(kind, encoder, size, task.output_size)
    click.echo(f"{title}: {size} units", err=True)
    options = Options(
        epochs=epochs,
        learning_rate=RATES.get(kind, 5e-3),
        schedule="cosine",
        warmup_steps=30,
        seed=seed,
    )
    resume = (folder / "checkpoint").exists()
    return net, fit(task, net, options, folder, resume=resume)
