"""Ctrl-C, SIGTERM and a closed terminal: note them, and stop where everything is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Signals", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by a signal; a checkpoint of that very step is complete.

    The message says how to go on. `exit_code` is what a command should exit with: 130 after
    Ctrl-C, 143 after SIGTERM, 129 where the terminal was closed (SIGHUP). `step` is the number of
    steps done.
    """

    def __init__(self, message: str, *, step: int, exit_code: int) -> None:
        super().__init__(message)
        self.step = step
        self.exit_code = exit_code


#: Windows has no SIGHUP, and SIGBREAK alone: Ctrl-Break, and what closes a terminal.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_STOPPING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Signals:
    """Within `with Signals() as signals:` the first signal is only noted, in `signals.received`.

    The second one interrupts at once, as it would without this. A signal that was ignored stays
    ignored, and outside the main thread, where Python delivers none, nothing is done.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as shells have it."""
        return 128 + (self.received or signal.SIGINT)

    @contextmanager
    def at_once(self, enabled: bool = True) -> Iterator[None]:
        """Within this, a signal (also one noted before) raises KeyboardInterrupt at once."""
        if enabled and self.received is not None:
            raise KeyboardInterrupt
        self._at_once = enabled
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self.received = number
        if again or self._at_once:
            raise KeyboardInterrupt
