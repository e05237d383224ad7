"""A model of Keras's while it is put together: its tensors, and the layers that are still empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from cello.convert.keras.masked import MaskedCell
from cello.convert.keras.out.plain import plain_layer
from cello.convert.keras.out.recurrent import KerasCell
from cello.errors import ModelError
from cello.layers import Bidirectional, DropIn, Recurrent, Stack
from cello.layers.paths import joined

__all__ = ["Building", "OnItsWay"]

_JOINS = {"concat": "concat", "sum": "sum", "mean": "ave"}


@dataclass(frozen=True)
class OnItsWay:
    """A value on its way: a tensor of Keras's, and what is still to be done to it.

    Attributes:
        tensor: [B, T, features] or [B, features].
        time_last: the value is the tensor with its last two axes exchanged.
        backwards: the value is the tensor from its end on.
        before: so many steps of zeros stand before the tensor.
    """

    tensor: Any
    time_last: bool = False
    backwards: bool = False
    before: int = 0


class Building:
    """Puts modules one behind the other.

    Args:
        keras: the library.
        dtype: of all numbers, such as "float32".
        states: whether initial states are inputs of the model, and final ones outputs.

    Attributes:
        given, final: the inputs and outputs that are states, cell by cell in the net's order.
    """

    def __init__(self, keras: Any, dtype: str, *, states: bool) -> None:
        self.keras, self.layers, self.dtype = keras, keras.layers, dtype
        self.states = states
        self.given: list[Any] = []
        self.final: list[Any] = []
        self._weights: list[tuple[Any, Sequence[Tensor]]] = []
        self._names: set[str] = set()

    def fill(self) -> None:
        """Give the layers, which have their shapes now, their weights."""
        for layer, weights in self._weights:
            layer.set_weights([weight.detach().cpu().numpy() for weight in weights])

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        wish = wish.replace(".", "_").replace("/", "_")
        unique, number = wish, 1
        while unique in self._names:
            number += 1
            unique = f"{wish}_{number}"
        self._names.add(unique)
        return unique

    def tensor(self, flow: OnItsWay) -> Any:
        """The value itself."""
        x = flow.tensor
        if flow.before:
            x = self.layers.ZeroPadding1D((flow.before, 0), name=self.name("padding"))(x)
        if flow.backwards:
            x = self.keras.ops.flip(x, axis=1)
        if flow.time_last:
            x = self.layers.Permute((2, 1), name=self.name("permute"))(x)
        return x

    # ------------------------------------------------------------ modules

    def module(self, net: nn.Module, flow: OnItsWay, path: str) -> OnItsWay:
        """What `net` makes of a value.

        Raises:
            ModelError: Keras has no such layer; names it.
        """
        if isinstance(net, (Stack, nn.Sequential)):
            for number, part in enumerate(net):
                flow = self.module(part, flow, joined(path, str(number)))
            return flow
        if isinstance(net, Recurrent):
            return self.recurrent(net, flow, path)[0]
        if isinstance(net, Bidirectional):
            cells = [net.forward_layer.cell, net.backward_layer.cell]
            self._begins_at_zero(net.forward_layer, path)
            return self._both_ways(cells, flow, path, _JOINS[net.join])
        if isinstance(net, DropIn):
            return self._drop_in(net, flow, path)
        return self._plain(net, flow, path)

    def _plain(self, module: nn.Module, flow: OnItsWay, path: str, **more: Any) -> OnItsWay:
        made = plain_layer(module, joined("net", path))
        if made is None:
            return flow
        options = {**made.options, **more}
        wide = flow.time_last or len(flow.tensor.shape) == 2
        if made.time_last and not wide:
            raise ModelError(
                f"{joined('net', path)} ({type(module).__name__}) must read [B, features, T]"
            )
        if made.kind == "Conv1D" and flow.before:
            reach = (options["kernel_size"] - 1) * options["dilation_rate"]
            if flow.before == reach and options["padding"] == "valid":
                flow, options["padding"] = replace(flow, before=0), "causal"
        if made.time_last:
            x = self.tensor(replace(flow, time_last=False))
        else:
            x, flow = self.tensor(flow), OnItsWay(None)
        name = self.name(f"{made.kind.lower()}_{path}")
        layer = getattr(self.layers, made.kind)(name=name, dtype=self.dtype, **options)
        y = layer(x)
        self._weights.append((layer, made.weights))
        return OnItsWay(y, time_last=flow.time_last)

    # ------------------------------------------------------------ recurrent layers

    def recurrent(
        self,
        net: Recurrent,
        flow: OnItsWay,
        path: str,
        *,
        given: Sequence[Any] = (),
        sequences: bool = True,
        finals: bool = False,
    ) -> tuple[OnItsWay, list[Any]]:
        """What a layer of one cell makes of a value, and its final states.

        Args:
            net: the layer.
            flow: what it reads.
            path: where it stands.
            given: its initial states in the order of its cell.
            sequences: whether all steps are wanted, or the last.
            finals: whether its final states are wanted.
        """
        self._begins_at_zero(net, path)
        made = KerasCell(net.cell, joined("net", path, "cell"))
        names = list(net.cell.state)[: len(made.states)]
        if self.states:
            given, finals = self._inputs(made, names, path), True
        layer = self._layer(
            made, path, sequences, finals, go_backwards=net.reverse != flow.backwards
        )
        x = self.tensor(replace(flow, backwards=False))
        order = [names.index(state) for state in made.states]
        more: dict[str, Any] = {}
        if given:
            more["initial_state"] = [given[place] for place in order]
            if isinstance(net.cell, MaskedCell):  # Keras heeds only a named mask beside states
                more["mask"] = getattr(x, "_keras_mask", None)
        found = layer(x, **more)
        y, *last = found if finals else [found]
        self._weights.append((layer, made.weights))
        last = [last[order.index(place)] for place in range(len(last))]
        if self.states:
            self.final += last
        return OnItsWay(y, backwards=net.reverse and sequences), last

    def _layer(
        self, made: KerasCell, path: str, sequences: bool, finals: bool, *, go_backwards: bool
    ) -> Any:
        return getattr(self.layers, made.kind)(
            name=self.name(f"{made.kind.lower()}_{path}".rstrip("_")),
            return_sequences=sequences,
            return_state=finals,
            go_backwards=go_backwards,
            **made.options,
        )

    def _inputs(self, made: KerasCell, names: Sequence[str], path: str) -> list[Any]:
        """Inputs for the initial states of a cell."""
        size = (made.options["units"],)
        some = [
            self.keras.Input(size, name=self.name(joined(path, f"{name}_0")), dtype=self.dtype)
            for name in names
        ]
        self.given += some
        return some

    def _both_ways(self, cells: Sequence[Any], flow: OnItsWay, path: str, merge: str) -> OnItsWay:
        ways = ("forward", "backward")
        made = [
            KerasCell(cell, joined("net", path, way)) for cell, way in zip(cells, ways, strict=True)
        ]
        names = [list(cell.state) for cell in cells]
        if self.states and len(names[0]) != len(names[1]):
            raise ModelError(
                f"{joined('net', path)} has {len(names[0])} states forward and {len(names[1])} "
                "backward, which Keras's Bidirectional does not tell apart: leave out states=True"
            )
        given = [
            self._inputs(each, some, joined(path, way)) if self.states else []
            for each, some, way in zip(made, names, ways, strict=True)
        ]
        parts = [
            self._layer(each, joined(path, way), True, self.states, go_backwards=way == "backward")
            for each, way in zip(made, ways, strict=True)
        ]
        layer = self.layers.Bidirectional(
            parts[0],
            merge_mode=merge,
            backward_layer=parts[1],
            name=self.name(f"bidirectional_{path}".rstrip("_")),
        )
        orders = [[n.index(state) for state in m.states] for n, m in zip(names, made, strict=True)]
        begin = [
            some[place]
            for some, order in zip(given, orders, strict=True)
            for place in order
            if some
        ]
        found = layer(self.tensor(flow), **({"initial_state": begin} if begin else {}))
        self._weights.append((layer, [*made[0].weights, *made[1].weights]))
        if not self.states:
            return OnItsWay(found)
        y, *last = found
        for order in orders:
            some, last = last[: len(order)], last[len(order) :]
            self.final += [some[order.index(place)] for place in range(len(some))]
        return OnItsWay(y)

    def _drop_in(self, net: DropIn, flow: OnItsWay, path: str) -> OnItsWay:
        cells, ways = list(net.cells().values()), 1 + net.bidirectional
        for number in range(net.num_layers):
            place = joined(path, str(number)) if net.num_layers > 1 else path
            if number and net.dropout:
                flow = self._plain(nn.Dropout(net.dropout), flow, place)
            some = cells[number * ways :][:ways]
            if ways == 2:
                flow = self._both_ways(some, flow, place, "concat")
            else:
                flow, _ = self.recurrent(Recurrent(some[0]), flow, place)
        return flow

    def _begins_at_zero(self, layer: Recurrent, path: str) -> None:
        if layer.initial_state != "zeros":
            raise ModelError(
                f"{joined('net', path)} learns its initial state; Keras's layers begin at zero"
            )
