"""The values of a graph while it is read: what is known of each, and where it stands in the net.

Each value is computed while it is read, for inputs of two sizes. So its dimensions and its dtype
are known, what does not depend on an input is computed once and for all, and that a state begins
at zero, or that all sequences are as long as the input, is seen however the file puts it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.graph import NetGraph, run_node
from cello.convert.graph.wires import Wiring
from cello.convert.onnx_read.limits import GROWING, MOST, Limits, numbers_of, shape_of
from cello.convert.onnx_read.operators.constants import Held
from cello.layers import Stack

__all__ = ["Seen", "Wired", "known"]

#: Integers that stand in the wiring of a graph instead of in a tensor.
_FEW = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """A value of the graph.

    Attributes:
        samples: what it is for inputs of either size.
        base: the number in the net of what it is seen through; None if it is known.
        axes: the axes of the base in the order of its own, None for a new one of size 1.
        fixed: whether it holds nothing but known numbers and sizes of inputs, moved or repeated.
        joined: the number in the net of the base with its last two axes as one.
        origin: the input of the net that it is, if it is one.
    """

    samples: tuple[Any, ...]
    base: int | None = None
    axes: tuple[int | None, ...] | None = None
    fixed: bool = False
    joined: int | None = None
    origin: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether it depends on no input."""
        return self.base is None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first sample."""
        return shape_of(self.samples[0])

    @property
    def has_axes_of_base(self) -> bool:
        """Whether its axes are those of its base."""
        return self.axes is None or self.axes == tuple(range(len(self.axes)))

    @property
    def tensor(self) -> Tensor:
        """Its first sample, as a tensor."""
        sample = self.samples[0]
        return sample if isinstance(sample, Tensor) else torch.tensor(sample, dtype=torch.int64)

    def is_all(self, number: float) -> bool:
        """Whether all its numbers are this one, in both samples."""
        return all(bool((torch.as_tensor(s) == number).all()) for s in self.samples)


def known(value: Any) -> Seen:
    """A value that is the same for all inputs."""
    small = isinstance(value, Tensor) and value.dim() < 2 and value.numel() <= _FEW
    if small and value.dtype == torch.int64:
        value = value.tolist()
    return Seen((value, value), fixed=True)


def seen(sample: Tensor, axes: Sequence[int | None]) -> Tensor:
    """A tensor with its axes in another order, and new ones."""
    found = sample.permute([axis for axis in axes if axis is not None])
    for place, axis in enumerate(axes):
        if axis is None:
            found = found.unsqueeze(place)
    return found


class Wired(Wiring):
    """A network while it is read; see `Wiring` and `Seen`.

    Args:
        inputs: the samples of each input, by its name.

    Attributes:
        given: the value of each input.
        limits: of inputs that are ids, how many there are.
        size: how much may be computed.
        lengths: of inputs that are lengths, the longest one for inputs of either size.
        symbols: which open size is that for inputs of either size.
        called: the number of what each node gives, by its name in the file.
        places: where these numbers stand in the network that `net_of` has made.
    """

    def __init__(self, inputs: dict[str, tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.numbers: list[tuple[Any, ...]] = []
        self.finals: dict[int, list[list[Tensor]]] = {}
        self._made: dict[Any, int] = {}
        self.limits: dict[str, int] = {}
        self.size = Limits()
        self.lengths: dict[str, tuple[int, ...]] = {}
        self.symbols: dict[tuple[int, ...], str] = {}
        self.called: dict[str, int] = {}
        self.places: dict[int, int] = {}
        self.given = {}
        for name, samples in inputs.items():
            number = self.new_input()
            self.numbers.append(samples)
            self.given[name] = replace(self.value(number), origin=name)

    def value(self, number: int, **more: Any) -> Seen:
        """What has this number in the net."""
        samples = self.numbers[number]
        axes = tuple(range(samples[0].dim())) if isinstance(samples[0], Tensor) else None
        return Seen(samples, number, axes, **more)

    def view(self, value: Seen, axes: Sequence[int | None], **more: Any) -> Seen:
        """Another order of the axes of the base of a value."""
        assert value.base is not None
        samples = tuple(seen(sample, axes) for sample in self.numbers[value.base])
        return replace(value, samples=samples, axes=tuple(axes), origin=None, **more)

    # ------------------------------------------------------------ into the net

    def number(self, value: Seen) -> int:
        """The number of a value in the net, which is put there if need be."""
        if value.base is None:
            return self._held(value)
        if value.has_axes_of_base:
            return value.base
        key = value.base, value.axes
        if key not in self._made:
            axes: Any = value.axes
            order = [axis for axis in axes if axis is not None]
            number = value.base
            if order != sorted(order):
                number = self.put("Transpose", [number], perm=order)
            new = [place for place, axis in enumerate(axes) if axis is None]
            if new:
                number = self.put("Unsqueeze", [number, self.ints(new)])
            self._made[key] = number
        return self._made[key]

    def ints(self, numbers: Any) -> int:
        """The number of a list of integers."""
        key = "ints", str(numbers)
        if key not in self._made:
            self._made[key] = self.put("ints", [], numbers=numbers)
        return self._made[key]

    def _held(self, value: Seen) -> int:
        sample = value.samples[0]
        if not isinstance(sample, Tensor):
            return self.ints(sample)
        key = "held", id(sample)
        if key not in self._made:
            self._made[key] = self.put(Held.of(sample), [], name="constant")
        return self._made[key]

    def run(
        self, what: str | nn.Module, read: Sequence[Any], options: dict[str, Any]
    ) -> tuple[Any, list[Tensor]]:
        """As `run_node`, unless it makes too much."""
        self.size.before(what, read, options)
        result, final = run_node(what, read, options)
        self.size.after(result)
        return result, final

    def in_file(self, tensor: Tensor) -> Seen:
        """A tensor that stands in the file."""
        self.size.in_file += tensor.numel()
        return known(tensor)

    def put(
        self, what: str | nn.Module, values: Sequence[int | None], name: str = "", **options: Any
    ) -> int:
        """One more node, which is computed for both samples; the number of what it gives."""
        found, finals = [], []
        for place in range(2):
            read = [None if n is None else self.numbers[n][place] for n in values]
            with torch.no_grad():
                result, final = self.run(what, read, options)
            found.append(result)
            finals.append(final)
        if isinstance(what, str):
            number = self.node(what, values, **options)
        else:
            name = re.sub(r"\W+", "_", name).strip("_")[:60]
            number = self.module(what, values, name or type(what).__name__, **options)
        self.numbers.append(tuple(found))
        self.finals[number] = finals
        return number

    def state(self, number: int, index: int) -> int:
        """A final state of the recurrent layer that gives this value."""
        self.numbers.append(tuple(final[index] for final in self.finals[number]))
        return self.node("state", [number], index=index)

    # ------------------------------------------------------------ an operator

    def operator(self, name: str, values: Sequence[Seen | None], **options: Any) -> Seen:
        """What an operator makes of values: known, if they are."""
        there = [value for value in values if value is not None]
        fixed = all(value.fixed for value in there) and _moves(name, values)
        if all(value.is_known for value in there):
            read = [None if value is None else value.samples[0] for value in values]
            if numbers_of(name, read, options) <= MOST or name in GROWING:
                with torch.no_grad():
                    return known(self.run(name, read, options)[0])
        if name in EACH and len(there) == 1 and there[0].axes is not None:
            (value,) = there
            assert value.base is not None
            assert value.axes is not None
            number = self.put(name, [value.base], **options)
            return replace(self.view(self.value(number), value.axes), fixed=fixed)
        numbers = [None if value is None else self.number(value) for value in values]
        return replace(self.value(self.put(name, numbers, **options)), fixed=fixed)

    # ------------------------------------------------------------ the net

    def _is_simple(self, used: set[int]) -> bool:
        """Whether there is nothing but modules, activations and states."""
        nodes = [node for place, node in enumerate(self.nodes, self.inputs) if place in used]
        return self.inputs == 1 and all(
            isinstance(what, int) or what in MODULES or what == "state" for what, _, _ in nodes
        )

    def net_of(self, outputs: Sequence[Seen], *, stack: bool = True) -> NetGraph | Stack:
        """The network that returns these, without what nothing reads."""
        numbers = [self.number(value) for value in outputs]
        used = set(numbers)
        for place in reversed(range(len(self.nodes))):
            if self.inputs + place in used:
                used.update(v for v in self.nodes[place][1] if v is not None)
        clean = Wiring()
        clean.inputs = self.inputs
        line = stack and self._is_simple(used)
        places = self.places = {number: number for number in range(self.inputs)}
        for place, (what, values, options) in enumerate(self.nodes):
            number = self.inputs + place
            if number not in used:
                continue
            read = [None if v is None else places[v] for v in values]
            if line and what in MODULES:
                places[number] = clean.module(MODULES[what](**options), read, what.lower())
            elif isinstance(what, int):
                name = self.names[what].partition("/")[0]
                places[number] = clean.module(self.modules[what], read, name, **options)
            else:
                places[number] = clean.node(what, read, **options)
        ends = [places[number] for number in numbers]
        if stack:
            return clean.net(ends, states=True)
        return NetGraph(clean.modules, clean.nodes, clean.inputs, ends, clean.names).eval()


#: Activations as modules, which a stack is made of.
MODULES: dict[str, Callable[..., nn.Module]] = {
    "Elu": lambda alpha=1.0: nn.ELU(alpha),
    "Gelu": nn.GELU,
    "LeakyRelu": lambda alpha=0.01: nn.LeakyReLU(alpha),
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
}
#: Operators on each number by itself, wherever it stands.
EACH = frozenset(
    "Abs Ceil Cos Erf Exp Floor Log Neg Not Reciprocal Round Sigmoid Sign Sin Sqrt Tan Tanh Relu "
    "Softsign Softplus HardSwish Mish LeakyRelu Elu ThresholdedRelu HardSigmoid Gelu Celu "
    "Cast".split()
)
_MOVING = ("Transpose", "Squeeze", "Unsqueeze", "Reshape", "Concat", "Cast", "Identity", "Expand",
           "ConstantOfShape")  # fmt: skip


def _moves(name: str, values: Sequence[Seen | None]) -> bool:
    """Whether an operator only moves or repeats numbers, wherever the sizes put them."""
    if name in ("Slice", "Gather"):
        return all(value is None or value.is_known for value in values[1:])
    return name in _MOVING
