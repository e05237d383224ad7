"""A value of a step, written with the names of what it is made of: whole tensors, no numbers.

A batch is thought of as columns, so that a product reads as in a paper: W x + R h_prev + b.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from cello.program import BATCH, Op, Program, Value, is_random
from cello.program.movement import CUTS
from cello.program.operations import argument, axes, facts
from cello.program.order import incoming_names, ordered_names
from cello.see.formulas.notation import (
    Convolution,
    Expression,
    FunctionCall,
    MatrixProduct,
    Number,
    Part,
    Symbol,
    Transposed,
)
from cello.see.formulas.writing import (
    PARTS,
    add,
    along,
    by_numbers,
    called,
    cut_off,
    features,
    fixed_values,
    is_pointwise,
    write,
)

__all__ = ["TORCH", "Symbols", "Units"]

#: Parameters of torch.nn's layers as its documentation writes them; those of a gate i are W_ii …
TORCH = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}

Units = tuple[int, int] | None  # which units are meant, from and up to; all if None


class Symbols:
    """Writes the values of a program.

    Args:
        program: the step.
        gates: of the cell, whose packed parameters are then written gate by gate.
    """

    def __init__(self, program: Program, gates: Sequence[str] = ()) -> None:
        self.program, self.gates = program, gates
        self.maker = program.maker()
        self.named: dict[Value, str] = {}
        for name, value in program.names.items():
            self.named.setdefault(value, name)
        self.parameters = {value: name for name, value in program.parameters.items()}
        self.constants = {
            value: tensor.item() if tensor.numel() == 1 else value.name
            for value, tensor in program.constants.items()
        }
        self.fixed = fixed_values(program)
        self.cut_off = cut_off(program)
        self.named.update((value, value.name) for value in self._used_again())

    def _used_again(self) -> list[Value]:
        """Values without a name that are written several times: each gets a line of its own."""
        readers: Counter[Value] = Counter()
        parts: Counter[Value] = Counter()  # in how many a value without a name is written
        for op in reversed(self.program.ops):
            pieces = sum(1 if v in self.named else parts[v] for v in op.outputs)
            if op.target._opname in CUTS | {"select"}:
                parts[op.args[0]] += pieces
                continue
            is_whole = op.target._opname == "convolution" or facts(op).kind == "product"
            for source in set(op.inputs):
                is_repeated = is_whole and source not in self.fixed
                readers[source] += max(1, pieces) if is_repeated else 1
                parts[source] = max(parts[source], pieces)
        moves = ("copy", "cut", "pick", "join", "turn", "reshape", "squeeze", "expand")
        return [
            value
            for op in self.program.ops
            for value in op.outputs
            if readers[value] > 1
            and value not in self.named
            and op.inputs
            and facts(op).kind not in moves
        ]

    def lines(self) -> list[tuple[Expression, Expression]]:
        """Both sides of the equation of every value that the step computes, in its order."""
        given = incoming_names(self.program)
        names = [name for name in ordered_names(self.program) if name not in given]
        order = {value: number for number, value in enumerate(self.maker)}
        more = [value for value in self.named if value not in self.program.names.values()]
        more.sort(key=order.__getitem__)
        found: list[tuple[Expression, Expression]] = []
        for name in names:
            value = self.program.names[name]
            while more and order[more[0]] < order.get(value, -1):
                extra = more.pop(0)
                found.append((Symbol(self.named[extra]), self.made(extra, None)))
            is_second = self.named[value] != name  # of two names of one value
            found.append((Symbol(name), (self.of if is_second else self.made)(value, None)))
            if name not in self.program.state:
                self.named[value] = name  # what follows in the step uses the latest name
        return found

    def of(self, value: Value, units: Units, axis: int = -1) -> Expression:
        """By its name, if it has one."""
        whole = value.shape[axis] if value.shape else 1
        if units == (0, whole):
            units = None
        if value in self.constants:
            known = self.constants[value]
            if isinstance(known, str):
                return _part(Symbol(known, fixed=True), value, units, axis)
            return Number(known)
        if value in self.parameters:
            return self._parameter(value, units, axis)
        if value in self.named:
            return _part(Symbol(self.named[value]), value, units, axis)
        return self.made(value, units, axis)

    def _parameter(self, value: Value, units: Units, axis: int) -> Expression:
        name = self.parameters[value]
        if len(value.shape) > 1:  # of a module, such as nn.Linear
            name = name.removesuffix(".weight")
        if units is None:
            return Symbol(TORCH.get(name, name), fixed=True)
        is_rows = axis % len(value.shape) == 0
        size, rest = divmod(value.shape[0], len(self.gates) or 1)
        is_even = not rest and units[1] - units[0] == size and units[0] % size == 0
        if self.gates and is_rows and is_even:
            gate = self.gates[units[0] // size]
            torch = TORCH.get(name)
            return Symbol(f"{torch[:-1]}{gate}" if torch else f"{name}_{gate}", fixed=True)
        return _part(Symbol(TORCH.get(name, name), fixed=True), value, units, axis)

    def made(self, value: Value, units: Units, axis: int = -1) -> Expression:
        """By the operation that makes it."""
        op = self.maker.get(value)
        if op is None:
            return Symbol(value.name)
        name, kind = op.target._opname, facts(op).kind
        if is_random(op):
            return by_numbers(op)
        if value in self.cut_off:
            return FunctionCall(name, (self.of(op.args[0], units, axis),))
        if name == "convolution":
            found = self._convolution(op, units, axis)
            if found is not None:
                return found
        if kind in ("cut", "turn", "pick") or name == "cat":
            found = self._moved(op, value, units, axis)
            if found is not None:
                return found
        if kind in ("copy", "reshape", "squeeze", "expand"):
            place = axis % len(value.shape) - len(value.shape) if units else -1
            if units is None or op.args[0].shape[place:] == value.shape[place:]:
                return self.of(op.args[0], units, place)
        rule = facts(op).rule
        if rule in RULES and 0 < len(value.shape) <= 2:
            found = RULES[rule](self, op, units)
            if found is not None:
                return found
        if rule == "layer_norm" and value is op.outputs[0]:
            given = [part for part in (op.args[0], *op.args[2:4]) if part is not None]
            shown = tuple(self.of(part, None) for part in given)
            norm = FunctionCall("layer_norm", shown, along(op, value))
            return _part(norm, value, units, axis)
        if name == "bmm" and op.args[0].shape[0] == op.args[1].shape[0] == BATCH:
            return _part(MatrixProduct(*map(self._matrix, op.args[:2])), value, units, axis)
        if not op.inputs:
            is_full = name in ("full", "scalar_tensor")
            fill = op.args[-1] if is_full else facts(op).fill
            return by_numbers(op) if fill is None else Number(fill)
        if is_pointwise(op):
            return write(op, lambda source: self._beside(source, value, units, axis))
        arguments = [self.of(source, None) for source in op.inputs]
        return _part(called(op, value, arguments, along(op, value)), value, units, axis)

    def _beside(self, source: Value, value: Value, units: Units, axis: int) -> Expression:
        """An input of an operation that works unit by unit: the same units of it."""
        rank = len(value.shape)
        place = axis % rank - rank if units else -1  # counted from the end
        stretched = source.shape[place:][:1] != value.shape[place:][:1]
        return self.of(source, None) if stretched else self.of(source, units, place)

    def _convolution(self, op: Op, units: Units, axis: int) -> Expression | None:
        """A filter for each channel of the result, which are what may be cut."""
        x, weight, bias, _stride, _padding, _dilation, transposed = op.args[:7]
        rank = len(weight.shape)
        if transposed or (units is not None and axis % rank != 1):
            return None
        product = Convolution(self.of(weight, units, -rank), self.of(x, None))
        return product if bias is None else add(product, self.of(bias, units))

    def _moved(self, op: Op, value: Value, units: Units, axis: int) -> Expression | None:
        name, kind, source = op.target._opname, facts(op).kind, op.args[0]
        if name == "cat":
            return self._joined(op, units, axis)
        rank = len(source.shape)
        if kind == "turn":
            if rank < 2:
                return self.of(source, units)
            if rank > 2:
                return self._turned(op, source, units, axis)
            if BATCH in source.shape:  # rows or columns of a batch: all the same here
                return self.of(source, units)
            if axis == -1 and units is None:
                return Transposed(self.of(source, None))
            return self.of(source, units, -2 if axis == -1 else -1)
        if kind == "pick":
            along = axes(op)[0] % rank
            size = _size(source.shape[along])
            if size == 1:
                place = axis % (rank - 1) if units else -1
                return self.of(source, units, place + 1 if place >= along else place)
            index = op.outputs.index(value)
            if name == "select":
                index = argument(op, 2, "index", 0) % size
            parts = self.maker.get(source)
            if parts is not None and parts.target._opname == "view_as_real" and along == rank - 1:
                return FunctionCall(PARTS[index], (self.of(parts.args[0], units),))
            picked = _cut(self.of(source, None), source, along, index)
            return _part(picked, value, units, axis)
        if source.shape == value.shape:
            return self.of(source, units, axis)
        along = axes(op)[0] % rank
        step = argument(op, 4, "step", 1) if name == "slice" else 1
        if step != 1:  # every second unit, say
            first = self._begin(op, value, along)
            stop = first + step * (value.shape[along] - 1) + 1
            spread = _cut(self.of(source, None), source, along, first, stop, step)
            return _part(spread, value, units, axis)
        if units is None:
            axis = along - rank
        if along != axis % rank:  # cut along another axis too
            return _part(self.of(value, None), value, units, axis)
        first = self._begin(op, value, along)
        start, stop = units or (0, value.shape[along])
        return self.of(source, (first + start, first + stop), axis)

    def _turned(self, op: Op, source: Value, units: Units, axis: int) -> Expression | None:
        """A matrix of each row, rows and columns exchanged, or nothing at all."""
        rank = len(source.shape)
        order = list(range(rank))
        if op.target._opname == "permute":
            order = [place % rank for place in op.args[1]]
        elif op.target._opname == "transpose":
            one, other = (place % rank for place in op.args[1:3])
            order[one], order[other] = other, one
        else:
            return None
        if order == sorted(order):
            return self.of(source, units, axis)
        is_matrix = order == [0, 2, 1] and units is None
        return Transposed(self.of(source, None)) if is_matrix else None

    def _matrix(self, value: Value) -> Expression:
        """A matrix of each row; one of a single row is a vector that is laid down."""
        vector = value
        while vector not in self.named and (op := self.maker.get(vector)) is not None:
            if facts(op).kind not in ("copy", "reshape", "squeeze", "expand"):
                break
            vector = op.args[0]
        found = self.of(value, None)
        is_laid = value.shape[1] == 1 != value.shape[2] and len(vector.shape) == 2
        return Transposed(found) if is_laid else found

    @staticmethod
    def _begin(op: Op, value: Value, along: int) -> int:
        if op.target._opname == "slice":
            start = argument(op, 2, "start") or 0
            return start if start >= 0 else start + op.args[0].shape[along]
        before = op.outputs[: op.outputs.index(value)]
        return sum(part.shape[along] for part in before)

    def _joined(self, op: Op, units: Units, axis: int) -> Expression | None:
        rank = len(op.outputs[0].shape)
        if units is None:
            axis = axes(op)[0] % rank - rank
        if axes(op)[0] % rank != axis % rank:
            return _part(self.of(op.outputs[0], None), op.outputs[0], units, axis)
        start, stop = units or (0, op.outputs[0].shape[axis])
        parts: list[Expression] = []
        for source in op.args[0]:
            size = source.shape[axis]
            if start < size and stop > 0 and start < stop:
                parts.append(self.of(source, (max(start, 0), min(stop, size)), axis))
            start, stop = start - size, stop - size
        if len(parts) == 1:
            return parts[0]
        return FunctionCall("concat", tuple(parts), along(op, op.outputs[0]))

    def product(self, left: Value, right: Value, units: Units) -> Expression | None:
        """A product of matrices, one of them a batch."""
        if BATCH in left.shape and right in self.fixed:
            maker = self.maker.get(right)
            turns = maker is not None and facts(maker).kind == "turn"
            if maker is not None and turns and len(maker.args[0].shape) == 2:
                matrix = self.of(maker.args[0], units, -2)
            else:
                matrix = Transposed(self.of(right, units, -1))
            return MatrixProduct(matrix, self.of(left, None))
        if left in self.fixed:
            return MatrixProduct(_part(self.of(left, None), left, units, 0), self.of(right, None))
        return None


def _mm(symbols: Symbols, op: Op, units: Units) -> Expression | None:
    return symbols.product(op.args[0], op.args[1], units)


def _addmm(symbols: Symbols, op: Op, units: Units) -> Expression | None:
    product = symbols.product(op.args[1], op.args[2], units)
    if product is None or op.kwargs:
        return None
    bias = symbols.of(op.args[0], units)
    return add(product, bias) if op.args[0] in symbols.fixed else add(bias, product)


RULES: dict[str, Callable[[Symbols, Op, Units], Expression | None]] = {
    "product": _mm,
    "product and sum": _addmm,
}


def _part(expression: Expression, value: Value, units: Units, axis: int) -> Expression:
    """Units of a value along an axis; `expression` writes the whole."""
    if units is None:
        return expression
    start, stop = units
    is_one = stop == start + 1 and (len(features(value)) < 2 or BATCH not in value.shape)
    return _cut(expression, value, axis % len(value.shape), start, None if is_one else stop)


def _cut(
    expression: Expression,
    value: Value,
    axis: int,
    first: int,
    stop: int | None = None,
    step: int = 1,
) -> Expression:
    """A part; the axes behind that of a parameter's rows go without saying."""
    others = [other for other in features(value) if other != axis]
    before = sum(other < axis for other in others)
    after = len(others) - before if BATCH in value.shape else 0
    return Part(expression, first, stop, step, before, after)


def _size(size: object) -> int:
    return size if isinstance(size, int) else 1
