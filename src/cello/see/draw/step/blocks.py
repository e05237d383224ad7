"""The block diagram of a cell, from the equations of its traced step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from cello.program import Program, Value
from cello.program.operations import OPERATIONS
from cello.see.draw.diagram import Block, Diagram, Label
from cello.see.draw.paint.text import formula, subscripted, width
from cello.see.draw.step.formulas import (
    changed,
    is_arithmetic_of_one,
    is_fixed,
    is_linear,
    is_linear_term,
    parts,
    symbols,
    terms_of,
    unsigned,
)
from cello.see.draw.step.traced import Traced
from cello.see.formulas.notation import (
    Choice,
    Convolution,
    Expression,
    FunctionCall,
    MatrixProduct,
    Minus,
    Part,
    Product,
    Quotient,
    Sum,
    Symbol,
)
from cello.see.formulas.styles import Style
from cello.see.formulas.writing import add

__all__ = ["Builder"]

LONGEST = 140  # of a line in a block, unless a single term of a sum needs more
LINES = 6  # in a block; a formula that needs more is named, not written out
GATES = {e.written or n for n, e in OPERATIONS.items() if e.bounds == (0.0, 1.0)}  # what can be one
WITH_BOUNDS = ("max", "min", "remainder", "fmod", "clamp")  # say little without their numbers
#: What formulas that are not written out are called, where it is not the name of their class.
_WORDS = {Choice: "choose", Convolution: "∗", MatrixProduct: "matrix product"}
_HERE = Symbol("·")  # stands in a block's text for a value that has no name


class Builder:
    """Makes a block for each operation of the equations that is worth one.

    What parameters do to values (W x + R h_prev + b) is one block. A named value that is only a
    term of such a sum is not drawn by itself.
    """

    def __init__(self, program: Program, gates: tuple[str, ...]) -> None:
        self.traced = Traced(program, gates)
        self.diagram = Diagram()
        self.named: dict[str, Block] = {}
        self.linear: dict[str, Expression] = {}  # formulas of values that are drawn inside of a sum
        self._incoming(program)
        self._read_once = self._names_read_once(program)
        for left, right in self.traced.equations:
            assert isinstance(left, Symbol)
            self._line(left.name, right)
        self._outgoing(program)

    def _incoming(self, program: Program) -> None:
        x = self._new(Block("input", "x", source=(program.x, 0), label=Label(value="x")))
        self.named["x"] = x
        self.named.update((n, x) for n, v in program.names.items() if v is program.x)
        for name, value in program.state.items():
            memory = self._new(Block("memory", subscripted(name), source=(value, 0)))
            memory.label = Label([f"{name}_prev"], f"{name}_prev")
            memory.note = f"memory: keeps {name} until the next step"
            self.named[f"{name}_prev"] = memory
            self.named.update((n, memory) for n, v in program.names.items() if v is value)

    def _outgoing(self, program: Program) -> None:
        makers = program.maker()

        def block_of(value: Value) -> Block:
            for name, known in program.names.items():
                if known is value and name in self.named:
                    return self.named[name]
            return block_of(makers[value].inputs[0])  # a result of some shape, as rows

        for name, value in program.next_state.items():
            self.named[f"{name}_prev"].inputs = [block_of(value)]
        self._new(Block("output", "output", [block_of(program.output)]))
        read = {b for other in self.diagram.blocks if other.kind != "memory" for b in other.inputs}
        self.diagram.blocks = [
            block for block in self.diagram.blocks if block in read or block.kind != "memory"
        ]  # without a memory that nothing reads

    def _names_read_once(self, program: Program) -> set[str]:
        count = Counter(name for _, right in self.traced.equations for name in symbols(right))
        results = {*program.results}
        kept = {name for name, value in program.names.items() if value in results}
        return {name for name, number in count.items() if number == 1} - kept

    def _new(self, block: Block) -> Block:
        self.diagram.blocks.append(block)
        return block

    def _line(self, name: str, right: Expression) -> None:
        if is_linear(right) and name in self._read_once and self._read_by_a_linear_sum(name):
            self.linear[name] = right
            return
        block = self.block(right)
        self.named[name] = block
        if name not in block.label.names and name != "x":
            block.label.names.append(name)
            if name in self.traced.program.names:
                block.label.value = block.label.value or name

    def _read_by_a_linear_sum(self, name: str) -> bool:
        """Whether the one formula that reads it is a sum of nothing but linear terms."""
        (right,) = (r for _, r in self.traced.equations if name in symbols(r))
        return any(self._adds(node, name) for node in _within(right))

    def _adds(self, node: Expression, name: str) -> bool:
        terms = [unsigned(term) for term in terms_of(node) if not is_fixed(term)]
        return (
            len(terms) > 1
            and any(isinstance(term, Symbol) and term.name == name for term in terms)
            and all(is_linear_term(t) or self._is_linear_name(t) for t in terms)
        )

    def _is_linear_name(self, node: Expression) -> bool:
        if not isinstance(node, Symbol) or node.name not in self._read_once:
            return False
        made = [r for left, r in self.traced.equations if left == Symbol(node.name)]
        return bool(made) and is_linear(made[0])

    def block(self, node: Expression) -> Block:
        """The block that makes a value; `node` is its formula."""
        if isinstance(node, Symbol) and not node.fixed:
            return self.named[node.name]
        made = self._block(node)
        made.source = self.traced.origin(node)
        return made

    def _block(self, node: Expression) -> Block:
        if is_fixed(node):
            return self._new(Block("other", self._short(node), formula=node))
        node = self._with_linear_parts(node)
        if is_linear(node):
            return self._of(node, "linear", self._operands(node))
        if is_arithmetic_of_one(node):
            text = _without_name(node) if isinstance(node, Part) else node
            of = self.named[next(symbols(node))]
            return self._passing(Block("other", self._short(text), [of]), node)
        if isinstance(node, Sum):
            return self._sum(node)
        if isinstance(node, Product):
            return self._product(node)
        if isinstance(node, FunctionCall):
            return self._call(node)
        return self._of(node, "other", [part for part in parts(node) if not is_fixed(part)])

    def _with_linear_parts(self, node: Expression) -> Expression:
        """Values that are drawn as part of this sum, written out in it."""
        if not isinstance(node, Sum):
            return node
        shown: list[Expression] = []
        for term in node.terms:
            name = unsigned(term)
            inside = self.linear.get(name.name) if isinstance(name, Symbol) else None
            if inside is None:
                shown.append(term)
            elif name is term:
                shown.append(inside)
            else:
                shown += [p.part if isinstance(p, Minus) else Minus(p) for p in terms_of(inside)]
        return add(*shown)

    def _operands(self, node: Expression) -> list[Expression]:
        """The values that are multiplied by parameters in a linear formula."""
        if isinstance(node, (Sum, Minus, Product)):
            return [operand for part in parts(node) for operand in self._operands(part)]
        if is_fixed(node):
            return []
        return [node] if isinstance(node, Symbol) else [list(parts(node))[-1]]

    def _of(self, node: Expression, kind: str, operands: list[Expression], text: str = "") -> Block:
        """A block with the formula in it; an operand without a name is a point in the formula.

        `text` is what to write instead, if that says it more plainly.
        """
        unnamed = {id(operand) for operand in operands if not isinstance(operand, Symbol)}

        def pointed(part: Expression) -> Expression:
            return _HERE if id(part) in unnamed else changed(part, pointed)

        inputs = list(dict.fromkeys(map(self.block, operands)))
        shown = changed(node, pointed)
        return self._passing(Block(kind, text or self._short(shown), inputs), shown)

    def _passing(self, block: Block, node: Expression) -> Block:
        """The block, a part of a gate if it is 1 − z or z / a of a gate z."""
        block.formula = node
        is_part = isinstance(node, (Sum, Quotient)) and block.kind == "other"
        block.is_gate = is_part and block.inputs[0].is_gate
        return self._new(block)

    def _short(self, node: Expression) -> str:
        text = formula(node)
        if width(text) <= LONGEST:
            return text
        if isinstance(node, Sum):
            lines = _broken(node)
            if len(lines) <= LINES and max(map(width, lines)) <= 2 * LONGEST:
                return "\n".join(lines)
        return _WORDS.get(type(node)) or type(node).__name__.lower()

    def _sum(self, node: Sum) -> Block:
        fixed = [term for term in node.terms if is_fixed(term)]
        values = [term for term in node.terms if not is_fixed(term)]
        text = _signed(self._short(Sum(tuple(fixed)))) if fixed else "+"
        if len(values) == 1:
            is_plain = not isinstance(values[0], (Symbol, Minus))
            return self._of(node, "other", [unsigned(values[0])], text if is_plain else "")
        inputs = list(map(self.block, values))
        if len(set(inputs)) < len(inputs):  # a + a
            return self._of(node, "other", values)
        return self._new(Block("plus", text, inputs, formula=Sum(tuple(fixed))))

    def _product(self, node: Product) -> Block:
        fixed = [factor for factor in node.factors if is_fixed(factor)]
        values = [factor for factor in node.factors if not is_fixed(factor)]
        text = f"× {self._short(Product(tuple(fixed)))}" if fixed else "×"
        if len(values) == 1:
            is_plain = not isinstance(values[0], Symbol)
            return self._of(node, "other", values, text if is_plain else "")
        inputs = list(map(self.block, values))
        if len(set(inputs)) < len(inputs):  # a ⊙ a ⊙ b
            return self._of(node, "other", values)
        product = self._new(Block("times", text, inputs, formula=Product(tuple(fixed))))
        product.is_gate = any(factor.is_gate for factor in inputs)
        return product

    def _call(self, node: FunctionCall) -> Block:
        values = [argument for argument in node.arguments if not is_fixed(argument)]
        if len(values) > 1 or (node.name in WITH_BOUNDS and len(node.arguments) > 1):
            return self._of(node, "other", values)
        name = subscripted(Style().function(node.name).replace("_", " "))
        if node.dim:
            name = f"{name}, {Style().along(node.dim)}"
        inputs = list(map(self.block, values))
        fixed = tuple(argument for argument in node.arguments if is_fixed(argument))
        made = self._new(
            Block("squash", name, inputs, formula=FunctionCall(node.name, fixed, node.dim))
        )
        made.is_gate = node.name in GATES
        return made


def _without_name(node: Expression) -> Expression:
    """Which part of a value, without the value's name, which stands in its own block."""
    if isinstance(node, Part):
        return replace(node, whole=_without_name(node.whole))
    return Symbol("") if isinstance(node, Symbol) else node


def _signed(text: str) -> str:
    """A sum as what is added to something else."""
    return f"+ {text}".replace("+ −", "− ")


def _broken(node: Sum) -> list[str]:
    """A sum in lines, each as long as it may be."""
    lines: list[tuple[Expression, ...]] = [()]
    for term in node.terms:
        if lines[-1] and width(formula(Sum((*lines[-1], term)))) > LONGEST:
            lines.append(())
        lines[-1] += (term,)
    first, *others = (formula(Sum(line)) for line in lines)
    return [first, *map(_signed, others)]


def _within(node: Expression) -> list[Expression]:
    return [node, *(inner for part in parts(node) for inner in _within(part))]
