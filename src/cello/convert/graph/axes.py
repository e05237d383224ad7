"""Which axes of a graph's inputs hold the steps and which the sequences: found by running it.

Layers may stand behind functions that exchange axes, so what they say of themselves tells nothing
of the graph. In the graph, the sequences are where what one of them holds changes nothing of what
comes out for the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cello.engines import engine
from cello.errors import ConversionError
from cello.layers import DropIn, Recurrent
from cello.layers.hooks.watch import unwatched
from cello.layers.layer import Layer
from cello.layers.mode import evaluating
from cello.layers.reads import Reads, dtype_of, reads_of

__all__ = ["LENGTHS", "Axes", "axes_of", "drawn", "fixed_in", "graph_reads"]

#: What an input holds that says how long each sequence is.
LENGTHS = Reads((), lowest=1)
#: (T, B) that are tried: few steps, and more for what pools them or takes them in pairs.
_TRIED = ((7, 3), (24, 5), (48, 5))
#: Steps of all sequences that are tried.
_MOST_ROWS = 2**18
#: What a form of inputs may turn out to be, the best first.
_APART, _NOT_TOLD, _MIXED, _NOT_RUN = range(4)


class Axes(NamedTuple):
    """Where the steps and the sequences stand.

    Attributes:
        leads: of each input, what its first axes are: "TB", "BT", "B" of one without steps, or "SB"
            of states, one behind the other.
        told: whether that is seen from what the graph computes; else its layers say it.
    """

    leads: tuple[str, ...]
    told: bool

    @property
    def batch_first(self) -> bool:
        """Whether the steps are the second axis."""
        return next((lead for lead in self.leads if "T" in lead), "BT") == "BT"


def axes_of(net: Any) -> Axes:
    """The axes of a `NetGraph`, in eval mode.

    Raises:
        ConversionError: what an input holds at a step is not known, or no form of inputs runs.
    """
    reads = [graph_reads(net, number) for number in range(net.inputs)]
    found: dict[int, list[tuple[str, ...]]] = {rank: [] for rank in (_APART, _NOT_TOLD, _MIXED)}
    why = ""
    with torch.no_grad(), evaluating(net), engine("reference"), unwatched():
        for leads in _forms(net):
            rank, said = _tried(net, reads, leads)
            why = why or said
            if rank == _APART:
                return Axes(leads, told=True)
            found.get(rank, []).append(leads)
    ran = [leads for some in found.values() for leads in some]
    if ran:
        turned = {lead for leads in ran for lead in leads if "T" in lead}
        return Axes(ran[0], told=len(turned) < 2)
    raise ConversionError(f"the net does not run on random inputs: {why}")


def fixed_in(shapes: Sequence[Sequence[int | None]], leads: Sequence[str]) -> dict[str, int]:
    """T and B, where shapes of inputs fix them.

    >>> fixed_in([[6, None, 3], [None, 4]], ["TB", "B"])
    {'T': 6}
    """
    return {axis: size for axis, size in _told(shapes, leads) if size is not None and axis != "S"}


def _told(
    shapes: Sequence[Sequence[int | None]], leads: Sequence[str]
) -> Iterator[tuple[str, int | None]]:
    """Each axis that a lead names, with its size; None for any."""
    for lead, shape in zip(leads, shapes, strict=False):
        yield from zip(lead, shape, strict=False)


def drawn(
    net: Any, reads: Sequence[Reads], leads: Sequence[str], sizes: Mapping[str, int],
    generator: torch.Generator,
) -> list[Tensor]:  # fmt: skip
    """A random input of each kind."""
    dtype = dtype_of(net)
    device = next((p.device for p in net.parameters()), None)
    found = []
    for number, (part, lead) in enumerate(zip(reads, leads, strict=True)):
        own = {**sizes, "S": net.shapes[number][0]} if "S" in lead else sizes
        shape = [*(own[axis] for axis in lead), *part.shape]
        if part == LENGTHS:
            x = torch.randint(1, sizes["T"] + 1, shape, generator=generator)
        elif part.ids:
            x = torch.randint(part.ids, shape, generator=generator)
        else:
            x = torch.randn(shape, generator=generator, dtype=dtype)
        found.append(x.to(device))
    return found


def _forms(net: Any) -> Iterator[tuple[str, ...]]:
    """What the leading axes may be: what layers say that read inputs; else any, theirs first."""
    first = "BT" if net.layers_batch_first else "TB"
    direct = _leads_of_layers(net)
    states = [("SB",) if shape and shape[0] else () for shape in net.shapes or [()] * net.inputs]
    for lead in direct if len(direct) == 1 else (first, first[::-1]):
        for leads in itertools.product(*((lead, "B", *some) for some in states)):
            if lead == first or any("T" in part for part in leads):
                yield leads


def _leads_of_layers(net: Any) -> set[str]:
    """Of layers that read an input of the graph itself, where its steps and sequences stand."""
    modules = list(net.parts.values())
    read = (modules[what] for what, values, _ in net.wiring
            if isinstance(what, int) and values and values[0] in range(net.inputs))  # fmt: skip
    return {"BT" if m.batch_first else "TB" for m in read if hasattr(m, "batch_first")}


def _tried(net: Any, reads: Sequence[Reads], leads: tuple[str, ...]) -> tuple[int, str]:
    """Whether sequences stand apart where `leads` has them; or why it does not run."""
    why = ""
    fixed = fixed_in(net.shapes, leads)
    shapes = [[*lead, *part.shape] for lead, part in zip(leads, reads, strict=True)]
    if any(len(a) != len(b) for a, b in zip(shapes, net.shapes, strict=False)):
        return _NOT_RUN, why
    steps = {size for axis, size in _told(net.shapes, leads) if axis == "T"}
    for T, B in _TRIED:
        sizes = {"T": T, "B": B} | fixed
        if math.prod(sizes.values()) > _MOST_ROWS:
            return _NOT_RUN, f"{sizes['T']:,} steps of {sizes['B']:,} sequences are too many to try"
        generator = torch.Generator().manual_seed(0)
        one, other = (drawn(net, reads, leads, sizes, generator) for _ in range(2))
        changed = [part.clone() for part in one]
        for part, new, lead in zip(changed, other, leads, strict=True):
            axis = lead.index("B")
            part.select(axis, 0).copy_(new.select(axis, 0))
        try:
            before, after = _first(net.run(one)), _first(net.run(changed))
        except Exception as error:  # whatever PyTorch says of a shape
            why = why or str(error) or type(error).__name__
            continue
        told = sizes["B"] > 1 and len(steps) < 2  # where steps of inputs differ, some are none
        return _compared(before, after, sizes["B"]) if told else _NOT_TOLD, ""
    return _NOT_RUN, why


def _compared(before: Tensor, after: Tensor, size: int) -> int:
    """Whether along an axis of this size the first place differs and no other."""
    differs = (before != after) & ~(before.isnan() & after.isnan())
    there = [axis for axis, own in enumerate(before.shape) if own == size]
    if not (there and differs.any()):
        return _NOT_TOLD
    apart = any(not differs.narrow(axis, 1, size - 1).any() for axis in there)
    return _APART if apart else _MIXED


def _first(made: Any) -> Tensor:
    """The first thing that comes out."""
    while isinstance(made, (tuple, list)):
        made = made[0]
    assert isinstance(made, Tensor)
    return made


# ------------------------------------------------------------ what the inputs hold


def graph_reads(net: Any, number: int) -> Reads:
    """What an input of a graph holds at a step, as the first module that reads it says.

    Where none does, the shape says it that the input must have.

    Raises:
        ConversionError: neither does.
    """
    reached = {number}
    modules = list(net.parts.values())
    for place, (what, values, options) in enumerate(net.wiring, net.inputs):
        if not reached & set(values):
            continue
        if isinstance(what, int) and values[0] in reached:
            found = _module_reads(modules[what])
            if found is not None:
                return found
        elif options.get("lengths") and values[-1 - options.get("states", 0)] in reached:
            return LENGTHS
        if str(what).lower() not in ("concat", "concatenate", "state"):
            reached.add(place)
    shape = net.shapes[number] if net.shapes else []
    free = next((axis for axis, size in enumerate(shape) if size is not None), len(shape))
    if 0 < free < 3:  # what stands behind the steps and the sequences
        return Reads(tuple(shape[free:]))
    raise ConversionError(
        f"what input {number} of the net holds at a step is not known: no module that says how "
        "many numbers it takes reads it, and no shape of it is known"
    )


def _module_reads(module: nn.Module) -> Reads | None:
    if isinstance(module, (nn.Conv1d, nn.BatchNorm1d)):
        size = module.in_channels if isinstance(module, nn.Conv1d) else module.num_features
        return Reads((size,))
    if isinstance(module, Recurrent) and isinstance(module.input_size, tuple):
        several = module.input_size[0]  # of several inputs, what is read is the first
        return Reads(several if isinstance(several, tuple) else module.input_size)
    known = isinstance(module, (Layer, DropIn, nn.Embedding, nn.Linear, nn.LayerNorm))
    return reads_of(module) if known else None
