"""Networks of PyTorch's layers made ours.

A file of weights names parameters and nothing else: what a layer is follows from their names and
shapes; whether it is batch first, or which nonlinearity an RNN has, is for the caller to say.
"""

from __future__ import annotations

import copy
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell, as_cell
from cello.convert.proof import TOLERANCES, Proof, proved, together
from cello.convert.pytorch.torch_side import prove_layer
from cello.errors import ArgumentError, DtypeError, ModelError
from cello.layers import DropIn, accelerate
from cello.ranges import shown

__all__ = ["from_torch"]

_CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
#: A tensor may be a view that repeats its numbers: all of them may be so many times as large as the
#: file, or have so many bytes.
_TIMES, _SMALL = 10, 2**24
#: Files of PyTorch's that hold code: what is in them alone, who writes them, who reads them.
_PROGRAMS = (
    ("constants.pkl", "torch.jit.save", "torch.jit.load"),
    ("archive_format", "torch.export.save", "torch.export.load"),
)
#: Parameters of a layer at most, and names that an error tells.
_MOST, _SHOWN = 10_000, 10
_GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}
_KEY = re.compile(
    r"(?P<prefix>.*?)(?P<name>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)"
    r"(?P<place>(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?)"
)


def from_torch(
    source: nn.Module | Mapping[str, Tensor] | str | Path,
    *,
    prefix: str | None = None,
    nonlinearity: str = "tanh",
    batch_first: bool = False,
) -> nn.Module:
    """A network of ours from one of PyTorch's; `source` is copied and stays as it is.

    Each layer and cell is run beside PyTorch's own, with lengths and states, before anything is
    returned; `cello.proof_of` says what that has shown.

    Args:
        source: a module; or the state dict of one recurrent layer or cell, with the names that
            `nn.RNN`, `nn.LSTM`, `nn.GRU` and their cells give; or a file with such a state dict:
            `.safetensors`, or whatever `torch.save` wrote, read without running code from it.
        prefix: which layer of a state dict, such as "encoder.lstm."; needed if it has several.
            Parameters of other modules are left out.
        nonlinearity: of an RNN from a state dict, which does not tell: "tanh" or "relu".
        batch_first: of a layer from a state dict, which does not tell.

    Returns:
        Of a module: the same, with `cello.RNN`, `cello.LSTM` and `cello.GRU` in place of PyTorch's
        layers, and a `Cell` for a cell of PyTorch's. Of a state dict: the layer, or the cell.

    Raises:
        DtypeError: `source` is none of these, or a module of TorchScript.
        ArgumentError: no recurrent layer is in the state dict, or several and no `prefix`.
        ModelError: the file cannot be read, the shapes do not belong to one layer, or a weight
            is sparse or quantized, or of a state dict on the device meta.
        ConversionError: what was made does not compute what PyTorch's does; says where.

    >>> net = from_torch(nn.LSTM(3, 4).state_dict())
    >>> type(net).__name__, net.input_size, net.hidden_size
    ('LSTM', 3, 4)
    """
    if isinstance(source, (str, Path)):
        source = _read(Path(source))
    if isinstance(source, torch.jit.ScriptModule):
        raise DtypeError(
            "source is a module of TorchScript, whose parts cannot be told apart: give the module "
            "that it was made of, or its state_dict()"
        )
    if isinstance(source, nn.Module):
        for path, part in source.named_modules():
            if isinstance(part, (nn.RNNBase, nn.RNNCellBase)):
                for name, weight in part.named_parameters(path):
                    _check_stored(weight, name)
        theirs = copy.deepcopy(source)
        is_cell = isinstance(theirs, nn.RNNCellBase)
        ours = as_cell(theirs) if is_cell else accelerate(theirs)
        proved(ours, _proof(ours, theirs))
        return ours
    if not isinstance(source, Mapping):
        raise DtypeError(
            "source must be a module, a state dict or a file, got " + type(source).__name__
        )
    return _from_state_dict(source, prefix, nonlinearity, batch_first)


def _proof(ours: nn.Module, theirs: nn.Module) -> Proof:
    """Each layer of ours beside the one whose weights it has; other modules are the same.

    Raises:
        ConversionError: two are not equal.
    """
    if isinstance(ours, Cell):
        return prove_layer(ours, copy.deepcopy(theirs), type(theirs).__name__)
    found = []
    for name, part in ours.named_modules():
        other = theirs.get_submodule(name)
        if isinstance(part, DropIn) and not isinstance(other, DropIn):
            found.append(prove_layer(part, other, f"nn.{type(other).__name__} {name}".rstrip()))
    if not found:
        return Proof(
            not_run="no layer of it is PyTorch's RNN, LSTM or GRU, and all stay as they are"
        )
    return together(found)


def _read(file: Path) -> Mapping[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return _checked(load_file(file), file)
        _check_packed(file)
        found = _load(file)
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{file} does not exist") from error
    except Exception as error:  # whatever the readers raise on what they cannot read
        told = str(error).strip().splitlines()
        raise ModelError(
            f"{file} is no file of weights: {told[0] if told else type(error).__name__}"
        ) from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{file} holds a {type(found).__name__}, not a state dict")
    if not _holds_tensors(found):  # a checkpoint, with the state dict under a name?
        found = next(filter(_holds_tensors, found.values()), found)
    return _checked(found, file)


def _load(file: Path) -> Any:
    """What `torch.save` wrote; PyTorch's own errors say how to run the code in a file."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            what = (
                f"it holds {shown(named[1])}, and a file may run code as that; only tensors in "
                "dicts and lists are read: write it with torch.save(module.state_dict(), file)"
            )
        else:
            what = "it is damaged, or torch.save has not written it"
        raise ModelError(f"{file} is no file of weights: {what}") from None


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def _check_packed(file: Path) -> None:
    """`torch.save` packs nothing: a file that unpacks to more than it has is no file of its."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        total = sum(info.file_size for info in archive.infolist())
        names = {info.filename.partition("/")[2] for info in archive.infolist()}
    for sign, whose, load in _PROGRAMS:
        if sign in names:
            raise ModelError(
                f"{file} is a program that {whose} wrote, and code from a file is not run: where "
                f"it may be, torch.save({load}(file).state_dict(), other) writes its weights"
            )
    if total > file.stat().st_size:
        raise ModelError(f"{file} unpacks to {total:,} bytes, which torch.save never does")


def _checked(state: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The same, if all tensors together are no larger than such a file can hold."""
    left = max(_SMALL, _TIMES * file.stat().st_size)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            continue
        _check_stored(value, f"{file}: {name}")
        left -= value.numel() * value.element_size()
        if left < 0:
            raise ModelError(
                f"{file}: {name} {list(value.shape)} is larger than the file that holds it"
            )
    return state


def _check_stored(weight: Tensor, name: str) -> None:
    if weight.layout != torch.strided or weight.is_quantized:
        raise ModelError(f"{name} is sparse or quantized, not an array of numbers")


def _from_state_dict(
    state: Mapping[str, Tensor], prefix: str | None, nonlinearity: str, batch_first: bool
) -> nn.Module:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        matched = _KEY.fullmatch(key) if isinstance(key, str) else None
        if matched and isinstance(value, Tensor):
            groups.setdefault(matched["prefix"], {})[key[len(matched["prefix"]) :]] = value
    named = [repr(name) if name else "'' (no prefix)" for name in groups]
    known = ", ".join(named[:_SHOWN]) + ", …" * (len(groups) > _SHOWN) or "none"
    if prefix is None and len(groups) == 1:
        prefix = next(iter(groups))
        layer = _layer(groups[prefix], prefix, nonlinearity, batch_first)
        _warn_of_others(state, prefix, groups[prefix])
        return layer
    if prefix is None:
        raise ArgumentError(
            f"the state dict must hold one recurrent layer, found {len(groups)} ({known})"
            + ("; choose one by prefix=" if groups else "; its keys end in weight_ih_l0, …")
        )
    if prefix not in groups:
        raise ArgumentError(f"prefix={prefix!r} is none of the recurrent layers' ({known})")
    return _layer(groups[prefix], prefix, nonlinearity, batch_first)


def _warn_of_others(state: Mapping[str, Any], prefix: str, taken: Mapping[str, Tensor]) -> None:
    """Say what is left out, where nobody has asked for one layer of several modules."""
    others = [name for name in state if str(name).removeprefix(prefix) not in taken]
    if others:
        told = ", ".join(map(str, others[:_SHOWN])) + ", …" * (len(others) > _SHOWN)
        warnings.warn(
            f"of the state dict, the recurrent layer {prefix!r} alone is taken; left out: {told} "
            f"(prefix={prefix!r} says that it is meant so)",
            stacklevel=4,
        )


def _layer(
    weights: dict[str, Tensor], prefix: str, nonlinearity: str, batch_first: bool
) -> nn.Module:
    """The layer or the cell whose parameters these are."""
    for name, weight in sorted(weights.items(), reverse=True):  # weight_ih before all else
        if weight.is_meta:
            raise ModelError(f"{prefix}{name} is on the device meta, where there are no numbers")
        _check_stored(weight, f"{prefix}{name}")
        if weight.dtype not in TOLERANCES:
            *known, other = (str(d).removeprefix("torch.") for d in (*TOLERANCES, weight.dtype))
            raise ModelError(f"{prefix}{name} must be of {', '.join(known)}, found {other}")
    is_cell = "weight_ih" in weights
    if len(weights) > _MOST:
        raise ModelError(
            f"{prefix}weight_ih_l0 and its kin are {len(weights):,}: no net has as many"
        )
    first = "" if is_cell else "_l0"
    where = f"{prefix}weight_ih{first}"
    W, R = (weights.get(f"{name}{first}") for name in ("weight_ih", "weight_hh"))
    if W is None or R is None or W.dim() != 2 or R.dim() != 2 or 0 in (*W.shape, *R.shape):
        raise ModelError(f"{where} and weight_hh{first} must both be there, as matrices")
    P = weights.get(f"weight_hr{first}")
    hidden = P.shape[-1] if P is not None and P.dim() == 2 else R.shape[1]
    gates = W.shape[0] / hidden if hidden else 0
    if gates not in _GATES:
        raise ModelError(
            f"{where} {list(W.shape)} and weight_hh{first} {list(R.shape)} are of no RNN (1), "
            f"GRU (3) or LSTM (4): {gates:g} rows a unit"
        )
    kind = _GATES[int(gates)]
    options: dict[str, Any] = {"bias": f"bias_ih{first}" in weights, "dtype": W.dtype}
    if kind == "RNN":
        options["nonlinearity"] = nonlinearity
    maker: Any = _CELLS[kind]
    if not is_cell:
        maker = getattr(nn, kind)
        options |= {
            "num_layers": sum(bool(re.fullmatch(r"weight_ih_l\d+", key)) for key in weights),
            "bidirectional": "weight_ih_l0_reverse" in weights,
            "batch_first": batch_first,
        }
        if P is not None:
            options["proj_size"] = P.shape[0]
    try:
        outline = maker(W.shape[1], hidden, **options, device="meta")
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"{where}: {error}") from error
    wanted = {key: list(value.shape) for key, value in outline.state_dict().items()}
    found = {key: list(value.shape) for key, value in weights.items()}
    wrong = [key for key in found | wanted if wanted.get(key) != found.get(key)]
    if wrong:
        key = min(wrong, key=lambda key: (key in wanted, key))  # what is too much comes first
        raise ModelError(
            f"{prefix}{key} must be {wanted.get(key, 'absent')} in nn.{outline}, "
            f"found {found.get(key, 'nothing')}"
        )
    made = maker(W.shape[1], hidden, **options)
    made.load_state_dict(weights)
    return from_torch(made)
