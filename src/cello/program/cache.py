"""Programs kept by cell, and traced again when the cell is no longer what it was."""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cello.cells import Cell
from cello.errors import CaptureError
from cello.program.capture import capture
from cello.program.graph import Program

__all__ = ["program_of"]

_programs: WeakKeyDictionary[Cell, dict[Any, Program | CaptureError]] = WeakKeyDictionary()
_LIMIT = 16  # programs kept for one cell

_INTERNAL = frozenset(vars(nn.Module())) - {"training"}


def program_of(cell: Cell, dtype: torch.dtype, device: torch.device) -> Program:
    """The program of `cell` for inputs of this dtype and device, traced when it is first needed.

    It is traced again when an attribute of the cell has another value, so that a changed
    constant, activation or mode counts from the next call on.

    Raises:
        CaptureError: the step cannot be captured; remembered too.
    """
    key = (dtype, device.type, torch.get_default_dtype(), _fingerprint(cell))
    kept = _programs.setdefault(cell, {})
    if key not in kept:
        if len(kept) >= _LIMIT:
            kept.pop(next(iter(kept)))
        try:
            kept[key] = capture(cell, dtype=dtype, device=device)
        except CaptureError as error:
            kept[key] = error
    found = kept[key]
    if isinstance(found, CaptureError):
        raise found
    return found


def _fingerprint(cell: Cell) -> tuple[Any, ...]:
    """All that a trace may have taken for constant."""
    function = inspect.unwrap(cell.named_function)
    function = getattr(function, "__func__", function)
    parts: list[Any] = [id(getattr(function, "__code__", function))]
    for variable in getattr(function, "__closure__", None) or ():
        parts.append(_frozen(variable.cell_contents))
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    outside = getattr(function, "__globals__", {})
    parts += [_frozen(outside[name]) for name in names if name in outside]
    for module in cell.modules():
        for name, value in vars(module).items():
            if name not in _INTERNAL:
                parts.append((name, _frozen(value)))
        for group in (module._parameters, module._buffers):
            parts += [(n, None if t is None else (t.dtype, t.shape)) for n, t in group.items()]
        parts.append(len(module._forward_hooks) + len(module._forward_pre_hooks))
    return tuple(parts)


def _frozen(value: Any) -> Any:
    """Something hashable that differs when `value` does."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value), value
    if isinstance(value, Tensor):
        return "tensor", id(value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return type(value).__name__, tuple(map(_frozen, value))
    if isinstance(value, dict):
        return "dict", tuple((_frozen(k), _frozen(v)) for k, v in value.items())
    return id(value)
