"""RNN, LSTM and GRU, recognised: which of them a step is, seen from its equations alone.

A step is one of them where its traced equations are, whatever the cell is called and in whatever
order sums and products stand. What libraries do not share is said in words of ours: z is what is
kept, each gate has its rows by name, and the reset acts before or after the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cello.convert.recurrence.activation_match import activated
from cello.convert.recurrence.vectors import Step
from cello.program.kernel.nodes import Apply, Constant, Dot, Load, Node, Shared

__all__ = ["GATE_ORDERS", "Gate", "Recurrence", "recurrence_of"]

#: How libraries stack the gates, by the kind of cell.
GATE_ORDERS = {
    "PyTorch": {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"},
    "ONNX": {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"},
    "Keras": {"RNN": "h", "LSTM": "ifgo", "GRU": "zrn"},
}


@dataclass
class Gate:
    """What drives a gate: W x + R h₋ + b.

    Attributes:
        W: [H, I].
        R: [H, H], or [H, projection].
        b: [H]; None where nothing is added.
    """

    W: Tensor
    R: Tensor
    b: Tensor | None


@dataclass
class Recurrence:
    """A cell as everybody else's layers have it.

    Attributes:
        kind: "RNN", "LSTM" or "GRU".
        states: the cell's states in the order h, c.
        gates: by name; "h" of an RNN, i f g o of an LSTM, r z n of a GRU, whose z keeps.
        activations: by role: `activation`, of a gated one `gate_activation`, and of an LSTM
            `output_activation`; the names are those of `cello.cells.ACTIVATIONS`.
        peepholes: [H] each, of i, f and o; empty without.
        projection: [projection, H] of an LSTM; None without.
        reset_after: of a GRU, whether the reset acts after the product with R.
        d: [H], what such a GRU adds to that product; None where nothing is added.
    """

    kind: str
    states: tuple[str, ...]
    gates: dict[str, Gate]
    activations: dict[str, str]
    peepholes: dict[str, Tensor] = field(default_factory=dict)
    projection: Tensor | None = None
    reset_after: bool = True
    d: Tensor | None = None

    @property
    def input_size(self) -> int:
        """Features of an input."""
        return self._first.W.shape[1]

    @property
    def hidden_size(self) -> int:
        """Units."""
        return self._first.W.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of all numbers."""
        return self._first.W.dtype

    @property
    def has_bias(self) -> bool:
        """Whether anything is added anywhere."""
        return self.d is not None or any(gate.b is not None for gate in self.gates.values())

    @property
    def recurrent_bias(self) -> Tensor:
        """What is added to the products with R, the candidate of a GRU as the last gate."""
        bias = self._first.W.new_zeros(len(self.gates) * self.hidden_size)
        if self.d is not None:
            bias[-self.hidden_size :] = self.d
        return bias

    @property
    def _first(self) -> Gate:
        return next(iter(self.gates.values()))

    def stacked(self, order: str) -> tuple[Tensor, Tensor, Tensor]:
        """W, R and b with the gates one below the other in this order, as "ifgo"."""
        gates = [self.gates[name] for name in order]
        zero = self._first.W.new_zeros(self.hidden_size)
        return (
            torch.cat([gate.W for gate in gates]),
            torch.cat([gate.R for gate in gates]),
            torch.cat([zero if gate.b is None else gate.b for gate in gates]),
        )


def recurrence_of(step: Step) -> Recurrence | None:
    """The recurrence that `step` is; None if it is none of the three.

    >>> from cello.cells import LSTMCell
    >>> found = recurrence_of(Step(LSTMCell(3, 4, peephole=True), "net"))
    >>> found.kind, list(found.peepholes)
    ('LSTM', ['i', 'f', 'o'])
    """
    if len(step.output) != 1 or any(len(nodes) != 1 for nodes in step.next_state.values()):
        return None
    names = tuple(step.next_state)
    orders = {1: [names], 2: [names, names[::-1]]}.get(len(names), [])
    for order in orders:
        new = [step.next_state[name][0] for name in order]
        if new[0] is not step.output[0]:
            continue
        match = _Match(step, order)
        found = match.lstm(*new) if len(new) == 2 else match.rnn(*new) or match.gru(*new)
        if found is not None:
            return found
    return None


@dataclass
class _Affine:
    """A sum: products with x and with h, numbers, and factors of other vectors."""

    of_x: Tensor | None = None
    of_h: Tensor | None = None
    bias: Tensor | None = None
    factors: dict[Node, Tensor] = field(default_factory=dict)

    def negative(self) -> _Affine:
        """What must be added to get 0, of a sum without factors."""
        x, h, bias = (t if t is None else -t for t in (self.of_x, self.of_h, self.bias))
        return _Affine(x, h, bias)


class _Match:
    """Looks for the equations of each in a step."""

    def __init__(self, step: Step, states: tuple[str, ...]) -> None:
        self.step, self.states = step, states
        self.outputs = step.next_state[states[0]][0].length
        self.size = step.next_state[states[-1]][0].length
        loads = [node for node in step.needed if isinstance(node, Load)]
        whole = [node for node in loads if node.start == 0 and node.length == node.array.width]
        found = {(node.array.kind, node.array.name): node for node in whole}
        self.x = found.get(("x", ""))
        self.before = [found.get(("prev", name)) for name in states]

    # ------------------------------------------------------------ the three

    def rnn(self, h: Node) -> Recurrence | None:
        for name, sum_ in self._driven(h):
            if not sum_.factors:
                return Recurrence("RNN", self.states, self._gates(h=sum_), {"activation": name})
        return None

    def lstm(self, h: Node, c: Node) -> Recurrence | None:
        projection = None
        if isinstance(h, Dot):
            projection, h = self.step.matrix(h).T, h.arg
        for o, shown in _pairs(h, "mul"):
            last = next((name for name, inner in activated(shown) if inner is c), None)
            if last is None:
                continue
            for new, kept in _pairs(c, "add"):
                for i, g in _pairs(new, "mul"):
                    for f, before in _pairs(kept, "mul"):
                        if before is self.before[1] and before is not None:
                            made = self._lstm((i, f, g, o), before, c)
                            if made is not None:
                                made.projection = projection
                                made.activations["output_activation"] = last
                                return made
        return None

    def _lstm(self, nodes: Sequence[Node], before: Node, c: Node) -> Recurrence | None:
        seen = (before, before, None, c)  # what each gate may look at
        sums: dict[str, _Affine] = {}
        names: dict[str, str] = {}
        for gate, node, peephole in zip("ifgo", nodes, seen, strict=True):
            for name, sum_ in self._driven(node):
                if set(sum_.factors) <= {peephole}:
                    sums[gate], names[gate] = sum_, name
                    break
            else:
                return None
        if len({names[gate] for gate in "ifo"}) > 1:
            return None
        peepholes = {}
        if any(sum_.factors for sum_ in sums.values()):
            peepholes = {
                gate: self._full(next(iter(sums[gate].factors.values()), None)) for gate in "ifo"
            }
        roles = {"gate_activation": names["i"], "activation": names["g"]}
        return Recurrence("LSTM", self.states, self._gates(**sums), roles, peepholes)

    def gru(self, h: Node) -> Recurrence | None:
        for z, n, keeps in self._mixtures(h):
            for name, gate in self._driven(z):
                if gate.factors or not (keeps or name in _ODD):
                    continue
                if not keeps:  # z is what is let in: 1 − σ(a) = σ(−a)
                    gate = gate.negative()
                for activation, inner in activated(n):
                    found = self._reset_after(inner, name) or self._reset_before(inner, name)
                    if found is None:
                        continue
                    r, new, after, d = found
                    roles = {"gate_activation": name, "activation": activation}
                    gates = self._gates(r=r, z=gate, n=new)
                    made = Recurrence("GRU", self.states, gates, roles, reset_after=after)
                    made.d = None if d is None else self._full(d)
                    return made
        return None

    def _mixtures(self, h: Node) -> Iterator[tuple[Node, Node, bool]]:
        """(z, n, whether z is what is kept) of h = (1 − z) n + z h₋ in any of its forms."""
        old = self.before[0]
        for first, second in _pairs(h, "add"):
            for z, kept in _pairs(second, "mul"):
                for share, n in _pairs(first, "mul"):
                    if kept is old and _left_of(share) is z:
                        yield z, n, True
                    if kept is old and _left_of(z) is share:
                        yield share, n, False
                if _is_call(kept, "sub"):
                    a, b = kept.inputs
                    if a is old and b is first:
                        yield z, first, True
                    if b is old and first is old:
                        yield z, a, False

    def _reset_after(self, inner: Node, gate: str) -> _Candidate | None:
        """W x + b + r ⊙ (R h + d)."""
        others: list[Node] = []
        rest: list[Node] = []
        for term in _terms(inner):
            (others if _is_call(term, "mul") else rest).append(term)
        if len(others) != 1:
            return None
        outer = self._sum(rest)
        for r, product in _pairs(others[0], "mul"):
            reset, new = self._reset(r, gate), self.affine(product)
            if not (reset and new and outer) or new.factors or outer.factors:
                continue
            if not _any(new.of_x) and not _any(outer.of_h):
                return reset, _Affine(outer.of_x, new.of_h, outer.bias), True, new.bias
        return None

    def _reset_before(self, inner: Node, gate: str) -> _Candidate | None:
        """W x + b + R (r ⊙ h)."""
        dots = [t for t in _terms(inner) if isinstance(t, Dot) and _is_call(t.arg, "mul")]
        if len(dots) != 1:
            return None
        outer = self._sum([term for term in _terms(inner) if term is not dots[0]])
        for r, before in _pairs(dots[0].arg, "mul"):
            reset = self._reset(r, gate)
            if not reset or not outer or outer.factors:
                continue
            if before is self.before[0] and not _any(outer.of_h):
                of_h = self.step.matrix(dots[0])
                return reset, _Affine(outer.of_x, of_h, outer.bias), False, None
        return None

    def _reset(self, r: Node, gate: str) -> _Affine | None:
        """What drives the reset, which is squashed as the other gate is."""
        sums = (sum_ for name, sum_ in self._driven(r) if name == gate and not sum_.factors)
        return next(sums, None)

    # ------------------------------------------------------------ sums

    def _driven(self, node: Node) -> Iterator[tuple[str, _Affine]]:
        """The activations that `node` may be of a sum."""
        for name, inner in activated(node):
            sum_ = self.affine(inner)
            if sum_ is not None:
                yield name, sum_

    def affine(self, node: Node) -> _Affine | None:
        """A vector as a sum of products with x and h; None if it is something else."""
        return self._sum(_terms(node))

    def _sum(self, terms: Sequence[Node]) -> _Affine | None:
        made = _Affine()
        for term in terms:
            if isinstance(term, Dot) and term.arg is self.x:
                made.of_x = _plus(made.of_x, self.step.matrix(term))
            elif isinstance(term, Dot) and term.arg is self.before[0]:
                made.of_h = _plus(made.of_h, self.step.matrix(term))
            elif (numbers := self._numbers(term)) is not None:
                made.bias = _plus(made.bias, numbers)
            else:
                for factor, other in _pairs(term, "mul"):
                    numbers = self._numbers(factor)
                    if numbers is not None and other.length == self.size:
                        made.factors[other] = _plus(made.factors.get(other), numbers)
                        break
                else:
                    return None
        return made

    def _numbers(self, node: Node) -> Tensor | None:
        if isinstance(node, Shared):
            return self.step.shared(node)
        if isinstance(node, Constant):
            return torch.tensor(node.value, dtype=self.step.dtype)
        return None

    # ------------------------------------------------------------ what is handed out

    def _full(self, part: Tensor | None, *rows: int) -> Tensor:
        """[H], or [H, rows]; zeros of what is not there."""
        if part is None:
            return torch.zeros(self.size, *rows, dtype=self.step.dtype)
        part = part.T if rows else part
        return part.expand(self.size, *rows).clone()

    def _gates(self, **sums: _Affine) -> dict[str, Gate]:
        inputs = 1 if self.x is None else self.x.length
        return {
            name: Gate(
                self._full(sum_.of_x, inputs),
                self._full(sum_.of_h, self.outputs),
                None if sum_.bias is None else self._full(sum_.bias),
            )
            for name, sum_ in sums.items()
        }


#: The reset, the candidate, whether the reset is after the product, and what is added in it.
_Candidate = tuple[_Affine, _Affine, bool, Tensor | None]
#: Gates of which 1 − σ(a) is σ(−a).
_ODD = ("sigmoid", "hard_sigmoid")

# ------------------------------------------------------------ patterns


def _plus(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b


def _any(a: Tensor | None) -> bool:
    return a is not None and bool(a.any())


def _is_call(node: Node, function: str) -> bool:
    return isinstance(node, Apply) and node.function == function


def _pairs(node: Node, function: str) -> Iterator[tuple[Node, Node]]:
    """The arguments of a function of two, in both orders."""
    if _is_call(node, function):
        a, b = node.inputs
        yield a, b
        yield b, a


def _terms(node: Node) -> list[Node]:
    """What is added up."""
    if _is_call(node, "add"):
        return [term for part in node.inputs for term in _terms(part)]
    return [node]


def _left_of(node: Node) -> Node | None:
    """Z of 1 − z."""
    if _is_call(node, "sub"):
        one, z = node.inputs
        if isinstance(one, Constant) and one.value == 1.0:
            return z
    return None
