"""Cells and activations that ONNX's operators have and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.cells import Cell, LSTMCell
from cello.cells.activations import Activation, activation_function
from cello.convert.graph import NetGraph, run_node
from cello.errors import ArgumentError

__all__ = ["BodyCell", "InputForgetLSTMCell", "ScaledActivation"]

_FORMULAS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "Affine": lambda x, a, b: a * x + b,
    "Elu": lambda x, a, _: F.elu(x, a),
    "HardSigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "LeakyRelu": lambda x, a, _: F.leaky_relu(x, a),
    "Relu": lambda x, *_: torch.relu(x),
    "ScaledTanh": lambda x, a, b: a * torch.tanh(b * x),
    "Sigmoid": lambda x, *_: torch.sigmoid(x),
    "Softplus": lambda x, *_: F.softplus(x),
    "Softsign": lambda x, *_: F.softsign(x),
    "Tanh": lambda x, *_: torch.tanh(x),
    "ThresholdedRelu": lambda x, a, _: torch.where(x > a, x, torch.zeros_like(x)),
}


class ScaledActivation(nn.Module):
    """An activation of ONNX's recurrent operators with its numbers.

    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, "Activation functions".

    Args:
        name: as ONNX writes it: Affine, Elu, HardSigmoid, LeakyRelu, Relu, ScaledTanh, Sigmoid,
            Softplus, Softsign, Tanh or ThresholdedRelu.
        alpha: the first number of its formula.
        beta: the second.
        clip: what goes in is cut to −clip … clip first; 0 for no cut.

    Raises:
        ArgumentError: the name is none of these.

    >>> ScaledActivation("HardSigmoid", 0.25, 0.5, clip=1.0)(torch.tensor([-9.0, 0.0, 9.0]))
    tensor([0.2500, 0.5000, 0.7500])
    """

    def __init__(self, name: str, alpha: float = 0.0, beta: float = 0.0, clip: float = 0.0) -> None:
        super().__init__()
        if name not in _FORMULAS:
            raise ArgumentError(f"name must be one of {', '.join(_FORMULAS)}, got {name!r}")
        self.name, self.alpha, self.beta, self.clip = name, alpha, beta, clip

    def config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name, "alpha": self.alpha, "beta": self.beta, "clip": self.clip}

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        x = x.clamp(-self.clip, self.clip) if self.clip else x
        return _FORMULAS[self.name](x, self.alpha, self.beta)


class InputForgetLSTMCell(LSTMCell):
    """An LSTM whose forget gate is what its input gate leaves, with free activations::

        i = gate_activation(W_i x + R_i h_prev + b_i + p_i c_prev)
        g = activation(W_g x + R_g h_prev + b_g)
        c = i * g + (1 - i) * c_prev
        o = gate_activation(W_o x + R_o h_prev + b_o + p_o c)
        h = o * output_activation(c)

    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, `input_forget=1`; see
    `cello.zoo.CoupledLSTMCell` for the one of Greff et al.

    Args:
        input_size: features of one input, I.
        hidden_size: memories, H.
        gate_activation: of both gates, a name or a callable.
        activation: of the block input.
        output_activation: of the memory on its way out.
        peephole: whether the gates see the memory.
        bias: whether there is a b.

    Shapes: W [3H, I], R [3H, H], b [3H], in the order i g o; p_i, p_o [H].

    >>> y, (h, c) = InputForgetLSTMCell(3, 2)(torch.zeros(1, 3))
    >>> h.shape, c.shape
    (torch.Size([1, 2]), torch.Size([1, 2]))
    """

    gates = ("i", "g", "o")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gate_activation: Activation = "sigmoid",
        activation: Activation = "tanh",
        output_activation: Activation = "tanh",
        peephole: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(
            input_size, hidden_size, gate_activation, activation, output_activation, peephole,
            bias=bias,
        )  # fmt: skip

    def _make_parameters(self) -> None:
        H = self.hidden_size
        self.W = self._uniform(3 * H, self.input_size)
        self.R = self._uniform(3 * H, H)
        self.b = self._optional(self.bias, 3 * H)
        self.p_i = self._optional(self.peephole, H)
        self.p_o = self._optional(self.peephole, H)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: x [B, I], h and c [B, H] → h, (h, c)."""
        gate = activation_function(self.gate_activation)
        squash = activation_function(self.activation)
        squash_out = activation_function(self.output_activation)

        z_i, z, z_o = self._drive(x, h).chunk(3, dim=-1)
        if self.peephole:
            z_i = z_i + self.p_i * c
        i, g = gate(z_i), squash(z)
        c = i * g + (1 - i) * c
        if self.peephole:
            z_o = z_o + self.p_o * c
        o = gate(z_o)
        h = o * squash_out(c)
        return h, (h, c)


class BodyCell(Cell):
    """The body of ONNX's Scan as a step: whatever a graph computes of the states and inputs.

    Args:
        body: called with the states and then the inputs of a step; gives the next states and then
            the outputs.
        states: the shape of each state by its name, without the axis of the batch.
        inputs: the shape of each input and the name of its dtype, without that axis.
        outputs: the shapes of the outputs; a cell gives their numbers side by side.
        rows: whether the body takes a whole batch, or one row of it.
        names: what a recording calls values of the body, which is a `NetGraph` then: their numbers.

    Raises:
        ArgumentError: a name is of no value.

    >>> import cello
    >>> body = cello.convert.NetGraph([], [["Add", [0, 1], {}]], inputs=2, outputs=[2, 2])
    >>> layer = cello.Recurrent(BodyCell(body, {"total": [3]}, [[[3], "float32"]], [[3]]))
    >>> y, state = layer(torch.ones(5, 2, 3))
    >>> float(state.total[0, 0])
    5.0
    """

    state = ("nothing",)

    def __init__(
        self,
        body: nn.Module,
        states: Mapping[str, Sequence[int]],
        inputs: Sequence[Sequence[Any]],
        outputs: Sequence[Sequence[int]],
        rows: bool = True,
        names: Mapping[str, int] | None = None,
    ) -> None:
        self.state = tuple(states) or ("nothing",)  # type: ignore[misc, assignment]
        sizes = [_width(shape) for shape, _ in inputs]
        super().__init__(
            sizes[0] if len(sizes) == 1 else tuple((size,) for size in sizes),
            1,
            output_size=sum(map(_width, outputs)) or 1,
            state_sizes={name: _width(states.get(name, ())) for name in self.state},
        )
        self.body = body
        self.states = {name: list(shape) for name, shape in states.items()}
        self.inputs = [[list(shape), dtype] for shape, dtype in inputs]
        self.outputs = [list(shape) for shape in outputs]
        self.rows = rows
        self.names = dict(names or {})
        known = range(body.inputs + len(body.wiring)) if isinstance(body, NetGraph) and rows else ()
        if wrong := [n for n, number in self.names.items() if number not in known]:
            raise ArgumentError(f"names must be of values of the body, {wrong[0]!r} is not")

    def config(self) -> dict[str, Any]:
        """The arguments that make this cell again."""
        names = ("body", "states", "inputs", "outputs", "rows", "names")
        return {name: getattr(self, name) for name in names}

    def step(self, x: Any, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: the inputs [B, width] and the states [B, width] → outputs, states."""
        parts = x if isinstance(x, tuple) else (x,)
        given = [_shaped(s, shape) for s, shape in zip(state, self.states.values(), strict=False)]
        for part, (shape, dtype) in zip(parts, self.inputs, strict=True):
            part = _shaped(part, shape)
            kind = getattr(torch, dtype)
            given.append(part if kind.is_floating_point else (part != 0).to(kind) if
                         dtype == "bool" else part.to(kind))  # fmt: skip
        values: list[Any] = []
        if self.names and isinstance(self.body, NetGraph):
            made = self.body.run(given, run_node, values)
        else:
            made = self.body(*given) if self.rows else torch.func.vmap(self.body)(*given)
        found = made if isinstance(made, tuple) else (made,)
        rows = [part.flatten(1) if part.dim() > 1 else part.unsqueeze(1) for part in found]
        after = tuple(rows[: len(self.states)]) or state
        rows = rows[len(self.states) :]
        return (
            torch.cat(rows, 1) if len(rows) > 1 else rows[0] if rows else after[0][:, :1]
        ), after

    def named_values(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The values of the body that have names; of one without them, the variables."""
        if not self.names:
            return variables
        values = variables["values"]
        return {name: values[number] for name, number in self.names.items()}


def _width(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _shaped(rows: Tensor, shape: Sequence[int]) -> Tensor:
    return rows if len(shape) == 1 else rows.reshape(rows.shape[0], *shape)
