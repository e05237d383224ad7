"""The command line: one command a file, thin.

Each module of `cello.cli.commands` that `COMMANDS` names holds a click command called `command`;
`import`, a word of Python's, is `import_` there.
What a command needs is imported when it runs. Imports all rooms; none imports it.
"""

from __future__ import annotations

import keyword

from cello.cli.app import Commands

__all__ = ["COMMANDS", "cli", "main"]

#: The commands in the order of the help, each a module of `cello.cli.commands`.
COMMANDS = (
    "example",
    "run",
    "demo",
    "train",
    "predict",
    "evaluate",
    "sample",
    "import",
    "show",
    "record",
    "export",
    "diagnose",
    "explore",
    "info",
)


def _module(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


cli = Commands(
    "cello",
    modules={name: f"{__name__}.commands.{_module(name)}" for name in COMMANDS},
    help="Recurrent networks whose memory you can see.",
    example="""
    cello example lstm
    cello train tag -o model
    cello predict model some.py --color c
    """,
)


def main() -> None:
    """Run the command line and exit with its code: 0, 1 failed, 2 bad input, 130 Ctrl-C."""
    cli.main()
