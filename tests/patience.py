"""How long tests wait: as long as it takes, for nothing may depend on how busy a machine is.

The limit is there for what will never come.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 600  # seconds


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so; fails if it is not within the limit."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {LIMIT} seconds"
        time.sleep(0.01)
