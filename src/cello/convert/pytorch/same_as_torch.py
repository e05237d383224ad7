"""Which cells compute what a layer of PyTorch's computes, and their weights as that has them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cello.cells import Cell
from cello.convert.recurrence import GATE_ORDERS, Recurrence
from cello.convert.recurrence.standard_layer import differs, recurrence_in

__all__ = ["TorchWeights", "torch_weights"]


class TorchWeights(NamedTuple):
    """A cell as PyTorch's layers hold it.

    Attributes:
        kind: "LSTM" (rows i f g o), "GRU" (rows r z n) or "RNN".
        weight_ih: [gates × H, I].
        weight_hh: [gates × H, H], or [gates × H, projection].
        bias_ih, bias_hh: [gates × H] each, both None for a cell without a bias.
        weight_hr: [projection, H], None for a cell that does not project.
        nonlinearity: of an RNN, "tanh" or "relu".
    """

    kind: str
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None
    nonlinearity: str | None = None


def torch_weights(cell: Cell, path: str) -> TorchWeights:
    """The weights of `cell` as the layer of PyTorch's that computes the same would hold them.

    PyTorch adds two biases where the equations have one; the second is 0 then, but for d of a GRU.

    Raises:
        ModelError: no layer of PyTorch's computes what this cell does; says what differs.

    >>> from cello.cells import ElmanCell
    >>> torch_weights(ElmanCell(3, 2), "net").kind
    'RNN'
    """
    found = recurrence_in(cell, path, "PyTorch's")
    why = _why_not(found)
    if why:
        raise differs(cell, path, "PyTorch's", why)
    W, R, b = found.stacked(GATE_ORDERS["PyTorch"][found.kind])
    nonlinearity = found.activations["activation"] if found.kind == "RNN" else None
    if not found.has_bias:
        return TorchWeights(found.kind, W, R, None, None, found.projection, nonlinearity)
    return TorchWeights(found.kind, W, R, b, found.recurrent_bias, found.projection, nonlinearity)


def _why_not(found: Recurrence) -> str | None:
    """What PyTorch's layer of this kind does otherwise."""
    for role, name in found.activations.items():
        if found.kind == "RNN":
            if name not in ("tanh", "relu"):
                return f"its activation is {name!r}, not tanh or relu"
        elif name != (wanted := "sigmoid" if role == "gate_activation" else "tanh"):
            return f"its {role} is {name!r}, not {wanted}"
    if found.peepholes:
        return "it has peepholes"
    if not found.reset_after:
        return "it resets before the product (reset_after=False)"
    return None
