"""A net as what it does to each step, from its input to its output."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cello.cells import Cell, as_cell
from cello.errors import CaptureError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack
from cello.see.draw.cells import cell_diagram
from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.gates import gates_of
from cello.see.names import joined
from cello.see.parameters import count_parameters

__all__ = ["Level", "Stage", "levels_of"]


@dataclass(eq=False)
class Stage:
    """A layer of units.

    Attributes:
        title: what stands in its box.
        size: how many units it has; None if that is not known.
        name: of its value in a recording; "" if it has none.
        states: what is remembered of it until the next step.
        line: one more line of text.
        parameters: how many it has.
    """

    title: str
    size: int | None = None
    name: str = ""
    states: tuple[str, ...] = ()
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
    if isinstance(net, DropIn):
        return _drop_in(net, path)
    if isinstance(net, (Cell, nn.RNNCellBase)):
        return [Level([_track(as_cell(net), path)])]
    children = list(net.named_children())
    within = any(isinstance(module, (Recurrent, DropIn)) for module in net.modules())
    if isinstance(net, (Stack, nn.Sequential)) or within:
        return [level for n, child in children for level in levels_of(child, joined(path, n))]
    return [Level([Track([_plain(net)], path)])]


def _drop_in(net: DropIn, path: str) -> list[Level]:
    cells, title = net.cells(), type(net).__name__
    if not net.bidirectional:
        return [Level([_track(cell, joined(path, place), title)]) for place, cell in cells.items()]
    tracks = [
        _track(cell, joined(path, place), title, is_backward=place.endswith("backward"))
        for place, cell in cells.items()
    ]
    return [Level(tracks[k : k + 2], "concat") for k in range(0, len(tracks), 2)]


def _plain(module: nn.Module) -> Stage:
    """A module without memory."""
    sizes = [getattr(module, n, None) for n in ("in_features", "out_features")]
    known = all(isinstance(size, int) for size in sizes)
    options = module.extra_repr().replace(", inplace=False", "")
    line = f"{sizes[0]} → {sizes[1]}" if known else options
    size = sizes[1] if known and isinstance(sizes[1], int) else None
    if len(line) > 30:
        line = f"{line[:28]}…"
    name = type(module).__name__
    return Stage(name, size, line=line, parameters=count_parameters(module).total)


def _track(cell: Cell, path: str, title: str = "", *, is_backward: bool = False) -> Track:
    """The stages of a cell: one, or two where its output is a layer upon its hidden layer."""
    way = "reads backward" if is_backward else ""
    total = count_parameters(cell).total
    inner = _hidden_and_output(cell)
    if inner is None:
        title = title or type(cell).__name__.removeprefix("Torch").removesuffix("Cell") or "Cell"
        name = joined(path, _output_name(cell))
        stage = Stage(title, cell.output_size, name, cell.state, way, total)
        return Track([stage], path, cell.state, is_backward)
    (hidden, size), (output, from_output) = inner
    kept: tuple[tuple[str, ...], ...] = ((), cell.state) if from_output else (cell.state, ())
    stages = [
        Stage("hidden layer", size, joined(path, hidden), kept[0], way, total),
        Stage("output layer", cell.output_size, joined(path, output), kept[1]),
    ]
    return Track(stages, path, cell.state, is_backward)


def _diagram(cell: Cell) -> Diagram | None:
    try:
        return cell_diagram(cell)
    except CaptureError:
        return None


def _output_name(cell: Cell) -> str:
    diagram = _diagram(cell)
    if diagram is None:
        return cell.state[0]
    names = _output(diagram).label.names
    return names[-1] if names else cell.state[0]


def _output(diagram: Diagram) -> Block:
    return next(block for block in diagram.blocks if block.kind == "output").inputs[0]


def _hidden_and_output(cell: Cell) -> tuple[tuple[str, int], tuple[str, bool]] | None:
    """Name and size of a hidden layer below the output; the output's name, and if it is kept.

    None for a cell with gates or several states, or whose output is no layer of its own.
    """
    diagram = _diagram(cell)
    if diagram is None or len(cell.state) != 1 or gates_of(diagram):
        return None
    output = _output(diagram)
    below = output
    while below.kind in ("squash", "other") and len(below.inputs) == 1:
        (below,) = below.inputs
    hidden = [block for block in below.inputs if block.kind not in ("input", "memory")]
    if below.kind != "linear" or len(hidden) != 1 or len(below.inputs) != 1:
        return None
    names = hidden[0].label.names
    kept = next(block for block in diagram.blocks if block.kind == "memory").inputs[0]
    if not names or kept not in (output, hidden[0]):
        return None
    size = hidden[0].source[0].shape[-1] if hidden[0].source else cell.hidden_size
    return (names[-1], size), (output.label.names[-1], kept is output)
