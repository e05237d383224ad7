"""How many parameters a net has: by layer, and by gate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from cello.cells import Cell, GRUCell, LSTMCell
from cello.layers import Recurrent
from cello.layers.paths import check_module, joined, shown_paths
from cello.tables import text_table

__all__ = ["ParameterCount", "TableRow", "count_parameters"]


@dataclass(frozen=True)
class TableRow:
    """Parameters that belong together.

    Attributes:
        layer: where they are in the net.
        kind: the class of the module that they belong to.
        gate: the gate that they drive, "" if none or all.
        shapes: the name and shape of each, as far as it belongs here.
        count: how many numbers they are.
        trainable: how many of these are trained.
        shared: names that are left out of the count, for they are counted under another name.
    """

    layer: str
    kind: str
    gate: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    count: int
    trainable: int
    shared: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The parameters with their shapes."""
        shown = [f"{name} {'×'.join(map(str, shape)) or 1}" for name, shape in self.shapes]
        again = [f"({name}: counted above)" for name in self.shared]
        return " + ".join(shown) + (" " if shown and again else "") + " ".join(again)


@dataclass(frozen=True)
class ParameterCount:
    """What `cello.count_parameters` returns; print it as a table.

    Attributes:
        rows: one for each layer and gate.
        notes: what is worth knowing about these numbers.
    """

    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All parameters; those that layers share count once."""
        return sum(row.count for row in self.rows)

    @property
    def trainable(self) -> int:
        """Those that are trained."""
        return sum(row.trainable for row in self.rows)

    @property
    def frozen(self) -> int:
        """Those that are not."""
        return self.total - self.trainable

    def __repr__(self) -> str:
        before = [None, *(row.layer for row in self.rows)]
        columns: dict[str, list[str]] = {
            "layer": [
                f"{row.layer}  {row.kind}".strip() if row.layer != above else ""
                for row, above in zip(self.rows, before, strict=False)
            ]
            + ["total"],
            "gate": [row.gate for row in self.rows] + [""],
            "parameters": [row.text for row in self.rows] + [""],
            "count": [f"{row.count:,}" for row in self.rows] + [f"{self.total:,}"],
        }
        if not any(row.gate for row in self.rows):
            del columns["gate"]
        if self.frozen:
            columns["trainable"] = [f"{row.trainable:,}" for row in self.rows]
            columns["trainable"].append(f"{self.trainable:,}")
        right = [i for i, name in enumerate(columns) if name in ("count", "trainable")]
        table = text_table(list(columns), list(zip(*columns.values(), strict=True)), right=right)
        return "\n".join([table, *self.notes])


def count_parameters(net: nn.Module) -> ParameterCount:
    """Count the parameters of any module, layer by layer and gate by gate.

    Parameters that are shared count where they come first.

    Raises:
        DtypeError: `net` is not a module.

    >>> import cello
    >>> count_parameters(cello.GRUCell(2, 2)).total
    30
    >>> print(count_parameters(cello.LSTMCell(2, 2)))
    layer     gate    parameters             count
    --------  ------  -------------------  -------
    LSTMCell  i       W 2×2 + R 2×2 + b 2       10
              f       W 2×2 + R 2×2 + b 2       10
              g       W 2×2 + R 2×2 + b 2       10
              o       W 2×2 + R 2×2 + b 2       10
    total                                       40
    """
    check_module(net)
    seen: set[int] = set()  # ids of the parameters that are counted
    rows: list[TableRow] = []
    second_biases = 0
    for owner in _owners(net):
        rows += owner.rows(seen)
        second_biases += owner.second_biases
    notes = []
    if second_biases:
        notes.append(
            f"PyTorch's layers have two biases where the equations have one: {second_biases:,} "
            "parameters more"
        )
    return ParameterCount(tuple(rows), tuple(notes))


@dataclass(frozen=True)
class _Owner:
    """A layer's worth of parameters, by name."""

    layer: str
    kind: str
    parameters: dict[str, nn.Parameter]
    gates: tuple[str, ...] = ()
    hidden_size: int = 0
    is_torch: bool = False

    @property
    def second_biases(self) -> int:
        biases = (p.numel() for name, p in self.parameters.items() if name.startswith("bias_hh"))
        return sum(biases) if self.is_torch else 0

    def rows(self, seen: set[int]) -> Iterator[TableRow]:
        """A row for each gate, and one for what belongs to no gate."""
        shared = tuple(name for name, p in self.parameters.items() if id(p) in seen)
        own = {name: p for name, p in self.parameters.items() if name not in shared}
        seen.update(map(id, own.values()))
        for gate in (*self.gates, ""):
            found = {name: self._part(name, p, gate) for name, p in own.items()}
            parts = {name: shape for name, shape in found.items() if shape is not None}
            again = shared if gate == "" else ()
            if not parts and not again:
                continue
            counts = {name: math.prod(shape) for name, shape in parts.items()}
            trained = sum(count for name, count in counts.items() if own[name].requires_grad)
            total = sum(counts.values())
            yield TableRow(self.layer, self.kind, gate, tuple(parts.items()), total, trained, again)

    def _part(self, name: str, parameter: nn.Parameter, gate: str) -> tuple[int, ...] | None:
        """The shape of what this parameter has for the gate, None if it has nothing for it."""
        shape = tuple(parameter.shape)
        if self.gates and shape and shape[0] == len(self.gates) * self.hidden_size:
            return (self.hidden_size, *shape[1:]) if gate else None
        named = next((g for g in self.gates if name.endswith(f"_{g}")), "")  # such as p_i
        return shape if named == gate else None


def _owners(net: nn.Module) -> Iterator[_Owner]:
    done: set[nn.Module] = set()
    for path, module in shown_paths(net):
        if module in done:
            continue
        if isinstance(module, (Recurrent, Cell)):
            done.update(module.modules())
            cell = module.cell if isinstance(module, Recurrent) else module
            found = dict(cell.named_parameters())
            if module is not cell:
                own = module.named_parameters()
                found |= {n: p for n, p in own if not n.startswith("cell.")}
            is_torch = "bias_hh" in found and "weight_ih" in found
            kind = type(cell).__name__
            yield _Owner(path, kind, found, cell.gates, cell.hidden_size, is_torch)
        elif isinstance(module, nn.RNNBase):
            yield from _torch_layers(path, module)
        elif isinstance(module, nn.RNNCellBase):
            sizes = _gates(module), module.hidden_size
            found = dict(module.named_parameters())
            yield _Owner(path, type(module).__name__, found, *sizes, is_torch=True)
        elif found := {n: p for n, p in module._parameters.items() if p is not None}:
            yield _Owner(path, type(module).__name__, found)


def _torch_layers(path: str, module: nn.RNNBase) -> Iterator[_Owner]:
    """PyTorch's layer, or ours in its place: an owner for each layer and direction inside."""
    for number in range(module.num_layers):
        for suffix, way in (("", "forward"), ("_reverse", "backward"))[: 1 + module.bidirectional]:
            ending = f"_l{number}{suffix}"
            named = module.named_parameters()
            found = {n.removesuffix(ending): p for n, p in named if n.endswith(ending)}
            place = f"{number}.{way}" if module.bidirectional else f"{number}"
            layer = joined(path, place)
            sizes = _gates(module), module.hidden_size
            yield _Owner(layer, type(module).__name__, found, *sizes, is_torch=True)


def _gates(module: nn.Module) -> tuple[str, ...]:
    mode = module.mode if isinstance(module, nn.RNNBase) else None
    if mode == "LSTM" or isinstance(module, nn.LSTMCell):
        return LSTMCell.gates
    return GRUCell.gates if mode == "GRU" or isinstance(module, nn.GRUCell) else ()
