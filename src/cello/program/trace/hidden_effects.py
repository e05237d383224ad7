"""What a step does besides its operations: a trace would not show it, so it is refused."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from cello.cells.tracing import in_transform
from cello.program.sizes import said
from cello.program.trace.composite import as_equations
from cello.program.trace.functions import IN_OTHER_WORDS
from cello.program.trace.source_lines import called_by_step, user_line

__all__ = ["HiddenEffects"]

_READS = "it reads the values in a tensor"
_COMPUTES = "it computes gradients, whose own gradients are not operations"
_GRADIENTS = "it looks at how gradients come, or changes it"
_MEMORY = "it asks how a tensor lies in memory"
_WRITES = "it writes something out, which a captured step would not do again"
_SETTINGS = "it asks how PyTorch is set, which may change from call to call"

_TENSOR: Any = Tensor  # whose attributes the type checker takes for what they hold

# What PyTorch hands to a mode: why it is refused, its name (an attribute's function has none of its
# own), and whether only if the step asks: what PyTorch asks for itself only makes it faster.
_OF_TENSORS: dict[Any, tuple[str, str, bool]] = {
    **{
        function: (_READS, function.__name__, False)
        for function in (
            *(Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.data_ptr),
            Tensor.__repr__,
        )
    },
    **{
        function: (_COMPUTES, function.__name__, False)
        for function in (torch.autograd.grad, torch.autograd.backward, Tensor.backward)
    },
    **{
        function: (_GRADIENTS, function.__name__, False)
        for function in (
            *(Tensor.register_hook, Tensor.register_post_accumulate_grad_hook),
            *(Tensor.retain_grad, Tensor.detach_),
        )
    },
    _TENSOR.grad_fn.__get__: (_GRADIENTS, "grad_fn", False),
    _TENSOR.grad.__get__: (_GRADIENTS, "grad", False),
    _TENSOR.grad.__set__: (_GRADIENTS, "grad = …", False),
    _TENSOR.data.__set__: ("it puts other numbers into a tensor", "data = …", False),
    Tensor.is_contiguous: (_MEMORY, "is_contiguous", True),
    Tensor.stride: (_MEMORY, "stride", True),
    Tensor.storage_offset: (_MEMORY, "storage_offset", True),
    _TENSOR._version.__get__: ("it asks how often a tensor has been changed", "_version", True),
    Tensor.is_inference: (_SETTINGS, "is_inference", True),
}

# What tells a step how many rows it has.
_SIZES: set[Any] = {
    *(Tensor.size, Tensor.__len__, Tensor.numel, Tensor.nelement, torch.numel),
    *(_TENSOR.shape.__get__, _TENSOR.nbytes.__get__),
}

# Functions written in C that steps call.
_OF_STEPS: dict[Any, str] = {
    **dict.fromkeys(
        (
            *(torch.is_grad_enabled, torch.is_inference_mode_enabled),
            *(torch.is_anomaly_enabled, torch.is_anomaly_check_nan_enabled),
            torch.get_num_threads,
        ),
        _SETTINGS,
    ),
    print: _WRITES,
}

# What fuses in the place of some that are refused, by name.
_INSTEAD = {
    **dict.fromkeys(("tolist", "numpy", "__array__"), "; PyTorch's own operations on it fuse"),
    **dict.fromkeys(("__repr__", "print"), "; cello.record shows the values of every step"),
}

_SAVING: Any = saved_tensors_hooks.__enter__
_LOGGING: Any = logging.Logger.handle


class HiddenEffects(TorchFunctionMode):
    """Around a step: refuses what its operations would not tell.

    Attributes:
        called: the name of what Python has called that runs now; None where nothing has been.
        transformed: whether that runs inside a transform of torch.func, such as vmap.
        asks_size: whether the step has asked for the size of a tensor with `rows` rows.
    """

    def __init__(
        self,
        refuse: Callable[[str], NoReturn],
        rows: int,
        lies_elsewhere: Callable[[Any], bool],
        may_read: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.lies_elsewhere = lies_elsewhere  # whether the rows of an argument stand first
        self.may_read = may_read  # whether what runs now may read values: it is not written down
        self.refuse, self.rows = refuse, rows
        self.called: str | None = None
        self.asks_size = self.transformed = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if found := _OF_TENSORS.get(func):
            what, name, only_the_steps = found
            if not only_the_steps or called_by_step(sys._getframe(1)):
                self._refuse(what, name, sys._getframe(1))
        if (
            func in _SIZES
            and args[0].shape[:1] == (self.rows,)
            and called_by_step(sys._getframe(1))
        ):
            self.asks_size = True
        self.transformed = in_transform()  # then what runs need not be what is called
        before, self.called = self.called, "" if self.transformed else _name_of(func)
        try:
            plain = func in IN_OTHER_WORDS and self.lies_elsewhere((args, kwargs))
            return (func if plain else as_equations(func))(*args, **(kwargs or {}))
        finally:
            self.called = before

    def watch(self, frame: Any, event: str, called: Any) -> None:
        """What a profiler sees; see `sys.setprofile`."""
        if event == "c_call":
            what = _OF_STEPS.get(called)
            if what is None and called.__name__ == "write":
                what = _WRITES if isinstance(called.__self__, io.IOBase) else None
            if what is not None and called_by_step(frame):
                self._refuse(what, called.__name__, frame)
        elif event == "call" and frame.f_code is _SAVING.__code__:
            if called_by_step(frame.f_back):
                self._refuse(_GRADIENTS, "saved_tensors_hooks", frame)
        elif event == "call" and frame.f_code is _LOGGING.__code__ and called_by_step(frame):
            self._refuse(_WRITES, "logging", frame)

    def _refuse(self, what: str, name: str, frame: Any) -> None:
        if what is not _READS or not self.may_read():
            instead = _INSTEAD.get(name, "")
            self.refuse(f"{what}, with {_plain(name)} {said(user_line(frame))}{instead}")


def _name_of(function: Any) -> str:
    """What the step calls it; "" for an operator, an index or an attribute."""
    name: str = getattr(function, "__name__", "")
    return "" if name.startswith("__") else name


def _plain(name: str) -> str:
    """Such as repr for `__repr__`."""
    return name.removeprefix("__").removesuffix("__")
