"""Nets as C: the regions of the compiled engine, written one feature at a time.

Imports layers and the compiled engine's own writer of C; `cello.convert` offers it.
"""

from cello.convert.c.export import ExportedC, to_c

__all__ = ["ExportedC", "to_c"]
