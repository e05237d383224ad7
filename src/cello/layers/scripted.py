"""Layers in what `torch.jit.trace` makes, as deployment and TensorBoard's graphs ask for."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from cello.cells.tracing import untraced

__all__ = ["Traceable"]


class Traceable:
    """Mixed into a module whose code asks for sizes while it is traced.

    Compiled loops stand in the graph as a whole and run at any length and batch size; a loop of
    steps runs at the size that was traced, and is an error at another.
    """

    def _slow_forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call does while `torch.jit.trace` looks on."""
        here: Any = self
        module: Any = super()
        with untraced(), torch.random.fork_rng():  # errors with numbers in them, and compilers
            here.forward(*args, **kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            return self._traced_result(module._slow_forward(*args, **kwargs))

    def _traced_result(self, result: Any) -> Any:
        """The result in a form that a tracer takes."""
        return result
