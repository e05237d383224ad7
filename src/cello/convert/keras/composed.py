"""Keras's layers that are several nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cello.convert.graph.wires import Wiring
from cello.convert.keras.calls import Passed
from cello.convert.keras.layers import Arrays, check_last_axis, refuse
from cello.convert.onnx_read.operators.constants import Held
from cello.ranges import shown

__all__ = ["MERGES", "attention", "masked_mean", "merged", "normalization", "slopes"]

#: The function of each layer that merges several tensors.
MERGES = {
    "Add": "add",
    "Average": "average",
    "Concatenate": "concatenate",
    "Dot": "dot",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Multiply": "multiply",
    "Subtract": "subtract",
}


def attention(
    graph: Wiring, config: dict[str, Any], values: Sequence[Passed], arrays: Arrays
) -> Passed:
    """softmax(query keyᵀ scale) value, of what it reads: query, value, and key or value again."""
    if len(values) not in (2, 3) or any(part.rank != 3 for part in values):
        raise refuse(arrays.place, "it must read two or three sequences [B, T, F]")
    query, value, key = (*values, values[-1])[:3]
    if any(part.mask is not None for part in values):
        raise refuse(arrays.place, "it reads masked steps")
    if config.get("score_mode", "dot") != "dot":
        raise refuse(arrays.place, f"score_mode={shown(config['score_mode'])}")
    columns = graph.node("permute", [key.number], axes=[0, 2, 1])
    scores = graph.node("MatMul", [query.number, columns])
    if config.get("use_scale"):
        scale = graph.module(Held.of(arrays.take("scale")), [], "scale")
        scores = graph.node("multiply", [scores, scale])
    weights = graph.node("Softmax", [scores], axis=-1)
    return Passed(graph.node("MatMul", [weights, value.number]), 3)


def normalization(graph: Wiring, config: dict[str, Any], value: Passed, arrays: Arrays) -> Passed:
    """(x − mean) / σ along the features, or back."""
    check_last_axis(config, arrays, value.rank)
    given = [config.get(name) for name in ("mean", "variance")]
    if any(part is None for part in given):
        given = [arrays.take(name, None) for name in ("mean", "variance")]
        arrays.take("count")
    mean, variance = (torch.as_tensor(part, dtype=torch.float32).flatten() for part in given)
    sigma = variance.sqrt().clamp_min(1e-7)
    steps = [("subtract", mean), ("multiply", 1 / sigma)]
    if config.get("invert"):
        steps = [("multiply", sigma), ("add", mean)]
    number = value.number
    for name, part in steps:
        number = graph.node(name, [number, graph.module(Held.of(part), [], "constant")])
    return Passed(number, value.rank, value.mask)


def slopes(graph: Wiring, value: Passed, arrays: Arrays) -> Passed:
    """A PReLU of [B, F]."""
    held = graph.module(Held.of(arrays.take("alpha", None)), [], "alpha")
    return Passed(graph.node("PRelu", [value.number, held]), value.rank)


def masked_mean(graph: Wiring, value: Passed) -> Passed:
    """The mean over the steps that are not masked."""
    assert value.mask is not None
    total = graph.node("mean", [graph.node("keep", [value.number, value.mask])], axis=1)
    share = graph.node("reshape", [graph.node("mean", [value.mask], axis=1)], shape=[1])
    return Passed(graph.node("Div", [total, share]), 2)


def merged(
    graph: Wiring, kind: str, config: dict[str, Any], values: Sequence[Passed], arrays: Arrays
) -> Passed:
    """What a layer of `MERGES` makes of several tensors."""
    numbers = [value.number for value in values]
    if kind == "Dot" and len(values) == 2:
        axes = config["axes"] if isinstance(config["axes"], list) else [config["axes"]] * 2
        axes = [a % v.rank for a, v in zip(axes, values, strict=True)]
        normal = bool(config.get("normalize"))
        rank = max(2, values[0].rank + values[1].rank - 3)
        return Passed(graph.node("dot", numbers, axes=axes, normalize=normal), rank)
    if len({value.rank for value in values}) != 1:
        raise refuse(arrays.place, "it merges tensors of different dimensions")
    options = {"axis": config.get("axis", -1)} if kind == "Concatenate" else {}
    mask = _merged_mask(graph, options.get("axis", -1), values, arrays)
    if kind in _HEED_MASKS and arrays.is_keras_3:
        number = _HEED_MASKS[kind](graph, MERGES[kind], values, mask)
    else:
        number = graph.node(MERGES[kind], numbers, **options)
    return Passed(number, values[0].rank, mask)


def _merged_mask(graph: Wiring, axis: int, values: Sequence[Passed], arrays: Arrays) -> int | None:
    """A step is there where it is in any of the tensors, so that none is masked if one is not."""
    masks = dict.fromkeys(value.mask for value in values)
    if list(masks) == [None]:
        return None
    if axis not in (-1, values[0].rank - 1):
        raise refuse(arrays.place, "it joins masked sequences one behind the other")
    if len(masks) > 1 and not arrays.is_keras_3:
        raise refuse(arrays.place, "Keras 2 merges sequences that are not masked alike otherwise")
    return _any_of(graph, list(masks))


def _any_of(graph: Wiring, masks: Sequence[int | None]) -> int | None:
    given = [mask for mask in masks if mask is not None]
    if len(given) < len(masks):
        return None
    return given[0] if len(given) == 1 else graph.node("maximum", given)


def _product(graph: Wiring, what: str, values: Sequence[Passed], mask: int | None) -> int:
    """Keras 3 multiplies what is not masked; 0 where all of it is."""
    parts = []
    for value in values:
        if value.mask is None:
            parts.append(value.number)
            continue
        ones = graph.node("rescale", [value.number], scale=0.0, offset=1.0)
        parts.append(graph.node("choose", [value.mask, value.number, ones]))
    product = graph.node(what, parts)
    return product if mask is None else graph.node("keep", [product, mask])


def _extreme(graph: Wiring, what: str, values: Sequence[Passed], _: int | None) -> int:
    """Keras 3 compares what is not masked, one after the other."""
    found, mask = values[0].number, values[0].mask
    for value in values[1:]:
        number = value.number
        if value.mask is not None:
            number = graph.node("choose", [value.mask, number, found])
        if mask is not None:
            found = graph.node("choose", [mask, found, number])
        mask = _any_of(graph, list(dict.fromkeys([mask, value.mask])))
        found = graph.node(what, [found, number])
    return found


#: Of Keras 3's merges, those of which a masked step has no part.
_HEED_MASKS = {"Maximum": _extreme, "Minimum": _extreme, "Multiply": _product}
