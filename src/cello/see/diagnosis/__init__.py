"""Diagnosis: what a practitioner would look for in a net that does not learn.

Imports `gradients`; the command line imports it.
"""

from cello.see.diagnosis.diagnose import diagnose
from cello.see.diagnosis.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
