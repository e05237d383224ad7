"""Networks of PyTorch's layers made ours, and ours made PyTorch's.

A file of weights names parameters and nothing else: what a layer is follows from their names and
shapes; whether it is batch first, or which nonlinearity an RNN has, is for the caller to say.
"""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from cello.cells import Cell, as_cell
from cello.convert.same_as_torch import TorchWeights, torch_weights
from cello.errors import ArgumentError, DtypeError, ModelError
from cello.layers import GRU, LSTM, RNN, Bidirectional, DropIn, Recurrent, Stack, accelerate

__all__ = ["from_torch", "to_torch"]

_OURS: dict[str, type[DropIn]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
_CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
_GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}
_KEY = re.compile(
    r"(?P<prefix>.*?)(?P<name>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)"
    r"(?P<place>(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?)"
)


# ------------------------------------------------------------ in


def from_torch(
    source: nn.Module | Mapping[str, Tensor] | str | Path,
    *,
    prefix: str | None = None,
    nonlinearity: str = "tanh",
    batch_first: bool = False,
) -> nn.Module:
    """A network of ours from one of PyTorch's; `source` is copied and stays as it is.

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
        DtypeError: `source` is none of these.
        ArgumentError: no recurrent layer is in the state dict, or several and no `prefix`.
        ModelError: the file cannot be read, or the shapes do not belong to one layer.

    >>> net = from_torch(nn.LSTM(3, 4).state_dict())
    >>> type(net).__name__, net.input_size, net.hidden_size
    ('LSTM', 3, 4)
    """
    if isinstance(source, (str, Path)):
        source = _read(Path(source))
    if isinstance(source, nn.RNNCellBase):
        return as_cell(copy.deepcopy(source))
    if isinstance(source, nn.Module):
        return accelerate(copy.deepcopy(source))
    if not isinstance(source, Mapping):
        raise DtypeError(
            "source must be a module, a state dict or a file, got " + type(source).__name__
        )
    return _from_state_dict(source, prefix, nonlinearity, batch_first)


def _read(file: Path) -> Mapping[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{file} does not exist") from error
    except Exception as error:  # whatever the readers raise on what they cannot read
        told = str(error).strip().splitlines()
        raise ModelError(
            f"{file} is no file of weights: {told[0] if told else type(error).__name__}"
        ) from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{file} holds a {type(found).__name__}, not a state dict")
    return found


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
    shown = ", ".join(map(repr, groups)) or "none"
    if prefix is None and len(groups) == 1:
        prefix = next(iter(groups))
    if prefix is None:
        raise ArgumentError(
            f"the state dict must hold one recurrent layer, found {len(groups)} ({shown})"
            + ("; choose one by prefix=" if groups else "; its keys end in weight_ih_l0, …")
        )
    if prefix not in groups:
        raise ArgumentError(f"prefix={prefix!r} is none of the recurrent layers' ({shown})")
    return _layer(groups[prefix], prefix, nonlinearity, batch_first)


def _layer(
    weights: dict[str, Tensor], prefix: str, nonlinearity: str, batch_first: bool
) -> nn.Module:
    """The layer or the cell whose parameters these are."""
    is_cell = "weight_ih" in weights
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


# ------------------------------------------------------------ out


def to_torch(net: nn.Module) -> nn.Module:
    """A network of PyTorch's modules alone that computes what `net` does; `net` stays as it is.

    Weights are copied. A `Stack` becomes a `torch.fx.GraphModule`, which takes x and returns the
    output; all else is called as PyTorch's layers are, and the final state comes as theirs does. It
    is what to give to people and tools that do not have Cello.

    Args:
        net: a layer, a cell, a stack, or a module that holds `cello.RNN`, `LSTM`, `GRU`.

    Raises:
        DtypeError: not a module.
        ModelError: PyTorch has no such layer; names it, and what differs.

    >>> import cello
    >>> to_torch(cello.Bidirectional(cello.LSTMCell(3, 4)))
    LSTM(3, 4, bidirectional=True)
    """
    if not isinstance(net, nn.Module):
        raise DtypeError(f"net must be a module, got {type(net).__name__}")
    return _to_torch(net, "net")


def _to_torch(net: nn.Module, path: str) -> nn.Module:
    if isinstance(net, DropIn):
        return _filled(_namesake(net), net.state_dict(), net)
    if isinstance(net, Recurrent):
        if net.reverse:
            raise ModelError(
                f"{path} reads in reverse, which PyTorch's layers do only beside one that reads "
                "forward"
            )
        return _of_cells(net, [net.cell], path)
    if isinstance(net, Bidirectional):
        if net.join != "concat":
            raise ModelError(f"{path} joins by {net.join!r}; PyTorch's layers only concatenate")
        return _of_cells(net, [net.forward_layer.cell, net.backward_layer.cell], path)
    if isinstance(net, Cell):
        return _one_step(net, path)
    if isinstance(net, Stack):
        return _graph(net, path)
    if type(net).__module__.partition(".")[0] == "cello":
        raise ModelError(f"{path} is a {type(net).__name__}, which PyTorch has not")
    twin = copy.deepcopy(net)
    for name, part in list(twin.named_modules()):
        if not name or type(part).__module__.partition(".")[0] != "cello":
            continue
        if not isinstance(part, DropIn):
            raise ModelError(
                f"{path}.{name} is a {type(part).__name__}, which is called otherwise than what "
                f"PyTorch has; {type(net).__name__}'s own code calls it"
            )
        parent, _, last = name.rpartition(".")
        setattr(twin.get_submodule(parent), last, _to_torch(part, f"{path}.{name}"))
    return twin


def _of_cells(net: Recurrent | Bidirectional, cells: list[Cell], path: str) -> nn.Module:
    """The layer of PyTorch's with one cell for each direction."""
    layer = net.forward_layer if isinstance(net, Bidirectional) else net
    if layer.initial_state != "zeros":
        raise ModelError(f"{path} learns its initial state; PyTorch's layers begin at zero")
    parts = [torch_weights(cell, f"{path}.cell") for cell in cells]
    first = parts[0]
    outline = {
        (part.kind, part.nonlinearity, part.weight_ih.shape, part.weight_hh.shape) for part in parts
    }
    if len(outline) > 1 or len({part.bias_ih is None for part in parts}) > 1:
        raise ModelError(f"{path} has another cell backward than forward, which PyTorch has not")
    options = _options(first)
    if first.weight_hr is not None:
        options["proj_size"] = first.weight_hr.shape[0]
    made = getattr(nn, first.kind)(
        cells[0].input_size,
        cells[0].hidden_size,
        bidirectional=len(parts) == 2,
        batch_first=net.batch_first,
        **options,
    )
    weights = {
        f"{name}_l0{end}": value
        for part, end in zip(parts, ("", "_reverse"), strict=False)
        for name, value in _tensors(part).items()
    }
    return _filled(made, weights, net)


def _one_step(cell: Cell, path: str) -> nn.Module:
    """The cell of PyTorch's."""
    part = torch_weights(cell, path)
    if part.weight_hr is not None:
        raise ModelError(f"{path} projects, which PyTorch's cells do not, its LSTM does")
    made = _CELLS[part.kind](cell.input_size, cell.hidden_size, **_options(part))
    return _filled(made, _tensors(part), cell)


def _options(part: TorchWeights) -> dict[str, Any]:
    options: dict[str, Any] = {"bias": part.bias_ih is not None, "dtype": part.weight_ih.dtype}
    if part.nonlinearity is not None:
        options["nonlinearity"] = part.nonlinearity
    return options


def _tensors(part: TorchWeights) -> dict[str, Tensor]:
    return {n: v.detach() for n, v in part._asdict().items() if isinstance(v, Tensor)}


def _namesake(net: DropIn) -> nn.Module:
    """A layer of PyTorch's with the arguments of this one."""
    names = "num_layers bias batch_first dropout bidirectional".split()
    names += ["nonlinearity"] if isinstance(net, RNN) else []
    names += ["proj_size"] if isinstance(net, LSTM) else []
    options = {name: getattr(net, name) for name in names}
    made: nn.Module = net.namesake(
        net.input_size, net.hidden_size, **options, dtype=net.weight_ih_l0.dtype
    )
    return made


def _filled(made: nn.Module, weights: Mapping[str, Tensor], net: nn.Module) -> nn.Module:
    """`made` with these weights, where and in the mode that `net` is."""
    made.load_state_dict(weights)
    made.to(next(iter(weights.values())).device)
    return made.train(net.training)


def _graph(net: Stack, path: str) -> fx.GraphModule:
    """The modules of a stack one after the other, without what is Cello's around them."""
    root, graph = nn.Module(), fx.Graph()
    value = graph.placeholder("x")
    for number, module in enumerate(net):
        made = _to_torch(module, f"{path}[{number}]")
        name = f"{type(made).__name__.lower()}_{number}"
        root.add_module(name, made)
        value = graph.call_module(name, (value,))
        if isinstance(made, nn.RNNBase):
            made.batch_first = net.batch_first
            value = graph.call_function(operator.getitem, (value, 0))
    graph.output(value)
    return fx.GraphModule(root, graph, "Stack").train(net.training)
