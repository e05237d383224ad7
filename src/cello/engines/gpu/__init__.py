"""The compiled engine on GPUs: the loops of a step in Triton.

Rendered from the same kernels as the C of the CPU engine, and called through the same operations.
Imports `fused`, and of the other engines nothing; `engines.choose` imports it. Triton is imported
when it runs.
"""

from cello.engines.gpu.engine import NAME, refuses, run, source

__all__ = ["NAME", "refuses", "run", "source"]
