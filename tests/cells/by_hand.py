"""What tests of cells against NumPy share."""

from __future__ import annotations

import numpy as np
import torch

import cello


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def arrays(cell: cello.Cell) -> dict[str, np.ndarray]:
    """Parameters and buffers by name."""
    tensors = [*cell.named_parameters(), *cell.named_buffers()]
    return {name: tensor.detach().numpy() for name, tensor in tensors}


def one_step(cell: cello.Cell) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray, tuple]:
    """A random input and state (vectors), and what the cell makes of them."""
    x = torch.randn(1, cell.input_size, dtype=torch.float64)
    state = tuple(torch.randn(1, s, dtype=torch.float64) for s in cell.state_sizes.values())
    y, new = cell(x, state)
    vectors = tuple(part[0].numpy() for part in state)
    return x[0].numpy(), vectors, y[0].detach().numpy(), tuple(p[0].detach().numpy() for p in new)
