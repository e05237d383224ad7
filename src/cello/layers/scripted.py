"""Layers in what `torch.jit` makes, as deployment and TensorBoard's graphs ask for."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import torch
from torch import nn

from cello.cells.tracing import set_profiler, untraced, unwarned
from cello.errors import ConversionError

__all__ = ["Traceable", "lent"]


class Traceable:
    """Mixed into a module whose code asks for sizes while it is traced.

    Compiled loops stand in the graph as a whole and run at any length and batch size; a loop of
    steps runs at the size that was traced, and is an error at another.
    """

    def _slow_forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call does while `torch.jit.trace` looks on."""
        if torch.onnx.is_in_onnx_export():
            return self._for_the_old_exporter(*args, **kwargs)
        here: Any = self
        module: Any = super()
        with untraced(), torch.random.fork_rng():  # errors with numbers in them, and compilers
            here.forward(*args, **kwargs)
        with unwarned():
            return self._traced_result(module._slow_forward(*args, **kwargs))

    def _for_the_old_exporter(self, *_args: Any, **_kwargs: Any) -> Any:
        """What a call does while `torch.onnx.export` looks on with ``dynamo=False``.

        Raises:
            ConversionError: that exporter has nothing for it.
        """
        raise ConversionError(
            f"torch.onnx.export with dynamo=False cannot write {type(self).__name__}: leave dynamo "
            "at True, or call cello.to_onnx(net, file); cello.to_torch(net) makes a module of "
            "PyTorch's layers alone, where PyTorch has them"
        )

    def _traced_result(self, result: Any) -> Any:
        """The result in a form that a tracer takes."""
        output, state = result
        return output, in_tuples(state)


def in_tuples(state: Any) -> Any:
    """A state as a tracer takes it: tuples of tensors, () for what carries nothing."""
    if state is None:
        return ()
    if isinstance(state, dict):
        state = tuple(state.values())
    elif dataclasses.is_dataclass(state):
        state = tuple(getattr(state, field.name) for field in dataclasses.fields(state))
    return tuple(map(in_tuples, state)) if isinstance(state, (tuple, list)) else state


def lent(layer: nn.Module, twin: nn.Module) -> nn.Module:
    """The `twin` that `torch.jit.script` compiles in place of `layer`, as long as it is at work.

    It puts the twin into the user's own model for good, not only into what it makes; here the layer
    is put back when it is done, or has failed.
    """
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not _PREPARE:
        frame = frame.f_back
    if frame is not None:
        watcher: Any = sys.getprofile()
        if not isinstance(watcher, _Lending) or watcher.script is not frame.f_back:
            watcher = _Lending(frame.f_back, frame.f_locals["obj"], watcher)
            sys.setprofile(watcher)
        watcher.layers[twin] = layer
    return twin


_PREPARE = torch.jit._script.call_prepare_scriptable_func.__code__


class _Lending:
    """Sees, as a profiler does, when `torch.jit.script` is left; then puts back what was lent.

    Attributes:
        script: the call of `torch.jit.script`, as a frame.
        model: what is compiled.
        before: the profiler that there was.
        layers: each under its twin.
    """

    def __init__(self, script: Any, model: nn.Module, before: Any) -> None:
        self.script, self.model, self.before = script, model, before
        self.layers: dict[nn.Module, nn.Module] = {}

    def __call__(self, frame: Any, event: str, _argument: Any) -> None:
        if frame is not self.script or event != "return":
            return
        set_profiler(self.before)
        for module in self.model.modules():
            for name, part in module._modules.items():
                if part in self.layers:
                    module._modules[name] = self.layers[part]
