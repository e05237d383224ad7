"""The states of a loop: blocks that stay in registers from step to step."""

from __future__ import annotations

from dataclasses import dataclass

from cello.engines.gpu.addresses import pieces_of
from cello.engines.gpu.phase import Phase
from cello.program.kernel.nodes import Load, Node

__all__ = ["States"]


@dataclass(frozen=True)
class _Piece:
    """A part of a state: its first feature, the block that holds it, what it becomes."""

    state: str
    start: int
    node: Node
    name: str

    @property
    def length(self) -> int:
        return self.node.length


class States:
    """Reads the states at the beginning, hands them on, and leaves them at the end."""

    def __init__(self, phase: Phase) -> None:
        self.phase, self.memory, self.kernel = phase, phase.memory, phase.kernel
        self.backward = self.kernel.name == "backward"
        self.tail: list[str] = []
        self.pieces = [
            _Piece(state, start, node, phase.new_name(f"{state}_last"))
            for state, pieces in pieces_of(self.kernel).items()
            for start, node in pieces
        ]

    def begin(self) -> None:
        """Before the first step, and at the beginning of each."""
        head, phase = self.phase.head, self.phase
        for piece in self.pieces:
            kind = "grad_final" if self.backward else "start"
            block = phase.loaded((self._row(kind, piece.state), piece.start), piece.length, "rows")
            head.append(f"{piece.name} = {block}")
            if self.backward:
                head.append(f"{piece.name}_begun = {phase.zeros(piece.length)}")
        at_hand: dict[tuple[str, int, int], str] = {}
        for piece in self.pieces:
            now = piece.name
            if not self.backward:
                now = phase.new_name(f"{piece.state}_prev")
                phase.body.append(f"{now} = {piece.name}")
                phase.put_in_place(now, piece.state, piece.start, piece.length)
            at_hand[piece.state, piece.start, piece.length] = now
        self._read(at_hand)

    def _read(self, at_hand: dict[tuple[str, int, int], str]) -> None:
        """What the nodes read of the states, in the pieces that they read."""
        phase, split = self.phase, set[str]()
        loads = [n for n in self.kernel.nodes if isinstance(n, Load) and self.memory.is_chained(n)]
        for node in loads:
            name = at_hand.get((node.array.name, node.start, node.length))
            if name is not None:
                phase.names[node] = name
            else:
                split.add(node.array.name)
        for (state, start, length), name in at_hand.items():
            if state in split:
                place = phase.place((self._apart(state), start), length)
                value = phase.full(name, length)
                phase.body.append(f"tl.store({place}, {value}, mask={phase.mask(length)})")
        if split:
            phase.body.append("tl.debug_barrier()")
        for node in loads:
            if node not in phase.names:
                name = phase.new_name(f"{node.array.name}_part")
                block = phase.loaded((self._apart(node.array.name), node.start), node.length)
                phase.body.append(f"{name} = {block}")
                phase.names[node] = name
            phase.keep(node)

    def _apart(self, state: str) -> str:
        """Addresses for a state that is read in other pieces than those it is made of: its end."""
        return self._row("grad_start" if self.backward else "final", state)

    def end(self) -> None:
        """At the end of each step, and after the last."""
        phase, body = self.phase, self.phase.body
        new = [phase.new_name(f"{piece.state}_new") for piece in self.pieces]
        for piece, name in zip(self.pieces, new, strict=True):
            value = phase.full(phase.value(piece.node), piece.length)
            body.append(f"{name} = tl.where(active, {value}, {piece.name})")
        for piece, name in zip(self.pieces, new, strict=True):
            if self.backward:
                begun = f"{piece.name}_begun += tl.where(active & resets, {name}, 0.0)"
                phase.cut_off(name, piece.state, piece.start, piece.length, [begun])
            body.append(f"{piece.name} = {name}")
        for piece in self.pieces:
            self._leave("grad_start" if self.backward else "final", piece, piece.name)
            if self.backward:
                self.tail.append("if RESETS:")
                self._leave("grad_initial", piece, f"{piece.name}_begun", "    ")

    def _leave(self, kind: str, piece: _Piece, name: str, indent: str = "") -> None:
        place = self.phase.place((self._row(kind, piece.state), piece.start), piece.length)
        mask = self.phase.mask(piece.length, "rows")
        self.tail.append(f"{indent}tl.store({place}, {name}, mask={mask})")

    def _row(self, kind: str, state: str) -> str:
        return f"{self.memory.pointer(kind, state)} + seq * {self.kernel.states[state]}"
