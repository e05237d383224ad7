"""What PyTorch's older tools are told of a cell or a layer: `torch.fx` and `torch.jit.script`."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.fx import Proxy

from cello.errors import ArgumentError

__all__ = ["NotScripted", "is_proxy", "leaf"]


def is_proxy(x: Any) -> bool:
    """Whether an input is none yet: `torch.fx` traces the model."""
    return isinstance(x, Proxy)


def leaf(module: nn.Module, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The call of a module as one node of the graph that `torch.fx.symbolic_trace` makes.

    So it is with PyTorch's own layers. Options that are None are left out.

    Raises:
        ArgumentError: the module is all that is traced.
    """
    path = x.tracer.path_of_module(module)
    if not path:
        name = type(module).__name__
        raise ArgumentError(
            f"symbolic_trace makes one node of a {name}: trace a model that holds it"
        )
    given = {name: value for name, value in kwargs.items() if value is not None}
    return x.tracer.create_proxy("call_module", path, (x, *args), given)


class NotScripted:
    """What `torch.jit.script` cannot compile, and says so."""

    def __prepare_scriptable__(self) -> nn.Module:
        """What is compiled in place of it."""
        raise ArgumentError(
            f"torch.jit.script cannot compile {type(self).__name__}: use torch.export, "
            "torch.compile or torch.jit.trace"
        )
