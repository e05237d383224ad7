"""Random inputs of a graph, of the sizes that it takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cello.convert.graph import NetGraph
from cello.convert.per_step import graph_reads
from cello.errors import ConversionError
from cello.layers.mode import evaluating
from cello.layers.reads import dtype_of

__all__ = ["Drawn"]

#: (T, B) whose samples tell which sizes are open.
_OPEN = ((7, 3), (8, 5))
_SIZES = ((1, 1), (1, 3), (6, 1), (5, 4), (19, 2), (9, 2))


class Drawn:
    """Draws the inputs of a graph, once it is known which of them have steps, and in which axis.

    What an input holds at a step, the module that reads it first says; where its steps are, and
    whether it has any, is found by running the net: the first that runs is it.

    Attributes:
        open: two sizes (T, B), which differ.
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
        self.dtype = dtype_of(net)
        self.open = _OPEN
        why = ""
        with torch.no_grad(), evaluating(net):
            for leads in self._forms():
                self.leads = leads
                told = [self._runs(*size) for size in self.open]
                if not any(told):
                    self.sizes = [size for size in _SIZES if not self._runs(*size)]
                    return
                why = why or next(filter(None, told))
        raise ConversionError(f"the net does not run on random inputs: {why}")

    def _forms(self) -> Iterator[tuple[str, ...]]:
        first = "BT" if self.net.batch_first else "TB"
        for lead in (first, first[::-1]):
            yield from itertools.product((lead, "B"), repeat=self.net.inputs)

    def _runs(self, T: int, B: int) -> str:
        """Why not; "" if it does."""
        try:
            self.net(*self(T, B, torch.Generator().manual_seed(0)))
        except Exception as error:  # whatever PyTorch says of a shape
            return str(error) or type(error).__name__
        return ""

    def __call__(self, T: int, B: int, generator: torch.Generator) -> list[Tensor]:
        """An input of each kind."""
        found = []
        for part, lead in zip(self.reads, self.leads, strict=True):
            shape = [*({"T": T, "B": B}[axis] for axis in lead), *part.shape]
            if part.ids:
                found.append(torch.randint(part.ids, shape, generator=generator))
            else:
                found.append(torch.randn(shape, generator=generator, dtype=self.dtype))
        return found

    def one(self, T: int, B: int, generator: torch.Generator) -> Any:
        """As a net of one input takes it, or the tuple of several."""
        found = self(T, B, generator)
        return found[0] if len(found) == 1 else tuple(found)
