"""The nodes of one phase → lines of Triton.

A node is a block [rows, features], its features padded to a power of two; one of length 1 is
[rows, 1].
"""

from __future__ import annotations

from cello.engines.gpu.addresses import Addresses, padded
from cello.engines.gpu.expressions import EXPRESSIONS, identifier, number
from cello.program.kernel.kernel import Store
from cello.program.kernel.nodes import (
    Apply,
    Constant,
    Dot,
    Fold,
    Gather,
    Load,
    Node,
    Shared,
    TermSum,
    whole_of,
)
from cello.program.kernel.primitives import PRIMITIVES

__all__ = ["Phase"]

_NEUTRAL = {"sum": "0.0", "max": 'float("-inf")', "min": 'float("inf")'}
_FOLDS = {
    "sum": "tl.sum({}, axis=1, keep_dims=True)",
    "max": "tl.reduce({}, 1, v_greater, keep_dims=True)",
    "min": "tl.reduce({}, 1, v_less, keep_dims=True)",
}


class Phase:
    """What one function computes.

    Attributes:
        memory: where it reads and writes.
        feedback: the state in whose place known outputs may be fed back.
        head: its lines before the loop over steps: what is the same at all of them.
        body: its lines for each step.
        names: of the blocks at hand.
        columns: the sizes of blocks whose columns are numbered.
        held: numbers in the matrices at hand.
    """

    def __init__(self, name: str, memory: Addresses, feedback: str | None) -> None:
        self.name, self.memory, self.feedback = name, memory, feedback
        self.kernel = memory.plan.kernel
        self.head: list[str] = []
        self.body: list[str] = []
        self.names: dict[Node, str] = {}
        self.taken: set[str] = set()
        self.columns: set[int] = set()
        self.held = 0
        self._weights: dict[tuple[object, ...], str] = {}
        self._written = False

    def compute(self) -> None:
        """All regions of the phase, and what they leave."""
        for region in self.memory.functions[self.name]:
            for node in region.nodes:
                self._node(node)
            for store in region.stores:
                if not store.per_sequence and store.array.kind != "next":
                    self._store(store)
            for node in region.nodes:
                self.keep(node)
            if self._written and self.memory.has_rows:
                self.body.append("tl.debug_barrier()")
            self._written = False

    def keep(self, node: Node) -> None:
        """Write a block to its place in memory, if it has one."""
        if node in self.memory.own:
            place = self.place(self.memory.address(node), node.length)
            value = self.full(self.value(node), node.length)
            self.body.append(f"tl.store({place}, {value}, mask={self.mask(node.length)})")
            self._written = True

    def address(self, node: Node) -> tuple[str, int]:
        """Where a node stands; what the step had before is put there first."""
        whole = whole_of(node)
        if self._is_kept(whole) and whole not in self.names:
            self._let_kept(whole)
            self.body.append("tl.debug_barrier()")
        return self.memory.address(node)

    def _is_kept(self, node: Node) -> bool:
        kept = isinstance(node, Load) and node.array.kind == "prev"
        return kept and not self.memory.is_chained(node)

    # ------------------------------------------------------------ words

    def new_name(self, word: str) -> str:
        """A name that nothing else has."""
        name = identifier(word or f"x{len(self.taken)}", self.taken)
        self.taken.add(name)
        return name

    def c(self, length: int) -> str:
        """The columns of a block of so many features."""
        wide = length if length == 1 else padded(length)
        self.columns.add(wide)
        return f"c_{wide}"

    def mask(self, length: int, rows: str = "active") -> str:
        """Which elements of a block there are."""
        return rows if length == padded(length) else f"{rows} & ({self.c(length)} < {length})"

    def place(self, address: tuple[str, int], length: int) -> str:
        """The pointers of a block."""
        base, start = address
        parts = [base, *([str(start)] if start else []), *([self.c(length)] if length > 1 else [])]
        return " + ".join(parts)

    def loaded(self, address: tuple[str, int], length: int, rows: str = "active") -> str:
        """A block from memory; zeros where there is nothing."""
        return f"tl.load({self.place(address, length)}, mask={self.mask(length, rows)}, other=0.0)"

    def full(self, value: str, length: int) -> str:
        """A block of all rows and columns."""
        return f"tl.broadcast_to({value}, (TILE, {padded(length)}))"

    def zeros(self, length: int) -> str:
        """A block of zeros."""
        return f"tl.zeros((TILE, {padded(length)}), tl.float32)"

    # ------------------------------------------------------------ what blocks are read as

    def value(self, node: Node) -> str:
        """A block of numbers, made or read when it is first needed."""
        name = self._at_hand(node)
        return f"{name}.to(tl.float32)" if self._is_truth(node) else name

    def _truth(self, node: Node) -> str:
        name = self._at_hand(node)
        return name if self._is_truth(node) else f"({name} != 0)"

    def _is_truth(self, node: Node) -> bool:
        """Whether the block is of truths; what comes from memory is of numbers."""
        is_bool = isinstance(node, Apply) and PRIMITIVES[node.function].is_bool
        return is_bool and self.memory.phase[node] == self.name

    def _at_hand(self, node: Node) -> str:
        if node not in self.names:
            if isinstance(node, Constant):
                name = self.new_name("number")
                self.head.append(f"{name} = tl.full((1, 1), {number(node.value)}, tl.float32)")
                self.names[node] = name
            elif isinstance(node, Shared):
                self._shared(node)
            elif self._is_kept(node):
                self._let_kept(node)
            else:
                self._let(node, self.loaded(self.address(node), node.length))
        return self.names[node]

    def _let(self, node: Node, expression: str) -> None:
        self.names[node] = name = self.new_name(node.name)
        self.body.append(f"{name} = {expression}")

    def _shared(self, node: Shared) -> None:
        self.names[node] = name = self.new_name(f"{node.value.name}_{node.start}")
        base, c = self.memory.pointer("vector", node.value), self.c(node.length)
        place = f"{base} + {node.start} + {c}"
        self.head.append(f"{name} = tl.load({place}, mask={c} < {node.length}, other=0.0)")

    def _let_kept(self, node: Node) -> None:
        """A state that the step had before: after the forward loop it is there."""
        assert isinstance(node, Load)
        memory, state = self.memory, node.array.name
        array, start = self.kernel.kept[state]
        size, length = self.kernel.states[state], node.length
        self.names[node] = name = self.new_name(f"{state}_prev")
        base = f"{memory.pointer('array', array)} + row_before * {array.width}"
        there = self.loaded((base, start + node.start), length, "(active & has)")
        begin = f"{memory.pointer('start', state)} + seq * {size}"
        first = self.loaded((begin, node.start), length, "(active & (has == 0))")
        self.body.append(f"{name} = tl.where(has, {there}, {first})")
        self.put_in_place(name, state, node.start, length)
        self.keep(node)

    def put_in_place(self, name: str, state: str, start: int, length: int) -> None:
        """Known outputs that are fed back, and the initial state after a reset."""
        size = self.kernel.states[state]
        if state == self.feedback:
            base = f"{self.memory.pointer('forced', '')} + row_before * {size}"
            fed = self.loaded((base, start), length, "(active & has)")
            self.body += ["if FORCED:", f"    {name} = tl.where(has, {fed}, {name})"]
        again = f"{self.memory.pointer('initial', state)} + seq * {size}"
        begun = self.loaded((again, start), length)
        self.body += ["if RESETS:", f"    {name} = tl.where(resets, {begun}, {name})"]

    def cut_off(self, name: str, state: str, start: int, length: int, begun: list[str]) -> None:
        """A cotangent goes no further than a reset, or a known output that was fed back.

        Args:
            name: of the block that holds it.
            state: whose cotangent it is.
            start: the first of the features.
            length: how many.
            begun: lines that add it to that of the state which resets go back to.
        """
        if state == self.feedback:
            size = self.kernel.states[state]
            base = f"{self.memory.pointer('grad_forced', '')} + row_before * {size}"
            place = self.place((base, start), length)
            self.body += [
                "if FORCED:",
                "    fed = active & has",
                "    if RESETS:",
                "        fed = fed & (resets == 0)",
                f"    tl.store({place}, {name}, mask={self.mask(length, 'fed')})",
                f"    {name} = tl.where(fed, 0.0, {name})",
            ]
        self.body += [
            "if RESETS:",
            *(f"    {line}" for line in begun),
            f"    {name} = tl.where(active & resets, 0.0, {name})",
        ]

    # ------------------------------------------------------------ nodes

    def _node(self, node: Node) -> None:
        if isinstance(node, Fold):
            inside = f"{self.c(node.arg.length)} < {node.arg.length}"
            arg = self.full(self.value(node.arg), node.arg.length)
            self._let(
                node, _FOLDS[node.kind].format(f"tl.where({inside}, {arg}, {_NEUTRAL[node.kind]})")
            )
        elif isinstance(node, TermSum):
            self._let(node, self.summed(node))
        elif isinstance(node, Gather):
            self._let(node, self._gathered(node))
        else:
            assert isinstance(node, Apply)
            self._let(node, self._applied(node))

    def _applied(self, node: Apply) -> str:
        truths = PRIMITIVES[node.function].truths
        args = [self._truth(a) if i < truths else self.value(a) for i, a in enumerate(node.args)]
        columns = self.c(node.args[0].length) if node.function == "feature" else ""
        expression = EXPRESSIONS[node.function].format(*args, columns=columns)
        alone = node.length > 1 and all(arg.length == 1 for arg in node.args)
        return self.full(expression, node.length) if alone else expression

    def _gathered(self, node: Gather) -> str:
        """Features from where they stand."""
        c, n, tables = self.c(node.length), node.length, self.memory.tables
        which, at = zip(*node.places, strict=True)
        names = self.new_name("which"), self.new_name("at")
        for name, numbers in zip(names, (which, at), strict=True):
            place = f"p_tables + {len(tables)} + {c}"
            self.head.append(f"{name} = tl.load({place}, mask={c} < {n}, other=0)")
            tables += numbers
        value = self.zeros(n)
        for number_of, arg in enumerate(node.args):
            here = f"({names[0]} == {number_of})"
            if isinstance(arg, Constant):
                part = self.value(arg)
            else:
                base, start = self.address(arg)
                mask = f"{self.mask(n)} & {here}"
                part = f"tl.load({base} + {start} + {names[1]}, mask={mask}, other=0.0)"
            value = f"tl.where({here}, {part}, {value})"
        return value

    def summed(self, node: TermSum) -> str:
        """A sum, with products that are computed here."""
        terms = (self._product(t) if isinstance(t, Dot) else self.value(t) for t in node.terms)
        return " + ".join(terms)

    def _product(self, node: Dot) -> str:
        k = node.arg.length
        wide = max(16, padded(k))
        self.columns.add(wide)
        factor = f"tl.broadcast_to({self.value(node.arg)}, (TILE, {wide}))"
        factor = f"tl.where(c_{wide} < {k}, {factor}, 0.0)"
        product = f"tl.dot({factor}, {self._weight(node)}, input_precision=PRECISION)"
        return product if node.length > 1 else f"tl.sum({product}, axis=1, keep_dims=True)"

    def _weight(self, node: Dot) -> str:
        k, n = node.arg.length, node.length
        key = (node.matrix, node.transposed, node.k0, node.n0, k, n)
        if key not in self._weights:
            down, across = max(16, padded(k)), max(16, padded(n))
            self.columns |= {across}
            shape = node.matrix.shape
            long = shape[1] if len(shape) > 1 else 1
            along_k, along_n = (1, long) if node.transposed else (long, 1)
            first = node.k0 * along_k + node.n0 * along_n
            i, name = f"tl.arange(0, {down})[:, None]", self.new_name(f"{node.matrix.name}_{first}")
            place = f"{self.memory.pointer('matrix', node.matrix)} + {first} + {i} * {along_k}"
            self.head.append(
                f"{name} = tl.load({place} + c_{across} * {along_n}, "
                f"mask=({i} < {k}) & (c_{across} < {n}), other=0.0)"
            )
            self._weights[key] = name
            self.held += down * across
        return self._weights[key]

    def _store(self, store: Store) -> None:
        array, node = store.array, store.node
        base = f"{self.memory.pointer('array', array)} + row * {array.width}"
        value = self.full(self.value(node), node.length)
        place = self.place((base, store.start), node.length)
        self.body.append(f"tl.store({place}, {value}, mask={self.mask(node.length)})")
        self._written = True
