"""A cell through time: layers, stacks, PyTorch's layers opened, one step at a time.

Imports the engines and below; `see`, `convert` and `tasks` import it.
"""

from cello.layers.bidirectional import Bidirectional
from cello.layers.call.steps import Steps
from cello.layers.drop_in import GRU, LSTM, RNN, DropIn, accelerate
from cello.layers.encoders import (
    KHot,
    Log,
    OneHot,
    Projection,
    WindowEmbedding,
    WindowProjection,
)
from cello.layers.hooks.watch import HookProvider, Observer, hooking, observing
from cello.layers.layer import Layer
from cello.layers.mode import evaluating
from cello.layers.outputs.crf import CRF
from cello.layers.outputs.pooling import (
    AttentionOverTime,
    LastStep,
    MaxOverTime,
    MeanOverTime,
    last,
)
from cello.layers.recurrent import Recurrent
from cello.layers.stack import Stack, StackState
from cello.layers.stream import Stepper

__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "RNN",
    "AttentionOverTime",
    "Bidirectional",
    "DropIn",
    "HookProvider",
    "KHot",
    "LastStep",
    "Layer",
    "Log",
    "MaxOverTime",
    "MeanOverTime",
    "Observer",
    "OneHot",
    "Projection",
    "Recurrent",
    "Stack",
    "StackState",
    "Stepper",
    "Steps",
    "WindowEmbedding",
    "WindowProjection",
    "accelerate",
    "evaluating",
    "hooking",
    "last",
    "observing",
]
