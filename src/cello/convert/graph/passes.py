"""A graph as passes over a sequence, one step after the other, forward and backward in turn.

Which nodes run so stands in no table of functions: the graph is run on whole sequences, and each
pass one step after the other, and what a pass leaves is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from cello.convert.graph.one_pass import DiffersError, GivenSteps, OnePass
from cello.convert.graph.whole_run import WholeRun
from cello.errors import ConversionError
from cello.layers import Recurrent

__all__ = ["Passes"]


class Passes:
    """The passes of a graph whose layers read in one direction each.

    Args:
        run: of the graph on whole sequences.
        tables: the nodes that read ids; the passes are given what they make of them.
        several: whether more than one pass may be made.
    """

    def __init__(self, run: WholeRun, tables: Sequence[int], *, several: bool) -> None:
        self.run, self.tables, self.several = run, list(tables), several
        self.net = run.net

    def layers(self) -> list[Recurrent]:
        """The passes, each a layer whose input and output have the values side by side.

        Raises:
            ConversionError: there are none that give the same; names the node.
        """
        later: set[int] = set()
        while True:
            try:
                return self._made(self._numbers(later))
            except DiffersError as error:
                (place,) = error.args
                if not self.several or place in later or self.run.layer(place) is not None:
                    raise ConversionError(
                        f"{self.net.node_name(place)} gives something else one step at a time: it "
                        "looks at other steps than those up to its own, or keeps a state that is "
                        "not a layer's"
                    ) from None
                later.add(place)  # for the pass after, which reads the other way round

    # ------------------------------------------------------------ which node runs in which pass

    def _numbers(self, later: set[int]) -> list[int]:
        """The pass of each value, the first that it can be in; -1 for what is there before."""
        found = [-1] * self.net.inputs
        for place in range(self.net.inputs, len(self.run.values)):
            before = [found[value] for value in self.run.data(place) if value is not None]
            number = max([0, *before]) + (place in later)
            layer = self.run.layer(place)
            if layer is not None and layer.reverse != number % 2:
                number += 1
            found.append(-1 if place in self.tables else number)
        return found

    def _nodes(
        self, wanted: Sequence[int], number: int, of: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """The nodes that a pass computes, and the values that it takes from passes before."""
        nodes, enters, left = set[int](), set[int](), list(wanted)
        while left:
            value = left.pop()
            if value in nodes or value in enters:
                continue
            if of[value] < number and (value in self.run.moves or of[value] < 0):
                enters.add(value)
                continue
            nodes.add(value)
            left += [read for read in self.run.data(value) if read is not None]
        return sorted(nodes), sorted(enters)

    # ------------------------------------------------------------ the passes

    def _made(self, of: list[int]) -> list[Recurrent]:
        outputs = [place % len(self.run.values) for place in self.net.outputs]
        last = max(0, *(of[place] for place in outputs))
        layers = self._with(of, outputs, last)
        ends = [place for place in outputs if self.run.axes[place][0] is None and of[place] == last]
        if last % 2 and ends:  # which are right at the first step: one pass more has them at all
            layers = self._with(of, outputs, last + 1)
        return layers

    def _with(self, of: list[int], outputs: list[int], last: int) -> list[Recurrent]:
        """The passes up to this one."""
        plans = []
        leaves = outputs
        for number in range(last, -1, -1):
            nodes, enters = self._nodes(leaves, number, of)
            plans.append((number, nodes, leaves))
            leaves = enters
        given = self._first()
        layers = []
        for number, nodes, leaves in reversed(plans):
            made = OnePass(self.run, number, nodes, given, of)
            layers.append(made.layer(leaves))
            if number < last:
                given = made.given_on(leaves)
        return layers

    def _first(self) -> GivenSteps:
        """What the first pass is given: the inputs, or what tables make of them."""
        places = self.tables or list(range(self.net.inputs))
        whole = [self.run.values[place] for place in places]
        steps = [[x.narrow(self.run.time, t, 1) for x in whole] for t in range(self.run.steps)]
        return GivenSteps(places, [list(x.shape[2:]) for x in whole], steps)
