"""The CPU engine: the loop over time as compiled C."""

from cello.engines.cpu.engine import NAME, refuses, run
from cello.engines.cpu.listing import source

__all__ = ["NAME", "refuses", "run", "source"]
