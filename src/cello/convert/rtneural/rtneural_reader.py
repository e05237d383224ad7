"""RTNeural's files, the format of neural audio plug-ins, read.

J. Chowdhury, "RTNeural: Fast Neural Inferencing for Real-Time Systems", arXiv:2106.03037 (2021).
A file is JSON in one of two forms: the layers of a Keras model with their weights (rows are
inputs; an LSTM has its columns in the order i f g o, a GRU in the order z r n and two biases), or
the state dict of a PyTorch model, alone or as plug-ins keep it, beside what the model is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cello.convert.graph import NetGraph
from cello.convert.graph.wires import Wiring
from cello.convert.proof import Proof, proof_of, proved, together
from cello.convert.pytorch import from_torch
from cello.convert.rtneural.computed import FileSide, prove_file
from cello.convert.rtneural.line import TIME_LAST, reach
from cello.convert.rtneural.rtneural_layers import filled, layers_of, numbers
from cello.errors import ModelError
from cello.layers import DropIn, Recurrent, Stack
from cello.ranges import shown

__all__ = ["from_rtneural"]

#: A file of weights for a plug-in has some kilobytes; this is far more than one can run.
_LARGEST = 64 * 2**20


def from_rtneural(file: str | Path) -> NetGraph | Stack:
    """The network in a JSON file of RTNeural's, in eval mode.

    Both forms are read. In that of a state dict the layers follow each other in the order of the
    file, with nothing between them: which functions a model puts there, the file does not say.
    Where the file says that its input is added to its output (`in_skip`, or `skip` in
    `model_data`), it is.

    What is returned has been run beside RTNeural's equations, as they are written once more in
    `cello.convert.rtneural.computed`, and of a state dict beside PyTorch's layers; RTNeural itself,
    a library in C++, is not run. `cello.proof_of` says what that has shown.

    Returns:
        A `Stack` of `nn.Linear`, activations, `cello.LSTM` and `cello.GRU`; x is [T, B, features].
        With convolutions over steps, which read no later step, norms, slopes, or an input that is
        added, a `NetGraph`; x is [B, T, features].

    Raises:
        ModelError: the file cannot be read, is damaged, or has a layer that is not one of these;
            says which.
        ConversionError: the network does not compute what the file says; says where.
    """
    file = Path(file)
    try:
        if file.stat().st_size > _LARGEST:
            raise ModelError(f"{file} is larger than {_LARGEST // 2**20} MiB")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no JSON file: {error}") from error
    except MemoryError as error:
        raise ModelError(f"{file} does not fit into the memory of this machine") from error
    try:
        if not isinstance(data, dict):
            raise ModelError("it must be a table with layers, or a state dict")
        modules, skip = _modules(data)
        net = _net(modules, skip)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    _warn_of_gains(data, file)
    proved(net, _proof(net, modules, data, skip, file))
    return net


def _proof(
    net: NetGraph | Stack, modules: list[nn.Module], data: dict[str, Any], skip: bool, file: Path
) -> Proof:
    if "layers" not in data:
        return together(found for module in modules if (found := proof_of(module)) is not None)
    side = FileSide(data["layers"], net.batch_first, skip)
    return prove_file(net, side, file)


# ------------------------------------------------------------ what the file says


def _modules(data: dict[str, Any]) -> tuple[list[nn.Module], bool]:
    """The modules, one after the other, and whether the input is added to what they give."""
    if "layers" in data:
        modules, skip = list(layers_of(data)), data.get("in_skip")
    elif isinstance(data.get("model_data"), dict) and isinstance(data.get("state_dict"), dict):
        modules, skip = list(_state_dict(data["state_dict"])), data["model_data"].get("skip")
    else:
        modules, skip = list(_state_dict(data)), None
    widths = _widths(modules)
    if skip not in (None, 0, 1) or (skip and widths[-1:] != [1]):
        raise ModelError(
            f"it adds {shown(skip)} of its inputs to {widths[-1:]} outputs; known is one to one"
        )
    return modules, bool(skip)


def _warn_of_gains(data: dict[str, Any], file: Path) -> None:
    gains = [name for name in ("in_gain", "out_gain") if data.get(name)]
    if gains:
        warnings.warn(
            f"{file.name} has {' and '.join(gains)}, in decibels, which a plug-in applies around "
            "the net: the net is without",
            stacklevel=3,
        )


def _state_dict(data: dict[str, Any]) -> Iterator[nn.Module]:
    """The modules of the form that PyTorch's models are written in."""
    groups: dict[str, dict[str, Tensor]] = {}
    if not any(key.rpartition(".")[2].startswith(("weight", "bias")) for key in data):
        if not data:
            raise ModelError("it is empty")
        held = ", ".join(map(shown, list(data)[:5]))
        raise ModelError(
            f"it is no file of RTNeural's: it has neither layers nor weights, but {held}"
        )
    for key, value in data.items():
        module, _, name = key.rpartition(".")
        groups.setdefault(module, {})[name] = numbers(value, key)
    for module, weights in groups.items():
        if "weight_ih_l0" in weights:
            yield from_torch(weights)
        elif set(weights) <= {"weight", "bias"} and getattr(weights.get("weight"), "ndim", 0) == 2:
            size, width = weights["weight"].shape
            made = nn.utils.skip_init(nn.Linear, width, size, bias="bias" in weights)
            if "bias" in weights and weights["bias"].shape != (size,):
                raise ModelError(f"{module}.bias must be [{size}]")
            yield filled(made, **weights)
        else:
            named = f"the layer {shown(module)}" if module else "a layer without a name"
            held = ", ".join(f"{name} {list(value.shape)}" for name, value in weights.items())
            raise ModelError(
                f"{named} holds {held}: of a state dict, recurrent and linear layers are read"
            )


def _widths(modules: list[nn.Module]) -> list[int]:
    """What the first module reads and what each gives, where that is told.

    Raises:
        ModelError: one reads something else than the one before gives.
    """
    found: list[int] = []
    for number, module in enumerate(modules):
        names = ("input_size", "in_features", "in_channels")
        reads = next((getattr(module, n) for n in names if hasattr(module, n)), None)
        if found and reads not in (None, found[-1]):
            raise ModelError(
                f"layer {number} reads {reads} features, the one before gives {found[-1]}"
            )
        found += [reads] if reads is not None and not found else []
        if isinstance(module, DropIn):
            found.append(module.hidden_size * (1 + module.bidirectional))
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            found.append(
                module.out_features if isinstance(module, nn.Linear) else module.out_channels
            )
    return found


# ------------------------------------------------------------ the network


def _net(modules: list[nn.Module], skip: bool) -> NetGraph | Stack:
    if not skip and not any(isinstance(module, TIME_LAST) for module in modules):
        return Stack(*modules).eval()
    graph = Wiring()
    width = next(iter(_widths(modules)), None)
    value = graph.new_input()
    for module in modules:
        value = _added(graph, module, value)
    if skip:
        first = 0
        if width != 1:
            first = graph.node("select", [0], axis=-1, index=0)
            first = graph.node("reshape", [first], shape=[-1, 1])
        value = graph.node("add", [value, first])
    net = graph.net([value])
    if isinstance(net, NetGraph):
        net.shapes = [[None, None, width]]
    return net


def _added(graph: Wiring, module: nn.Module, value: int) -> int:
    """The module, on a value of the graph; the number of what it gives."""
    name = type(module).__name__.lower()
    if isinstance(module, DropIn) and not module.bidirectional:
        for cell in module.cells().values():
            value = graph.module(Recurrent(cell, batch_first=True), [value], name)
        return value
    if isinstance(module, DropIn):
        module.batch_first = True
    if not isinstance(module, TIME_LAST):
        return graph.module(module, [value], name)
    if isinstance(module, nn.Conv1d):
        value = graph.node("pad", [value], before=reach(module))
    value = graph.node("permute", [value], axes=[0, 2, 1])
    value = graph.module(module, [value], name)
    return graph.node("permute", [value], axes=[0, 2, 1])
