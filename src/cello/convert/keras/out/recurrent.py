"""A cell's recurrence as the layer of Keras's that computes it, with its weights as that has them.

Keras has kernels [inputs, outputs], an LSTM in the order i f c o, a GRU in the order z r h, and of
a GRU that resets after the product two biases.
"""

from __future__ import annotations

from typing import Any

import torch

from cello.cells import Cell
from cello.convert.keras.masked import MaskedCell
from cello.convert.recurrence import GATE_ORDERS, Recurrence
from cello.convert.recurrence.standard_layer import differs, recurrence_in

__all__ = ["KerasCell"]

#: Activations by the name that Keras has for them.
_NAMES = {
    "identity": "linear",
    **{
        name: name
        for name in (
            "elu", "gelu", "hard_sigmoid", "hard_tanh", "relu", "sigmoid", "silu", "softplus",
            "softsign", "tanh",
        )
    },
}  # fmt: skip
_LAYERS = {"RNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}


class KerasCell:
    """What Keras makes of a cell.

    Attributes:
        kind: the class of the layer.
        options: its arguments, but for those about sequences.
        weights: its arrays in order.
        states: the cell's states in Keras's order, h and c.

    Raises:
        ModelError: Keras has no such layer; says what differs.
    """

    def __init__(self, cell: Cell, path: str) -> None:
        self.options: dict[str, Any] = {}
        if isinstance(cell, MaskedCell):
            self.options["zero_output_for_mask"] = cell.zero_output
            cell = cell.cell
        found = recurrence_in(cell, path, "Keras's")
        why = _why_not(found)
        if why is not None:
            raise differs(cell, path, "Keras's", why)
        self.kind, self.states = _LAYERS[found.kind], found.states
        self.options |= {
            "units": found.hidden_size,
            "use_bias": found.has_bias,
            "activation": _NAMES[found.activations["activation"]],
            "dtype": str(found.dtype).removeprefix("torch."),
        }
        if found.kind != "RNN":
            gate = _NAMES[found.activations["gate_activation"]]
            self.options["recurrent_activation"] = gate
        W, R, b = found.stacked(GATE_ORDERS["Keras"][found.kind])
        if found.kind == "GRU":
            self.options["reset_after"] = found.reset_after
            if found.reset_after:
                b = torch.stack([b, found.recurrent_bias])
        self.weights = [W.T, R.T, *([b] if found.has_bias else [])]


def _why_not(found: Recurrence) -> str | None:
    """What Keras's layer of this kind does otherwise."""
    roles = found.activations
    for role, name in roles.items():
        if name not in _NAMES:
            return f"its {role} is {name!r}, and Keras has {', '.join(_NAMES)}"
    last = roles.get("output_activation", roles["activation"])
    if last != roles["activation"]:
        return f"its output_activation is {last!r} and its activation {roles['activation']!r}"
    if found.peepholes:
        return "it has peepholes"
    return "it projects" if found.projection is not None else None
