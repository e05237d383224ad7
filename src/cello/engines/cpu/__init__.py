"""The CPU engine: the loop over time as compiled C.

Imports `program`, and of the other engines nothing; `engines.choose` imports it.
"""

from cello.engines.cpu.available import lacks
from cello.engines.cpu.engine import NAME, refuses, run
from cello.engines.cpu.listing import source
from cello.engines.cpu.one_step import OneStep, one_step
from cello.engines.cpu.script import refuses_script, run_in_script

__all__ = [
    "NAME",
    "OneStep",
    "lacks",
    "one_step",
    "refuses",
    "refuses_script",
    "run",
    "run_in_script",
    "source",
]
