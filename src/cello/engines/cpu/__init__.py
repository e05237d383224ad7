"""The CPU engine: the loop over time as compiled C."""

from cello.engines.cpu.available import lacks
from cello.engines.cpu.engine import NAME, refuses, run
from cello.engines.cpu.listing import source
from cello.engines.cpu.one_step import OneStep, one_step

__all__ = ["NAME", "OneStep", "lacks", "one_step", "refuses", "run", "source"]
