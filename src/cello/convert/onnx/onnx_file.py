"""`cello.to_onnx`: a net as an ONNX file that has proved itself."""

from __future__ import annotations

import dataclasses
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cello.convert.graph import NetGraph
from cello.convert.graph.drawn import Drawn
from cello.convert.graph.per_step import per_step
from cello.convert.proof import Case, Proof, draw_input, prove, reads_of, run_net
from cello.engines import engine
from cello.errors import ArgumentError, ConversionError, ModelError
from cello.files import replace_all
from cello.layers.mode import evaluating
from cello.layers.outputs.pooling import refuse_pooling
from cello.layers.paths import check_module
from cello.layers.stream import Streamed

if TYPE_CHECKING:
    from cello.convert.onnx.net import Exporting
    from cello.convert.onnx.wired import WiredExporting

__all__ = ["Exported", "to_onnx"]


@dataclass(frozen=True)
class Exported:
    """What was written, and how equal it is.

    Attributes:
        file: where it stands.
        operators: what each cell has become, by its place in the net: "RNN", "LSTM" or "GRU" where
            its equations are that operator's, else "Scan"; "step" in a graph of one step.
        states: the input of each state, and the output that belongs to it.
        proof: on how many inputs both sides were run, and the largest difference.
    """

    file: Path
    operators: dict[str, str]
    states: dict[str, str]
    proof: Proof

    def __str__(self) -> str:
        cells = ", ".join(f"{place or 'net'}: {kind}" for place, kind in self.operators.items())
        return f"{self.file} ({cells}), {self.proof}"


def to_onnx(
    net: nn.Module,
    file: str | Path,
    *,
    stream: bool = False,
    test_vector: str | Path | None = None,
) -> Exported:
    """Write `net` as an ONNX file, for any T and B, once it has proved equal to the net.

    A cell becomes the operator RNN, LSTM or GRU if its equations are that operator's, else Scan
    with its step as the body. The inputs are ``x`` in the form in which the net takes it, and, each
    with a default, ``lengths`` (int64 [B], whole sequences) and the initial states (``h_0`` for the
    state h, ``1.h_0`` for that of module 1 of a stack). The outputs are ``y``, which is 0 past the
    end of a sequence, or [B, F] where a module takes one vector of each, and the final states
    (``h_n``, ``1.h_n``). Several inputs of a cell stand side by side in ``x``.

    ONNX's checker and strict shape inference look at the model. ONNX Runtime runs it on random and
    edge inputs beside the net's own steps; see `cello.convert.proof`.

    Args:
        net: a layer, a stack, a drop-in, or a module from tensor to tensor; as it is in eval mode.
            A `NetGraph` has inputs and outputs of its own, ``x`` and ``y``, or ``x0``, ``x1``, …;
            with `stream`, it must be able to run one step at a time.
        file: where to; a file that is there is replaced once the new one is proved and whole.
        stream: write one step: x [B, ...] and the states before it to y and the states after it.
        test_vector: a file ``.npz`` to write beside it, with inputs and outputs under their names.

    Returns:
        What each cell has become, and the largest difference.

    Raises:
        ConversionError: a part cannot be written as ONNX, or the model is not equal to the net:
            says where. Then nothing is written.
        ArgumentError: a bidirectional layer cannot run one step at a time; or `test_vector` does
            not end in .npz, or is `file`.
        ModelError: the file cannot be written.
        ImportError: the extra `cello[onnx]` is not installed.

    >>> import tempfile, cello
    >>> net = cello.Recurrent(cello.LSTMCell(3, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = to_onnx(net, f"{folder}/net.onnx")
    >>> made.operators, made.states
    ({'': 'LSTM'}, {'h_0': 'h_n', 'c_0': 'c_n'})
    """
    check_module(net)
    if stream or isinstance(net, NetGraph):
        refuse_pooling(net, "one step of ONNX" if stream else "a graph in ONNX")
    file = Path(file)
    _check_vector(test_vector, file)
    if isinstance(net, NetGraph) and stream:
        net = per_step(net)
    graph, options = _graph_of(net, stream)
    model = _checked(graph.model, file)
    side = _Side(graph, model, file)
    proof = prove(net, side, name=file.name, lengths=not stream, **options)
    if isinstance(net, NetGraph):
        proof = dataclasses.replace(proof, only=net.only)
    vector = {} if test_vector is None else {Path(test_vector): side.vector()}
    try:
        replace_all({**vector, file: model})
    except OSError as error:
        raise ModelError(f"cannot write {error.filename or file}: {error.strerror}") from error
    return Exported(file, graph.operators, graph.states, proof)


def _check_vector(test_vector: str | Path | None, file: Path) -> None:
    """Inputs and outputs go into a file of NumPy's, not into that of the net."""
    if test_vector is None:
        return
    if Path(test_vector).suffix.lower() != ".npz":
        raise ArgumentError(f"must end in .npz, got {test_vector}", argument="test_vector")
    if Path(test_vector).resolve() == file.resolve():
        raise ArgumentError(f"must not be the file of the net, {file}", argument="test_vector")


def _graph_of(net: nn.Module, stream: bool) -> tuple[Exporting, dict[str, Any]]:
    """The graph of a net, and how it is to be proved."""
    Exporting, WiredExporting = _exporting()
    if isinstance(net, NetGraph):
        drawn = Drawn(net)
        with torch.no_grad(), evaluating(net), engine("reference"):
            samples = [drawn(*sizes, torch.Generator().manual_seed(0)) for sizes in drawn.open]
            graph = WiredExporting(net, samples)
        return graph, {"draw": drawn.one, "sizes": drawn.sizes}
    if stream and isinstance(net, Streamed):
        net.in_turn()
    reads = reads_of(net)
    sample = draw_input(net, 1, 1, torch.Generator().manual_seed(0))
    run_net(net, Case("", sample))
    with torch.no_grad(), evaluating(net), engine("reference"):
        return Exporting(net, sample, reads, stream=stream), {}


def _exporting() -> tuple[type[Exporting], type[WiredExporting]]:
    """The classes that need the extra, imported when a net is written and not before."""
    try:
        importlib.import_module("onnxruntime")
        from cello.convert.onnx.net import Exporting
        from cello.convert.onnx.wired import WiredExporting
    except ImportError as error:
        raise ImportError(
            "ONNX files need onnx and onnxruntime, which come with Cello's extra onnx: "
            "pip install 'cello[onnx]'"
        ) from error
    return Exporting, WiredExporting


def _checked(model: Any, file: Path) -> bytes:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise ConversionError(f"{file.name} is no valid ONNX model: {error}") from error
    data: bytes = model.SerializeToString()
    return data


class _Side:
    """The model, run by ONNX Runtime."""

    def __init__(self, graph: Exporting, model: bytes, file: Path) -> None:
        import onnxruntime

        self.graph = graph
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # not that a default may be replaced
        options.intra_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ConversionError(f"ONNX Runtime cannot load {file.name}: {error}") from error
        self.last: dict[str, Any] = {}

    def __call__(self, case: Case) -> tuple[Any, Sequence[Tensor]]:
        """Run a case."""
        given = {} if case.state is None else dict(zip(self.graph.states, case.state, strict=True))
        if not self.graph.stream:
            if case.lengths is not None:
                given["lengths"] = case.lengths
            xs = case.x if isinstance(case.x, tuple) else (case.x,)
            made = self._run({**dict(zip(self.graph.xs, xs, strict=True)), **given})
            count = len(self.graph.ys)
            return made[0] if count == 1 else tuple(made[:count]), made[count:]
        y_s = []
        time = 1 if self.graph.batch_first_net else 0
        for x in case.x.unbind(time):
            y, *state = self._run({"x": x, **given})
            y_s.append(y)
            given = dict(zip(self.graph.states, state, strict=True))
        return torch.stack(y_s, time), state

    def _run(self, given: dict[str, Tensor]) -> list[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in given.items()}
        made = self.session.run(None, feed)
        names = [output.name for output in self.session.get_outputs()]
        self.last = {**feed, **dict(zip(names, made, strict=True))}
        return [torch.from_numpy(part) for part in made]

    def vector(self) -> bytes:
        """The last inputs and what came out, as an `.npz` file."""
        file = io.BytesIO()
        np.savez(file, **self.last)
        return file.getvalue()
