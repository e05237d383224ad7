"""PyTorch's quantization leaves our layers as they are: it is said when it passes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cello.engines import warn_once

__all__ = ["Qconfig"]


class Qconfig:
    """The attribute `qconfig`, which PyTorch's quantization sets on every module of a model.

    Args:
        who: given a layer, names what keeps its weights as they are; "" if all are quantized.
    """

    def __init__(self, who: Callable[[Any], str]) -> None:
        self.who = who

    def __get__(self, layer: Any, _kind: Any = None) -> Any:
        if layer is None:
            return self
        if "qconfig" not in vars(layer):
            raise AttributeError(f"{type(layer).__name__} has no attribute 'qconfig'")
        return vars(layer)["qconfig"]

    def __set__(self, layer: Any, value: Any) -> None:
        vars(layer)["qconfig"] = value
        if name := self.who(layer):
            warn_once(
                f"quantization leaves {name} as it is: PyTorch quantizes only layers of its own; "
                "quantize nn.RNN, nn.LSTM or nn.GRU with the same parameters in its place",
                UserWarning,
            )

    def __delete__(self, layer: Any) -> None:
        del vars(layer)["qconfig"]
