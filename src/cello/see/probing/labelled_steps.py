"""Sequences with a label for each step, run through a net and given back step by step."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import DropIn, Layer, Recurrent, Stack
from cello.see.recording.outputs import is_batch_first
from cello.see.recording.recorded import Recorded
from cello.see.recording.recorder import watch

__all__ = ["LabelledSteps", "Pair", "pairs", "read"]

_NONE: Any = object()  # stands where sequences or labels have ended
STEPS = 4096  # that run together: the memory needed is that of these


class Pair(NamedTuple):
    """A sequence [T, ...] and its labels [T]."""

    x: Tensor
    y: Tensor


class LabelledSteps(NamedTuple):
    """Steps of one or more sequences, in any order: values by name [N, size], labels [N]."""

    values: dict[str, Tensor]
    labels: Tensor
    is_held_out: bool


def pairs(sequences: Iterable[Tensor], labels: Iterable[Any]) -> Iterator[Pair]:
    """Each sequence with its labels.

    Raises:
        DtypeError, ShapeError: a sequence is no tensor, or its labels do not fit; names which.
        ArgumentError: there are more of the one than of the other, or labels are not finite.
    """
    if isinstance(sequences, Tensor):
        raise DtypeError(
            "sequences must be one tensor for each sequence, got one for all "
            f"{list(sequences.shape)}: pass x.unbind(1) of a batch [T, B, ...], x.unbind(0) of one "
            "[B, T, ...], and labels likewise"
        )
    kind: torch.dtype | None = None
    for number, (x, y) in enumerate(zip_longest(sequences, labels, fillvalue=_NONE)):
        if x is _NONE or y is _NONE:
            missing = "sequence" if x is _NONE else "labels"
            raise ArgumentError(
                f"there must be labels for each sequence: number {number} has no {missing}"
            )
        if not isinstance(x, Tensor):
            raise DtypeError(f"sequence {number} must be a tensor, got {type(x).__name__}")
        y = _as_labels(number, y)
        if not x.dim() or y.shape != x.shape[:1]:
            raise ShapeError(
                f"labels of sequence {number} must be one for each of its steps, "
                f"{list(x.shape[:1])}, got {list(y.shape)}"
            )
        if kind is not None and (kind == torch.bool) != (y.dtype == torch.bool):
            raise DtypeError(
                f"labels must be all bool or all numbers, those of sequence {number} are "
                f"{y.dtype}, those before were {kind}"
            )
        kind = y.dtype
        if len(x):
            yield Pair(x, y)


def _as_labels(number: int, y: Any) -> Tensor:
    try:
        y = torch.as_tensor(y)
    except (TypeError, ValueError, RuntimeError):
        raise DtypeError(
            f"labels of sequence {number} must be bool or numbers, got {reprlib.repr(y)}; with "
            "classes, ask for one against the others, such as [label == 'noun' for label in labels]"
        ) from None
    if y.is_floating_point() and not bool(y.isfinite().all()):
        raise ArgumentError(f"labels of sequence {number} must be finite, got NaN or infinity")
    return y


def read(
    net: nn.Module, sequences: Iterable[Pair], only: Any, share: float
) -> Iterator[LabelledSteps]:
    """Run the net over all sequences, and give back what it recorded, a bounded part at a time.

    Args:
        net: a layer, a stack, or any module with such in it.
        sequences: see `pairs`.
        only: what to record; see `cello.probe`.
        share: how much of the sequences counts as held out, spread evenly.
    """
    ours = isinstance(net, (Layer, DropIn, Stack))
    onward = ours and not any(_reads_backward(module) for module in net.modules())
    waiting: dict[bool, list[Pair]] = {False: [], True: []}
    for number, pair in enumerate(sequences, start=1):
        held = int(number * share) > int((number - 1) * share)
        if onward and len(pair.x) > STEPS:
            yield from _in_pieces(net, pair, only, held)
            continue
        group = waiting[held]
        group.append(pair)
        if not ours or len(group) * max(len(p.x) for p in group) >= STEPS:
            yield _together(net, group, only, held, ours=ours)
            group.clear()
    for held, group in waiting.items():
        if group:
            yield _together(net, group, only, held, ours=ours)


def _reads_backward(module: nn.Module) -> bool:
    if isinstance(module, DropIn):
        return bool(module.bidirectional)
    return isinstance(module, Recurrent) and module.reverse


def _together(
    net: nn.Module, group: list[Pair], only: Any, held: bool, *, ours: bool
) -> LabelledSteps:
    """Some sequences side by side."""
    x = pad_sequence([pair.x for pair in group])
    lengths = {"lengths": torch.tensor([len(pair.x) for pair in group])} if ours else {}
    return _labelled(
        watch(Recorded, net, _as_taken(net, x), only=only, **lengths), group, only, held
    )


def _in_pieces(net: nn.Module, pair: Pair, only: Any, held: bool) -> Iterator[LabelledSteps]:
    """One long sequence, the state carried from piece to piece."""
    state = None
    for x, y in zip(pair.x.split(STEPS), pair.y.split(STEPS), strict=True):
        rec = watch(Recorded, net, _as_taken(net, x.unsqueeze(1)), state, only=only)
        state = rec.state
        yield _labelled(rec, [Pair(x, y)], only, held)


def _as_taken(net: nn.Module, x: Tensor) -> Tensor:
    return x.transpose(0, 1) if is_batch_first(net) else x


def _labelled(rec: Recorded, group: list[Pair], only: Any, held: bool) -> LabelledSteps:
    labels = pad_sequence([pair.y for pair in group])
    values: dict[str, Tensor] = {}
    seen: set[int] = set()
    ordered: Tensor | None = None
    for name, (layer, rows) in rec.select(None).items():
        if layer.steps.length != len(labels) or layer.steps.batch_size != len(group):
            raise ShapeError(
                f"the labels are for {len(labels)} steps, {layer.layer or 'the layer'} saw "
                f"{layer.steps.length} steps of {layer.steps.batch_size} sequences"
            )
        own = name.rpartition(".")[2]
        if id(rows) in seen or (only is None and (own == "x" or own.endswith("_prev"))):
            continue
        seen.add(id(rows))  # a second name of one value
        ordered = layer.steps.unpad(labels.to(rows.device)).cpu()
        values[name] = rows.reshape(len(rows), -1).cpu()
        if values[name].dtype not in (torch.float32, torch.float64):
            values[name] = values[name].float()
    assert ordered is not None
    return LabelledSteps(values, ordered, held)
