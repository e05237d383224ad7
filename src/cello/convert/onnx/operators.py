"""The recurrent operators of ONNX: which one a step is, seen from its equations alone.

A step is RNN, LSTM or GRU where its traced equations are that operator's, whatever the cell is
called and in whatever order sums and products stand. The senses differ: rows in the order i o f c
and z r h, z as what is kept, the reset before or after the product (`linear_before_reset`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cello.convert.onnx.step import Step
from cello.program.kernel.nodes import Apply, Constant, Dot, Load, Node, Shared

__all__ = ["Operator", "operator_of"]


@dataclass
class Operator:
    """An operator with its weights.

    Attributes:
        kind: "RNN", "LSTM" or "GRU".
        states: the cell's states in the operator's order: h, or h and c.
        W: [1, gates × H, I].
        R: [1, gates × H, H].
        B: [1, 2 × gates × H], those of W before those of R.
        P: [1, 3 × H], the peepholes i o f; None without.
        attributes: the operator's.
    """

    kind: str
    states: tuple[str, ...]
    W: Any
    R: Any
    B: Any
    P: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def hidden_size(self) -> int:
        """Units."""
        size: int = self.R.shape[-1]
        return size


def operator_of(step: Step) -> Operator | None:
    """The operator that computes what `step` does; None if none does."""
    if step.dtype != np.float32 or len(step.output) != 1:
        return None  # ONNX Runtime has the operators for float32 only
    if any(len(nodes) != 1 for nodes in step.next_state.values()):
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

    of_x: Any = 0.0
    of_h: Any = 0.0
    bias: Any = 0.0
    factors: dict[Node, Any] = field(default_factory=dict)


class _Match:
    """Looks for an operator's equations in a step."""

    def __init__(self, step: Step, states: tuple[str, ...]) -> None:
        self.step, self.states = step, states
        self.size = step.next_state[states[0]][0].length
        loads = [node for node in step.needed if isinstance(node, Load)]
        whole = [node for node in loads if node.start == 0 and node.length == node.array.width]
        found = {(node.array.kind, node.array.name): node for node in whole}
        self.x = found.get(("x", ""))
        self.before = [found.get(("prev", name)) for name in states]

    # ------------------------------------------------------------ the three

    def rnn(self, h: Node) -> Operator | None:
        for name, inner in (("Tanh", _argument(h, "tanh")), ("Relu", _under_relu(h))):
            if inner is not None and (sum_ := self.affine(inner)) and not sum_.factors:
                return self._made("RNN", [sum_], activations=[name])
        return None

    def lstm(self, h: Node, c: Node) -> Operator | None:
        for o, shown in _pairs(h, "mul"):
            if _argument(shown, "tanh") is not c:
                continue
            for new, kept in _pairs(c, "add"):
                for i, g in _pairs(new, "mul"):
                    for f, before in _pairs(kept, "mul"):
                        if before is self.before[1] and before is not None:
                            gates = [_argument(gate, "sigmoid") for gate in (i, o, f)]
                            made = self._lstm([*gates, _argument(g, "tanh")], before, c)
                            if made is not None:
                                return made
        return None

    def _lstm(self, inner: Sequence[Node | None], before: Node, c: Node) -> Operator | None:
        sums = [None if node is None else self.affine(node) for node in inner]
        seen = (before, c, before, None)  # what each gate may look at
        gates: list[_Affine] = []
        for sum_, peephole in zip(sums, seen, strict=True):
            if sum_ is None or not set(sum_.factors) <= {peephole}:
                return None
            gates.append(sum_)
        peepholes = None
        if any(gate.factors for gate in gates):
            parts = [next(iter(gate.factors.values()), 0.0) for gate in gates[:3]]
            peepholes = np.concatenate([self._full(part) for part in parts])[None]
        return self._made("LSTM", gates, peepholes)

    def gru(self, h: Node) -> Operator | None:
        for z, n, keeps in self._mixtures(h):
            inner, gate = _argument(n, "tanh"), _argument(z, "sigmoid")
            if inner is None or gate is None or (sum_ := self.affine(gate)) is None:
                continue
            if sum_.factors:
                continue
            if not keeps:  # z is what is let in: 1 − σ(a) = σ(−a)
                sum_ = _Affine(-sum_.of_x, -sum_.of_h, -sum_.bias)
            found = self._reset_after(inner) or self._reset_before(inner)
            if found is not None and not found[0].factors:
                r, new, after, outer = found
                made = self._made("GRU", [sum_, r, new], linear_before_reset=after)
                if after:  # the bias inside of the reset belongs to R, the one outside to W
                    made.B[0, 2 * self.size : 3 * self.size] = self._full(outer)
                    made.B[0, 5 * self.size :] = self._full(new.bias)
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

    def _reset_after(self, inner: Node) -> tuple[_Affine, _Affine, int, Any] | None:
        """tanh(W x + b + r ⊙ (R h + d))."""
        others: list[Node] = []
        rest: list[Node] = []
        for term in _terms(inner):
            (others if _is_call(term, "mul") else rest).append(term)
        if len(others) != 1:
            return None
        outer = self._sum(rest)
        for r, product in _pairs(others[0], "mul"):
            gate = _argument(r, "sigmoid")
            reset = None if gate is None else self.affine(gate)
            new = self.affine(product)
            if not (reset and new and outer) or new.factors or outer.factors:
                continue
            if not np.any(new.of_x) and not np.any(outer.of_h):
                return reset, _Affine(outer.of_x, new.of_h, new.bias), 1, outer.bias
        return None

    def _reset_before(self, inner: Node) -> tuple[_Affine, _Affine, int, Any] | None:
        """tanh(W x + b + R (r ⊙ h))."""
        dots = [t for t in _terms(inner) if isinstance(t, Dot) and _is_call(t.arg, "mul")]
        if len(dots) != 1:
            return None
        outer = self._sum([term for term in _terms(inner) if term is not dots[0]])
        for r, before in _pairs(dots[0].arg, "mul"):
            gate = _argument(r, "sigmoid")
            reset = None if gate is None else self.affine(gate)
            if not reset or not outer or outer.factors:
                continue
            if before is self.before[0] and not np.any(outer.of_h):
                of_h = self.step.matrix(dots[0])
                return reset, _Affine(outer.of_x, of_h, outer.bias), 0, outer.bias
        return None

    # ------------------------------------------------------------ sums

    def affine(self, node: Node) -> _Affine | None:
        """A vector as a sum of products with x and h; None if it is something else."""
        return self._sum(_terms(node))

    def _sum(self, terms: Sequence[Node]) -> _Affine | None:
        made = _Affine()
        for term in terms:
            if isinstance(term, Dot) and term.arg is self.x:
                made.of_x = made.of_x + self.step.matrix(term)
            elif isinstance(term, Dot) and term.arg is self.before[0]:
                made.of_h = made.of_h + self.step.matrix(term)
            elif (numbers := self._numbers(term)) is not None:
                made.bias = made.bias + numbers
            else:
                for factor, other in _pairs(term, "mul"):
                    numbers = self._numbers(factor)
                    if numbers is not None and other.length == self.size:
                        made.factors[other] = made.factors.get(other, 0.0) + numbers
                        break
                else:
                    return None
        return made

    def _numbers(self, node: Node) -> Any:
        if isinstance(node, Shared):
            return self.step.shared(node)
        return node.value if isinstance(node, Constant) else None

    def _full(self, part: Any) -> Any:
        return np.broadcast_to(np.asarray(part, np.float32), [self.size])

    def _made(self, kind: str, gates: Sequence[_Affine], P: Any = None, **more: Any) -> Operator:
        inputs = 1 if self.x is None else self.x.length

        def stacked(parts: Sequence[Any], size: int) -> Any:
            full = [np.broadcast_to(np.asarray(p, np.float32), [size, self.size]) for p in parts]
            return np.concatenate([part.T for part in full])[None]

        biases = np.concatenate([self._full(gate.bias) for gate in gates])
        return Operator(
            kind,
            self.states,
            stacked([gate.of_x for gate in gates], inputs),
            stacked([gate.of_h for gate in gates], self.size),
            np.concatenate([biases, np.zeros_like(biases)])[None],
            P,
            more,
        )


# ------------------------------------------------------------ patterns


def _is_call(node: Node, function: str) -> bool:
    return isinstance(node, Apply) and node.function == function


def _argument(node: Node, function: str) -> Node | None:
    """The argument of a function of one."""
    return node.inputs[0] if _is_call(node, function) else None


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


def _under_relu(node: Node) -> Node | None:
    """Z of what is 0 where z ≤ 0, and z elsewhere."""
    if not _is_call(node, "where"):
        return None
    test, zero, z = node.inputs
    if not _is_call(test, "le") or test.inputs[0] is not z:
        return None
    zeros = [each.value for each in (zero, test.inputs[1]) if isinstance(each, Constant)]
    return z if zeros == [0.0, 0.0] else None
