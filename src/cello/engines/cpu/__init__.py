"""The CPU engine: the loop over time as compiled C."""

from cello.engines.cpu.engine import NAME, refuses, run

__all__ = ["NAME", "refuses", "run"]
