"""Whether an operation has to go through PyTorch's dispatcher, which costs time.

It is where something listens there: a mode, a transform, a trace, a profiler, a tensor of another
kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Buffer, Parameter

from cello.cells.tracing import in_transform, is_traced

__all__ = ["PLAIN_TENSORS", "can_bypass_dispatcher", "nobody_traces"]

#: The classes of tensors that do nothing of their own.
PLAIN_TENSORS = frozenset((Tensor, Parameter, Buffer))
_PLAIN = PLAIN_TENSORS | {type(None)}


def can_bypass_dispatcher(tensors: Iterable[Any]) -> bool:
    """Whether an operation on these tensors may be called as the function that it is."""
    return (
        not torch._C._len_torch_dispatch_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._get_tracing_state() is None
        and not torch.autograd._profiler_enabled()
        and not torch.compiler.is_compiling()
        and _PLAIN.issuperset(map(type, tensors))
    )


def nobody_traces(tensor: Tensor) -> bool:
    """Whether a tensor that an operation has made is no tracer's: it holds numbers."""
    return (
        type(tensor) is Tensor
        and torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is None
        and not in_transform()
        and not is_traced()
        and not torch.compiler.is_compiling()
    )
