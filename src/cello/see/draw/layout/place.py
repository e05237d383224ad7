"""Where each item stands from left to right: wires run straight up where they can."""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter
from itertools import pairwise

from cello.see.draw.layout.grid import Grid, Item, Link, set_pins

__all__ = ["place_items"]

GAP = 16.0  # between two items of a layer
_ROUNDS = 60


def place_items(grid: Grid) -> None:
    """Give each item its `x`; the leftmost room begins at 0."""
    for layer in grid.layers:
        for item in layer:
            _sort_pins(grid, item)
    columns = _Columns(grid)
    columns.settle()
    for item, column in columns.of.items():
        item.x = columns.x[column] + columns.offset[item]
    left = min(item.x - item.shape.left for layer in grid.layers for item in layer)
    for layer in grid.layers:
        for item in layer:
            item.x -= left


def _sort_pins(grid: Grid, item: Item) -> None:
    """Let the wires arrive in the order in which they come."""
    if item.block is None or item.rank == 0 or item.block.kind == "memory":
        return
    place = {other: number for number, other in enumerate(grid.layers[item.rank - 1])}
    links = [link for link in grid.between(item.rank - 1) if link.high is item]
    links.sort(key=lambda link: place[link.low])
    set_pins(item, [link.wire for link in links])


class _Columns:
    """Items that stand exactly above one another, moved together.

    Attributes:
        of: the column of each item.
        offset: how far its middle is from where its column is.
        x: where each column is.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        items = [item for layer in grid.layers for item in layer]
        self.of = {item: number for number, item in enumerate(items)}
        self.offset = dict.fromkeys(items, 0.0)
        self._join()
        self.pulls = self._pulls()
        self.room = self._room()
        self.x: dict[int, float] = {}

    def _join(self) -> None:
        """Make columns of what is connected, the most important wires first."""
        taken: set[tuple[Item, bool]] = set()
        kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
        place = {i: n for layer in self.grid.layers for n, i in enumerate(layer)}
        for link in sorted(self.grid.links, key=_weight, reverse=True):
            low, high = place[link.low], place[link.high]
            ends = (link.low, True), (link.high, False)
            crosses = any((a - low) * (b - high) <= 0 for a, b in kept[link.low.rank])
            if crosses or taken.intersection(ends) or self.of[link.low] == self.of[link.high]:
                continue
            if self._is_half(link):  # between the two stands what they share
                continue
            taken.update(ends)
            kept[link.low.rank].append((low, high))
            shift = self.offset[link.low] - link.offset - self.offset[link.high]
            joined, gone = self.of[link.low], self.of[link.high]
            for item in [item for item, column in self.of.items() if column == gone]:
                self.of[item] = joined
                self.offset[item] += shift

    def _is_half(self, link: Link) -> bool:
        """Whether it leads to, or comes from, one of two layers that run in both directions."""
        low, high = link.low.block, link.high.block
        if low is None or high is None:
            return False
        if high.kind == "layer":
            beside = self.grid.between(link.low.rank)
            ends = [k.high for k in beside if k.low is link.low and k.high.block is not None]
            return len(ends) > 1
        return [block.kind for block in high.inputs] == ["layer", "layer"]

    def _room(self) -> dict[int, dict[int, float]]:
        """For each column, how far those to the right of it must keep away."""
        room: dict[int, dict[int, float]] = {column: {} for column in set(self.of.values())}
        for layer in self.grid.layers:
            for left, right in pairwise(layer):
                a, b = self.of[left], self.of[right]
                apart = left.shape.right + right.shape.left + _gap(left, right)
                apart += self.offset[left] - self.offset[right]
                room[a][b] = max(apart, room[a].get(b, -1e9))
        return room

    def _pulls(self) -> dict[int, list[tuple[int, float, float]]]:
        """For each column: others that it is connected to, the shift wanted, the weight."""
        pulls: dict[int, list[tuple[int, float, float]]] = defaultdict(list)

        def pull(one: Item, other: Item, shift: float, weight: float) -> None:
            a, b = self.of[one], self.of[other]
            if a != b:
                apart = self.offset[other] - self.offset[one] + shift
                pulls[a].append((b, apart, weight))
                pulls[b].append((a, -apart, weight))

        for link in self.grid.links:
            pull(link.low, link.high, link.offset, _weight(link))
        for loop in self.grid.loops:
            pull(loop.source, loop.down[0], 0.0, 0.5)
            pull(loop.memory, loop.down[-1], 0.0, 0.5)
        return pulls

    def settle(self) -> None:
        """Begin between the leftmost and the rightmost places, then follow the pulls."""
        order = self._order()
        left, right = self._pushed(order), self._pulled(order)
        self.x = {column: (left[column] + right[column]) / 2 for column in order}
        before: dict[int, dict[int, float]] = defaultdict(dict)
        for a, others in self.room.items():
            for b, apart in others.items():
                before[b][a] = apart
        for number in range(_ROUNDS):
            for column in order if number % 2 else reversed(order):
                low = max((self.x[a] + d for a, d in before[column].items()), default=-1e9)
                high = min((self.x[b] - d for b, d in self.room[column].items()), default=1e9)
                wanted = self._wanted(column)
                if wanted is not None:
                    self.x[column] = max(low, min(high, wanted))

    def _wanted(self, column: int) -> float | None:
        """The weighted median of where the pulls lead."""
        pulls = sorted(
            (self.x[other] + apart, weight) for other, apart, weight in self.pulls[column]
        )
        half, total = sum(weight for _, weight in pulls) / 2, 0.0
        for number, (where, weight) in enumerate(pulls):
            total += weight
            if total > half:
                return where
            if total == half:
                return (where + pulls[number + 1][0]) / 2
        return None

    def _order(self) -> list[int]:
        """The columns, each after all to the left of it."""
        sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(self.room, ()))
        for column, others in self.room.items():
            for other in others:
                sorter.add(other, column)
        return list(sorter.static_order())

    def _pushed(self, order: list[int]) -> dict[int, float]:
        x = dict.fromkeys(order, 0.0)
        for column in order:
            for other, apart in self.room[column].items():
                x[other] = max(x[other], x[column] + apart)
        return x

    def _pulled(self, order: list[int]) -> dict[int, float]:
        x = dict.fromkeys(order, max(self._pushed(order).values()))
        for column in reversed(order):
            for other, apart in self.room[column].items():
                x[column] = min(x[column], x[other] - apart)
        return x


def _gap(left: Item, right: Item) -> float:
    return GAP if left.block and right.block else 8.0


def _weight(link: Link) -> float:
    """How much it matters that this wire is straight."""
    if link.low.block is None and link.high.block is None:
        return 8.0
    if link.high.block is None or link.low.block is None:
        return 2.0
    return 4.0 if link.offset == 0 else 1.0
