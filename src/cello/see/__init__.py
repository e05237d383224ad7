"""Seeing what a network does: recordings, and the questions that can be asked of them.

Imports `layers` and below; the command line imports it, and `cello` hands on what is public.
"""

from cello.see.arithmetic.explain import Explanation
from cello.see.diagnosis import Diagnosis, Finding, diagnose
from cello.see.draw import Drawing, draw
from cello.see.formulas.equations import equations
from cello.see.gradients.attribution import Attribution, attribute
from cello.see.gradients.flow import Flow, flow
from cello.see.intervention.intervene import intervene
from cello.see.page.exercises.exercise import Exercise, Goal
from cello.see.page.series import Outlook
from cello.see.parameters import ParameterCount, count_parameters
from cello.see.probing.probe import Probe, probe
from cello.see.record import Recording, load_recording, record

__all__ = [
    "Attribution",
    "Diagnosis",
    "Drawing",
    "Exercise",
    "Explanation",
    "Finding",
    "Flow",
    "Goal",
    "Outlook",
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
