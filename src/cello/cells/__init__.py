"""The equations: one family of cells a file, in plain PyTorch.

Imports errors and nothing else of the library; all other rooms may import it.
"""

from cello.cells.activations import ACTIVATIONS, Activation, activation_function
from cello.cells.cell import Cell
from cello.cells.contract.state import detach, state_type
from cello.cells.elman import ElmanCell
from cello.cells.foreign.cell import ForeignCell, as_cell
from cello.cells.gru import GRUCell
from cello.cells.jordan import JordanCell
from cello.cells.lstm import LSTMCell
from cello.cells.torch_layout import (
    TorchGRUCell,
    TorchLSTMCell,
    TorchRNNCell,
    share_parameters,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Cell",
    "ElmanCell",
    "ForeignCell",
    "GRUCell",
    "JordanCell",
    "LSTMCell",
    "TorchGRUCell",
    "TorchLSTMCell",
    "TorchRNNCell",
    "activation_function",
    "as_cell",
    "detach",
    "share_parameters",
    "state_type",
]
