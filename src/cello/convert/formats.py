"""The formats of others that are opened, by the ending of the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from torch import nn

from cello.convert.keras import from_keras, unproved
from cello.convert.onnx_read.reader import from_onnx
from cello.convert.proved import not_numbers
from cello.convert.pytorch import from_torch
from cello.convert.rtneural import from_rtneural
from cello.errors import ArgumentError, ModelError
from cello.layers import RNN

__all__ = ["FORMATS", "open_file"]

#: How a file is read, and whose format it is.
FORMATS: dict[str, tuple[Callable[[Path], nn.Module], str]] = {
    ".keras": (from_keras, "Keras"),
    ".h5": (from_keras, "Keras"),
    ".hdf5": (from_keras, "Keras"),
    ".onnx": (from_onnx, "ONNX"),
    ".json": (from_rtneural, "RTNeural"),
    ".safetensors": (from_torch, "PyTorch"),
    ".pt": (from_torch, "PyTorch"),
    ".pth": (from_torch, "PyTorch"),
}

_POINTER = b"version https://git-lfs.github.com/spec/"


def _begins(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_POINTER))
    except OSError:  # whoever reads it says so
        return b""


def open_file(
    file: Path, *, prefix: str | None = None, nonlinearity: str | None = None, prove: bool = True
) -> nn.Module:
    """The network in a file that another library wrote, in eval mode.

    Weights that contain NaN are a warning.

    Args:
        file: any of these formats.
        prefix: of weights of PyTorch's, which recurrent layer; see `from_torch`.
        nonlinearity: of weights of an `nn.RNN` of PyTorch's, which do not say it: "tanh" or "relu".
        prove: False for who only looks at it and does not wait for Keras, which takes longer to
            import than a file to read.

    Raises:
        ArgumentError: `prefix` is none of the layers, `nonlinearity` none of the two, or one of
            them is needed and not given, or not for this format.
        ModelError: its ending is none that is known, or it cannot be read.
    """
    net = _opened(file, prefix, nonlinearity, prove).eval()
    if said := not_numbers(net):
        warnings.warn(f"{file}: {said}", stacklevel=2)
    return net


def _opened(file: Path, prefix: str | None, nonlinearity: str | None, prove: bool) -> nn.Module:
    if file.suffix.lower() not in FORMATS:
        known = ", ".join(FORMATS)
        raise ModelError(f"{file} ends in none of {known}: which format it has is not known")
    if _begins(file) == _POINTER:
        raise ModelError(
            f"{file} is a pointer of Git LFS, not the file itself: git lfs pull gets it"
        )
    read, whose = FORMATS[file.suffix.lower()]
    if whose == "PyTorch":
        net = from_torch(file, prefix=prefix, nonlinearity=nonlinearity or "tanh")
        if isinstance(net, RNN) and nonlinearity is None:
            raise ArgumentError(
                f"{file} holds the weights of an RNN, which do not say whether it computes with "
                "tanh or relu: say it by nonlinearity (cello import FILE --nonlinearity relu)"
            )
        return net
    for name, option in (("prefix", prefix), ("nonlinearity", nonlinearity)):
        if option is not None:
            raise ArgumentError(f"{name}={option!r} is for weights of PyTorch's, not {whose}'s")
    return unproved(file)[0] if whose == "Keras" and not prove else read(file)
