"""From a diagram to a picture: layers from below to above, wires between them."""

from __future__ import annotations

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.layout.grid import Grid, Item, grid_of
from cello.see.draw.layout.order import sort_layers
from cello.see.draw.layout.place import place_items
from cello.see.draw.layout.route import TRACK, Bundle, End, channels_of
from cello.see.draw.paint.block_sizes import RADIUS, label_text
from cello.see.draw.paint.bodies import paint
from cello.see.draw.paint.picture import Mark, Picture, Text, Wire
from cello.see.draw.paint.text import SMALL, width

__all__ = ["picture_of"]

MARGIN = 12.0
_LOWEST = 15.0  # of a channel, so that there is room for an arrow
_LINE = 16.0  # of the legend


def picture_of(diagram: Diagram) -> Picture:
    """Lay the diagram out."""
    grid = grid_of(diagram)
    sort_layers(grid)
    place_items(grid)
    return _Painter(grid, diagram).picture


class _Painter:
    """Gives everything its height, and draws it."""

    def __init__(self, grid: Grid, diagram: Diagram) -> None:
        self.grid = grid
        self.channels = channels_of(grid)
        self.picture = Picture()
        items = [item for layer in grid.layers for item in layer]
        ends = [end.x for c in self.channels for b in c.bundles for end in b.ends]
        right = max([item.x + item.shape.right for item in items] + ends)
        legend = max((width(line, SMALL) for line in diagram.legend), default=0.0)
        self.picture.width = max(right, legend) + 2 * MARGIN
        self.shift = MARGIN + max(0.0, (legend - right) / 2)
        self._heights(len(diagram.legend))
        for rank, layer in enumerate(grid.layers):
            for item in layer:
                self._item(item, rank)
        for number, channel in enumerate(self.channels):
            for bundle in channel.bundles:
                self._bundle(number, bundle)
        y = self.picture.height - MARGIN - _LINE * (len(diagram.legend) - 1) - 2
        for line in diagram.legend:
            text = Text(self.picture.width / 2, y, line, "small")
            self.picture.texts.append(text)
            y += _LINE

    def _heights(self, legend: int) -> None:
        """The heights above the ground: of each channel's borders, of each layer's middle."""
        y = 0.0
        self.bottom: list[float] = []  # of each channel
        self.top: list[float] = []
        self.middle: list[float] = []  # of each layer's bodies
        for number, channel in enumerate(self.channels):
            used = bool(channel.bundles)
            self.bottom.append(y)
            y += (_LOWEST + TRACK * channel.tracks) if used else 0.0
            self.top.append(y)
            if number < len(self.grid.layers):
                shapes = [item.shape for item in self.grid.layers[number]]
                body = max(shape.height for shape in shapes)
                self.middle.append(y + body / 2)
                y += body + max(shape.stub for shape in shapes)
        below = legend * _LINE + 8 if legend else 0.0
        self.picture.height = y + 2 * MARGIN + below
        self.ground = y + MARGIN

    def at(self, x: float, height: float) -> tuple[float, float]:
        """The place in the picture."""
        return x + self.shift, self.ground - height

    def _item(self, item: Item, rank: int) -> None:
        bottom, top = self.top[rank], self.bottom[rank + 1]
        block = item.block
        if block is None:
            kind = "loop" if item.is_loop else ""
            ends = self.at(item.x, bottom), self.at(item.x, top)
            value = item.wire.label.value if item.wire else ""
            self.picture.wires.append(Wire(ends[::-1] if item.is_loop else ends, kind, value=value))
            return
        middle = self.middle[rank]
        half = item.shape.height / 2
        for source, pin in item.pins.items():
            self._arrive(item, source, pin, bottom, middle)
        if block.kind != "output":
            start, end = self.at(item.x, middle + half), self.at(item.x, top)
            self.picture.wires.append(Wire((start, end), value=block.label.value))
            self._label(block, item.x, top)
        paint(self.picture, block, item.shape, *self.at(item.x, middle))

    def _arrive(self, item: Item, source: Block, pin: float, bottom: float, middle: float) -> None:
        """The last piece of a wire: up to the body, or beside it and in from the side."""
        assert item.block is not None
        kind = "loop" if item.block.kind == "memory" else ""
        x, half = item.x + pin, item.shape.height / 2
        start = self.at(x, bottom)
        points: tuple[tuple[float, float], ...]
        if abs(pin) > item.shape.half:
            edge = item.x + (RADIUS if pin > 0 else -RADIUS)
            points = (start, self.at(x, middle), self.at(edge, middle))
        else:
            points = (start, self.at(x, middle - half))
        self.picture.wires.append(Wire(points, kind, arrow=True, value=source.label.value))

    def _label(self, block: Block, x: float, top: float) -> None:
        """Names and number, to the right of the wire that leaves a block."""
        label = block.label
        shown = label_text(label)
        left, base = self.at(x + 5, top - 15)
        if shown:
            self.picture.texts.append(Text(left, base, shown, "", "start"))
            left += width(shown) + 5
        if label.number is not None:
            number = Text(left, base, label.number, "number", "start", block.label.value)
            self.picture.texts.append(number)

    def _bundle(self, number: int, bundle: Bundle) -> None:
        bottom, top = self.bottom[number], self.top[number]
        value = bundle.wire.label.value
        first, *others = bundle.ends
        falls = not first.is_low

        def border(end: End) -> float:
            return bottom if end.is_low else top

        if bundle.track is None:
            kind = "loop" if any(end.is_loop for end in bundle.ends) or falls else ""
            points = tuple(self.at(end.x, border(end)) for end in (first, others[-1]))
            self.picture.wires.append(Wire(points, kind, value=value))
            return
        # The level stretches stand in the middle, the room for arrows above and below.
        level = bottom + _LOWEST / 2 + TRACK * (bundle.track + 0.5)
        outer = {pick(bundle.ends, key=lambda end: end.x) for pick in (min, max)}
        is_led = False  # whether the piece before the level stretch is drawn
        for end in sorted(others, key=lambda end: (end.is_loop, end not in outer)):
            kind = "loop" if end.is_loop or falls else ""
            way = [(end.x, level), (end.x, border(end))]
            if end in outer or not is_led:  # the others only branch off
                way.insert(0, (first.x, level))
            if not is_led:
                way.insert(0, (first.x, border(first)))
            is_led = True
            points = tuple(self.at(*point) for point in dict.fromkeys(way))
            self.picture.wires.append(Wire(points, kind, value=value))
        self._dots(bundle, level, falls)

    def _dots(self, bundle: Bundle, level: float, falls: bool) -> None:
        """Put a dot where more than two pieces of a wire meet."""
        low, high = bundle.span
        for x in dict.fromkeys(end.x for end in bundle.ends):
            uprights = len({end.is_low for end in bundle.ends if end.x == x})
            if uprights + (x > low + 0.01) + (x < high - 0.01) > 2:
                here = [end for end in bundle.ends if end.x == x]
                kind = "loop" if falls or all(end.is_loop for end in here) else ""
                self.picture.marks.append(Mark(*self.at(x, level), kind))
