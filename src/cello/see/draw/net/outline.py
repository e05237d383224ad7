"""A net as what it does to each step, from its input to its output."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy

from cello.cells import Cell, as_cell
from cello.cells.contract.shapes import width_of
from cello.errors import CaptureError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack, accelerate
from cello.layers.paths import joined
from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.step.cells import cell_diagram
from cello.see.draw.step.counts import parameter_shapes
from cello.see.draw.step.gates import gates_of
from cello.see.parameters import count_parameters

__all__ = ["Level", "Stage", "levels_of"]

_LINE = 30  # letters of a module's options


@dataclass(eq=False)
class Stage:
    """A layer of units.

    Attributes:
        title: what stands in its box.
        size: how many units it has; None if that is not known.
        names: of its values in a recording, the output first, without the path.
        path: of the layer in the net.
        states: what is remembered of it until the next step.
        way: in which direction it reads, where that is to be said.
        line: one more line of text.
        parameters: how many it has.
    """

    title: str
    size: int | None = None
    names: tuple[str, ...] = ()
    path: str = ""
    states: tuple[str, ...] = ()
    way: str = ""
    line: str = ""
    parameters: int = 0


@dataclass(eq=False)
class Track:
    """Stages one above another that run together: those of one cell, or one module.

    Attributes:
        stages: from below.
        path: of the layer in the net.
        states: what the lowest stage gets from the step before.
        is_backward: whether "before" is the step after.
    """

    stages: list[Stage]
    path: str = ""
    states: tuple[str, ...] = ()
    is_backward: bool = False

    @property
    def keeper(self) -> Stage | None:
        """The stage that is remembered."""
        return next((stage for stage in self.stages if stage.states), None)


@dataclass(eq=False)
class Level:
    """One track, or two that read the same in both directions and are joined."""

    tracks: list[Track]
    join: str = ""

    def __post_init__(self) -> None:
        for track in self.tracks:
            if track.is_backward or len(self.tracks) > 1:
                way = "backward" if track.is_backward else "forward"
                track.stages[0].way = f"reads {way}"


def levels_of(net: nn.Module, path: str = "") -> list[Level]:
    """What a net does, from its input on: its modules in their order."""
    if isinstance(net, Recurrent):
        return [Level([_track(net.cell, path, is_backward=net.reverse)])]
    if isinstance(net, Bidirectional):
        ways = (net.forward_layer, "forward"), (net.backward_layer, "backward")
        tracks = [
            _track(layer.cell, joined(path, way), is_backward=way == "backward")
            for layer, way in ways
        ]
        return [Level(tracks, net.join)]
    if _is_ready_made(net):
        return _drop_in(net, path)
    if isinstance(net, (Cell, nn.RNNCellBase)):
        return [Level([_track(as_cell(net), path)])]
    children = list(net.named_children())
    within = any(
        isinstance(module, Recurrent) or _is_ready_made(module) for module in net.modules()
    )
    if children and (isinstance(net, (Stack, nn.Sequential)) or within):
        return [level for n, child in children for level in levels_of(child, joined(path, n))]
    return [Level([Track([_plain(net, path)], path)])]


def _is_ready_made(module: nn.Module) -> bool:
    """Whether it is an RNN, LSTM or GRU: ours, or torch's own, for a subclass may differ."""
    return isinstance(module, DropIn) or type(module) in (nn.RNN, nn.LSTM, nn.GRU)


def _drop_in(net: nn.Module, path: str) -> list[Level]:
    net = net if isinstance(net, DropIn) else accelerate(net)
    assert isinstance(net, DropIn)
    tracks = [
        _track(
            cell, joined(path, place), type(net).__name__, is_backward=place.endswith("backward")
        )
        for place, cell in net.cells().items()
    ]
    if not net.bidirectional:
        return [Level([track]) for track in tracks]
    return [Level(tracks[k : k + 2], "concat") for k in range(0, len(tracks), 2)]


def _plain(module: nn.Module, path: str) -> Stage:
    """A module without memory."""
    size, line = None, _options(module)
    for names in (("in_features", "out_features"), ("num_embeddings", "embedding_dim")):
        sizes = [getattr(module, name, None) for name in names]
        if all(isinstance(known, int) for known in sizes):
            size, line = sizes[1], f"{sizes[0]} → {sizes[1]}"
    is_made = not any(map(is_lazy, module.parameters()))
    total = count_parameters(module).total if is_made else 0
    return Stage(type(module).__name__, size, path=path, line=line, parameters=total)


def _options(module: nn.Module) -> str:
    """As many of its options as fit into a line."""
    options = " ".join(module.extra_repr().split())
    shown, *others = options.replace(", inplace=False", "").split(", ")
    for option in others:
        more = f"{shown}, {option}"
        if len(more) > _LINE:
            return f"{shown}, …"
        shown = more
    return shown if len(shown) <= _LINE else f"{shown[: _LINE - 2]}…"


def _track(cell: Cell, path: str, title: str = "", *, is_backward: bool = False) -> Track:
    """The stages of a cell: one, or two where its output is a layer upon its hidden layer."""
    try:
        diagram = cell_diagram(cell)
    except CaptureError:
        diagram = None
    stages = (diagram and _two_stages(cell, diagram)) or [_one_stage(cell, diagram, title)]
    for stage in stages:
        stage.path = path
    return Track(stages, path, cell.state, is_backward)


def _one_stage(cell: Cell, diagram: Diagram | None, title: str) -> Stage:
    title = title or type(cell).__name__.removeprefix("Torch").removesuffix("Cell") or "Cell"
    made = _output(diagram).label.names if diagram else []
    names = (*made[-1:], *(name for name in cell.state if name not in made))
    total = count_parameters(cell).total
    return Stage(title, width_of(cell.output_size), names, states=cell.state, parameters=total)


def _two_stages(cell: Cell, diagram: Diagram) -> list[Stage]:
    """A hidden layer, and the output layer upon it; one of them is remembered.

    None for a cell with gates or several states, or whose output is no layer of its own.
    """
    remembered = [block.inputs[0] for block in diagram.blocks if block.kind == "memory"]
    if len(cell.state) != 1 or not remembered or gates_of(diagram):
        return []
    output = upper = _output(diagram)
    while upper.kind in ("squash", "other") and len(upper.inputs) == 1:
        (upper,) = upper.inputs
    if upper.kind != "linear" or len(upper.inputs) != 1:
        return []
    (hidden,) = upper.inputs
    if hidden.kind in ("input", "memory") or not hidden.label.names:
        return []
    if remembered[0] not in (output, hidden):
        return []
    size = hidden.source[0].shape[-1] if hidden.source else cell.hidden_size
    stages = [Stage("hidden layer", size), Stage("output layer", width_of(cell.output_size))]
    for stage, block in zip(stages, (hidden, output), strict=True):
        stage.names = tuple(block.label.names[-1:])
        stage.states = cell.state if block is remembered[0] else ()
    stages[1].parameters = sum(map(math.prod, parameter_shapes(upper, cell)))
    stages[0].parameters = count_parameters(cell).total - stages[1].parameters
    return stages


def _output(diagram: Diagram) -> Block:
    return next(block for block in diagram.blocks if block.kind == "output").inputs[0]
