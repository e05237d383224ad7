"""The order of the items in each layer, so that few wires cross."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, permutations
from random import Random

from cello.see.draw.layout.grid import Grid, Item, Link

__all__ = ["sort_layers"]

_STARTS, _ROUNDS = 6, 2
_ENOUGH = 1500  # wires in all starts together: a large diagram gets fewer
_COLUMNS = 0.85  # what two blocks cost that stand in the wrong order, in crossings
_PATIENCE = 2e6  # pairs of wires to compare for a layer: a larger one is sorted by its wires alone

#: Where a loop turns: the block that it leaves or enters, and the end of its way down.
Turn = tuple[Item, Item]


def sort_layers(grid: Grid) -> None:
    """Sort each layer: by where the wires come from, then by exchanging what gains from it."""
    _Sorter(grid).run()


class _Sorter:
    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.channels = [grid.between(rank) for rank in range(len(grid.layers))]
        self.wires = {link: (id(link.wire), link.is_loop) for link in grid.links}
        blocks = [item.block for layer in grid.layers for item in layer if item.block]
        self.made = {block: number for number, block in enumerate(blocks)}
        self.leaving: dict[int, list[Turn]] = defaultdict(list)  # by the layer that they leave
        self.entering: dict[int, list[Turn]] = defaultdict(list)
        for loop in grid.loops:
            self.leaving[loop.source.rank].append((loop.source, loop.down[0]))
            self.entering[loop.memory.rank].append((loop.memory, loop.down[-1]))
        self.place: dict[Item, int] = {}
        items = [(i, i.block.column) for layer in grid.layers for i in layer if i.block]
        columns = [(item, column) for item, column in items if column is not None]
        self.pairs = [(a, b) for (a, m), (b, n) in permutations(columns, 2) if m < n]
        places = dict(columns)
        for layer in grid.layers:
            layer.sort(key=lambda item: places.get(item, 0))
        self.number_items()

    def number_items(self) -> None:
        for layer in self.grid.layers:
            self.renumber(layer)

    def run(self) -> None:
        best: tuple[float, list[list[Item]]] = (float("inf"), [])
        chance = Random(0)  # the same drawing each time
        for start in range(max(2, min(_STARTS, _ENOUGH // max(1, len(self.grid.links))))):
            if start == 1:
                self.alternate()
            elif start:
                for layer in self.grid.layers:
                    chance.shuffle(layer)
            self.number_items()
            for _ in range(_ROUNDS):
                self.sweep(upwards=True)
                self.sweep(upwards=False)
                self.exchange()
                cost = sum(self.cost(rank) for rank in range(-1, len(self.channels)))
                cost += self.out_of_columns()
                if cost < best[0]:
                    best = cost, [list(layer) for layer in self.grid.layers]
        self.grid.layers[:] = best[1]
        self.number_items()
        order = self.out_of_columns(), self.against_the_step()
        self.mirror()
        if order <= (self.out_of_columns(), self.against_the_step()):
            self.mirror()

    def mirror(self) -> None:
        for layer in self.grid.layers:
            layer.reverse()
        self.number_items()

    def out_of_columns(self) -> float:
        """What it costs that blocks do not stand in the order of their columns."""
        return _COLUMNS * sum(self.relative(a) > self.relative(b) for a, b in self.pairs)

    def alternate(self) -> None:
        """Let the loops run down in turns to the left and to the right."""
        for number, loop in enumerate(sorted(self.grid.loops, key=lambda loop: loop.memory.rank)):
            for item in (loop.memory, *loop.down):
                layer = self.grid.layers[item.rank]
                layer.remove(item)
                layer.insert(len(layer) if number % 2 else 0, item)

    def against_the_step(self) -> int:
        """How many pairs of blocks do not stand in the order in which the step makes them."""
        order = [[self.made[i.block] for i in layer if i.block] for layer in self.grid.layers]
        return sum(a > b for layer in order for a, b in combinations(layer, 2))

    def sweep(self, *, upwards: bool) -> None:
        layers = self.grid.layers
        for rank in range(len(layers)) if upwards else reversed(range(len(layers))):
            near: dict[Item, list[float]] = {}
            for link in self.channels[rank - 1 if upwards else rank]:
                here, there = (link.high, link.low) if upwards else (link.low, link.high)
                if here.rank == rank:
                    near.setdefault(here, []).append(self.relative(there))
            middle = {i: sum(near[i]) / len(near[i]) for i in near}
            wanted = {item: middle.get(item, self.relative(item)) for item in layers[rank]}
            layers[rank].sort(key=wanted.__getitem__)
            self.number_items()

    def relative(self, item: Item) -> float:
        """Where the item is in its layer, from 0 to 1."""
        return (self.place[item] + 0.5) / len(self.grid.layers[item.rank])

    def exchange(self) -> None:
        """Move single items for as long as that saves crossings."""
        for _ in range(6):
            gained = False
            for rank, layer in enumerate(self.grid.layers):
                wires = len(self.channels[rank]) + (len(self.channels[rank - 1]) if rank else 0)
                if (len(layer) * wires) ** 2 < _PATIENCE:
                    for item in list(layer):
                        gained |= self.move(rank, item)
            if not gained:
                return

    def move(self, rank: int, item: Item) -> bool:
        """Put the item where it is best in its layer."""
        layer = self.grid.layers[rank]
        before = list(layer)
        rest = [other for other in before if other is not item]
        crossed = self.crossings_by_order(rank)
        crossings = sum(crossed[item, other] for other in rest)
        costs = []
        for place in range(len(before)):
            if place:
                passed = rest[place - 1]
                crossings += crossed[passed, item] - crossed[item, passed]
            layer[:] = [*rest[:place], item, *rest[place:]]
            self.renumber(layer)
            bends = self.bends(rank - 1) + self.bends(rank)
            costs.append(crossings + bends + self.out_of_columns())
        here = best = before.index(item)
        for place, cost in enumerate(costs):
            if cost < costs[best] - 1e-9:
                best = place
        layer[:] = [*rest[:best], item, *rest[best:]]
        self.renumber(layer)
        return best != here

    def renumber(self, layer: list[Item]) -> None:
        self.place.update((item, number) for number, item in enumerate(layer))

    def above(self, rank: int) -> list[Link]:
        """The wires in the space above this layer; below the first, of rank -1, there are none."""
        return self.channels[rank] if rank >= 0 else []

    def crossings_by_order(self, rank: int) -> dict[tuple[Item, Item], float]:
        """How much the wires of each two items of a layer cross if the first one stands left."""
        found: dict[tuple[Item, Item], float] = defaultdict(float)
        down = [(link.high, self.place[link.low], link) for link in self.above(rank - 1)]
        up = [(link.low, self.place[link.high], link) for link in self.above(rank)]
        for ends in (down, up):
            for (a, b, link), (c, d, other) in permutations(ends, 2):
                if b > d:
                    found[a, c] += self.crossing(link, other)
        return found

    def crossing(self, link: Link, other: Link) -> float:
        """What it costs that two wires cross."""
        if self.wires[link] == self.wires[other]:
            return 0.0
        return 1.5 if _passes(link) and _passes(other) else 1.0

    def cost(self, rank: int) -> float:
        """Of the space above this layer."""
        ends = [(self.place[k.low], self.place[k.high], k) for k in self.above(rank)]
        crossings = sum(
            self.crossing(link, other)
            for (a, b, link), (c, d, other) in combinations(ends, 2)
            if (a - c) * (b - d) < 0
        )
        return crossings + self.bends(rank)

    def bends(self, rank: int) -> float:
        """Of the space above this layer: where loops turn, and wires that are not upright."""
        links = self.above(rank)
        slant = sum(abs(self.relative(k.low) - self.relative(k.high)) for k in links)
        return 0.02 * slant + self.of_loops(rank, links)

    def of_loops(self, rank: int, links: list[Link]) -> float:
        """The crossings of loops where they turn: above the layer `rank` and below the next."""
        found = 0.0
        for turns, below in ((self.leaving[rank], False), (self.entering[rank + 1], True)):
            for block, end in turns:
                wire = None if below else end.wire
                others = [k.high if below else k.low for k in links if k.wire is not wire]
                found += self.passed(block, end, others, turns)
        return found

    def passed(self, item: Item, end: Item, others: list[Item], turns: list[Turn]) -> float:
        low, high = sorted((self.place[item], self.place[end]))
        inside = sum(low < self.place[other] < high for other in others)
        for a, b in turns:  # loops side by side turn one inside of the other
            if b is not end:
                inside += (low < self.place[a] < high) != (low < self.place[b] < high)
        return inside + 0.05 * (high - low)


def _passes(link: Link) -> bool:
    """Whether it is a stretch of a long wire, which should be straight."""
    return link.low.block is None and link.high.block is None
