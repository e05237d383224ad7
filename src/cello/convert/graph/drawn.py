"""Random inputs of a graph, of the sizes that it takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cello.convert.graph.axes import drawn, graph_reads
from cello.convert.graph.net_graph import NetGraph
from cello.engines import engine
from cello.errors import ConversionError
from cello.layers.mode import evaluating

__all__ = ["Drawn"]

#: (T, B) whose samples tell which sizes are open.
_OPEN = ((7, 3), (8, 5))
_SIZES = ((1, 1), (1, 3), (6, 1), (5, 4), (19, 2), (9, 2))


class Drawn:
    """Draws the inputs of a graph.

    Attributes:
        open: two sizes (T, B), which differ where the graph's sizes are open.
        sizes: those of `proof.prove` that the net takes.

    Args:
        net: the graph.

    Raises:
        ConversionError: no form of inputs that is known runs.

    >>> from torch import nn
    >>> drawn = Drawn(NetGraph([nn.Linear(3, 2)], [[0, [0], {}]]))
    >>> [x.shape for x in drawn(5, 2, torch.Generator())]
    [torch.Size([2, 5, 3])]
    """

    def __init__(self, net: NetGraph) -> None:
        self.net = net
        self.reads = [graph_reads(net, number) for number in range(net.inputs)]
        self.leads = net.axes.leads
        self.open = [self._allowed(*size) for size in _OPEN]
        sizes = list(dict.fromkeys(self._allowed(*size) for size in _SIZES))
        with torch.no_grad(), evaluating(net), engine("reference"):
            told = [self._runs(*size) for size in self.open]
            if any(told):
                raise ConversionError(f"the net does not run on random inputs: {max(told)}")
            self.sizes = [size for size in sizes if not self._runs(*size)]

    def _allowed(self, T: int, B: int) -> tuple[int, int]:
        """These sizes, but for those that the net fixes."""
        sizes = {"T": T, "B": B} | self.net.fixed
        return sizes["T"], sizes["B"]

    def _runs(self, T: int, B: int) -> str:
        """Why not; "" if it does."""
        try:
            self.net(*self(T, B, torch.Generator().manual_seed(0)))
        except Exception as error:  # whatever PyTorch says of a shape
            return str(error) or type(error).__name__
        return ""

    def __call__(self, T: int, B: int, generator: torch.Generator) -> list[Tensor]:
        """An input of each kind."""
        return drawn(self.net, self.reads, self.leads, {"T": T, "B": B}, generator)

    def one(self, T: int, B: int, generator: torch.Generator) -> Any:
        """As a net of one input takes it, or the tuple of several."""
        found = self(T, B, generator)
        return found[0] if len(found) == 1 else tuple(found)
