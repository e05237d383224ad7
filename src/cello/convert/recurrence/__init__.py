"""Which recurrence a cell is, seen from the equations of its traced step.

Imports `layers` and below; every way out to a library that has layers of its own asks here.
"""

from cello.convert.recurrence.match import GATE_ORDERS, Gate, Recurrence, recurrence_of
from cello.convert.recurrence.vectors import Step

__all__ = ["GATE_ORDERS", "Gate", "Recurrence", "Step", "recurrence_of"]
