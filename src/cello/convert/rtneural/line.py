"""A network as one line of modules, as RTNeural runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

from cello.convert.graph import NetGraph
from cello.errors import ModelError
from cello.layers.row_wise import computing_modules

__all__ = ["TIME_LAST", "ModuleLine", "in_a_line", "reach"]

#: What reads [B, features, T] in PyTorch.
TIME_LAST = (nn.Conv1d, nn.BatchNorm1d, nn.PReLU)


class ModuleLine(NamedTuple):
    """Modules, each of which reads what the one before gives.

    Attributes:
        modules: each with its place, for errors; what does nothing is left out.
        skip: whether the first of the inputs is added to what comes out.
    """

    modules: list[tuple[str, nn.Module]]
    skip: bool = False


def in_a_line(net: nn.Module) -> ModuleLine:
    """The line of modules that `net` is.

    Raises:
        ModelError: it is none, or a convolution in it does not look back only; names the node.
    """
    if not isinstance(net, NetGraph):
        return ModuleLine([
            ("net" + "".join(f"[{name}]" for name in names), module)
            for names, module in computing_modules(net)
        ])  # fmt: skip
    if net.inputs != 1 or net.outputs not in ([len(net.wiring)], [-1]):
        raise ModelError(f"net has {net.inputs} inputs and {len(net.outputs)} outputs, not in line")
    skip = _skips(net)
    count = net.wiring[-1][1][0] if skip else len(net.wiring)
    found = [pair for pair in _modules(net, count) if not isinstance(pair[1], _NOTHING)]
    return ModuleLine(found, skip)


_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d)


def reach(conv: nn.Conv1d) -> int:
    """How many steps before its own a convolution looks at."""
    return int(conv.dilation[0]) * (int(conv.kernel_size[0]) - 1)


def _skips(net: NetGraph) -> bool:
    """Whether the last node adds the first of the input's numbers, see `from_rtneural`."""
    what, read, _ = net.wiring[-1] if net.wiring else ("", [], {})
    if what != "add" or len(read) != 2:
        return False
    if read[1] == 0:
        return True
    added, picked = (net.wiring[place - 1] if place else None for place in (read[1], read[1] - 1))
    return added == ["reshape", [read[1] - 1], {"shape": [-1, 1]}] and picked == [
        "select", [0], {"axis": -1, "index": 0}
    ]  # fmt: skip


def _modules(net: NetGraph, count: int) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the first nodes, where each reads what the one before gives."""
    parts, time_last, before = list(net.parts.values()), False, 0
    for place, (what, read, options) in enumerate(net.wiring[:count], 1):
        refused = ModelError(f"{net.node_name(place)} is nothing that RTNeural knows")
        if read != [place - 1] or (options and isinstance(what, int)):
            raise refused
        part: Any = parts[what] if isinstance(what, int) else None
        if what == "permute" and options["axes"] == [0, 2, 1]:
            time_last = not time_last
        elif what == "pad" and not before and not options.get("after"):
            before = options["before"]
        elif part is None or (
            isinstance(part, TIME_LAST) != time_last and not isinstance(part, _NOTHING)
        ):
            raise refused
        else:
            if isinstance(part, nn.Conv1d):
                _check(part, before, net.node_name(place))
                before = 0
            yield f"net.{net.names[what]}", part
        if before and isinstance(what, int):
            raise refused


def _check(conv: nn.Conv1d, before: int, name: str) -> None:
    plain = conv.stride == (1,) and conv.padding in ((0,), "valid")
    if not plain or conv.padding_mode != "zeros" or before != reach(conv):
        raise ModelError(
            f"{name} is no convolution of RTNeural's: those look back, over as many steps as they "
            "are long, one by one"
        )
