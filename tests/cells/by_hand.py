"""What tests of cells against NumPy share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import cello
from cello.cells.contract.shapes import as_shaped, shape_of, width_of

Array = np.ndarray


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def arrays(cell: cello.Cell) -> dict[str, np.ndarray]:
    """Parameters and buffers by name."""
    tensors = [*cell.named_parameters(), *cell.named_buffers()]
    return {name: tensor.detach().numpy() for name, tensor in tensors}


class Given(dict):
    """Parameters by name; packed ones gate by gate, as W_i and so on."""

    def __init__(self, cell: cello.Cell) -> None:
        super().__init__(arrays(cell))
        for name, array in list(self.items()):
            if array.ndim and len(array) == len(cell.gates) * cell.hidden_size:
                parts = np.split(array, len(cell.gates))
                self |= {f"{name}_{g}": part for g, part in zip(cell.gates, parts, strict=True)}

    def __getattr__(self, name: str) -> Array:
        return self[name]

    def drive(self, gate: str, x: Array, h: Array) -> Array:
        return self[f"W_{gate}"] @ x + self[f"R_{gate}"] @ h + self[f"b_{gate}"]


def numpy_of(value: Any) -> Any:
    """The numbers of the one row, in tuples and dicts as the tensors are."""
    if isinstance(value, dict):
        return {name: numpy_of(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(map(numpy_of, value))
    return value[0].detach().numpy()


def tensors_of(value: Any) -> Any:
    """The other way: numbers, or a dict of such, as tensors of one row."""
    if isinstance(value, dict):
        return {name: tensors_of(part) for name, part in value.items()}
    return torch.from_numpy(value)[None]


def one_step(cell: cello.Cell) -> tuple[Any, tuple[np.ndarray, ...], np.ndarray, tuple]:
    """A random input and state of one row, and what the cell makes of them."""
    width = width_of(cell.input_size)
    x = as_shaped(cell.input_size, torch.randn(1, width, dtype=torch.float64))
    shapes = map(shape_of, cell.state_sizes.values())
    state = tuple(torch.randn(1, *shape, dtype=torch.float64) for shape in shapes)
    return numpy_of(x), numpy_of(state), *numpy_of(cell(x, state))
