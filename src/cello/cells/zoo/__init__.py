"""Published cells, each in a few lines, with its source: they run, record and train like ours.

The letters are those of the library: W weighs the input, R what is fed back, b is the bias; i, f,
g, o are an LSTM's gates and n is what a gated unit would become. Where a paper uses others, the
docstring says so. Imports `Cell` and the checks; `cello` hands it on as `cello.zoo`.

>>> layer = cello.Recurrent(cello.zoo.MGUCell(3, 2))
>>> y, state = layer(torch.zeros(7, 5, 3))
>>> y.shape
torch.Size([7, 5, 2])
"""

from cello.cells.zoo.bistable import BRCCell, NBRCCell
from cello.cells.zoo.exponential import SLSTMCell
from cello.cells.zoo.light import (
    FastGRNNCell,
    JANETCell,
    LiGRUCell,
    MGUCell,
    RANCell,
    STARCell,
    UGRNNCell,
)
from cello.cells.zoo.lstms import (
    CoupledLSTMCell,
    LayerNormLSTMCell,
    MCLSTMCell,
    MogrifierLSTMCell,
    MultiplicativeLSTMCell,
    NestedLSTMCell,
)
from cello.cells.zoo.noisy import RecurrentDropoutLSTMCell, ZoneoutLSTMCell
from cello.cells.zoo.oscillators import CoRNNCell, LEMCell, UnICORNNCell
from cello.cells.zoo.parallel import MinGRUCell, MinLSTMCell
from cello.cells.zoo.reservoirs import CTRNNCell, EchoStateCell, LIFCell
from cello.cells.zoo.searched import MUT1Cell, MUT2Cell, MUT3Cell, NASCell
from cello.cells.zoo.shaped import ConvLSTMCell, DeltaNetCell, MLSTMCell
from cello.cells.zoo.simple import AntisymmetricCell, ClockworkCell, IndRNNCell, RHNCell, SCRNCell
from cello.cells.zoo.state_spaces import LMUCell, LRUCell, S6Cell
from cello.cells.zoo.timed import CfCCell, GRUDCell, LTCCell, PhasedLSTMCell

__all__ = [
    "AntisymmetricCell",
    "BRCCell",
    "CTRNNCell",
    "CfCCell",
    "ClockworkCell",
    "CoRNNCell",
    "ConvLSTMCell",
    "CoupledLSTMCell",
    "DeltaNetCell",
    "EchoStateCell",
    "FastGRNNCell",
    "GRUDCell",
    "IndRNNCell",
    "JANETCell",
    "LEMCell",
    "LIFCell",
    "LMUCell",
    "LRUCell",
    "LTCCell",
    "LayerNormLSTMCell",
    "LiGRUCell",
    "MCLSTMCell",
    "MGUCell",
    "MLSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "MinGRUCell",
    "MinLSTMCell",
    "MogrifierLSTMCell",
    "MultiplicativeLSTMCell",
    "NASCell",
    "NBRCCell",
    "NestedLSTMCell",
    "PhasedLSTMCell",
    "RANCell",
    "RHNCell",
    "RecurrentDropoutLSTMCell",
    "S6Cell",
    "SCRNCell",
    "SLSTMCell",
    "STARCell",
    "UGRNNCell",
    "UnICORNNCell",
    "ZoneoutLSTMCell",
]


def __dir__() -> list[str]:
    return sorted(__all__)
