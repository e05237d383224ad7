"""A graph that runs one step at a time, as layers: what exports and streams of layers take.

A graph that runs on one step after the other, while its layers keep their states, gives what it
gives on whole sequences, unless a node looks ahead, back, or over all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cello.convert.graph.axes import LENGTHS, graph_reads
from cello.convert.graph.directions import one_way, reads_from_the_end
from cello.convert.graph.net_graph import NetGraph, run_node
from cello.convert.graph.passes import Passes
from cello.convert.graph.whole_run import WholeRun
from cello.engines import engine
from cello.errors import ConversionError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack
from cello.layers.layer import Layer
from cello.layers.mode import evaluating
from cello.layers.reads import Reads

__all__ = ["in_passes", "per_step"]


def per_step(net: NetGraph) -> Recurrent | Stack:
    """A graph as a layer that runs one step at a time, proved equal to it; it shares the modules.

    The layer's input has the graph's inputs side by side, its output the graph's outputs. Where the
    graph gives what a last step leaves, the layer gives that after each step: what the graph would
    give if the sequence ended there. Ids go through an `nn.Embedding` before it.

    Raises:
        ConversionError: the graph gives something else one step at a time; names the first node
            that does.

    >>> from cello.cells import LSTMCell
    >>> last = ["select", [1], {"axis": 0, "index": -1}]
    >>> net = NetGraph([Recurrent(LSTMCell(3, 2))], [[0, [0], {}], last], outputs=[2])
    >>> x = torch.randn(5, 1, 3)
    >>> torch.allclose(per_step(net)(x)[0][-1], net(x))
    True
    """
    _check_layers(net, several=False)
    return _made(net, several=False)


def in_passes(net: NetGraph) -> Recurrent | Stack:
    """As `per_step`; of a graph that reads from the end, passes in both directions, in turn.

    What a last step leaves is then right at the last step alone.

    Raises:
        ConversionError: as `per_step`.

    >>> from cello.cells import GRUCell
    >>> net = NetGraph([Bidirectional(GRUCell(3, 2))], [[0, [0], {}], ["add", [1, 1], {}]])
    >>> x = torch.randn(5, 1, 3)
    >>> torch.allclose(in_passes(net)(x)[0], net(x), atol=1e-6)
    True
    """
    several = reads_from_the_end(net)
    _check_layers(net, several=several)
    return _made(net, several=several)


def _check_layers(net: NetGraph, *, several: bool) -> None:
    for name, part in zip(net.names, net.parts.values(), strict=True):
        some = [m for m in part.modules() if isinstance(m, (Layer, DropIn))]
        if not some or (isinstance(part, Recurrent) and (several or not part.reverse)):
            continue
        if several and isinstance(part, Bidirectional):
            continue
        if isinstance(part, (Recurrent, Bidirectional)):
            why = "it reads from the end; as C it can be run on whole sequences"
        elif any(getattr(m, "reverse", False) or getattr(m, "bidirectional", False) for m in some):
            why = "it reads from the end; in a cello.Stack, as C, it can be run on whole sequences"
        else:
            why = "it holds several layers; give the graph each by itself"
        raise ConversionError(
            f"{name} ({type(part).__name__}) cannot run one step at a time in a graph: {why}"
        )


def _made(net: NetGraph, *, several: bool) -> Recurrent | Stack:
    if "T" in net.fixed:
        sizes = net.only or "fixed sizes"
        raise ConversionError(f"the net is for {sizes} only: it cannot run one step at a time")
    reads = [graph_reads(net, number) for number in range(net.inputs)]
    if LENGTHS in reads:
        raise ConversionError(
            f"input {reads.index(LENGTHS)} of the net is how long each sequence is: it cannot run "
            "one step at a time"
        )
    time = int(net.batch_first)
    with torch.no_grad(), evaluating(net), engine("reference"):
        if several:
            net = _turned(net, reads, time)
        tables = _tables(net) if any(part.ids for part in reads) else []
        layers: list[nn.Module] = [
            *Passes(WholeRun(net, reads, time), tables, several=several).layers()
        ]
        if tables:
            layers.insert(0, _table(net, reads[0], time, tables))
    only = layers[0]
    if len(layers) == 1 and isinstance(only, Recurrent):
        return only
    return Stack(*layers, batch_first=bool(time)).eval()


def _turned(net: NetGraph, reads: Sequence[Reads], time: int) -> NetGraph:
    """See `one_way`.

    Raises:
        ConversionError: what reads a sequence that was turned around looks at other steps.
    """
    made = one_way(net, time)
    one, other = (WholeRun(part, reads, time).outputs() for part in (net, made))
    if not all(map(torch.allclose, one, other)):
        turns = next(n for n, node in enumerate(net.wiring, net.inputs) if node[0] == "flip")
        raise ConversionError(
            f"{net.node_name(turns)} cannot run one step at a time: what reads it looks at other "
            "steps too"
        )
    return made


def _tables(net: NetGraph) -> list[int]:
    """The nodes that read ids; each must look only at one id at a time."""
    found = []
    modules = list(net.parts.values())
    for place, (what, values, _) in enumerate(net.wiring, net.inputs):
        if 0 not in values:
            continue
        if net.inputs > 1 or not (
            what == "differs" or (isinstance(what, int) and isinstance(modules[what], nn.Embedding))
        ):
            raise ConversionError(
                f"{net.node_name(place)} reads ids: one step at a time, only an embedding of a "
                "net's one input can"
            )
        found.append(place)
    return found


def _table(net: NetGraph, reads: Reads, time: int, tables: Sequence[int]) -> nn.Embedding:
    """What all readers of ids make of each id, side by side."""
    ids = torch.arange(reads.ids)
    values: list[Any] = []
    try:  # up to what a table has not: one sequence of all ids is as good as any
        net.run([ids.unsqueeze(1 - time)], run_node, values)
    except Exception:
        assert len(values) > max(tables)
    parts = [values[place].reshape(len(ids), -1) for place in tables]
    return nn.Embedding.from_pretrained(torch.cat(parts, 1))
