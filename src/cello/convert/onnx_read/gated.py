"""ONNX's RNN, LSTM and GRU as layers.

ONNX puts time first, writes the gates of an LSTM in the order i o f c and those of a GRU in the
order z r h, its z keeps the old state as ours does, and its biases are two. An LSTM's f, g and h
are the activations of its gates, of its input and of its memory on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cello.cells import Cell, ElmanCell, GRUCell, LSTMCell
from cello.convert.onnx_read.building import Seen, Wired
from cello.convert.onnx_read.node import FileNode
from cello.convert.onnx_read.onnx_cells import InputForgetLSTMCell, ScaledActivation
from cello.errors import ModelError
from cello.layers import Bidirectional, Recurrent
from cello.ranges import shown

__all__ = ["recurrent"]

_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
_DEFAULTS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
_OURS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softsign": "softsign",
         "Softplus": "softplus"}  # fmt: skip
#: Of activations with numbers, alpha and beta where nothing is said.
_ALPHA = {"Affine": 1.0, "LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "ScaledTanh": 1.0,
          "HardSigmoid": 0.2, "Elu": 1.0}  # fmt: skip
_BETA = {"Affine": 0.0, "ScaledTanh": 1.0, "HardSigmoid": 0.5}
_NAMES = {name.lower(): name for name in (*_OURS, *_ALPHA)}


def recurrent(b: Wired, node: FileNode, inputs: Sequence[Seen | None]) -> list[Seen]:
    """The outputs Y, Y_h and Y_c of one of the three operators."""
    kind, attributes = node.op, node.attributes
    x, W, R, B, lengths, *starts = [*inputs, *[None] * 8][:7]
    P = [*inputs, *[None] * 8][7] if kind == "LSTM" else None
    if x is None or W is None or R is None:
        raise ModelError("it needs X, W and R")
    direction = attributes.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ModelError(f"direction={shown(direction)} is not known")
    ways = 2 if direction == "bidirectional" else 1
    layout = int(attributes.get("layout", 0))
    cells = _cells(node, ways, _weights(kind, ways, x, W, R, B, P))
    count = len(cells[0].state)
    if layout:
        x = _turned(b, x, (1, 0, 2))
    if len(x.shape) != 3:
        raise ModelError(f"X must be [T, B, I], found {list(x.shape)}")
    states = _states(b, starts[:count], ways, cells, layout)
    batch_first = x.axes == (1, 0, 2)
    read = [x.base if batch_first and x.base is not None else b.number(x)]
    options: dict[str, Any] = {}
    if lengths is not None and not _are_whole(lengths, x):
        read.append(b.number(lengths))
        options["lengths"] = True
    made, finals = _layers(b, node, cells, read, states, options, direction, batch_first)
    H = cells[0].hidden_size
    if ways == 1:
        axes: tuple[int | None, ...] = (1, None, 0, 2) if batch_first else (0, None, 1, 2)
        y = b.view(b.value(made), axes)
    else:
        apart = b.value(b.put("unflatten", [made], sizes=[2, H]))
        axes = (1, 2, 0, 3) if batch_first else (0, 2, 1, 3)
        y = b.view(apart, axes, joined=made)
    found = [y]
    for place in range(count):
        if ways == 1:
            found.append(b.view(b.value(finals[0][place]), (None, 0, 1)))
        else:
            found.append(b.value(b.put("stack", [way[place] for way in finals])))
    if layout:
        found = [_turned(b, y, (2, 0, 1, 3)), *(_turned(b, end, (1, 0, 2)) for end in found[1:])]
    return found


def _turned(b: Wired, value: Seen, perm: Sequence[int]) -> Seen:
    if value.axes is None or value.is_known:
        return b.operator("Transpose", [value], perm=list(perm))
    return b.view(value, [value.axes[axis] for axis in perm])


def _are_whole(lengths: Seen, x: Seen) -> bool:
    """Whether each sequence is as long as the input."""
    return lengths.fixed and all(
        bool((torch.as_tensor(given) == sample.shape[0]).all())
        for given, sample in zip(lengths.samples, x.samples, strict=True)
    )


# ------------------------------------------------------------ states


def _states(
    b: Wired, starts: Sequence[Seen | None], ways: int, cells: list[Cell], layout: int
) -> list[list[Any]]:
    """Of each way, the initial states: numbers in the net, a learned vector each, or nothing."""
    turned = [
        None if start is None or (start.fixed and start.is_all(0))
        else _turned(b, start, (1, 0, 2)) if layout else start
        for start in starts
    ]  # fmt: skip
    if not any(start is not None for start in turned):
        return [[] for _ in range(ways)]
    H, dtype = cells[0].hidden_size, next(cells[0].parameters()).dtype
    if all(start is None or _same_rows(start) for start in turned):
        rows = [None if start is None else start.tensor[:, 0] for start in turned]
        zero = torch.zeros(ways, H, dtype=dtype)
        return [[(zero if row is None else row)[way] for row in rows] for way in range(ways)]
    known = next(start for start in turned if start is not None)
    given = [b.operator("Sub", [known, known]) if start is None else start for start in turned]
    found = []
    for way in range(ways):
        if ways == 1 and all(g.axes is not None and g.axes[0] is None for g in given):
            ours = [b.view(g, g.axes[1:]) for g in given if g.axes]
        else:
            ours = [b.operator("Gather", [g, _known(way)], axis=0) for g in given]
        found.append([b.number(part) for part in ours])
    return found


def _known(number: int) -> Seen:
    return Seen((number, number), fixed=True)


def _same_rows(start: Seen) -> bool:
    """Whether all sequences begin with one state, whatever is read."""
    first, second = (torch.as_tensor(sample) for sample in start.samples)
    return start.fixed and bool((first == first[:, :1]).all() and (second == first[:, :1]).all())


# ------------------------------------------------------------ layers


def _layers(
    b: Wired,
    node: FileNode,
    cells: list[Cell],
    read: list[int],
    states: list[list[Any]],
    options: dict[str, Any],
    direction: str,
    batch_first: bool,
) -> tuple[int, list[list[int]]]:
    """The output of the layer or of both, side by side, and the final states of each."""
    count = len(cells[0].state)
    learned = bool(states[0]) and isinstance(states[0][0], Tensor)
    given: dict[str, Any] = {"batch_first": batch_first}
    if learned:
        given["initial_state"] = "learned"
    runtime = bool(states[0]) and not learned
    if len(cells) == 2 and not runtime:
        layer = Bidirectional(*cells, **given)
        _begin(layer.forward_layer, states[0])
        _begin(layer.backward_layer, states[1])
        made = b.put(layer, read, node.name, **options)
        return made, [[b.state(made, n) for n in range(k, k + count)] for k in (0, count)]
    found, finals = [], []
    for way, cell in enumerate(cells):
        back = direction == "reverse" or way == 1
        one = Recurrent(cell, reverse=back, **given)
        _begin(one, states[way])
        more = [*states[way]] if runtime else []
        told = {**options, "states": len(more)} if more else options
        made = b.put(one, [*read, *more], node.name, **told)
        found.append(made)
        finals.append([b.state(made, n) for n in range(count)])
    if len(found) == 2:
        return b.put("concatenate", found, axis=-1), finals
    return found[0], finals


def _begin(layer: Recurrent, start: Sequence[Any]) -> None:
    if layer.initial_state == "learned":
        for name, value in zip(layer.cell.state, start, strict=True):
            layer.initial[name] = nn.Parameter(value.clone())


# ------------------------------------------------------------ cells


def _weights(
    kind: str,
    ways: int,
    x: Seen,
    W: Seen,
    R: Seen,
    B: Seen | None,
    P: Seen | None,
) -> dict[str, Tensor]:
    gates, found = _GATES[kind], {}
    for name, value in (("W", W), ("R", R), ("B", B), ("P", P)):
        if value is None:
            continue
        if not value.is_known:
            raise ModelError(f"{name} must stand in the file: it is computed, or an input")
        found[name] = value.tensor
    if len(found["R"].shape) != 3:
        raise ModelError(f"R must be [{ways}, {gates} H, H], found {list(found['R'].shape)}")
    H, inputs = found["R"].shape[-1], x.shape[-1] if x.shape else 0
    wanted = {"W": (ways, gates * H, inputs), "R": (ways, gates * H, H),
              "B": (ways, 2 * gates * H), "P": (ways, 3 * H)}  # fmt: skip
    for name, part in found.items():
        if tuple(part.shape) != wanted[name] or not part.is_floating_point():
            raise ModelError(f"{name} must be {list(wanted[name])}, found {list(part.shape)}")
    if not H or not inputs:
        raise ModelError("it has no units, or reads nothing")
    return found


def _cells(node: FileNode, ways: int, weights: dict[str, Tensor]) -> list[Cell]:
    kind = node.op
    functions = _activations(node, ways)
    H = weights["R"].shape[-1]
    if node.attributes.get("hidden_size", H) != H:
        raise ModelError(f"hidden_size={node.attributes['hidden_size']}, its weights are of {H}")
    make = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru}[kind]
    cells = []
    for way in range(ways):
        own = {name: value[way] for name, value in weights.items()}
        cells.append(make(node, own, functions[way]))
    return cells


def _activations(node: FileNode, ways: int) -> list[list[Any]]:
    """Of each way, its activations: a name of ours, or a module that has the numbers."""
    default = _DEFAULTS[node.op]
    names = list(node.attributes.get("activations") or default * ways)
    if len(names) != ways * len(default):
        raise ModelError(f"activations must be {ways * len(default)} names, got {shown(names)}")
    clip = float(node.attributes.get("clip", 0.0))
    numbers = {
        which: iter(node.attributes.get(f"activation_{which}", [])) for which in ("alpha", "beta")
    }
    found: list[Any] = []
    for place, told in enumerate(names):
        name = _NAMES.get(str(told).lower())
        if name is None:
            raise ModelError(
                f"the activation {shown(told)} is none of {', '.join(_NAMES.values())}"
            )
        alpha, beta = (
            float(next(numbers[which], table[name])) if name in table else 0.0
            for which, table in (("alpha", _ALPHA), ("beta", _BETA))
        )
        cut = 0.0 if node.op == "LSTM" and place % 3 == 2 else clip
        plain = name in _OURS and not cut
        found.append(_OURS[name] if plain else ScaledActivation(name, alpha, beta, cut))
    size = len(default)
    return [found[size * way : size * (way + 1)] for way in range(ways)]


def _rnn(_: FileNode, weights: dict[str, Tensor], functions: list[Any]) -> Cell:
    W, R, B = weights["W"], weights["R"], weights.get("B")
    (function,) = functions
    cell = ElmanCell(W.shape[1], R.shape[1], function, bias=B is not None)
    return _filled(cell, W=W, R=R, b=None if B is None else B.reshape(2, -1).sum(0))


def _lstm(node: FileNode, weights: dict[str, Tensor], functions: list[Any]) -> Cell:
    W, R, B, P = (weights.get(name) for name in "WRBP")
    assert W is not None
    assert R is not None
    H = R.shape[1]
    b = None if B is None else B.reshape(2, -1).sum(0)
    coupled = bool(node.attributes.get("input_forget", 0))

    def ordered(rows: Tensor | None) -> Tensor | None:
        if rows is None:
            return None
        i, o, f, g = rows.split(H)
        return torch.cat([i, g, o] if coupled else [i, f, g, o])

    peepholes = {} if P is None else dict(zip(("p_i", "p_o", "p_f"), P.split(H), strict=True))
    if coupled:
        peepholes.pop("p_f", None)
    make = InputForgetLSTMCell if coupled else LSTMCell
    gate, squash, out = functions
    cell = make(W.shape[1], H, gate, squash, out, peephole=P is not None, bias=b is not None)
    return _filled(cell, W=ordered(W), R=ordered(R), b=ordered(b), **peepholes)


def _gru(node: FileNode, weights: dict[str, Tensor], functions: list[Any]) -> Cell:
    W, R, B = weights["W"], weights["R"], weights.get("B")
    H = R.shape[1]
    after = bool(node.attributes.get("linear_before_reset", 0))

    def ordered(rows: Tensor) -> Tensor:
        z, r, n = rows.split(H)
        return torch.cat([r, z, n])

    b = d = None
    if B is not None:
        first, second = map(ordered, B.reshape(2, -1))
        if after:
            b = torch.cat([(first + second)[: 2 * H], first[2 * H :]])
            d = second[2 * H :] if bool(second[2 * H :].any()) else None
        else:
            b = first + second
    gate, squash = functions
    cell = GRUCell(
        W.shape[1], H, gate, squash, reset_after=after, recurrent_bias=d is not None,
        bias=b is not None,
    )  # fmt: skip
    return _filled(cell, W=ordered(W), R=ordered(R), b=b, d=d)


def _filled(cell: Any, **weights: Tensor | None) -> Any:
    """The cell with these weights, and those of its activations."""
    given = {name: value for name, value in weights.items() if value is not None}
    cell.to(given["W"].dtype).load_state_dict(given)
    return cell
