"""The state of a net as one tensor for each state of each cell, and back, as files hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from cello.cells.contract.state import shapes_of
from cello.layers import Bidirectional, DropIn, Recurrent, Stack
from cello.layers.call.states import stacked

__all__ = ["by_parts", "parts_of", "state_of"]


def by_parts(net: Any, state: Any) -> Any:
    """The net's state with that of each module of others by its parts, in no form of its own."""
    if isinstance(net, Recurrent):
        return net.cell.taken_in(state)
    if isinstance(net, Bidirectional):
        return type(state)(*map(by_parts, (net.forward_layer, net.backward_layer), state))
    return type(state)(map(by_parts, net, state)) if isinstance(net, Stack) else state


def parts_of(net: Any, tensors: Sequence[Tensor]) -> list[Tensor]:
    """[B, ...] of each state, cell by cell, out of the tensors of the net's state in order."""
    return list(_parts(net, iter(tensors)))


def state_of(net: Any, parts: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of the net's state in order, out of what each cell has; rows may be flat."""
    return list(_state(net, iter(parts)))


def _parts(net: Any, tensors: Iterator[Tensor]) -> Iterator[Tensor]:
    for layer in _layers(net):
        if isinstance(layer, Recurrent):
            yield from (next(tensors) for _ in layer.cell.state)
        else:
            cells = list(layer.cells().values())
            parts = [next(tensors) for _ in cells[0].state]
            yield from (part[number] for number in range(len(cells)) for part in parts)


def _state(net: Any, parts: Iterator[Tensor]) -> Iterator[Tensor]:
    for layer in _layers(net):
        if isinstance(layer, Recurrent):
            for shape in shapes_of(layer.cell).values():
                part = next(parts)
                yield part.reshape(len(part), *shape)
        else:
            cells = layer.cells().values()
            joined = stacked([tuple(next(parts) for _ in cell.state) for cell in cells])
            yield from joined if isinstance(joined, tuple) else (joined,)


def _layers(net: Any) -> Iterator[Recurrent | DropIn]:
    """The layers that have a state, in the order of the net's state."""
    if isinstance(net, Stack):
        for module in net:
            yield from _layers(module)
    elif isinstance(net, Bidirectional):
        yield from (net.forward_layer, net.backward_layer)
    elif isinstance(net, (Recurrent, DropIn)):
        yield net
