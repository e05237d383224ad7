"""What a training command tells whoever runs it as a trial, and what it leaves out then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cello.train import Event, Result

__all__ = ["Watch", "watching"]

_KEY = "cello.tuning"


@dataclass
class Watch:
    """In a trial, `on_event` hears the events, and `result` is left here and not printed."""

    on_event: Callable[[Event], None]
    result: Result | None = None
    parameters: int = 0

    def enter(self, context: click.Context) -> None:
        """Let the command of this context find it."""
        context.meta[_KEY] = self


def watching() -> Watch | None:
    """Who watches the command that runs."""
    found: Watch | None = click.get_current_context().meta.get(_KEY)
    return found
