"""Seeing what a network does: recordings, arithmetic, equations, parameters."""

from cello.see.file import load_recording
from cello.see.record import record
from cello.see.recording import Recording

__all__ = ["Recording", "load_recording", "record"]
