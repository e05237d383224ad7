"""`cello.RNN`, `LSTM` and `GRU` in place of PyTorch's layers of the same names.

They are made of cells and `Recurrent`; `Stack` and `accelerate` use them.
"""

from cello.layers.drop_in.base import DropIn
from cello.layers.drop_in.kinds import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "DropIn"]
