"""`cello.RNN`, `LSTM` and `GRU` in place of PyTorch's layers of the same names.

Imports the cells and `Recurrent`; `Stack` and `accelerate` import it.
"""

from cello.layers.drop_in.base import DropIn
from cello.layers.drop_in.kinds import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "DropIn"]
