"""Recurrent neural networks whose memory you can see.

A cell is one step, written once in plain PyTorch; everything else is derived from it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from cello import errors
from cello._version import __version__
from cello.errors import CelloError


def _is_command() -> bool:
    """Whether this process was started as `cello` or as `python -m cello`."""
    started = sys.orig_argv[-len(sys.argv) :][0]  # the script, or the name after -m
    return "torch" not in sys.modules and os.path.basename(started) in ("cello", "cello.exe")


# Who imports cello may go on with `torch.export.load` or a pickle, which must find our operators
# and classes: all that registers any is imported here. The command line knows when it needs them,
# and must answer at once where it needs none.
if TYPE_CHECKING or not _is_command():
    from cello.cells import Cell, ElmanCell, GRUCell, JordanCell, LSTMCell
    from cello.engines import EngineWarning, engine
    from cello.layers import GRU, LSTM, RNN, Bidirectional, Recurrent, Stack, Stepper
    from cello.layers.drop_in.accelerate import accelerate
    from cello.layers.outputs.pooling import (
        AttentionOverTime,
        LastStep,
        MaxOverTime,
        MeanOverTime,
        last,
    )

if TYPE_CHECKING:
    from cello.cells import zoo
    from cello.convert import (
        from_keras,
        from_onnx,
        from_rtneural,
        from_torch,
        load_model,
        proof_of,
        save_model,
        to_c,
        to_keras,
        to_rtneural,
        to_torch,
    )
    from cello.convert.onnx.onnx_file import to_onnx
    from cello.see import attribute, count_parameters, diagnose, equations, intervene
    from cello.see.draw import draw
    from cello.see.gradients.flow import flow
    from cello.see.probing.probe import probe
    from cello.see.record import Recording, load_recording, record

# What is not needed to run a network is imported when it is first asked for.
_LATER = {
    **dict.fromkeys(("Cell", "ElmanCell", "GRUCell", "JordanCell", "LSTMCell"), "cells"),
    **dict.fromkeys(("EngineWarning", "engine"), "engines"),
    **dict.fromkeys(
        ("GRU", "LSTM", "RNN", "Bidirectional", "Recurrent", "Stack", "Stepper"), "layers"
    ),
    **dict.fromkeys(
        ("AttentionOverTime", "LastStep", "MaxOverTime", "MeanOverTime", "last"),
        "layers.outputs.pooling",
    ),
    "accelerate": "layers.drop_in.accelerate",
    "Recording": "see",
    "attribute": "see",
    "count_parameters": "see",
    "diagnose": "see",
    "draw": "see",
    "equations": "see",
    "flow": "see",
    "intervene": "see",
    "load_recording": "see",
    "probe": "see",
    "record": "see",
    "from_keras": "convert",
    "from_onnx": "convert",
    "from_rtneural": "convert",
    "from_torch": "convert",
    "load_model": "convert",
    "proof_of": "convert",
    "save_model": "convert",
    "to_c": "convert",
    "to_keras": "convert",
    "to_onnx": "convert.onnx.onnx_file",
    "to_rtneural": "convert",
    "to_torch": "convert",
    "zoo": "cells.zoo",
}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionOverTime",
    "Bidirectional",
    "Cell",
    "CelloError",
    "ElmanCell",
    "EngineWarning",
    "GRUCell",
    "JordanCell",
    "LSTMCell",
    "LastStep",
    "MaxOverTime",
    "MeanOverTime",
    "Recording",
    "Recurrent",
    "Stack",
    "Stepper",
    "__version__",
    "accelerate",
    "attribute",
    "count_parameters",
    "diagnose",
    "draw",
    "engine",
    "equations",
    "errors",
    "flow",
    "from_keras",
    "from_onnx",
    "from_rtneural",
    "from_torch",
    "intervene",
    "last",
    "load_model",
    "load_recording",
    "probe",
    "proof_of",
    "record",
    "save_model",
    "to_c",
    "to_keras",
    "to_onnx",
    "to_rtneural",
    "to_torch",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        module = importlib.import_module(f"cello.{_LATER[name]}")
        return getattr(module, name, module)  # `zoo` is a module itself
    raise AttributeError(f"module 'cello' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
