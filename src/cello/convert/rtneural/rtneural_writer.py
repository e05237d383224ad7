"""Networks as RTNeural's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.proof import Proof, prove
from cello.convert.pytorch.same_as_torch import TorchWeights, torch_weights
from cello.convert.rtneural.computed import FileSide
from cello.convert.rtneural.rtneural_reader import ACTIVATIONS, r_and_z_exchanged
from cello.errors import ModelError
from cello.files import replace
from cello.layers import DropIn, Recurrent
from cello.layers.paths import joined
from cello.layers.reads import dtype_of
from cello.layers.row_wise import in_order

__all__ = ["to_rtneural"]


def to_rtneural(net: nn.Module, file: str | Path) -> Proof:
    """Write `net` as JSON for RTNeural, in the form of Keras's models.

    What is written is run beside `net` before the file is put in its place, by RTNeural's equations
    as `cello.convert.rtneural.computed` has them.

    Args:
        net: a recurrent layer, or a `Stack` of them, of `nn.Linear` and of Tanh, ReLU and Sigmoid
            behind a Linear. LSTM and GRU as PyTorch has them, by whichever class; Dropout and
            Identity are left out.
        file: where to; one that is there is replaced.

    Returns:
        On how many inputs both were run, and the largest difference.

    Raises:
        ModelError: RTNeural has no such layer, or the file cannot be written; names it.
        ConversionError: what would be written is not equal to `net`; says where.

    >>> import tempfile, cello
    >>> net = cello.Stack(cello.Recurrent(cello.GRUCell(1, 8)), nn.Linear(8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = to_rtneural(net, f"{folder}/net.json")
    ...     again = cello.from_rtneural(f"{folder}/net.json")
    >>> again[0], proof.largest < 1e-5
    (GRU(1, 8), True)
    """
    file = Path(file)
    layers: list[dict[str, Any]] = []
    for names, module in in_order(net):
        path = "net" + "".join(f"[{name}]" for name in names)
        name = next((n for n, kind in ACTIVATIONS.items() if type(module) is kind), None)
        if name is not None:
            if not layers or layers[-1]["type"] != "dense" or layers[-1]["activation"]:
                raise ModelError(f"{path} ({type(module).__name__}) must follow an nn.Linear")
            layers[-1]["activation"] = name
        elif isinstance(module, nn.Linear):
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            layers.append(_entry("dense", "", module.out_features, module.weight.T, bias))
            layers[-1]["reads"] = module.in_features
        else:
            layers += _recurrent_entries(module, path)
    if not layers:
        raise ModelError("net has no layer that RTNeural knows")
    width = layers[0]["reads"]
    for layer in layers:
        del layer["reads"]
    text = json.dumps({"in_shape": [None, None, width], "layers": layers}, indent=1)
    proof = _proof(net, json.loads(text), width, file)
    try:
        replace(file, text.encode())
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error}") from error
    return proof


def _proof(net: nn.Module, data: dict[str, Any], width: int, file: Path) -> Proof:
    first = bool(getattr(net, "batch_first", False))

    def draw(T: int, B: int, generator: torch.Generator) -> Tensor:
        x = torch.randn(T, B, width, generator=generator, dtype=dtype_of(net))
        return x.transpose(0, 1) if first else x

    side = FileSide(data["layers"], first)
    return prove(net, side, name=file.name, draw=draw, states=False, finals=False)


def _recurrent_entries(module: nn.Module, path: str) -> list[dict[str, Any]]:
    """The layers of a recurrent module, one for each cell."""
    if isinstance(module, DropIn) and not module.bidirectional:
        cells = {joined(path, place): cell for place, cell in module.cells().items()}
    elif isinstance(module, Recurrent) and not module.reverse and module.initial_state == "zeros":
        cells = {f"{path}.cell": module.cell}
    else:
        raise ModelError(
            f"{path} ({type(module).__name__}) is no layer that RTNeural knows: dense, LSTM and "
            "GRU that read forward from zeros"
        )
    return [_recurrent_entry(torch_weights(cell, place), place) for place, cell in cells.items()]


def _recurrent_entry(part: TorchWeights, path: str) -> dict[str, Any]:
    if part.kind == "RNN" or part.weight_hr is not None:
        raise ModelError(f"{path}: RTNeural has no RNN, and no LSTM with a projection")
    W, R = part.weight_ih, part.weight_hh
    zero = W.new_zeros(W.shape[0])
    both = [zero if b is None else b for b in (part.bias_ih, part.bias_hh)]
    if part.kind == "LSTM":
        return _entry("lstm", "tanh", R.shape[1], W.T, R.T, both[0] + both[1])
    W, R, *both = (r_and_z_exchanged(rows) for rows in (W, R, *both))
    return _entry("gru", "tanh", R.shape[1], W.T, R.T, torch.stack(both))


def _entry(kind: str, activation: str, size: int, *weights: Tensor) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": activation,
        "shape": [None, None, size],
        "weights": [weight.detach().tolist() for weight in weights],
        "reads": weights[0].shape[0],
    }
