"""Whether PyTorch watches what runs, and how to run what `torch.jit.trace` is not to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["in_transform", "is_traced", "untraced"]


def is_traced() -> bool:
    """Whether `torch.jit.trace` writes down what runs now; sizes are tensors then."""
    return torch._C._get_tracing_state() is not None


def in_transform() -> bool:
    """Whether a transform of `torch.func`, such as vmap, is active."""
    return torch._C._functorch.peek_interpreter_stack() is not None


@contextmanager
def untraced() -> Iterator[None]:
    """Run a block that `torch.jit.trace` does not see."""
    tracer: Any = torch._C
    state = tracer._get_tracing_state()
    tracer._set_tracing_state(None)
    try:
        yield
    finally:
        tracer._set_tracing_state(state)
