"""Running a step only to learn of it: out of reach of modes, hooks and tracers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import _pop_mode, _push_mode
from torch.utils import _python_dispatch as dispatch
from torch.utils._device import DeviceContext

from cello.cells.tracing import taken_apart, untraced

__all__ = ["hooks_of", "isolated"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def hooks_of(module: nn.Module) -> list[dict[int, Any]]:
    """The hooks of a module, by kind."""
    return [getattr(module, kind) for kind in _HOOKS]


@contextmanager
def isolated(module: nn.Module) -> Iterator[None]:
    """Run steps of `module` unaffected by what is active around them.

    That is inference mode, autocast, hooks on saved tensors and on all modules, modes that see or
    change what functions and operations do, which of those `torch.export` keeps whole,
    `torch.jit.trace`, the profiler, and what TorchScript learns from calls.
    """
    with (
        taken_apart(),
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),  # where steps are tried, whatever the device
        _saving_plainly(),
        torch.jit.optimized_execution(False),  # scripted functions do what is written in them
        untraced(),
        _without_modes(),
        _unprofiled(),
        _without_hooks(module),
    ):
        yield


@contextmanager
def _saving_plainly() -> Iterator[None]:
    """Keep what operations save for a backward pass inside as it is, and drop it afterwards.

    A hook that gave the tensor back would make a graph that holds itself, for ever.
    """
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> int:
        saved.append(tensor)
        return len(saved) - 1

    hooks: Any = torch.autograd.graph.saved_tensors_hooks
    try:
        with hooks(pack, saved.__getitem__):
            yield
    finally:
        saved.clear()


@contextmanager
def _without_modes() -> Iterator[None]:
    """Without the modes of users, and without those of PyTorch's tracers unless they compile.

    The default device stays.
    """
    functions = [_pop_mode() for _ in range(torch._C._len_torch_function_stack())]
    devices = [mode for mode in functions if isinstance(mode, DeviceContext)]
    for mode in reversed(devices):
        _push_mode(mode)
    try:
        with ExitStack() as stack:
            while _is_in_the_way(dispatch._get_current_dispatch_mode()):
                stack.enter_context(dispatch._pop_mode_temporarily())
            yield
    finally:
        for _ in devices:
            _pop_mode()
        for mode in reversed(functions):
            _push_mode(mode)


def _is_in_the_way(mode: Any) -> bool:
    of_tracer = getattr(mode, "_mode_key", None) is not None  # what it compiles has no numbers
    return mode is not None and not (of_tracer and torch.compiler.is_compiling())


@contextmanager
def _unprofiled() -> Iterator[None]:
    if not torch.autograd._profiler_enabled():
        yield
        return
    torch._C._autograd._enable_record_function(False)
    try:
        yield
    finally:
        torch._C._autograd._enable_record_function(True)


@contextmanager
def _without_hooks(module: nn.Module) -> Iterator[None]:
    """Let the modules inside that have no hooks of their own run their forward alone."""
    parts = [
        part
        for part in module.modules()
        if part is not module
        and part._compiled_call_impl is None
        and not isinstance(part, torch.jit.ScriptModule)
        and not any(hooks_of(part))
    ]
    for part in parts:
        vars(part)["_compiled_call_impl"] = part.forward
    try:
        yield
    finally:
        for part in parts:
            del vars(part)["_compiled_call_impl"]
