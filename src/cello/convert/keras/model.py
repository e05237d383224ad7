"""A model of Keras's as a network of ours: which layer reads which, masks, and what is returned."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cello.cells import Cell
from cello.convert.graph import NetGraph
from cello.convert.graph.wires import Wiring
from cello.convert.keras.archive import FUNCTIONAL, Archive, open_archive
from cello.convert.keras.calls import Passed, keys_of, topological_calls
from cello.convert.keras.composed import (
    MERGES,
    attention,
    masked_mean,
    merged,
    normalization,
    slopes,
)
from cello.convert.keras.keras_cells import CELLS, recurrent_cell
from cello.convert.keras.keras_proof import open_shapes, prove_beside_keras
from cello.convert.keras.layers import Arrays, plain_layer, refuse
from cello.convert.keras.masked import MaskedCell
from cello.convert.keras.moves import MOVES, Moved
from cello.convert.keras.nested import flattened, input_shape
from cello.convert.keras.operations import MASKS, as_layer, is_operation
from cello.convert.proved import Proof, proved
from cello.errors import CelloError, ModelError
from cello.layers import Bidirectional, Recurrent, Stack
from cello.ranges import shown

__all__ = ["from_keras", "unproved"]


def from_keras(file: str | Path) -> NetGraph | Stack:
    """The network in a file of Keras's, in eval mode; no code from the file is run.

    Sequential and functional models without loops, from `.keras` and from `.h5`: SimpleRNN, LSTM,
    GRU (`reset_after` both ways), RNN of built-in cells and StackedRNNCells, Bidirectional with
    every merge, TimeDistributed, Masking, Embedding, Dense, Conv1D, Dropout, the normalizations,
    merges, reshapes and poolings, and models of these inside a model. Keras itself is not needed,
    h5py is (`cello[keras]`). Where Keras is installed, its own layers, with the arrays of the file,
    run beside the network before that is returned; `cello.proof_of` says what that has shown, and
    where nothing could be run.

    Returns:
        A `Stack` where each layer reads the one before and all of them give a value at each step;
        otherwise a `NetGraph`, called with the model's inputs; of a dict of inputs or outputs, in
        the order of its sorted keys. Both read [B, T, features], as Keras does. Dropout inside a
        recurrent layer, which acts in training alone, is left out.

    Raises:
        ModelError: the file cannot be read, or holds a layer that has no equal here, such as a
            Lambda or a class of somebody's own; names it.
        ConversionError: the network does not compute what Keras's layers do; says where.
    """
    net, prove = unproved(Path(file))
    proved(net, prove())
    return net


def unproved(file: Path) -> tuple[NetGraph | Stack, Callable[[], Proof]]:
    """The network in a file, and what proves it.

    Raises:
        ModelError: as `from_keras`.
    """
    archive = open_archive(file)
    try:
        with torch.random.fork_rng(devices=[]):
            archive = flattened(archive)
            reader = _ModelReader(archive)
            net = reader.build()
            if isinstance(net, NetGraph):
                net.shapes = open_shapes(net, reader.shapes)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    except (
        CelloError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:  # whatever a configuration does that is none
        raise ModelError(f"{file} holds no model that can be read: {error!r}") from error
    return net, lambda: prove_beside_keras(net, archive, reader.shapes)


class _ModelReader(Wiring):
    """Puts the layers of a model into a graph, one after the other."""

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self.archive = archive
        self.shapes: list[Sequence[Any]] = []
        self.first: dict[str, int] = {}  # of each layer's modules

    def build(self) -> NetGraph | Stack:
        kind, config = self.archive.config["class_name"], self.archive.config["config"]
        if kind == "Sequential":
            outputs = self._sequential(config["layers"])
        elif kind in FUNCTIONAL:
            outputs = self._functional(config)
        else:
            raise refuse(shown(kind), "it is no Sequential or functional model")
        return self.net([value.number for value in outputs])

    # ------------------------------------------------------------ which layer reads which

    def _sequential(self, layers: Sequence[dict[str, Any]]) -> list[Passed]:
        value = None
        for layer in layers:
            if value is None:
                shape = input_shape(layer)
                value = Passed(self.new_input(), len(shape))
                self.shapes.append(shape[1:])
                if layer["class_name"] == "InputLayer":
                    continue
            value = self._layer(layer, [value], {})[0]
        if value is None or not self.nodes:
            raise ModelError("the model has no layers")
        return [value]

    def _functional(self, config: dict[str, Any]) -> list[Passed]:
        layers = {layer["config"]["name"]: layer for layer in config["layers"]}
        values: dict[tuple[str, int, int], Passed] = {}
        for name, _, _ in keys_of(config["input_layers"]):
            shape = input_shape(layers[name])
            values[name, 0, 0] = Passed(self.new_input(), len(shape))
            self.shapes.append(shape[1:])
        for name, node, call in topological_calls(layers, values.__contains__):
            read = [values[key] for key in call.read]
            if call.mask is not None:
                named = values[call.mask].number
                read = [replace(value, mask=named, is_named=True) for value in read]
            states = [values[key] for key in call.states]
            layer = layers[name]
            if operation := is_operation(layer):  # masks go through layers only
                read = [replace(value, mask=None) for value in read]
            if operation and layer["class_name"] in MASKS:
                found = [self._of_a_mask(layer, read, call.number)]
            else:
                if operation:
                    layer = as_layer(layer, layer["inbound_nodes"][node])
                given = {"initial_state": states} if states else {}
                found = self._layer(layer, read, given, node)
            values |= {(name, node, place): value for place, value in enumerate(found)}
        return [values[key] for key in keys_of(config["output_layers"])]

    def _of_a_mask(self, layer: dict[str, Any], read: list[Passed], number: float) -> Passed:
        """One of the operations that Keras 3 makes a mask of, where it writes them down."""
        kind, config, value = layer["class_name"], layer["config"], read[0]
        if kind == "NotEqual":
            return Passed(self.node("differs", [value.number], number=number), value.rank)
        if kind == "LogicalOr":
            both = self.node("maximum", [part.number for part in read])
            return Passed(both, max(part.rank for part in read))
        if kind in ("OnesLike", "ZerosLike"):
            all_alike = {"scale": 0.0, "offset": float(kind == "OnesLike")}
            return Passed(self.node("rescale", [value.number], **all_alike), value.rank)
        if config.get("axis") not in (-1, [-1]) or config.get("keepdims"):
            raise refuse(f"the layer {shown(config['name'])} ({kind})", "its axis")
        if kind == "ExpandDims":
            return Passed(self.node("Unsqueeze", [value.number], axes=[-1]), value.rank + 1)
        return Passed(self.node("any_differs", [value.number], number=0.0), value.rank - 1)

    # ------------------------------------------------------------ one layer

    def _layer(
        self,
        layer: dict[str, Any],
        values: list[Passed],
        given: dict[str, list[Passed]],
        node: int = 0,
    ) -> list[Passed]:
        """Add a layer; what it gives."""
        kind, config = layer["class_name"], layer["config"]
        name = str(config["name"])
        place = f"the layer {shown(name)} ({kind})"
        if layer.get("registered_name"):
            raise refuse(place, "it is a class of somebody's own")
        begin = len(self.nodes), len(self.modules)
        _check_dtype(config, place)
        arrays = Arrays(self.archive.arrays.get(name, []), place, self.archive.is_keras_3)
        if kind in MERGES:
            return [merged(self, kind, config, values, arrays)]
        if kind != "Attention" and len(values) != 1:
            raise refuse(place, f"no layer of its kind that reads {len(values)} tensors is known")
        value = values[0]
        if kind == "Attention":
            found = [attention(self, config, values, arrays)]
        elif kind == "Bidirectional":
            found = self._both_ways(config, value, given, arrays)
        elif kind in CELLS or kind == "RNN":
            found = self._recurrent(kind, config, value, given, arrays)
        elif kind == "Masking":
            found = [self._masking(config, value, place)]
        elif kind == "Normalization":
            found = [normalization(self, config, value, arrays)]
        elif kind == "PReLU" and value.rank == 2:
            found = [slopes(self, value, arrays)]
        elif kind == "GlobalAveragePooling1D" and value.mask is not None:
            found = [masked_mean(self, value)]
        elif kind == "Softmax" and value.rank == 3 and config.get("axis") in (1, -2):
            found = [self._moved(Moved("Softmax", 3, {"axis": 1}), value, place)]
        elif kind in MOVES:
            found = [self._moved(MOVES[kind](config, value, place), value, place)]
        else:
            found = [self._plain(kind, config, value, arrays)]
        if arrays.arrays:
            raise ModelError(f"{place} has {len(arrays.arrays)} arrays more than it takes")
        self._share(name, *begin)
        return found

    def _share(self, name: str, nodes: int, modules: int) -> None:
        """Of a layer that is called again, the nodes since then have the modules of the first."""
        first = self.first.setdefault(name, modules)
        if first == modules:
            return
        for node in self.nodes[nodes:]:
            if isinstance(node[0], int):
                node[0] += first - modules
        del self.modules[modules:], self.names[modules:]

    def _plain(self, kind: str, config: dict[str, Any], value: Passed, arrays: Arrays) -> Passed:
        if kind == "TimeDistributed":
            inner = config["layer"]
            kind, config = inner["class_name"], {**inner["config"], "name": config["name"]}
            if kind not in ("Dense", "Dropout", "Activation", "LayerNormalization", "ReLU", "ELU"):
                raise refuse(arrays.place, f"{kind} at each time step")
        made = plain_layer(kind, config, arrays, value.rank)
        if made is None:
            raise refuse(arrays.place, "it has no equal here")
        if value.mask is not None and (kind == "Conv1D" or kind.endswith("Pooling1D")):
            raise refuse(arrays.place, "it reads masked steps")
        number, rank = value.number, value.rank
        if made.before:
            number = self.node("pad", [number], before=made.before)
        if made.time_last:
            number = self.node("permute", [number], axes=[0, 2, 1])
        for module in made.modules:
            number = self.module(module, [number], config["name"])
            if made.time_last and module is made.modules[0]:
                number = self.node("permute", [number], axes=[0, 2, 1])
        mask = value.mask
        if kind == "Embedding":
            rank += 1
            if config.get("mask_zero"):
                mask = self.node("differs", [value.number], number=0)
        return Passed(number, rank, mask)

    # ------------------------------------------------------------ recurrent layers

    def _cells(self, kind: str, config: dict[str, Any], arrays: Arrays) -> list[Cell]:
        if kind != "RNN":
            return [recurrent_cell(kind, config, arrays)]
        inner = config["cell"]
        cells = inner["config"]["cells"] if inner["class_name"] == "StackedRNNCells" else [inner]
        return [recurrent_cell(cell["class_name"], cell["config"], arrays) for cell in cells]

    def _recurrent(
        self,
        kind: str,
        config: dict[str, Any],
        value: Passed,
        given: dict[str, list[Passed]],
        arrays: Arrays,
    ) -> list[Passed]:
        cells = self._cells(kind, config, arrays)
        _check_recurrent(config, value, arrays.place)
        states = [state.number for state in given.get("initial_state", [])]
        if states and len(states) != sum(len(cell.state) for cell in cells):
            raise ModelError(f"{arrays.place} is given {len(states)} initial states")
        reads, mask = value.number, value.mask
        if states and not value.is_named and self.archive.is_keras_3:
            mask = None  # which then goes on to other layers, but is not heeded in this one
        if config.get("go_backwards"):
            reads = self.node("flip", [reads], axis=1)
            mask = None if mask is None else self.node("flip", [mask], axis=1)
        names = [config["name"], *(f"{config['name']}_{k}" for k in range(1, len(cells)))]
        found = []
        for cell, name in zip(cells, names, strict=True):
            count = len(cell.state)
            begin, states = states[:count], states[count:]
            if mask is not None:
                cell = MaskedCell(cell, bool(config.get("zero_output_for_mask")))
                if begin:  # the output before the first step is 0, and as wide as h
                    begin.append(self.node("rescale", begin[:1], scale=0.0, offset=0.0))
            layer = Recurrent(cell, batch_first=True)
            options = {"states": len(begin)} if begin else {}
            read = [reads, *([] if mask is None else [mask]), *begin]
            reads = self.module(layer, read, name, **options)
            found.append((reads, count))
        finals: list[Passed] = []
        if config.get("return_state"):
            finals = [
                Passed(self.node("state", [number], index=place), 2)
                for number, count in found
                for place in range(count)
            ]
        if not config.get("return_sequences"):
            return [Passed(self.node("select", [reads], axis=1, index=-1), 2), *finals]
        return [Passed(reads, 3, value.mask), *finals]  # Keras turns what it reads, not the mask

    def _both_ways(
        self,
        config: dict[str, Any],
        value: Passed,
        given: dict[str, list[Passed]],
        arrays: Arrays,
    ) -> list[Passed]:
        there = config["layer"]
        back = config.get("backward_layer") or there
        merge, name = config.get("merge_mode", "concat"), config["name"]
        if given or merge not in (*_JOINS, None):
            raise refuse(arrays.place, f"merge_mode={shown(merge)} or initial states")
        first = {**there["config"], "name": f"{name}_forward", "go_backwards": False}
        second = {**back["config"], "name": f"{name}_backward", "go_backwards": True}
        sequences = bool(first.get("return_sequences"))
        join = {"concat": "concat", "sum": "sum", "ave": "mean"}.get(merge or "")
        plain = sequences and value.mask is None and not first.get("return_state")
        if join and plain and back["class_name"] == there["class_name"] != "RNN":
            for part in (first, second):
                _check_recurrent(part, value, arrays.place)
            cells = [
                self._cells(layer["class_name"], layer["config"], arrays)[0]
                for layer in (there, back)
            ]
            layer = Bidirectional(*cells, join=join, batch_first=True)
            return [Passed(self.module(layer, [value.number], name), 3)]
        zero = {"zero_output_for_mask": sequences and value.mask is not None}
        one = self._recurrent(there["class_name"], first | zero, value, {}, arrays)
        two = self._recurrent(back["class_name"], second | zero, value, {}, arrays)
        last = two[0].number
        if sequences:
            last = self.node("flip", [last], axis=1)
        finals = [*one[1:], *two[1:]]
        if merge is None:
            return [one[0], Passed(last, one[0].rank, one[0].mask), *finals]
        options = {"axis": -1} if merge == "concat" else {}
        joined = self.node(_JOINS[merge], [one[0].number, last], **options)
        return [Passed(joined, one[0].rank, value.mask if sequences else None), *finals]

    # ------------------------------------------------------------ the graph

    def _masking(self, config: dict[str, Any], value: Passed, place: str) -> Passed:
        if value.rank != 3:
            raise refuse(place, "masking needs [B, T, F]")
        mask = self.node("any_differs", [value.number], number=config.get("mask_value", 0.0))
        return Passed(self.node("keep", [value.number, mask]), 3, mask)

    def _moved(self, moved: Moved, value: Passed, place: str) -> Passed:
        """A node that moves or reduces numbers, which masks do not follow."""
        if value.mask is not None:
            raise refuse(place, "it reads masked steps")
        return Passed(self.node(moved.what, [value.number], **moved.options), moved.rank)


_JOINS = {"concat": "concatenate", "sum": "add", "ave": "average", "mul": "multiply"}


def _check_recurrent(config: dict[str, Any], value: Passed, place: str) -> None:
    if value.rank != 3:
        raise refuse(place, f"it reads a tensor of {value.rank} dimensions, not [B, T, F]")
    if config.get("time_major"):
        raise refuse(place, "time_major")
    if config.get("stateful"):
        warnings.warn(
            f"{place} is stateful: here each call begins at zero; pass the state on, or stream()",
            stacklevel=2,
        )


def _check_dtype(config: dict[str, Any], place: str) -> None:
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    if dtype not in (None, "float32", "float64", "int32", "int64"):
        raise refuse(place, f"its numbers are {shown(dtype)}, not float32 or float64")
    held = [config.get(name) for name in ("layer", "backward_layer", "cell")]
    for inner in (*held, *config.get("cells", [])):
        if inner is not None:
            _check_dtype(inner["config"], f"{inner['class_name']} in {place}")
