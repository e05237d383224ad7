"""`cello example`: the lecture's examples."""

from __future__ import annotations

from pathlib import Path

import click

from cello.cli.command import Command
from cello.cli.language import chinese, said
from cello.cli.output import (
    json_option,
    page_option,
    print_json,
    print_tables,
    refuse_beside,
    steps_option,
)
from cello.cli.parameter_types import FilePath

__all__ = ["command"]


def _names(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    from cello.cli.example_data.datafile import example_files

    return [name for name in example_files() if name.startswith(begun)]


@click.command(
    cls=Command,
    example="""
    cello example
    cello example lstm
    cello example lstm --copy my-lstm.toml
    cello example lstm --html lstm.html
    """,
)
@click.argument("name", required=False, shell_complete=_names)
@click.option(
    "--copy",
    "target",
    type=FilePath(dir_okay=False),
    metavar="FILE",
    help="Write the example's data file here, to be changed and run with `cello run FILE`.",
)
@page_option
@steps_option
@json_option
def command(
    name: str | None,
    target: Path | None,
    page: Path | None,
    steps: tuple[int, ...],
    as_json: bool,
) -> None:
    """List the lecture's examples, or run one.

    An example is a network with given weights. Running it prints the equations, every value of
    every step with a tick where it is what the example's file states, and the arithmetic of the
    interesting steps. Where the environment's language is Chinese (LANG=zh_CN.UTF-8), so are
    titles, texts and what is said of the values; JSON stays as it is.
    """
    from cello.cli.example_data.datafile import example_files, example_titles, read_data_file
    from cello.errors import ArgumentError

    files = example_files()
    if name is None:
        if target is not None or page is not None or steps:
            raise click.UsageError("--copy, --html and --step need the NAME of an example")
        titles = example_titles()
        if as_json:
            print_json(titles)
        else:
            if chinese():
                titles = example_titles("zh")
            heads = [said("name"), said("what it shows")]
            print_tables(heads, [[*item] for item in titles.items()])
        return
    if name not in files:
        raise ArgumentError(f"there is no example {name!r}; there are {', '.join(files)}")
    if target is not None:
        refuse_beside("--copy", html=page, step=steps, json=as_json)
        _copy(files[name].read_bytes(), target)
        click.echo(said("wrote {}: change it and run it with: cello run {}", target, target))
        return
    file = read_data_file(files[name], name)
    if page is not None:
        refuse_beside("--html", step=steps, json=as_json)
        from cello.cli.example_data.page import write_page

        click.echo(said("wrote {}: open it in a browser", write_page(file, page)))
        return
    from cello.cli.example_data.report import report
    from cello.cli.example_data.texts import print_report

    print_report(file, report(file, steps), as_json)


def _copy(data: bytes, target: Path) -> None:
    from cello.errors import DataError

    try:
        with open(target, "xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise DataError(f"{target} is there already: choose another name") from error
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror}") from error
