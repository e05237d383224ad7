"""Our networks made of PyTorch's layers alone."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn

from cello.cells import Cell
from cello.convert.proof import Proof, proved, together
from cello.convert.pytorch.same_as_torch import TorchWeights, torch_weights
from cello.convert.pytorch.torch_side import prove_chain, prove_layer
from cello.errors import ArgumentError, DtypeError, ModelError
from cello.layers import LSTM, RNN, Bidirectional, DropIn, Recurrent, Stack

__all__ = ["to_torch"]

_CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


def to_torch(net: nn.Module) -> nn.Module:
    """A network of PyTorch's modules alone that computes what `net` does; `net` stays as it is.

    Weights are copied. A `Stack` becomes a `torch.fx.GraphModule`, which takes x and returns the
    output; all else is called as PyTorch's layers are, and the final state comes as theirs does. It
    is what to give to people and tools that do not have Cello. Each layer is run beside ours, with
    lengths and states, and a stack as a whole, before anything is returned; `cello.proof_of` says
    what that has shown.

    Args:
        net: a layer, a cell, a stack, or a module that holds `cello.RNN`, `LSTM`, `GRU`.

    Raises:
        DtypeError: not a module.
        ModelError: PyTorch has no such layer; names it, and what differs.
        ConversionError: what was made does not compute what `net` does; says where.

    >>> import cello
    >>> to_torch(cello.Bidirectional(cello.LSTMCell(3, 4)))
    LSTM(3, 4, bidirectional=True)
    """
    if not isinstance(net, nn.Module):
        raise DtypeError(f"net must be a module, got {type(net).__name__}")
    proofs: list[Proof] = []
    made = _to_torch(net, "net", proofs)
    proved(made, together(proofs))
    return made


def _to_torch(net: nn.Module, path: str, proofs: list[Proof]) -> nn.Module:
    """The module that takes the place of `net`; the proofs of its layers join the others."""
    made = _made(net, path, proofs)
    if isinstance(net, Stack):
        proofs.append(_of_chain(net, made, path))
    elif isinstance(net, (DropIn, Recurrent, Bidirectional, Cell)):
        proofs.append(prove_layer(net, made, f"{path} as nn.{type(made).__name__}"))
    return made


def _of_chain(net: Stack, made: nn.Module, path: str) -> Proof:
    try:
        return prove_chain(net, made, f"{path} as a graph of PyTorch's")
    except ArgumentError as error:
        return Proof(not_run=f"{path} as a whole, for {error}")


def _made(net: nn.Module, path: str, proofs: list[Proof]) -> nn.Module:
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
        return _graph(net, path, proofs)
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
        setattr(twin.get_submodule(parent), last, _to_torch(part, f"{path}.{name}", proofs))
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


def _graph(net: Stack, path: str, proofs: list[Proof]) -> fx.GraphModule:
    """The modules of a stack one after the other, without what is Cello's around them."""
    root, graph = nn.Module(), fx.Graph()
    value = graph.placeholder("x")
    for number, module in enumerate(net):
        made = _to_torch(module, f"{path}[{number}]", proofs)
        name = f"{type(made).__name__.lower()}_{number}"
        root.add_module(name, made)
        value = graph.call_module(name, (value,))
        if isinstance(made, nn.RNNBase):
            made.batch_first = net.batch_first
            value = graph.call_function(operator.getitem, (value, 0))
    graph.output(value)
    return fx.GraphModule(root, graph, "Stack").train(net.training)
