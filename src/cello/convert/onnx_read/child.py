"""ONNX Runtime in a process of its own, where what it is given may end the process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cello.errors import ConversionError

__all__ = ["run_apart"]

_SECONDS = 60
_PROGRAM = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    sys.argv[1], options, providers=["CPUExecutionProvider"]
)
with numpy.load(sys.argv[2], allow_pickle=False) as given:
    feed = {part.name: given[f"x{place}"] for place, part in enumerate(session.get_inputs())}
made = session.run(None, feed)
numpy.savez(sys.argv[3], *made)
"""


def run_apart(model: bytes, feed: Mapping[str, Any]) -> list[Tensor]:
    """What ONNX Runtime makes of these inputs, which stand in the order of the model's.

    An operator that cannot run a size throws in some versions of ONNX Runtime where nothing catches
    it: that ends the process, which this one would not survive.

    Raises:
        ConversionError: it cannot run them, or was ended.
    """
    with tempfile.TemporaryDirectory(prefix="cello-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        files = [folder / part for part in ("net.onnx", "x.npz", "y.npz")]
        files[0].write_bytes(model)
        np.savez(files[1], **{f"x{place}": part for place, part in enumerate(feed.values())})
        command = [sys.executable, "-c", _PROGRAM, *map(str, files)]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"ONNX Runtime did not end in {_SECONDS} seconds") from error
        if ended.returncode:
            told = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConversionError(f"ONNX Runtime ended with {ended.returncode}: {told}")
        with np.load(files[2], allow_pickle=False) as made:
            return [torch.from_numpy(made[f"arr_{place}"]) for place in range(len(made.files))]
