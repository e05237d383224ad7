"""Diagnosis: what a practitioner would look for in a net that does not learn.

Imports `gradients`; `record` and the command line import it.
"""

from cello.see.diagnosis.diagnose import diagnose
from cello.see.diagnosis.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
