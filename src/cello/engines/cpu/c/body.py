"""The statements of a region: what it reads, makes of that, and leaves, feature by feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cello.engines.cpu.c.expressions import EXPRESSIONS, identifier, number, scalar
from cello.engines.cpu.c.memory import Memory, address
from cello.program.kernel.nodes import Apply, Array, Constant, Dot, Fold, Gather, Node, TermSum
from cello.program.kernel.primitives import PRIMITIVES
from cello.program.kernel.schedule import Region

__all__ = ["NEUTRAL", "Body", "OneFeature"]

#: What a fold begins with.
NEUTRAL = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}


class Body:
    """The statements for the features of one row from `unit` on.

    As they stand they work on a vector of features, of which `left` are there; what a subclass
    overrides writes them for one feature, or in another language.

    Attributes:
        region: what is computed.
        memory: where it reads and writes.
        sums: where the products of each sum with products are.
        lines: the statements.
        given: names that no statement may declare.
    """

    expressions: Mapping[str, str] = EXPRESSIONS

    def __init__(
        self, region: Region, memory: Memory, sums: Mapping[Node, str], given: Iterable[str] = ()
    ) -> None:
        self.region, self.memory, self.sums = region, memory, sums
        self.lines: list[str] = []
        self.names: dict[Node, str] = {}
        self.taken: set[str] = set()
        self.given = {*given, *(place.partition("[")[0] for place in sums.values())}
        for node in region.nodes:
            if isinstance(node, Fold):
                self._fold(node)
            else:
                mask = isinstance(node, Apply) and PRIMITIVES[node.function].is_bool
                self._local(node, self._expression(node), "mask" if mask else "vec")
                if node in memory.scratch:
                    self._put(memory.place(node), self._vector(node), padded=True)
        for store in region.stores:
            if store.per_sequence:
                memory.arrays[store.array] = None
                place = (
                    f"kernel->{memory.array_name(store.array)} + sum * {store.array.width}",
                    store.start,
                )
                total = f"{self._get(place)} + {self._vector(store.node)}"
                self._put(place, total)
            else:
                place = memory.array(store.array), store.start
                padded = store.array.kind == "next" and len(self._next(store.array)) == 1
                self._put(place, self._vector(store.node), padded)

    def _next(self, array: Array) -> list[Node]:
        return self.memory.schedule.kernel.carried[array.name]

    def _local(self, node: Node, expression: str, kind: str = "vec") -> str:
        self.names[node] = name = self._new_name(node)
        self._declare(kind, name, expression)
        return name

    def _declare(self, kind: str, name: str, expression: str) -> None:
        """A constant, which holds numbers ("vec") or truths ("mask")."""
        self.lines.append(f"const {kind} {name} = {expression};")

    def _new_name(self, node: Node) -> str:
        name = identifier(node.name or f"t{len(self.taken)}", self.taken | self.given)
        self.taken.add(name)
        return name

    def _expression(self, node: Node) -> str:
        if isinstance(node, TermSum):
            rest = [self._vector(term) for term in node.terms if not isinstance(term, Dot)]
            return " + ".join([self.sums[node], *rest] if node in self.sums else rest)
        if isinstance(node, Gather):
            return self._gathered(node)
        assert isinstance(node, Apply)
        truths = PRIMITIVES[node.function].truths
        args = [
            self._mask(arg) if i < truths else self._vector(arg) for i, arg in enumerate(node.args)
        ]
        return self.expressions[node.function].format(*args)

    def _gathered(self, node: Gather) -> str:
        """Features from where they stand, one by one."""
        name = f"lanes{len(self.lines)}"
        places = [
            f"(const real[]){{{scalar(arg.value)}}}"
            if isinstance(arg, Constant)
            else address(self.memory.place(arg))
            for arg in node.args
        ]
        which, at = zip(*node.places, strict=True)
        self.lines += [
            f"static const int {name}_of[] = {{{', '.join(map(str, which))}}};",
            f"static const int {name}_at[] = {{{', '.join(map(str, at))}}};",
            f"const real *const {name}_from[] = {{{', '.join(places)}}};",
            f"real {name}[VL] = {{0}};",
            f"for (long lane = 0; lane < left && lane < VL; lane++) "
            f"{name}[lane] = {name}_from[{name}_of[unit + lane]][{name}_at[unit + lane]];",
        ]
        return f"load({name})"

    def _is_mask(self, node: Node) -> bool:
        return isinstance(node, Apply) and PRIMITIVES[node.function].is_bool

    def _mask(self, node: Node) -> str:
        if self._is_mask(node) and node in self.names:
            return self.names[node]
        return self.expressions["ne"].format(self._vector(node), "0")

    def _vector(self, node: Node) -> str:
        """The node as a vector of numbers, loaded when it is first needed."""
        if isinstance(node, Constant):
            return self._number(node.value)
        if node in self.names:
            name = self.names[node]
            return f"truth({name})" if self._is_mask(node) else name
        place = self.memory.place(node)
        if node.length == 1 and self.region.length > 1:
            expression = self._first(place)
        else:
            expression = self._get(place, padded=node in self.memory.scratch)
        if self._is_mask(node):  # kept as numbers
            name = self._new_name(node)
            self._declare("vec", name, expression)
            return name
        return self._local(node, expression)

    def _number(self, value: float) -> str:
        return number(value)

    def _first(self, place: tuple[str, int]) -> str:
        """A number that counts for every feature."""
        return f"splat(*({address(place)}))"

    def _get(self, place: tuple[str, int], padded: bool = False) -> str:
        where = address(place, "unit")
        return f"load({where})" if padded else f"load_left({where}, left)"

    def _put(self, place: tuple[str, int], value: str, padded: bool = False) -> None:
        where = address(place, "unit")
        self.lines.append(
            f"store({where}, {value});" if padded else f"store_left({where}, {value}, left);"
        )

    def _fold(self, node: Fold) -> None:
        lanes = f"{self.memory.place(node)[0]} + unit % FOLDED"
        value = self._vector(node.arg)
        part = f"first_lanes({value}, left, {NEUTRAL[node.kind]})"
        old = f"load({lanes})"
        total = f"{old} + {part}" if node.kind == "sum" else f"v_{node.kind}({old}, {part})"
        self.lines.append(f"store({lanes}, {total});")


class OneFeature(Body):
    """The statements for one feature, as languages without vectors have them."""

    def _put(self, place: tuple[str, int], value: str, padded: bool = False) -> None:
        self.lines.append(f"{self._get(place)} = {value};")

    def _fold(self, node: Fold) -> None:
        place = self._first(self.memory.place(node))
        value = self._vector(node.arg)
        total = f"{place} + {value}" if node.kind == "sum" else f"v_{node.kind}({place}, {value})"
        self.lines.append(f"{place} = {total};")
