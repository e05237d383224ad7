"""A network that is a graph: modules and a few functions, wired by numbers, that files can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from cello.convert.graph.axes import Axes, axes_of, fixed_in
from cello.convert.onnx_read.operators.computing import OPERATORS, computed
from cello.errors import ArgumentError, CelloError, ConversionError, ShapeError

__all__ = ["FUNCTIONS", "NetGraph", "run_node"]


def _dot(values: Sequence[Tensor], axes: Sequence[int], normalize: bool) -> Tensor:
    """Products of the vectors that two tensors [B, ...] have along an axis each."""
    if normalize:
        values = [
            value * value.square().sum(axis, keepdim=True).clamp_min(1e-12).rsqrt()
            for value, axis in zip(values, axes, strict=True)
        ]
    a, b = values[0].movedim(axes[0], -1), values[1].movedim(axes[1], 1)
    rest = (*a.shape[1:-1], *b.shape[2:]) or (1,)
    rows = a.reshape(len(a), -1, a.shape[-1])
    return (rows @ b.reshape(len(b), b.shape[1], -1)).reshape(len(a), *rest)


#: What a node may compute besides a module and the operators of ONNX, of a list of tensors.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda values: sum(values[1:], values[0]),
    "average": lambda values: sum(values[1:], values[0]) / len(values),
    "concatenate": lambda values, axis: torch.cat(list(values), axis),
    "maximum": lambda values: reduce(torch.maximum, values),
    "minimum": lambda values: reduce(torch.minimum, values),
    "multiply": lambda values: reduce(torch.mul, values),
    "dot": _dot,
    "rescale": lambda values, scale, offset: values[0] * scale + offset,
    "subtract": lambda values: values[0] - values[1],
    "mean": lambda values, axis: values[0].mean(axis),
    "max": lambda values, axis: values[0].amax(axis),
    "pad": lambda values, before, after=0: nn.functional.pad(values[0], (0, 0, before, after)),
    "crop": lambda values, before, after: values[0][:, before : values[0].shape[1] - after],
    "upsample": lambda values, times: values[0].repeat_interleave(times, 1),
    "flip": lambda values, axis: values[0].flip(axis),
    "select": lambda values, axis, index: values[0].select(axis, index),
    "reshape": lambda values, shape: values[0].reshape(values[0].shape[0], *shape),
    "permute": lambda values, axes: values[0].permute(axes),
    "repeat": lambda values, times: values[0].unsqueeze(1).expand(-1, times, -1),
    "differs": lambda values, number: (values[0] != number).to(torch.get_default_dtype()),
    "any_differs": lambda values, number: (
        (values[0] != number).any(-1).to(torch.get_default_dtype())
    ),
    "keep": lambda values: values[0] * values[1].unsqueeze(-1),
    "choose": lambda values: torch.where(values[0].unsqueeze(-1) != 0, values[1], values[2]),
}


class NetGraph(nn.Module):
    """Modules that are wired otherwise than one after the other; what a reader of files makes.

    Values are numbered: first the inputs of a call, then what each node gives, in order. A node
    reads values before it, so there is no loop.

    Args:
        modules: the modules, each once; a node names one by its place here.
        wiring: the nodes, `[what, values, options]` each: `what` is the number of a module or the
            name of one of `FUNCTIONS` or of an operator of ONNX's, `values` the numbers of what it
            reads (None for what it leaves out), `options` a dict.
        inputs: how many inputs a call takes.
        outputs: the numbers of the values that a call returns; a tuple if there are several.
        names: what the file calls each module; any text.
        shapes: of each input, the sizes that it must have, None for any; any, unless given.

    A recurrent layer gives its output; its final states are values of the nodes
    `["state", [layer's value], {"index": k}]`. With the option `states`, so many of what its node
    reads, the last ones, are its initial states; with `lengths`, what stands before these is how
    long each sequence is.

    Called as `net(*inputs)`, with one tensor for each input.

    Raises:
        ArgumentError: a node names a module, a function or a value that there is not.
        ShapeError: of a call, the inputs are not as many, or not of these shapes.

    >>> double = NetGraph([nn.Tanh()], [[0, [0], {}], ["add", [0, 1], {}]], outputs=[2])
    >>> double(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        wiring: Sequence[Sequence[Any]],
        inputs: int = 1,
        outputs: Sequence[int] = (-1,),
        names: Sequence[str] = (),
        shapes: Sequence[Sequence[int | None]] = (),
    ) -> None:
        super().__init__()
        self.names = list(names) or [str(place) for place in range(len(modules))]
        if len(self.names) != len(modules) or len(set(self.names)) != len(self.names):
            raise ArgumentError(f"names must be {len(modules)} different names, got {self.names}")
        self.parts = nn.ModuleDict()
        for name, module in zip(self.names, modules, strict=True):
            self.parts[_free_key(self.parts, name)] = module
        self.wiring = [[what, list(values), dict(options)] for what, values, options in wiring]
        self.inputs = inputs
        self.outputs = list(outputs)
        for place, (what, values, _) in enumerate(self.wiring):
            known = what in range(len(modules)) if isinstance(what, int) else what in _KNOWN
            if not known:
                raise ArgumentError(f"wiring[{place}] is {what!r}, no module and no function")
            before = range(inputs + place)
            if not all(v is None or v in before for v in values):
                raise ArgumentError(f"wiring[{place}] reads {values}, of {inputs + place} values")
        total = inputs + len(self.wiring)
        if not self.outputs or not all(-total <= v < total for v in self.outputs):
            raise ArgumentError(f"outputs must be numbers of the {total} values, got {outputs}")
        self.shapes = [list(shape) for shape in shapes]
        if len(self.shapes) not in (0, inputs):
            raise ArgumentError(f"shapes must be {inputs}, one for each input, got {shapes}")
        self._axes: Axes | None = None

    # ------------------------------------------------------------ steps and sequences

    @property
    def axes(self) -> Axes:
        """Where the steps and the sequences of the inputs stand, found by running the net once.

        Raises:
            ConversionError: what an input holds at a step is not known, or no form of inputs runs.
        """
        if self._axes is None:
            self._axes = axes_of(self)
        return self._axes

    @property
    def layers_batch_first(self) -> bool:
        """Whether the steps are the second axis of what its recurrent layers read."""
        layers = (part for part in self.parts.values() if hasattr(part, "batch_first"))
        return all(bool(layer.batch_first) for layer in layers)

    @property
    def batch_first(self) -> bool:
        """Whether the steps of a sequence are its second axis, see `axes`.

        Where it is not known what the inputs hold, it is so if it is in the recurrent layers.
        """
        try:
            return self.axes.batch_first
        except ConversionError:
            return self.layers_batch_first

    @property
    def fixed(self) -> dict[str, int]:
        """The sizes T and B, where there is but one that the net takes.

        Raises:
            ConversionError: as `axes`.
        """
        return fixed_in(self.shapes, self.axes.leads) if self.shapes else {}

    @property
    def only(self) -> str:
        """What `fixed` says, such as "T = 6"; "" if both are open, or it is not known."""
        try:
            fixed = sorted(self.fixed.items())[::-1]
            if not (fixed and self.axes.told):
                return ""
        except ConversionError:  # which axes these are
            return ""
        return " and ".join(f"{axis} = {size}" for axis, size in fixed)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Check that there are as many inputs as there must be, of the shapes that they must have.

        Raises:
            ShapeError: it is not so.
        """
        if len(inputs) != self.inputs:
            raise ShapeError(f"the net takes {self.inputs} inputs, got {len(inputs)}")
        for number, (shape, x) in enumerate(zip(self.shapes, inputs, strict=False)):
            fits = len(shape) == x.dim() and all(
                wanted is None or wanted == size
                for wanted, size in zip(shape, x.shape, strict=True)
            )
            if not fits:
                raise ShapeError(self._refused(number, shape, x))

    def _refused(self, number: int, shape: Sequence[int | None], x: Tensor) -> str:
        names, told = [f"any{axis}" for axis in range(len(shape))], ""
        try:
            if self.axes.told:
                names[: len(self.axes.leads[number])] = self.axes.leads[number]
            told = f"the net is for {self.only} only: " if self.only else ""
        except ConversionError:  # which axes these are is not known
            pass
        wanted = ", ".join(
            str(name if size is None else size) for name, size in zip(names, shape, strict=True)
        )
        return f"{told}input {number} must be [{wanted}], got {list(x.shape)}"

    def moving(self) -> set[int]:
        """The numbers of the values that depend on an input; all others are always the same."""
        found = set(range(self.inputs))
        for place, (_, values, _) in enumerate(self.wiring, self.inputs):
            if found & set(values):
                found.add(place)
        return found

    def node_name(self, place: int) -> str:
        """What the node that gives a value, by its number, is called in a message."""
        what, values, _ = self.wiring[place - self.inputs]
        if isinstance(what, int):
            return f"{self.names[what]} ({type(list(self.parts.values())[what]).__name__})"
        before = next((v for v in values if v is not None and v >= self.inputs), None)
        behind = "" if before is None else f", behind {self.node_name(before)}"
        return f"node {place - self.inputs} ({what}{behind})"

    def config(self) -> dict[str, Any]:
        """The arguments that make this graph again."""
        return {
            "modules": list(self.parts.values()),
            "wiring": self.wiring,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "names": self.names,
            "shapes": self.shapes,
        }

    def forward(self, *inputs: Tensor) -> Any:
        """Run all nodes; see the class."""
        self.check(inputs)
        values: list[Any] = []
        try:
            return self.run(inputs, None, values)
        except CelloError:
            raise
        except (IndexError, RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError) or len(values) < self.inputs:
                raise
            shapes = ", ".join(str(list(x.shape)) for x in inputs)
            raise ShapeError(
                f"{self.node_name(len(values))} does not run on inputs of {shapes}: {error}"
            ) from error

    def run(
        self,
        inputs: Sequence[Tensor],
        each: Callable[..., tuple[Any, Any]] | None = None,
        values: list[Any] | None = None,
    ) -> Any:
        """As a call of any sizes, with each node run by this, see `run_node`; all values go into a
        list.
        """
        each = each or run_node
        modules = list(self.parts.values())
        values = [] if values is None else values
        values.extend(inputs)
        states: dict[int, list[Tensor]] = {}
        for what, numbers, options in self.wiring:
            if what == "state":
                values.append(states[numbers[0]][options["index"]])
                continue
            read = [None if number is None else values[number] for number in numbers]
            part = what if isinstance(what, str) else modules[what]
            result, states[len(values)] = each(part, read, options)
            values.append(result)
        found = tuple(values[number] for number in self.outputs)
        return found[0] if len(found) == 1 else found


def run_node(
    what: str | nn.Module, read: Sequence[Any], options: dict[str, Any]
) -> tuple[Any, list[Tensor]]:
    """What one node makes of what it reads, and the tensors of its final state; see `NetGraph`."""
    if isinstance(what, str):
        if what in FUNCTIONS:
            return FUNCTIONS[what](read, **options), []
        return computed(what, read, options), []
    count = len(read) - options.get("states", 0)
    given: dict[str, Any] = {"state": tuple(read[count:])} if read[count:] else {}
    if options.get("lengths"):
        count -= 1
        given["lengths"] = read[count]
    x = read[:1] if count == 1 else [tuple(read[:count])] * (count > 0)
    result = what(*x, **given)
    if isinstance(result, tuple):
        return result[0], _leaves(result[1])
    return result, []


def _free_key(parts: nn.ModuleDict, name: str) -> str:
    """The name as that of a part, with _ behind it where there is one already, or may be none."""
    key = name.replace(".", "_")
    while not key or hasattr(parts, key):
        key += "_"
    return key


_KNOWN = {*FUNCTIONS, *OPERATORS, "state"}


def _leaves(state: Any) -> list[Tensor]:
    """The tensors in a state, in order."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state for leaf in _leaves(part)]
