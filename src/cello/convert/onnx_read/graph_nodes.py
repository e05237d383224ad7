"""What each operator of a graph becomes: a layer, a module, a function, or nothing but a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.onnx_read.building import Seen, Wired, known
from cello.convert.onnx_read.file import dtype_name
from cello.convert.onnx_read.gated import recurrent
from cello.convert.onnx_read.limits import shape_of
from cello.convert.onnx_read.modules import (
    Inputs,
    add,
    batch_norm,
    conv,
    gemm,
    layer_norm,
    matmul,
    one,
    options_of,
)
from cello.convert.onnx_read.node import FileNode
from cello.convert.onnx_read.operators.computing import OPERATORS
from cello.errors import ModelError
from cello.ranges import shown

__all__ = ["outputs_of"]

#: Beyond it, a number that is compared with a size is larger than any.
_ENDLESS = 2**62


def outputs_of(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen]:
    """What a node gives.

    Raises:
        ModelError: the operator is not known, or cannot be read as it is used.
    """
    given = list(inputs)
    for place, value in node.moved.items():
        given += [None] * (place + 1 - len(given))
        given[place] = _as_input(value, given[0])
    if node.op in _SPECIAL:
        found = _SPECIAL[node.op](b, node, given)
        if found is not None:
            return found
    if node.op not in OPERATORS or not node.op[0].isupper():
        raise ModelError(f"the operator {shown(node.op)} is not known")
    options = options_of(node)
    made = b.operator(node.op, given, **options)
    if node.op != "Split":
        return [made]
    return [b.operator("item", [made], index=n) for n in range(len(node.outputs))]


def _as_input(value: Any, like: Seen | None) -> Seen:
    if isinstance(value, float):
        dtype = like.tensor.dtype if like is not None else torch.float32
        return known(torch.tensor(value, dtype=dtype))
    return known(torch.tensor(value, dtype=torch.int64))


# ------------------------------------------------------------ where numbers stand


def _same(_b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen]:
    return [one(inputs)]


def _constant(b: Wired, node: FileNode, _inputs: Inputs) -> list[Seen]:
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, Tensor):
            return [b.in_file(value)]
        if name in ("value_int", "value_ints"):
            return [known(torch.tensor(value, dtype=torch.int64))]
        if name in ("value_float", "value_floats"):
            return [known(torch.tensor(value, dtype=torch.float32))]
    raise ModelError("a constant must be a tensor or numbers")


def _filled(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen]:
    value = node.attributes.get("value", torch.zeros(1))
    number = value.flatten()[0].item()
    dtype = str(value.dtype).removeprefix("torch.")
    return [b.operator("ConstantOfShape", [one(inputs)], value=number, dtype=dtype)]


def _transpose(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value = one(inputs)
    rank = len(value.shape)
    perm = node.attributes.get("perm", list(range(rank))[::-1])
    if sorted(perm) != list(range(rank)):
        raise ModelError(f"perm must be the {rank} axes, got {shown(perm)}")
    if value.is_known or value.axes is None:
        return None
    return [b.view(value, [value.axes[axis] for axis in perm])]


def _squeeze(b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value = one(inputs)
    told = inputs[1] if len(inputs) > 1 else None
    if value.is_known or value.axes is None or (told is not None and not told.is_known):
        return None
    if told is None:
        axes = [n for n, size in enumerate(value.shape) if size == 1]
    else:
        axes = [axis % len(value.shape) for axis in told.tensor.flatten().tolist()]
    if any(value.axes[axis] is not None for axis in axes):
        return None
    kept = [axis for n, axis in enumerate(value.axes) if n not in axes]
    return [b.view(value, kept)]


def _unsqueeze(b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value, told = one(inputs), one(inputs, 1)
    if value.is_known or value.axes is None or not told.is_known:
        return None
    places = told.tensor.flatten().tolist()
    total = len(value.axes) + len(places)
    if len(places) > 8:
        raise ModelError(f"it adds {len(places)} axes")
    axes = list(value.axes)
    for place in sorted(place % total for place in places):
        axes.insert(place, None)
    return [b.view(value, axes)]


def _reshape(b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """Both directions side by side, and an axis of one direction left out, are views."""
    value, target = one(inputs), one(inputs, 1)
    axes = value.axes
    if value.is_known or axes is None or len(axes) != 4 or target.shape != (3,):
        return None
    if value.joined is not None and axes[2:] == (2, 3):
        view = b.view(replace(b.value(value.joined), fixed=value.fixed), (*axes[:2], 2))
    elif None in axes:
        view = b.view(value, [axis for axis in axes if axis is not None])
    else:
        return None
    wanted = [torch.as_tensor(sample).tolist() for sample in target.samples]
    fits = [
        all(t in (-1, 0, s) or (t != 0 and frozen) for t, s in zip(w[:2], shape, strict=False))
        and w[2] in (-1, shape[2])
        for w, sample in zip(wanted, view.samples, strict=True)
        for shape in (shape_of(sample),)
        for frozen in (target.is_known and value.joined is not None,)
    ]
    return [view] if all(fits) else None


def _shape(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen]:
    """Sizes that are the same for inputs of all sizes are known."""
    value = one(inputs)
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    first, second = (list(shape_of(sample))[start:end] for sample in value.samples)
    if first == second:
        return [known(torch.tensor(first, dtype=torch.int64))]
    options = {"start": start} if end is None else {"start": start, "end": end}
    made = b.operator("Shape", [value], **options)
    return [replace(made, fixed=True)]


def _gather(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """Rows of a known table are an embedding; a size that is always the same is known."""
    table, index = one(inputs), one(inputs, 1)
    axis = node.attributes.get("axis", 0)
    if table.fixed and not table.is_known and table.axes is None and index.is_known:
        made = b.operator("Gather", [table, index], axis=axis)
        return [known(torch.tensor(made.samples[0]))] if made.samples[0] == made.samples[1] else [
            made
        ]  # fmt: skip
    if not table.is_known or index.is_known or axis != 0 or len(table.shape) != 2:
        return None
    weight = table.tensor
    if not weight.is_floating_point() or index.axes is None:
        return None
    if index.origin is not None:
        b.limits[index.origin] = weight.shape[0]
    module = nn.Embedding.from_pretrained(weight, freeze=False)
    index = _as_ids(b, index)
    if index.axes is None or index.base is None or None in index.axes:
        return [b.value(b.put(module, [b.number(index)], node.name))]
    made = b.value(b.put(module, [index.base], node.name))
    return [b.view(made, (*index.axes, len(index.axes)))]


def _as_ids(b: Wired, index: Seen) -> Seen:
    if index.tensor.dtype in (torch.int32, torch.int64):
        return index
    return b.operator("Cast", [index], to="int64")


def _cast(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value = one(inputs)
    to = dtype_name(node.attributes.get("to", 0))
    kind = str(value.tensor.dtype).removeprefix("torch.")
    if kind == to:
        return [value]
    made = b.operator("Cast", [value], to=to)
    whole = not value.tensor.is_floating_point() and to.startswith(("int", "uint"))
    return [replace(made, origin=value.origin if whole else None)]


def _cast_like(b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen]:
    dtype = str(one(inputs, 1).tensor.dtype).removeprefix("torch.")
    return [b.operator("Cast", [one(inputs)], to=dtype)]


def _slice_sizes(b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value = one(inputs)
    if value.is_known or not value.fixed or value.axes is not None:
        return None
    made = b.operator("Slice", inputs)
    first, second = made.samples
    return [known(torch.tensor(first, dtype=torch.int64)) if first == second else made]


# ------------------------------------------------------------ truths about sizes


def _less(_b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    value, limit = one(inputs), one(inputs, 1)
    if not limit.is_known or value.is_known or value.tensor.is_floating_point():
        return None
    return [known(torch.tensor(True))] if bool((limit.tensor >= _ENDLESS).all()) else None


def _equal(_b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    """A size is never 0."""
    value, number = one(inputs), one(inputs, 1)
    sizes = value.fixed and not value.is_known and number.is_known and number.is_all(0)
    if sizes and all(bool((torch.as_tensor(s) > 0).all()) for s in value.samples):
        return [known(torch.tensor(False))]
    return None


def _least(_b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    left = [
        value for value in inputs
        if value is not None and not (value.is_known and bool((value.tensor >= _ENDLESS).all()))
    ]  # fmt: skip
    if len(left) == 1 and len(inputs) > 1 and not left[0].tensor.is_floating_point():
        widest = max(len(value.shape) for value in inputs if value is not None)
        return [left[0]] if len(left[0].shape) == widest else None
    return None


def _where(_b: Wired, _node: FileNode, inputs: Inputs) -> list[Seen] | None:
    truth, *branches = (one(inputs, place) for place in range(3))
    if not truth.is_known or truth.tensor.numel() == 0:
        return None
    for chosen, branch in zip((True, False), branches, strict=True):
        if truth.is_all(chosen):
            other = branches[1 if chosen else 0]
            wide = torch.broadcast_shapes(truth.shape, branch.shape, other.shape)
            return [branch] if tuple(wide) == branch.shape else None
    return None


def _layer(b: Wired, node: FileNode, inputs: Inputs) -> list[Seen]:
    lengths = inputs[4] if len(inputs) > 4 else None
    if lengths is not None and lengths.origin is not None:
        axis = 1 if node.attributes.get("layout") else 0
        b.lengths[lengths.origin] = tuple(len(s.transpose(0, axis)) for s in one(inputs).samples)
    return recurrent(b, node, inputs)


_SPECIAL: dict[str, Callable[[Wired, FileNode, Inputs], list[Seen] | None]] = {
    "Add": add, "BatchNormalization": batch_norm, "Cast": _cast, "CastLike": _cast_like,
    "Constant": _constant,
    "ConstantOfShape": _filled, "Conv": conv, "Dropout": _same, "Equal": _equal,
    "Gather": _gather, "Gemm": gemm, "GRU": _layer, "Identity": _same,
    "LayerNormalization": layer_norm, "Less": _less, "LSTM": _layer, "MatMul": matmul,
    "Min": _least, "Reshape": _reshape, "RNN": _layer, "Shape": _shape, "Slice": _slice_sizes,
    "Squeeze": _squeeze, "Transpose": _transpose, "Unsqueeze": _unsqueeze, "Where": _where,
}  # fmt: skip
