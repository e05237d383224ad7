"""`cello.RNN`, `LSTM` and `GRU` in place of PyTorch's layers of the same names.

`accelerate` puts them there. Imports the cells and `Recurrent`; `stack` imports it.
"""

from cello.layers.drop_in.accelerate import accelerate
from cello.layers.drop_in.base import DropIn
from cello.layers.drop_in.kinds import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "DropIn", "accelerate"]
