"""The way of each wire between two layers: up, along, and up again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import permutations

from cello.see.draw.diagram import Block
from cello.see.draw.layout.grid import Grid, Item

__all__ = ["Bundle", "Channel", "channels_of"]

TRACK = 9.0  # between two wires that run side by side
_NEAR = 6.0  # wires closer than this would be taken for one


@dataclass(frozen=True)
class End:
    """Where a wire enters a channel or leaves it."""

    x: float
    is_low: bool  # at the lower border
    item: Item
    is_loop: bool = False


@dataclass(eq=False)
class Bundle:
    """One value in one channel: its wire has several ends, and at most one level stretch.

    Attributes:
        wire: the block whose value it is.
        ends: the first is where it comes from.
        track: the number of the level stretch, from 0 below; None if there is none.
    """

    wire: Block
    ends: list[End] = field(default_factory=list)
    track: int | None = None

    @property
    def span(self) -> tuple[float, float]:
        """From where to where it stretches."""
        places = [end.x for end in self.ends]
        return min(places), max(places)


@dataclass(eq=False)
class Channel:
    """The space between two layers."""

    bundles: list[Bundle]

    @property
    def tracks(self) -> int:
        """How many level stretches lie above one another."""
        return max((b.track + 1 for b in self.bundles if b.track is not None), default=0)


def channels_of(grid: Grid) -> list[Channel]:
    """The channels: the first below the lowest layer, then one above each layer."""
    found: list[dict[tuple[Block, bool], Bundle]] = [{} for _ in range(len(grid.layers) + 1)]

    def bundle(rank: int, wire: Block, falls: bool) -> Bundle:
        return found[rank + 1].setdefault((wire, falls), Bundle(wire))

    for link in grid.links:
        ends = bundle(link.low.rank, link.wire, link.low.is_loop).ends
        low = End(link.low.x, True, link.low, link.is_loop)
        high = End(link.high.x + link.offset, False, link.high, link.is_loop)
        first, second = (high, low) if link.low.is_loop else (low, high)
        if not any(end.item is first.item for end in ends):
            ends.append(first)
        ends.append(second)
    for loop in grid.loops:
        assert loop.source.block is not None
        assert loop.memory.block is not None
        top = bundle(loop.source.rank, loop.source.block, False)
        if not top.ends:
            top.ends.append(End(loop.source.x, True, loop.source))
        top.ends.append(End(loop.down[0].x, True, loop.down[0], True))
        into = (loop.memory.block, True)
        bottom = found[loop.memory.rank].setdefault(into, Bundle(top.wire))
        bottom.ends.append(End(loop.down[-1].x, False, loop.down[-1], True))
        bottom.ends.append(End(loop.memory.x, False, loop.memory, True))
    channels = [Channel(list(bundles.values())) for bundles in found]
    for channel in channels:
        _assign_tracks(channel)
    return channels


def _assign_tracks(channel: Channel) -> None:
    """Give the level stretches their order, so that few wires cross and none lie on another."""
    level = [bundle for bundle in channel.bundles if not _is_straight(bundle)]
    order = _best_order(level)
    tracks: dict[Bundle, int] = {}
    for number, one in enumerate(order):
        below = [other for other in order[:number] if _meet(one, other)]
        tracks[one] = max((tracks[other] + 1 for other in below), default=0)
        one.track = tracks[one]


def _is_straight(bundle: Bundle) -> bool:
    return bundle.span[1] - bundle.span[0] < 0.01


def _meet(one: Bundle, other: Bundle) -> bool:
    (a, b), (c, d) = one.span, other.span
    return a - _NEAR < d and c - _NEAR < b


def _best_order(level: list[Bundle]) -> list[Bundle]:
    """From below to above."""
    price: dict[tuple[Bundle, Bundle], float] = {
        (low, high): _price(low, high) for low, high in permutations(level, 2)
    }
    order: list[Bundle] = []
    for one in sorted(level, key=lambda b: b.span[1] - b.span[0]):
        places = range(len(order) + 1)

        def cost(place: int, one: Bundle = one) -> float:
            above = sum(price[one, other] for other in order[place:])
            return above + sum(price[other, one] for other in order[:place])

        order.insert(min(places, key=cost), one)
    gained = True
    while gained:
        gained = False
        for k in range(len(order) - 1):
            low, high = order[k], order[k + 1]
            if price[high, low] < price[low, high]:
                order[k : k + 2] = [high, low]
                gained = True
    return order


def _price(low: Bundle, high: Bundle) -> float:
    """The cost of having `low` below `high`: crossings, and wires that would lie on one another."""
    found = 0.0
    by_side: dict[bool, list[float]] = defaultdict(list)
    for end in low.ends:
        by_side[end.is_low].append(end.x)
        if not end.is_low:  # rises through the upper stretch
            found += high.span[0] < end.x < high.span[1]
    for end in high.ends:
        if end.is_low:  # falls through the lower stretch
            found += low.span[0] < end.x < low.span[1]
            found += sum(50.0 for x in by_side[False] if abs(x - end.x) < _NEAR)
    return found
