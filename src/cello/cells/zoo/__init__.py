"""Published cells, each in a few lines, with its source: they run, record and train like ours.

The letters are those of the library: W weighs the input, R what is fed back, b is the bias; i, f,
g, o are an LSTM's gates and n is what a gated unit would become. Where a paper uses others, the
docstring says so. Imports `Cell` and the checks; `cello` hands it on as `cello.zoo`.

>>> layer = cello.Recurrent(cello.zoo.MGUCell(3, 2))
>>> y, state = layer(torch.zeros(7, 5, 3))
>>> y.shape
torch.Size([7, 5, 2])
"""

from cello.cells.zoo.exponential import SLSTMCell
from cello.cells.zoo.light import FastGRNNCell, JANETCell, LiGRUCell, MGUCell, UGRNNCell
from cello.cells.zoo.lstms import CoupledLSTMCell, LayerNormLSTMCell, MultiplicativeLSTMCell
from cello.cells.zoo.noisy import RecurrentDropoutLSTMCell, ZoneoutLSTMCell
from cello.cells.zoo.oscillators import CoRNNCell, LEMCell, UnICORNNCell
from cello.cells.zoo.parallel import MinGRUCell, MinLSTMCell
from cello.cells.zoo.reservoirs import CTRNNCell, EchoStateCell
from cello.cells.zoo.searched import NASCell
from cello.cells.zoo.simple import AntisymmetricCell, ClockworkCell, IndRNNCell, SCRNCell

__all__ = [
    "AntisymmetricCell",
    "CTRNNCell",
    "ClockworkCell",
    "CoRNNCell",
    "CoupledLSTMCell",
    "EchoStateCell",
    "FastGRNNCell",
    "IndRNNCell",
    "JANETCell",
    "LEMCell",
    "LayerNormLSTMCell",
    "LiGRUCell",
    "MGUCell",
    "MinGRUCell",
    "MinLSTMCell",
    "MultiplicativeLSTMCell",
    "NASCell",
    "RecurrentDropoutLSTMCell",
    "SCRNCell",
    "SLSTMCell",
    "UGRNNCell",
    "UnICORNNCell",
    "ZoneoutLSTMCell",
]


def __dir__() -> list[str]:
    return sorted(__all__)
