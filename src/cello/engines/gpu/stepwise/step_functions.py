"""The Triton functions of one step: what is between its products, for all rows that have it."""

from __future__ import annotations

from cello.engines.gpu.addresses import pieces_of
from cello.engines.gpu.phase import Phase
from cello.engines.gpu.stepwise.memory import StepMemory
from cello.engines.gpu.stepwise.passes import Pass, dots_of
from cello.program.kernel.nodes import Dot, Load, Node, TermSum, within_whole

__all__ = ["StepPhase"]


class StepPhase(Phase):
    """One function: it finds products in memory, and states before and after the step."""

    memory: StepMemory

    def __init__(self, name: str, memory: StepMemory, feedback: str | None) -> None:
        super().__init__(name, memory, feedback)
        self.backward = self.kernel.name == "backward"
        self.in_loop = memory.phase_of(name) == "loop"

    def write(self, one: Pass) -> None:
        """All that the function does."""
        for factor in one.factors:
            self.address(factor)
        if self.in_loop and one.name == self.memory.functions_of("loop")[0]:
            for node in self.memory.own:
                if self.memory.is_chained(node):  # read after the loop
                    self.keep(node)
        self.compute()
        if self.in_loop:
            self._leave_states()

    def begin(self) -> None:
        """States before a step where something else takes their place: resets, known outputs."""
        for state, size in self.kernel.states.items():
            name = self.new_name(f"{state}_prev")
            place = (f"{self.memory.pointer('prev', state)} + seq * {size}", 0)
            self.body.append(f"{name} = {self.loaded(place, size)}")
            self.put_in_place(name, state, 0, size)
            self.body.append(f"tl.store({self.place(place, size)}, {name}, mask={self.mask(size)})")

    def address(self, node: Node) -> tuple[str, int]:
        """Where a node stands; states before the step have memory of their own."""
        found, start = within_whole(node)
        if self.in_loop and self.memory.is_chained(found):
            assert isinstance(found, Load)
            base, first = self.memory.previous(found)
            return base, start + first
        return super().address(node)

    def summed(self, node: TermSum) -> str:
        """A sum, with products that are there."""
        terms = [self.value(term) for term in node.terms if not isinstance(term, Dot)]
        if dots_of(node):
            terms.insert(0, self.loaded(self.memory.product(node), node.length))
        return " + ".join(terms)

    def _leave_states(self) -> None:
        """The states after the step; of a row that does not have it, those before."""
        for state, pieces in pieces_of(self.kernel).items():
            for start, node in pieces:
                if self.memory.last_of(node) == self.name:
                    self._leave(state, start, node)

    def _leave(self, state: str, start: int, node: Node) -> None:
        length, size = node.length, self.kernel.states[state]
        name = self.new_name(f"{state}_new")
        before = (f"{self.memory.pointer('prev', state)} + seq * {size}", start)
        value = self.full(self.value(node), length)
        stays = self.loaded(before, length, "rows")
        self.body.append(f"{name} = tl.where(active, {value}, {stays})")
        if self.backward:
            self.cut_off(name, state, start, length, self._begun(name, state, start, length))
        after = (f"{self.memory.pointer('next', state)} + seq * {size}", start)
        place, mask = self.place(after, length), self.mask(length, "rows")
        self.body.append(f"tl.store({place}, {name}, mask={mask})")

    def _begun(self, name: str, state: str, start: int, length: int) -> list[str]:
        """Add to the cotangent of the state that resets go back to."""
        base = f"{self.memory.pointer('grad_initial', state)} + seq * {self.kernel.states[state]}"
        place, mask = self.place((base, start), length), self.mask(length, "active & resets")
        so_far = self.loaded((base, start), length, "active & resets")
        return [f"tl.store({place}, {so_far} + {name}, mask={mask})"]
