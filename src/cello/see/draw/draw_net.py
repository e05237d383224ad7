"""`cello.draw`: a cell, a net, or a net through time as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from cello.cells import Cell, as_cell
from cello.errors import ArgumentError, DtypeError, ModelError
from cello.layers.paths import cells_of, check_module
from cello.program import program_as_is
from cello.see.draw.diagram import Diagram
from cello.see.draw.drawing import Drawing
from cello.see.draw.layout.layout import picture_of
from cello.see.draw.net.nets import net_diagram
from cello.see.draw.net.outline import Level, levels_of
from cello.see.draw.net.step_values import StepValues
from cello.see.draw.net.unrolled import unrolled_picture
from cello.see.draw.step.cells import cell_diagram
from cello.see.draw.step.counts import put_counts
from cello.see.draw.step.simplified import simplify
from cello.see.draw.step.values import put_numbers, put_room
from cello.see.numbers import whole
from cello.see.recording.recorded import Recorded

if TYPE_CHECKING:
    from cello.see.recording.rows import LayerRows

__all__ = ["draw"]


def draw(
    net: nn.Module,
    *,
    detail: str = "full",
    unrolled: int | None = None,
    parameters: bool = False,
    recording: Recorded | None = None,
    t: int | None = None,
    unit: int | None = None,
    batch: int = 0,
    layer: str | None = None,
    digits: int = 5,
    placeholders: bool = False,
) -> Drawing:
    """Draw a cell as a block diagram, or a net with its memories.

    A cell is drawn from its traced step, a cell of your own like ours. It is read from below: the
    input and the old state come in, the output leaves above. Wires carry the names that a
    recording shows. A gate (a sigmoid, and the product that it drives) is orange; a memory is a
    blue box with bars, and a blue wire leads what it keeps from the end of a step to its beginning.
    What the parameters do to values is one block, such as W x + R h_prev + b, and a value that is
    only a term of such a sum is not drawn by itself.

    Below stands what each gate does at 1 and at 0.

    A net is drawn with a box for each layer, those of PyTorch like ours, and units one by one where
    they are few. With a recording they hold their numbers: the layer's output, its other states
    (the c of an LSTM), and what its memory brought from the step before.

    Args:
        net: a cell (`cello.LSTMCell`, `nn.GRUCell`, one of your own), or any module.
        detail: of a cell: "full", or "rough" for its gates and memories alone.
        unrolled: draw the net through time: how many steps, a column for each.
        parameters: write into each block how many parameters it has, and below how many there are.
        recording: put the numbers of one of its steps on the wires; of a net, into the units.
        t: which step, from 0; the first of those drawn if `unrolled`.
        unit: of a cell: which unit of each value, 0 unless given. Of a net: which unit of the
            layers of more than 4; their first three unless given.
        batch: which sequence.
        layer: where the cell or net is in the recorded one, such as "0.forward"; needed if that
            cannot be seen, because the recording comes from a file.
        digits: significant digits.
        placeholders: of a cell: leave room for a number beside each name, as an empty
            `<text class="number" data-value="f">` for a page to fill. The value is that of the
            wires with the same `data-value`; of a value with two names it is the first one.

    Returns:
        A drawing: a notebook shows it, `.save("x.svg")` and `.save("x.png")` write it, `.svg` is
        its text.

    Raises:
        DtypeError: not a module.
        ArgumentError: an argument makes no sense here, or there is no such step or unit.
        CaptureError: the step of the cell cannot be traced.
        UnknownNameError: the recording has no such layer.
        ModelError: the parameters changed since the recording, or it is that of another cell.

    >>> import cello
    >>> cello.draw(cello.LSTMCell(3, 2))
    <Drawing of LSTMCell, 686 × 601>
    >>> net = cello.Stack(cello.Recurrent(cello.ElmanCell(2, 2)), nn.Linear(2, 2))
    >>> rec = cello.record(net, torch.ones(3, 1, 2))
    >>> drawing = cello.draw(net, unrolled=3, recording=rec)
    >>> drawing.svg.startswith("<svg"), "t = 2" in drawing.svg
    (True, True)
    """
    check_module(net)
    if recording is not None and not isinstance(recording, Recorded):
        raise DtypeError(f"recording must be a cello.Recording, got {type(recording).__name__}")
    if recording is None and (t is not None or unit is not None):
        name, what = ("t", "step") if t is not None else ("unit", "unit")
        raise ArgumentError(
            f"{name} says which {what} of a recording is meant: give recording as well"
        )
    first = whole("t", t) if t is not None else 0
    if detail not in ("full", "rough"):
        raise ArgumentError(f'detail must be "full" or "rough", got {detail!r}')

    if recording is not None and layer is None:
        layer = _place_of(net, recording)

    def at(step: int) -> StepValues:
        return StepValues(recording, step, batch, digits, unit, is_whole=not layer)

    title = type(net).__name__
    if unrolled is not None:
        if parameters or placeholders or detail != "full":
            raise ArgumentError("unrolled goes with a recording, not with the other options")
        if whole("unrolled", unrolled) < 1:
            raise ArgumentError(f"unrolled must be at least 1, got {unrolled}")
        levels = _levels(net, recording, layer)
        steps = [at(first + k) for k in range(unrolled)]
        return Drawing(unrolled_picture(levels, steps), f"{title} at {unrolled} steps")
    if recording is not None and t is None:
        raise ArgumentError("t must say which step of the recording to show")
    if not isinstance(net, (Cell, nn.RNNCellBase)):
        for name, is_given in (("detail", detail != "full"), ("placeholders", placeholders)):
            if is_given:
                raise ArgumentError(f"{name} is for a cell: draw(layer.cell, {name}=…)")
        levels = _levels(net, recording, layer)
        return Drawing(picture_of(net_diagram(levels, at(first), parameters=parameters)), title)
    cell, rows = as_cell(net), None if recording is None else recording.layer(layer)
    diagram = _traced(cell, rows)
    if detail == "rough":
        simplify(diagram)
    if parameters:
        put_counts(diagram, cell)
    if rows is not None:
        put_numbers(diagram, rows, first, unit or 0, batch, digits)
    elif placeholders:
        put_room(diagram)
    return Drawing(picture_of(diagram), title)


def _place_of(net: nn.Module, recording: Recorded) -> str | None:
    """The path of a net in the recorded one, found by its cells; None if it cannot be found."""
    own = {id(cell): path for path, cell in cells_of(net).items()}
    places = {
        name.removesuffix(own[id(rows.source.cell)]).removesuffix(".")
        for name, rows in recording.by_layer.items()
        if rows.source is not None and id(rows.source.cell) in own
    }
    return places.pop() if len(places) == 1 else None


def _levels(net: nn.Module, recording: Recorded | None, layer: str | None) -> list[Level]:
    """The levels of the net; checks that the recording, if there is one, is of this net."""
    levels = levels_of(net, layer or "")
    paths = {track.path for level in levels for track in level.tracks if track.states}
    if recording is not None and paths.isdisjoint(recording.layers):
        layers = ", ".join(repr(path) for path in recording.layers)
        raise ModelError(
            f"no layer of this net was recorded, the recording has {layers}: "
            "layer= says where this is in the net that was recorded"
        )
    return levels


def _traced(cell: Cell, rows: LayerRows | None) -> Diagram:
    """The diagram of a cell; of the very program that ran, if its numbers are wanted."""
    ran = rows.source if rows is not None else None
    program = ran.program if ran is not None and ran.cell is cell else None
    program = program or program_as_is(cell)
    if unknown := [name for name in (rows.rows if rows else ()) if name not in program.names]:
        raise ModelError(
            f"{program.cell} has no {', '.join(unknown)}: is this the cell that was recorded? "
            "layer= says where it is in the net"
        )
    return cell_diagram(cell, program)
