"""Seeing what a network does: recordings, arithmetic, equations, parameters."""

from cello.see.record import record
from cello.see.recording import Recording

__all__ = ["Recording", "record"]
