"""Networks as RTNeural's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.proof import Proof
from cello.convert.pytorch.same_as_torch import TorchWeights, torch_weights
from cello.convert.rtneural.computed import FileSide, prove_file
from cello.convert.rtneural.line import in_a_line
from cello.convert.rtneural.rtneural_layers import ACTIVATIONS, r_and_z_exchanged
from cello.errors import ModelError
from cello.files import replace
from cello.layers import DropIn, Recurrent
from cello.layers.paths import joined
from cello.layers.reads import dtype_of

__all__ = ["to_rtneural"]


def to_rtneural(net: nn.Module, file: str | Path) -> Proof:
    """Write `net` as JSON for RTNeural, in the form of Keras's models.

    What is written is run beside `net` before the file is put in its place, by RTNeural's equations
    as `cello.convert.rtneural.computed` has them.

    Args:
        net: a recurrent layer, or a `Stack` of them, of `nn.Linear` and of Tanh, ReLU, Sigmoid, ELU
            and Softmax; or a graph of one line of these, of convolutions that look back, batch
            norms and PReLU, such as `from_rtneural` and `from_keras` return. LSTM and GRU as
            PyTorch has them, by whichever class; Dropout and Identity are left out.
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
    line = in_a_line(net)
    layers: list[dict[str, Any]] = []
    for path, module in line.modules:
        name = _activation(module)
        if name is None:
            layers += _entries(module, path)
        elif layers and layers[-1]["type"] in ("dense", "conv1d") and not layers[-1]["activation"]:
            layers[-1]["activation"] = name
        else:
            layers.append({"type": "activation", "activation": name, "shape": None, "weights": []})
    width = next((layer["reads"] for layer in layers if "reads" in layer), None)
    if width is None:
        raise ModelError("net has no layer that RTNeural knows")
    size = width
    for layer in layers:
        layer.pop("reads", None)
        size = layer["shape"][-1] if layer["shape"] else size
        layer["shape"] = [None, None, size]
    data: dict[str, Any] = {"in_shape": [None, None, width], "layers": layers}
    if line.skip:
        data["in_skip"] = 1
    text = json.dumps(data, indent=1)
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

    side = FileSide(data["layers"], first, "in_skip" in data)
    return prove_file(net, side, file, draw)


def _activation(module: nn.Module) -> str | None:
    """What RTNeural calls it; None if it is no function that RTNeural has."""
    if isinstance(module, nn.Softmax) and module.dim != -1:
        return None
    if isinstance(module, nn.ELU) and module.alpha != 1:
        return None
    return next((name for name, make in ACTIVATIONS.items() if type(make()) is type(module)), None)


def _entries(module: nn.Module, path: str) -> list[dict[str, Any]]:
    """The layers of a module that is no function, one for each cell of a recurrent one."""
    if isinstance(module, nn.Linear):
        reads, size = module.in_features, module.out_features
        return [_entry("dense", reads, size, module.weight.T, _bias(module, size))]
    if isinstance(module, nn.Conv1d):
        reads, size = module.in_channels, module.out_channels
        W = module.weight.permute(2, 1, 0)
        sizes = {"kernel_size": list(module.kernel_size), "dilation": list(module.dilation)}
        made = _entry("conv1d", reads, size, W, _bias(module, size))
        return [made | sizes | {"groups": module.groups}]
    if isinstance(module, nn.BatchNorm1d) and module.track_running_stats:
        F = module.num_features
        parts = [module.weight, module.bias, module.running_mean, module.running_var]
        made = _entry("batchnorm", F, F, *(part for part in parts if part is not None))
        return [made | {"epsilon": module.eps}]
    if isinstance(module, nn.PReLU):
        return [{"type": "prelu", "activation": "", "shape": None,
                 "weights": [[module.weight.tolist()]]}]  # fmt: skip
    if isinstance(module, DropIn) and not module.bidirectional:
        cells = {joined(path, place): cell for place, cell in module.cells().items()}
    elif isinstance(module, Recurrent) and not module.reverse and module.initial_state == "zeros":
        cells = {f"{path}.cell": module.cell}
    else:
        raise ModelError(
            f"{path} ({type(module).__name__}) is no layer that RTNeural knows: dense, conv1d, "
            "batchnorm, prelu, and LSTM and GRU that read forward from zeros"
        )
    return [_recurrent_entry(torch_weights(cell, place), place) for place, cell in cells.items()]


def _bias(module: Any, size: int) -> Tensor:
    return torch.zeros(size) if module.bias is None else module.bias


def _recurrent_entry(part: TorchWeights, path: str) -> dict[str, Any]:
    if part.kind == "RNN" or part.weight_hr is not None:
        raise ModelError(f"{path}: RTNeural has no RNN, and no LSTM with a projection")
    W, R = part.weight_ih, part.weight_hh
    zero = W.new_zeros(W.shape[0])
    both = [zero if b is None else b for b in (part.bias_ih, part.bias_hh)]
    reads, H = W.shape[1], R.shape[1]
    if part.kind == "LSTM":
        made = _entry("lstm", reads, H, W.T, R.T, both[0] + both[1])
    else:
        W, R, *both = (r_and_z_exchanged(rows) for rows in (W, R, *both))
        made = _entry("gru", reads, H, W.T, R.T, torch.stack(both))
    return made | {"activation": "tanh"}


def _entry(kind: str, reads: int, size: int, *weights: Tensor) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": "",
        "shape": [None, None, size],
        "weights": [weight.detach().tolist() for weight in weights],
        "reads": reads,
    }
