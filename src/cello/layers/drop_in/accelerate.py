"""A model of yours with our layers in place of PyTorch's, over the same tensors."""

from __future__ import annotations

import copy
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from cello.cells import Cell
from cello.errors import ArgumentError, DtypeError
from cello.layers.drop_in.kinds import GRU, LSTM, RNN

__all__ = ["accelerate"]

_OURS: dict[type, type] = {kind.namesake: kind for kind in (RNN, LSTM, GRU)}


def accelerate(module: nn.Module) -> nn.Module:
    """A copy of `module` in which every `nn.RNN`, `nn.LSTM` and `nn.GRU` is ours.

    The copy shares all tensors with `module`, which stays as it is: training one trains both. It
    shares what computes the weights too: parametrizations, pruning, weight normalization, weights
    that a module around drops. Subclasses of those layers are left alone, for they may change what
    they do, and so is what stands inside a cell: it is part of the cell's one step.

    Raises:
        DtypeError: not a module.
        ArgumentError: a module inside cannot be copied; names it.

    >>> model = nn.Sequential(nn.LSTM(3, 4))
    >>> fast = accelerate(model)
    >>> type(fast[0]) is LSTM, fast[0].weight_hh_l0 is model[0].weight_hh_l0
    (True, True)
    """
    if not isinstance(module, nn.Module):
        raise DtypeError(f"module must be an nn.Module, got {type(module).__name__}")
    twin = _copy(module)
    of_a_step = {m for cell in module.modules() if isinstance(cell, Cell) for m in cell.modules()}
    old: Any
    part: Any
    for old, part in zip(module.modules(), twin.modules(), strict=True):
        kind = parametrize.type_before_parametrizations(part)
        if kind in _OURS and old not in of_a_step:
            part.__class__ = _our_class(type(part), kind)
            part._make_cells()
        if isinstance(part, nn.RNNBase):  # for what has been put only into the list of weights
            part._flat_weight_refs = list(old._flat_weight_refs)
    return twin


def _our_class(now: type, kind: type) -> type:
    """Our class in place of `kind`, with what parametrizations have put into the class `now`."""
    if now is kind:
        return _OURS[kind]
    put_in = {n: v for n, v in vars(now).items() if n not in ("__dict__", "__weakref__")}
    return type(now.__name__, (_OURS[kind],), put_in)


def _copy(module: nn.Module) -> nn.Module:
    """A copy of all modules, over the same tensors."""
    for path, part in module.named_modules():
        if _is_bound(vars(part).get("forward")):
            raise ArgumentError(
                f"{_named(path, part)} cannot be copied: its forward has been replaced by a "
                "function that keeps to the module itself; let a module around it do that instead"
            )
    same: dict[int, Any] = {id(tensor): tensor for tensor in module.parameters()}
    same |= {id(m): m for m in module.modules() if isinstance(m, torch.jit.ScriptModule)}
    try:
        with _TensorsStay():
            return copy.deepcopy(module, dict(same))
    except Exception as error:
        for path, part in reversed(list(module.named_modules())):  # the innermost that fails
            try:
                with _TensorsStay():
                    copy.deepcopy(part, dict(same))
            except Exception as reason:
                raise ArgumentError(f"{_named(path, part)} cannot be copied: {reason}") from error
        raise


def _is_bound(forward: Any) -> bool:
    """Whether a function holds a module, which a copy of the function would hold as well."""
    closure = forward.__closure__ or () if isinstance(forward, FunctionType) else ()
    held = [variable.cell_contents for variable in closure]
    return any(isinstance(getattr(value, "__self__", value), nn.Module) for value in held)


def _named(path: str, module: nn.Module) -> str:
    return f"{path or 'module'} ({type(module).__name__})"


class _TensorsStay(TorchFunctionMode):
    """A tensor that is to be copied stays the very tensor that it is."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return args[0] if func is Tensor.__deepcopy__ else func(*args, **(kwargs or {}))
