"""The command line: one command a file, thin.

Each module of `cello.cli.commands` that `COMMANDS` names holds a click command called `command`;
`import`, a word of Python's, is `import_` there.
What a command needs is imported when it runs. Imports all rooms; none imports it.
"""

from __future__ import annotations

import keyword

from cello.cli.app import Commands

__all__ = ["COMMANDS", "cli", "main"]

#: The commands by what one wants, in the order of the help, each a module of `cello.cli.commands`.
COMMANDS = {
    "Learn how it works": ("example", "run", "demo"),
    "Train, and use what was trained": ("train", "tune", "evaluate", "predict", "sample"),
    "Look inside": ("show", "record", "explore", "diagnose"),
    "Bring in, ship": ("import", "export"),
    "This machine": ("info",),
}


def _module(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


cli = Commands(
    "cello",
    modules={
        name: f"{__name__}.commands.{_module(name)}"
        for names in COMMANDS.values()
        for name in names
    },
    sections=COMMANDS,
    help="""Recurrent networks whose memory you can see.

    \b
    TAB completes commands, options and names of examples, once the shell has run
    eval "$(_CELLO_COMPLETE=bash_source cello)"    (in zsh: zsh_source)
    """,
    example="""
    cello example lstm
    cello train tag --pieces 200 --epochs 1 -o model
    echo "x = 'one'  # two" | cello predict model - --color c
    """,
)


def main() -> None:
    """Run the command line and exit with its code: 0, 1 failed, 2 bad input, 130 Ctrl-C."""
    cli.main()
