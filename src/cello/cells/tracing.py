"""Whether PyTorch or a profiler watches what runs, and how to run what is not to be seen."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

__all__ = [
    "in_transform",
    "is_fake",
    "is_traced",
    "is_written_down",
    "set_profiler",
    "taken_apart",
    "unmoded",
    "untraced",
    "unwarned",
    "with_locals",
]


def is_fake(tensors: Iterable[Tensor]) -> bool:
    """Whether one of them has no numbers, but a shape alone, and no tracer has made it so."""
    if torch.compiler.is_compiling():
        return False
    return any(hasattr(tensor, "fake_mode") for tensor in tensors)


def is_traced() -> bool:
    """Whether `torch.jit.trace` writes down what runs now; sizes are tensors then."""
    return torch._C._get_tracing_state() is not None


def is_written_down() -> bool:
    """Whether operations are, by `torch.jit.trace` or while a step is captured."""
    if torch.compiler.is_compiling():
        return False
    return is_traced() or torch._C._len_torch_dispatch_stack() > 0


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


@contextmanager
def taken_apart() -> Iterator[None]:
    """Run a block in which a mode sees the operations that others consist of, as it does elsewhere.

    `torch.export` has PyTorch's dispatcher keep them whole, and below autograd, where an operation
    of ours is run, nothing takes them apart.
    """
    internals: Any = torch._C
    autograd = internals.DispatchKey.AutogradFunctionality
    with (
        internals._DisablePythonDispatcher(),
        internals._SetExcludeDispatchKeyGuard(autograd, False),
    ):
        yield


@contextmanager
def unmoded() -> Iterator[None]:
    """Run a block in which operations do what they do where nothing is traced or watched."""
    with _disable_current_modes(), taken_apart():
        yield


def unwarned() -> AbstractContextManager[None]:
    """Run checks of sizes, about whose numbers `torch.jit.trace` would warn each time."""
    return _unwarned() if is_traced() else nullcontext()


@contextmanager
def _unwarned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        yield


def set_profiler(profiler: Any) -> None:
    """Let Python's calls be seen again by what `sys.getprofile` has returned."""
    if profiler is None or callable(profiler):
        sys.setprofile(profiler)
    else:  # a profiler written in C, such as cProfile's
        profiler.enable()


def with_locals(
    function: Any, call: Callable[[], Any], watch: Callable[[Any, str, Any], None] | None = None
) -> tuple[Any, dict[str, Any]]:
    """What `call` returns, and the local variables that `function`, called by it, has at its end.

    Only the outermost call of the function counts, not what that calls; what is called meanwhile is
    shown to `watch`, as to a profiler. What is not a Python function (a scripted one, say) has no
    local variables to see.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    seen: dict[str, Any] = {}
    depth = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal depth
        if watch is not None and depth:
            watch(frame, event, argument)
        if frame.f_code is not code:
            return
        if event == "call":
            depth += 1
        elif event == "return":
            depth -= 1
            if depth == 0:
                seen.update(frame.f_locals)

    before: Any = sys.getprofile()
    sys.setprofile(profile)
    try:
        result = call()
    finally:
        set_profiler(before)
    seen.pop("self", None)
    return result, seen
