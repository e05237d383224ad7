"""Where everything stands that goes from one function of a step to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cello.engines.gpu.addresses import Addresses
from cello.engines.gpu.stepwise.passes import JoinedProduct, Pass, dots_of
from cello.program.kernel.nodes import Load, Node, TermSum, whole_of, within_whole

__all__ = ["StepMemory"]


@dataclass(eq=False)
class StepMemory(Addresses):
    """Where everything stands.

    Besides the rows of all steps, `own`, there is a memory of one step, `now`: what is made and
    read within the step. The states before the step and after it have two memories that change
    places after each step.

    Attributes:
        passes: of each phase.
        brief: the nodes whose place is in `now`.
        products: the sums with products, each with the first number of its block.
        now_width: numbers of a row of `now`.
    """

    passes: dict[str, list[Pass]] = field(default_factory=dict)
    brief: set[Node] = field(default_factory=set)
    products: dict[TermSum, int] = field(default_factory=dict)
    now_width: int = 0

    @property
    def first(self) -> str:
        """The function that has the states at hand: they stand in memory, before all functions."""
        return "states"

    def phase_of(self, function: str) -> str:
        """The phase that a function is of."""
        return "loop" if function in (self.first, "begin") else function.partition("_")[0]

    def last_of(self, node: Node) -> str:
        """The function that makes a new state of the node: that which computes it, or the last."""
        function = self.phase.get(node, "")
        loop = self.functions_of("loop")
        return function if function in loop else loop[-1]

    def functions_of(self, phase: str) -> list[str]:
        """The functions of a phase."""
        return [one.name for one in self.passes[phase]]

    def lay_out(self) -> None:
        """Give products, and what must stand in memory, a place."""
        readers: dict[Node, set[str]] = {}
        for node, function in self.read_from_memory():
            if node not in self.arrays:
                readers.setdefault(node, set()).add(self.phase_of(function))
        self.brief = {
            node
            for node, phases in readers.items()
            if phases == {"loop"} and self.phase_of(self.phase.get(node, "loop")) == "loop"
        }
        for phase, passes in self.passes.items():
            for product in (product for one in passes for product in one.products):
                self._lay_out_product(product, phase == "loop", readers)
        for node in readers:
            if node not in self.own:
                self.own[node] = self._room(node.length, brief=node in self.brief)

    def _lay_out_product(
        self, product: JoinedProduct, brief: bool, readers: Iterable[Node]
    ) -> None:
        """A block for the products; a sum of all steps that is kept takes its products' place."""
        start = self._room(product.length, brief=brief)
        for node in product.sums:
            self.products[node] = start
            if node in readers and not brief:
                self.own[node] = start
            start += node.length

    def _room(self, length: int, *, brief: bool) -> int:
        start = self.now_width if brief else self.width
        if brief:
            self.now_width += length
        else:
            self.width += length
        return start

    def read_from_memory(self) -> Iterable[tuple[Node, str]]:
        """What must stand in memory: the factors of products too."""
        yield from super().read_from_memory()
        for one in (one for passes in self.passes.values() for one in passes):
            for product in one.products:
                for dot in (dot for node in product.sums for dot in dots_of(node)):
                    yield from self.needed(dot.arg, one.name, by_feature=False)

    @property
    def has_rows(self) -> bool:
        """Whether anything stands in memory of the loop's own."""
        return self.width + self.now_width > 0

    def needed(
        self, node: Node, phase: str, *, by_feature: bool = True
    ) -> Iterable[tuple[Node, str]]:
        """What must stand in memory; the states before a step do while the step is computed."""
        if not (self.is_chained(whole_of(node)) and self.phase_of(phase) == "loop"):
            yield from super().needed(node, phase, by_feature=by_feature)

    # ------------------------------------------------------------ addresses

    def product(self, node: TermSum) -> tuple[str, int]:
        """Where the products of a sum stand."""
        brief = self.phase_of(self.phase[node]) == "loop"
        return ("p_now + seq * NOW" if brief else "p_own + row * OWN"), self.products[node]

    def previous(self, node: Load) -> tuple[str, int]:
        """Where a state stands before the step."""
        state = node.array.name
        return f"{self.pointer('prev', state)} + seq * {self.plan.kernel.states[state]}", node.start

    def address(self, node: Node) -> tuple[str, int]:
        """Where a row of a node stands, and its first feature."""
        if node in self.brief:
            return "p_now + seq * NOW", self.own[node]
        return super().address(node)

    # ------------------------------------------------------------ the same for products

    def view(self, node: Node, phase: str) -> tuple[str, str, int]:
        """The memory in which a factor stands, whose rows those are, and its first column.

        The memory is "own", "now" or the name of a pointer; the rows are those of the step ("row"),
        of sequences ("seq"), or one that counts for all ("").
        """
        part, start = within_whole(node)
        if self.is_chained(part) and phase == "loop":
            assert isinstance(part, Load)
            return self.pointer("prev", part.array.name), "seq", start + part.start
        base, first = self.address(part)
        pointer, _, rows = base.partition(" + ")
        every = "* 0" in rows
        return pointer, "" if every else rows.partition(" ")[0], start + first
