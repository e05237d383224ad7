"""`cello run`: a network of one's own from a data file."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.language import said
from cello.cli.output import json_option, page_option, refuse_beside, steps_option
from cello.cli.parameter_types import FilePath

__all__ = ["command"]


@click.command(
    cls=Command,
    example="""
    cello example lstm --copy my-lstm.toml
    cello run my-lstm.toml --step 2
    cello run my-lstm.toml --html my-lstm.html
    """,
)
@click.argument("file", type=FilePath())
@page_option
@steps_option
@json_option
def command(file: Path, page: Path | None, steps: tuple[int, ...], as_json: bool) -> None:
    """Run the networks in a data FILE and show every value and the arithmetic.

    The file is TOML. [[net]] tables are the modules from the input to the output, with their
    weights; each [[run]] has inputs (a row of numbers for each step) and may say which values to
    show, which steps to explain (t, unit, layer), and what is stated of the values, to be marked.
    Get one to change with `cello example NAME --copy FILE`.
    """
    from cello.cli.example_data.datafile import read_data_file

    data = read_data_file(file)
    if page is not None:
        refuse_beside("--html", step=steps, json=as_json)
        from cello.cli.example_data.page import write_page

        click.echo(said("wrote {}: open it in a browser", write_page(data, page)))
        return
    from cello.cli.example_data.report import report
    from cello.cli.example_data.texts import print_report

    print_report(data, report(data, steps), as_json)
