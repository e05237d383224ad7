"""Networks as files, and as other libraries have them: specifications, saved models, PyTorch.

Imports `layers` and below; `train` and the command line import it, and `see` does not.
"""

from cello.convert.c import ExportedC, to_c
from cello.convert.config import CONFIG, FORMAT, read_config
from cello.convert.formats import open_file
from cello.convert.graph import NetGraph
from cello.convert.keras import from_keras, to_keras
from cello.convert.onnx_read.reader import from_onnx
from cello.convert.proved import Proof, proof_of
from cello.convert.pytorch import from_torch, to_torch
from cello.convert.rtneural import from_rtneural, to_rtneural
from cello.convert.saved import load_model, model_files, save_model
from cello.convert.spec import Built, build_net, net_from_spec, net_to_spec

__all__ = [
    "CONFIG",
    "FORMAT",
    "Built",
    "ExportedC",
    "NetGraph",
    "Proof",
    "build_net",
    "from_keras",
    "from_onnx",
    "from_rtneural",
    "from_torch",
    "load_model",
    "model_files",
    "net_from_spec",
    "net_to_spec",
    "open_file",
    "proof_of",
    "read_config",
    "save_model",
    "to_c",
    "to_keras",
    "to_rtneural",
    "to_torch",
]
