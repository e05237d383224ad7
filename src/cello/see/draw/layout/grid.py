"""The blocks in layers, with a place in each layer for every wire that passes through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from cello.see.draw.diagram import Block, Diagram
from cello.see.draw.layout.ranks import ranks_of
from cello.see.draw.paint.block_sizes import RADIUS, SIDE, Shape, shape_of

__all__ = ["Grid", "Item", "Link", "grid_of"]

_PASSING = Shape(4, 4, 4, 0, 0)


@dataclass(eq=False)
class Item:
    """A block, or a place where a wire passes a layer.

    Attributes:
        rank: the layer.
        shape: the room that it takes.
        block: what is here; None for a wire that passes.
        wire: the block whose value passes.
        is_loop: whether the wire runs down, from the end of a step to its beginning.
        x: where its middle is.
        pins: for each input of the block, how far from the middle its wire arrives.
    """

    rank: int
    shape: Shape
    block: Block | None = None
    wire: Block | None = None
    is_loop: bool = False
    x: float = 0.0
    pins: dict[Block, float] = field(default_factory=dict)


@dataclass(eq=False)
class Link:
    """A wire from one layer to the next: from an item to one above it.

    `pin` is the block whose value arrives, if the upper item is a block.
    """

    low: Item
    high: Item
    wire: Block
    pin: Block | None = None
    is_loop: bool = False

    @property
    def offset(self) -> float:
        """How far from the upper item's middle it arrives."""
        return self.high.pins.get(self.pin, 0.0) if self.pin else 0.0


@dataclass(eq=False)
class FeedbackLine:
    """A wire from a block down to a memory: beside `first` it goes down, up into `last`."""

    source: Item
    down: list[Item]  # from the layer of the source to that of the memory
    memory: Item


@dataclass(eq=False)
class Grid:
    """All items by layer, from left to right, and what connects them."""

    layers: list[list[Item]]
    links: list[Link]
    loops: list[FeedbackLine]

    def between(self, rank: int) -> list[Link]:
        """The links from this layer to the next."""
        return [link for link in self.links if link.low.rank == rank]


def grid_of(diagram: Diagram) -> Grid:
    """Put the blocks into layers, in no particular order."""
    ranks = ranks_of(diagram)
    layers: list[list[Item]] = [[] for _ in range(max(ranks.values()) + 1)]
    items = {b: Item(ranks[b], shape_of(b), b, b) for b in diagram.blocks}
    for item in items.values():
        layers[item.rank].append(item)
    grid = Grid(layers, [], [])
    for block in diagram.blocks:
        readers = list(diagram.readers(block))
        above = [b for b in readers if ranks[b] > ranks[block]]
        _rise(grid, items[block], [items[b] for b in above])
        for memory in (b for b in readers if b not in above):
            _fall(grid, items[block], items[memory])
    for item in items.values():
        assert item.block is not None
        set_pins(item, item.block.inputs)
    return grid


def _rise(grid: Grid, source: Item, targets: list[Item]) -> None:
    """Lead the value of a block up to all that take it, by one wire."""
    assert source.block is not None
    here = source
    for rank in range(source.rank + 1, max((t.rank for t in targets), default=0) + 1):
        for target in (t for t in targets if t.rank == rank):
            is_loop = target.block is not None and target.block.kind == "memory"
            grid.links.append(Link(here, target, source.block, source.block, is_loop))
        if any(target.rank > rank for target in targets):
            on = Item(rank, _PASSING, None, source.block)
            grid.layers[rank].append(on)
            grid.links.append(Link(here, on, source.block))
            here = on


def _fall(grid: Grid, source: Item, memory: Item) -> None:
    """Lead the value of a block down to a memory."""
    down = [
        Item(rank, _PASSING, None, source.block, is_loop=True)
        for rank in range(source.rank, memory.rank - 1, -1)
    ]
    assert source.block is not None
    for high, low in pairwise(down):
        grid.links.append(Link(low, high, source.block, None, is_loop=True))
    for item in down:
        grid.layers[item.rank].append(item)
    grid.loops.append(FeedbackLine(source, down, memory))


def set_pins(item: Item, inputs: list[Block]) -> None:
    """Set where the wires of the inputs arrive; the inputs are given from left to right."""
    block, many = item.block, len(inputs)
    assert block is not None
    item.pins.clear()
    if item.shape.half == RADIUS and many > 1:
        places = [-SIDE, 0.0, SIDE]
        if many == 2:
            straight = _main(block)
            places = [0.0, SIDE] if inputs[0] is straight else [-SIDE, 0.0]
    else:
        gap = min(24.0, 2 * (item.shape.half - 8) / max(many - 1, 1))
        places = [gap * (number - (many - 1) / 2) for number in range(many)]
    item.pins.update(zip(inputs, places, strict=False))


def _main(block: Block) -> Block:
    """The input of a circle that enters it from below: not the gate, not the memory."""

    def second(other: Block) -> tuple[bool, bool]:
        remembers = any(b.kind == "memory" for b in (other, *other.inputs))
        return other.is_gate and other.kind != "times", remembers

    return min(block.inputs, key=second)
