"""The recurrent operators of ONNX: a recurrence with its weights as these want them.

Rows stand in ONNX's order, i o f c and z r h (its c is our g, its h our n); z is what is kept,
and the reset acts before or after the product (`linear_before_reset`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.convert.onnx.step import array_of
from cello.convert.recurrence import GATE_ORDERS, Recurrence, Step, recurrence_of

__all__ = ["Operator", "operator_of"]

_ACTIVATIONS = {"gate_activation": "sigmoid", "activation": "tanh", "output_activation": "tanh"}


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
    if step.dtype != torch.float32:
        return None  # ONNX Runtime has the operators for float32 only
    found = recurrence_of(step)
    return None if found is None or found.projection is not None else _operator(found)


def _operator(found: Recurrence) -> Operator | None:
    attributes: dict[str, Any] = {}
    if found.kind == "RNN" and found.activations["activation"] == "relu":
        attributes["activations"] = ["Relu"]
    elif any(_ACTIVATIONS[role] != name for role, name in found.activations.items()):
        return None
    elif found.kind == "RNN":
        attributes["activations"] = ["Tanh"]
    W, R, b = found.stacked(GATE_ORDERS["ONNX"][found.kind])
    if found.kind == "GRU":
        attributes["linear_before_reset"] = int(found.reset_after)

    def array(tensor: Tensor) -> Any:
        return np.array(array_of(tensor[None]))

    B, P = array(torch.cat([b, found.recurrent_bias])), None
    if found.peepholes:
        P = array(torch.cat([found.peepholes[gate] for gate in "iof"]))
    return Operator(found.kind, found.states, array(W), array(R), B, P, attributes)
