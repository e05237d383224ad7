"""An ONNX file as a network of ours: node after node, then proved equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cello.convert.graph import NetGraph
from cello.convert.graph.fixed import open_sizes
from cello.convert.onnx_read.building import Seen, Wired
from cello.convert.onnx_read.file import open_model, tensor_of
from cello.convert.onnx_read.graph_inputs import Input, draw, inputs_of, sizes_of
from cello.convert.onnx_read.graph_nodes import outputs_of
from cello.convert.onnx_read.node import FileNode, node_of
from cello.convert.onnx_read.onnx_proof import prove_equal, without_sizes
from cello.convert.onnx_read.scan import scan
from cello.convert.proof import Proof, proved, together
from cello.errors import CelloError, ConversionError, ModelError
from cello.layers import Stack
from cello.ranges import shown

__all__ = ["from_onnx"]

#: What open sizes are while a file is read, twice: all different, or the same, if they have to be,
#: or large, for windows over steps, and multiples, for what takes them in pairs; or one small and
#: one that samples of sound have.
_SIZES = (
    (range(3, 300), range(7, 600, 2)),
    ((2,), (3,)),
    (range(24, 2400, 24), range(48, 4800, 24)),
    ((2, 512, 1024, 1536), (3, 1024, 1536, 2048)),
    ((512, 2), (1024, 3)),
)


def from_onnx(file: str | Path) -> NetGraph | Stack:
    """The network in an ONNX file, in eval mode; proved equal to what ONNX Runtime makes of it.

    RNN, LSTM and GRU of operator sets 7 to 22, with every attribute and input, become our layers;
    Scan becomes a layer whose cell is the loop's body; what stands around them becomes modules of
    PyTorch's and functions. Numbers that do not depend on an input are computed once.

    Before it returns, ONNX Runtime runs the file beside the net, on inputs of several sizes and
    kinds; `cello.proof_of(net)` says how far apart they are. Operators with `layout=1`, which it
    refuses, stand between transposes there; what else it refuses is compared with ONNX's own
    `onnx.reference`; a warning says so. Without ONNX Runtime nothing is proved.

    Where the file fixes a number of steps or sequences, the net takes others only if nothing in it
    has that number built in; else a call with another one is a `ShapeError`.

    Args:
        file: `.onnx`; numbers in other files are read from its folder.

    Returns:
        A `Stack` where each layer reads the one before; otherwise a `NetGraph`, called with the
        inputs of the graph in their order. An input that has a value in the file is that value.

    Raises:
        ModelError: the file cannot be read, or holds what has no equal here; names the node.
        ConversionError: the net does not compute what the file does; says where.

    >>> import tempfile, cello
    >>> layer = cello.Recurrent(cello.GRUCell(3, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = cello.to_onnx(layer, Path(folder) / "net.onnx")
    ...     again = cello.from_onnx(Path(folder) / "net.onnx")
    >>> again[0].cell
    GRUCell(3, 2)
    """
    file = Path(file)
    try:
        with torch.random.fork_rng(devices=[]):
            model, opset = open_model(file)
            return _read(model, opset, file)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    except ConversionError:
        raise
    except (CelloError, MemoryError, RecursionError, Exception) as error:
        raise ModelError(f"{file} holds no model that can be read: {error!r}") from error


def _read(model: Any, opset: int, file: Path) -> NetGraph | Stack:
    inputs = inputs_of(model.graph)
    refused: list[tuple[int, ModelError]] = []
    for numbers in _SIZES:
        plans = [sizes_of(inputs, some) for some in numbers]
        samples = {
            part.name: tuple(draw(part, plan, seed, 2, 1) for seed, plan in enumerate(plans))
            for part in inputs
        }
        b = Wired(samples)
        b.symbols = {tuple(plan[name] for plan in plans): name for name in plans[0]}
        reader = _GraphReader(opset)
        try:
            outputs = reader.graph(b, model.graph, b.given)
            break
        except ModelError as error:  # kept without what has been computed
            refused.append((reader.nodes, ModelError(str(error))))
    else:
        furthest = max(refused, key=lambda pair: pair[0])[1]  # of the sizes that were tried
        if len({str(error) for _, error in refused}) == 1:
            raise furthest
        raise ModelError(
            f"{furthest}; of the sizes that it leaves open none that were tried fit: where it was "
            "exported, one may have been built in; exported with fixed sizes it may be read"
        )
    net = b.net_of(outputs)
    proof = prove_equal(net, model, inputs, b, file)
    if isinstance(net, NetGraph):
        shapes = [[s if isinstance(s, int) else None for s in part.dims] for part in inputs]
        given = [b.given[part.name].tensor for part in inputs]
        net.shapes = open_sizes(net, given, shapes)
        if proof is not None and net.shapes != shapes:
            proof = _proved_for_others(net, model, inputs, b, file, proof)
    if proof is not None:
        proved(net, proof)
    return net


def _proved_for_others(
    net: NetGraph, model: Any, inputs: Sequence[Input], b: Wired, file: Path, proof: Proof
) -> Proof:
    """The same for other sizes than the file's, where ONNX Runtime runs it with these."""
    leads = net.axes.leads if _is_told(net) else [""] * len(inputs)
    opened = [
        Input(part.name, part.dtype, tuple(
            (lead[axis] if axis < len(lead) else f"{part.name}[{axis}]") if size is None else size
            for axis, size in enumerate(shape)
        ))
        for part, shape, lead in zip(inputs, net.shapes, leads, strict=True)
    ]  # fmt: skip
    more = prove_equal(net, without_sizes(model, opened), opened, b, file, sizes_may_fail=True)
    if more is None or not more.cases:
        return proof
    return replace(together([proof, more]), not_run=proof.not_run)


def _is_told(net: NetGraph) -> bool:
    try:
        return net.axes.told
    except ConversionError:
        return False


class _GraphReader:
    """Reads graphs, those inside of nodes too."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes = 0  # that have been read

    def graph(self, b: Wired, graph: Any, given: dict[str, Seen]) -> list[Seen]:
        """The outputs of a graph, given its inputs and what it sees from outside."""
        values: dict[str, Seen] = dict(given)
        for tensor in graph.initializer:
            _add(values, {tensor.name: b.in_file(tensor_of(tensor))})
        for proto in graph.node:
            place = f"the node {shown(proto.name or ', '.join(proto.output))} ({proto.op_type})"
            try:
                node = node_of(proto, self.opset)
                made = self._outputs(b, node, values)
                if len(made) < len(node.outputs) and any(node.outputs[len(made) :]):
                    raise ModelError(f"it has {len(node.outputs)} outputs")
                self.nodes += 1
                names = zip(node.outputs, made, strict=False)
                found = {name: value for name, value in names if name}
                _add(values, found)
                b.called |= {
                    n: v.base for n, v in found.items() if v.base is not None and v.has_axes_of_base
                }
            except ModelError as error:
                raise ModelError(f"{place} cannot be read: {error}") from error
            except Exception as error:  # whatever PyTorch says of shapes and kinds of numbers
                raise ModelError(f"{place} cannot be read: {error}") from error
        return [self._found(values, info.name) for info in graph.output]

    @staticmethod
    def _found(values: dict[str, Seen], name: str) -> Seen:
        if name not in values:
            raise ModelError(
                f"it reads {shown(name)}, which nothing before it makes: nodes in a circle, or "
                "not in order"
            )
        return values[name]

    def _outputs(self, b: Wired, node: FileNode, values: dict[str, Seen]) -> Sequence[Seen]:
        inputs = [self._found(values, name) if name else None for name in node.inputs]
        if node.op == "If":
            return self._branch(b, node, inputs, values)
        if node.op == "Scan":
            outside = {name: value for name, value in values.items() if value.is_known}
            return scan(
                b, node, inputs, lambda inner, body, given: self.graph(inner, body, outside | given)
            )
        return outputs_of(b, node, inputs)

    def _branch(
        self,
        b: Wired,
        node: FileNode,
        inputs: Sequence[Seen | None],
        values: dict[str, Seen],
    ) -> list[Seen]:
        truth = inputs[0] if inputs else None
        if truth is None or not truth.is_known:
            raise ModelError("its condition depends on an input")
        name = "then_branch" if bool(truth.tensor.all()) else "else_branch"
        branch = node.attributes.get(name)
        if not hasattr(branch, "node"):
            raise ModelError(f"it has no {name}")
        return self.graph(b, branch, values)


def _add(values: dict[str, Seen], more: dict[str, Seen]) -> None:
    for name, value in more.items():
        if name in values:
            raise ModelError(f"{shown(name)} is made twice")
        values[name] = value
