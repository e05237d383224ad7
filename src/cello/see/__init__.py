"""Seeing what a network does: recordings, arithmetic, equations, parameters."""

from cello.see.attribution import Attribution, attribute
from cello.see.diagnosis import Diagnosis, Finding, diagnose
from cello.see.draw import Drawing, draw
from cello.see.explain import Explanation
from cello.see.file import load_recording
from cello.see.flow import Flow, flow
from cello.see.formulas import equations
from cello.see.intervention import intervene
from cello.see.parameters import ParameterCount, count_parameters
from cello.see.probe import Probe, probe
from cello.see.recorder import record
from cello.see.recording import Recording

__all__ = [
    "Attribution",
    "Diagnosis",
    "Drawing",
    "Explanation",
    "Finding",
    "Flow",
    "ParameterCount",
    "Probe",
    "Recording",
    "attribute",
    "count_parameters",
    "diagnose",
    "draw",
    "equations",
    "flow",
    "intervene",
    "load_recording",
    "probe",
    "record",
]
