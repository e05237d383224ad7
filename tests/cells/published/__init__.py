"""Cells of papers and repositories of ten years that the zoo has not, each written as a step.

`PUBLISHED` holds them; what of them fuses is counted in `test_published`.
"""

from tests.cells.published import attention, dynamics, gates, memories, spaces
from tests.cells.published.registry import PUBLISHED, make_published

__all__ = ["PUBLISHED", "attention", "dynamics", "gates", "make_published", "memories", "spaces"]
