"""Operators with weights in the file, as modules of PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.onnx_read.building import Seen, Wired, known
from cello.convert.onnx_read.file import dtype_name
from cello.convert.onnx_read.node import FileNode
from cello.errors import ModelError
from cello.ranges import shown

__all__ = [
    "Inputs",
    "add",
    "batch_norm",
    "conv",
    "gemm",
    "layer_norm",
    "matmul",
    "one",
    "options_of",
]

Inputs = Sequence[Seen | None]


def one(inputs: Inputs, place: int = 0) -> Seen:
    """An input that must be there."""
    value = inputs[place] if place < len(inputs) else None
    if value is None:
        raise ModelError(f"it lacks its input {place}")
    return value


def options_of(node: FileNode) -> dict[str, Any]:
    """The attributes as options of a function of ours."""
    options = dict(node.attributes)
    options.pop("layout", None)
    if node.op == "Cast":
        return {"to": dtype_name(options["to"])}
    if node.op in ("Softmax", "LogSoftmax") and node.opset < 13:
        options = {"axis": options.get("axis", 1), "flat": True}
    if node.op == "Split" and "num_outputs" not in options:
        options["parts"] = len(node.outputs)
    if node.op in ("Conv", "MaxPool", "AveragePool"):
        if options.pop("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise ModelError("auto_pad is not known: give pads")
        if node.op == "Conv":
            options.pop("kernel_shape", None)
        options.pop("storage_order", None)
    for name in ("stash_type", "momentum", "training_mode", "spatial", "consumed_inputs"):
        if name == "training_mode" and options.get(name):
            raise ModelError("it is made for training")
        options.pop(name, None)
    if any(isinstance(value, Tensor) or not _plain(value) for value in options.values()):
        raise ModelError("an attribute is of a kind that it should not be")
    return options


def _plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, list))


def matmul(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """A product with a known matrix, as `nn.Linear`; None if it is none."""
    x, weight = one(inputs), one(inputs, 1)
    if x.is_known or not weight.is_known or len(weight.shape) != 2:
        return None
    return _linear(b, node, x, weight.tensor.T, None)


def _linear(
    b: Wired, node: FileNode, x: Seen, weight: Tensor, bias: Tensor | None
) -> list[Seen] | None:
    axes = x.axes
    if axes is None or not weight.is_floating_point() or 0 in weight.shape:
        return None
    if not axes or axes[-1] != sum(axis is not None for axis in axes) - 1:
        x = b.value(b.number(x))
        axes = x.axes
    assert axes is not None
    assert x.base is not None
    if x.shape[-1:] != (weight.shape[1],) or x.tensor.dtype != weight.dtype:
        raise ModelError(
            f"it multiplies {list(x.shape)} with {list(weight.T.shape)}, or numbers of two kinds"
        )
    module = nn.utils.skip_init(
        nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype
    )
    module.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    number = b.put(module, [x.base], node.name)
    return [b.view(b.value(number), axes)]


def add(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """A vector added to what a product gives is the bias of that."""
    for value, bias in (inputs, inputs[::-1]) if len(inputs) == 2 else ():
        if value is None or bias is None or value.base is None or not bias.is_known:
            continue
        what, read, _ = b.nodes[value.base - b.inputs] if value.base >= b.inputs else ("", [], {})
        module = b.modules[what] if isinstance(what, int) else None
        if not isinstance(module, nn.Linear) or getattr(module, "bias", None) is not None:
            continue
        if value.axes and bias.shape == value.shape[-1:] == (module.out_features,):
            weight = module.weight.detach()
            made = _linear(b, node, b.value(read[0]), weight, bias.tensor)
            if made is not None and made[0].base is not None:
                return [b.view(b.value(made[0].base), value.axes)]
    return None


def gemm(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """A product with a known matrix and a bias, as `nn.Linear`; None if it is none."""
    x, weight = one(inputs), one(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    told = node.attributes
    if x.is_known or not weight.is_known or told.get("transA") or len(weight.shape) != 2:
        return None
    W = weight.tensor if told.get("transB") else weight.tensor.T
    if bias is not None and (not bias.is_known or bias.shape != (W.shape[0],)):
        return None
    b_ = None if bias is None else bias.tensor * told.get("beta", 1.0)
    return _linear(b, node, x, W * told.get("alpha", 1.0), b_)


def conv(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """A convolution in one dimension, as `nn.Conv1d`; None if it is none."""
    x, weight = one(inputs), one(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    options = options_of(node)
    pads = options.get("pads", [0, 0])
    if not weight.is_known or len(weight.shape) != 3 or (bias is not None and not bias.is_known):
        return None
    W, group = weight.tensor, options.get("group", 1)
    if len(pads) != 2 or min(pads) < 0 or 0 in W.shape or group < 1:
        raise ModelError(f"pads={shown(pads)}, group={shown(group)} with weights {list(W.shape)}")
    even = pads[0] == pads[1]
    if not even:
        x = b.operator("Pad", [x, known(torch.tensor([0, 0, pads[0], 0, 0, pads[1]]))])
    module = nn.Conv1d(
        W.shape[1] * group, W.shape[0], W.shape[2], options.get("strides", [1])[0],
        pads[0] if even else 0, options.get("dilations", [1])[0], group, bias is not None,
        dtype=W.dtype,
    )  # fmt: skip
    state = {"weight": W} if bias is None else {"weight": W, "bias": bias.tensor}
    module.load_state_dict(state)
    return [b.value(b.put(module, [b.number(x)], node.name))]


def batch_norm(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """As `nn.BatchNorm1d`, in eval mode; None if it is none."""
    x = one(inputs)
    parts = [one(inputs, place) for place in range(1, 5)]
    if node.attributes.get("training_mode"):
        raise ModelError("it is made for training")
    if x.is_known or not all(part.is_known for part in parts) or len(x.shape) not in (2, 3):
        return None
    scale, bias, mean, variance = (part.tensor for part in parts)
    module = nn.BatchNorm1d(
        mean.shape[0], eps=node.attributes.get("epsilon", 1e-5),
        momentum=1 - node.attributes.get("momentum", 0.9), dtype=mean.dtype,
    )  # fmt: skip
    module.load_state_dict(
        {"weight": scale, "bias": bias, "running_mean": mean, "running_var": variance,
         "num_batches_tracked": torch.tensor(0)}
    )  # fmt: skip
    return [b.value(b.put(module.eval(), [b.number(x)], node.name))]


def layer_norm(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """Over the last axis, as `nn.LayerNorm`; None if it is none."""
    x, scale = one(inputs), one(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    last = node.attributes.get("axis", -1) in (-1, len(x.shape) - 1)
    if x.is_known or not scale.is_known or not last or scale.shape != x.shape[-1:]:
        return None
    if bias is not None and not bias.is_known:
        return None
    weight = scale.tensor
    module = nn.LayerNorm(
        weight.shape[0], eps=node.attributes.get("epsilon", 1e-5), bias=bias is not None,
        dtype=weight.dtype,
    )  # fmt: skip
    state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias.tensor}
    module.load_state_dict(state)
    axes = x.axes
    if axes is None or axes[-1] != sum(axis is not None for axis in axes) - 1 or x.base is None:
        return [b.value(b.put(module, [b.number(x)], node.name))]
    return [b.view(b.value(b.put(module, [x.base], node.name)), axes)]
