"""The proof that a net is what its ONNX file says: both run on the same inputs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from cello.convert.graph import NetGraph
from cello.convert.onnx_read.building import Wired
from cello.convert.onnx_read.child import run_apart
from cello.convert.onnx_read.graph_inputs import Input, draw, sizes_of
from cello.convert.onnx_read.limits import TooLargeError
from cello.convert.onnx_read.time_first import time_first
from cello.convert.proof import TOLERANCES, Proof, gap, together
from cello.engines import engine
from cello.errors import ConversionError
from cello.layers.mode import evaluating
from cello.layers.stream import Streamed

__all__ = ["prove_equal", "without_sizes"]

#: What open sizes are, over and over: of T and B mostly.
_SIZES = ((5, 4), (1, 1), (1, 3), (6, 1), (9, 2), (4, 4))
#: And where the file takes fewer than two of these: it needs more steps, or a multiple of some.
_LONGER = ((3, 48), (48, 3), (48, 24), (24, 48), (96, 96))
_KINDS = {"x of zeros": 0.0, "numbers around 1e-40": 1e-40, "around 1e4": 1e4}

#: Runs the file on inputs, in a process of its own if need be.
Runs = Callable[[Sequence[Tensor], bool], list[Tensor]]


def prove_equal(
    net: nn.Module,
    model: Any,
    inputs: Sequence[Input],
    b: Wired,
    file: Path,
    *,
    sizes_may_fail: bool = False,
) -> Proof | None:
    """Run the net and the file on the same inputs; None if nothing here can run the file.

    With `sizes_may_fail` a file that runs on none of them is no error.

    Raises:
        ConversionError: they are not equal, or one of them can run what the other cannot.
    """
    if find_spec("onnxruntime") is None:
        return None
    return _Proving(net, model, inputs, b, file).proof(sizes_may_fail)


def without_sizes(model: Any, inputs: Sequence[Input]) -> Any:
    """The same model for inputs whose sizes are open where these have a name."""
    from onnx import ModelProto

    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.value_info[:]
    for info in made.graph.output:
        info.type.tensor_type.ClearField("shape")
    infos = {info.name: info for info in made.graph.input}
    for part in inputs:
        for dim, size in zip(infos[part.name].type.tensor_type.shape.dim, part.dims, strict=True):
            if isinstance(size, str):
                dim.dim_param = size
    return made


class _Proving:
    """Both sides, and the inputs that they are given."""

    def __init__(
        self, net: nn.Module, model: Any, inputs: Sequence[Input], b: Wired, file: Path
    ) -> None:
        self.net, self.inputs, self.b, self.file = net, inputs, b, file
        self.other, self.whole = _other(model, inputs, file)
        dtypes = [p.dtype for p in net.parameters() if p.is_floating_point()]
        self.allowed = TOLERANCES[dtypes[0] if dtypes else torch.float32]
        self.names = [info.name for info in model.graph.output]
        self.found: list[Proof] = []
        self.count = 0
        self.refused = ""

    def proof(self, sizes_may_fail: bool = False) -> Proof:
        """Random numbers of several sizes; then, of sizes that the file takes, edges too."""
        plans: list[dict[str, int]] = []
        usable: list[dict[str, int]] = []
        for numbers in (*_SIZES, *_LONGER):
            plan = sizes_of(self.inputs, numbers)
            if plan in plans or (numbers in _LONGER and len(usable) > 1):
                continue
            plans.append(plan)
            if self._case(plan, len(plans) - 1):
                usable.append(plan)
        if not usable and sizes_may_fail:
            return Proof()
        if not usable:
            raise ConversionError(f"{self.file.name} does not run: {self.refused}")
        if any(part.dtype.is_floating_point for part in self.inputs):
            for kind, factor in _KINDS.items():
                self._case(usable[0], 97, kind, factor)
        for again in range(max(0, 4 - len(plans))):
            self._case(usable[0], 98 + again, "again")
        return replace(together(self.found), cases=self.count, not_run=self.refused)

    def _case(self, plan: dict[str, int], seed: int, kind: str = "", factor: float = 1.0) -> bool:
        """Whether the file runs with these sizes; the net then gives the same."""
        sizes = [f"{name} = {size}" for name, size in plan.items()]
        case = ", ".join([*sizes, *([kind] if kind else [])]) or "random numbers"
        given = [self._drawn(part, plan, seed, factor) for part in self.inputs]
        ours, told = _tried(partial(self._run, self.net, given))
        # What cannot be run here may end the process there.
        theirs, why = _tried(partial(self.other, given, ours is None))
        empty = theirs is not None and any(not part.numel() for part in theirs)
        if theirs is None or (ours is None and empty):  # too few steps for what pools them
            why = why or told
            self.refused = self.refused or f"{why} ({case})"
            return False
        if ours is None:
            raise ConversionError(f"{self.file.name} runs where the net cannot: {told} ({case})")
        for number, name in enumerate(self.names):
            x, y = theirs[number], ours[number]
            if factor > 1:  # what overflows does so as it may
                x, y = _finite(x, y)
            exactly = partial(self._exactly, given, number)
            furthest, scale = self._compared(x, y, name, case, exactly)
            self.found.append(Proof(1, furthest, furthest / scale, f"{name}, {case}"))
        self.count += 1
        return True

    def _drawn(self, part: Input, plan: dict[str, int], seed: int, factor: float) -> Tensor:
        b = self.b
        if part.name in b.lengths:
            pair = b.lengths[part.name]
            most = plan.get(b.symbols.get(pair, ""), pair[0])
            return draw(part, plan, seed, most + 1, most if self.whole else 1)
        drawn = draw(part, plan, seed, b.limits.get(part.name, 2))
        return drawn * factor if part.dtype.is_floating_point else drawn

    def _exactly(self, given: Sequence[Tensor], number: int) -> Tensor | None:
        wide = [part.double() if part.is_floating_point() else part for part in given]
        net = copy.deepcopy(self.net).double()
        found, _ = _tried(partial(self._run, net, wide))
        return None if found is None else found[number]

    def _run(self, net: nn.Module, given: Sequence[Tensor]) -> list[Tensor]:
        self.b.size.made = 0
        with torch.no_grad(), evaluating(net), engine("reference"):
            made = net.run(given, self.b.run) if isinstance(net, NetGraph) else net(*given)
        if isinstance(net, Streamed):
            finals = [part for part in tree_leaves(made[1]) if part is not None]
            made = (made[0], *finals)[: len(self.names)]
        return [torch.as_tensor(part) for part in (made if isinstance(made, tuple) else (made,))]

    def _compared(
        self, x: Tensor, y: Tensor, name: str, case: str, exactly: Callable[[], Tensor | None]
    ) -> tuple[float, float]:
        told = f"the net is not equal to {self.file.name}: {name}"
        if x.shape != y.shape or x.dtype != y.dtype:
            raise ConversionError(
                f"{told} is {y.dtype} {list(y.shape)} instead of {x.dtype} {list(x.shape)} ({case})"
            )
        return gap(x, y, self.allowed, exactly, told, case)


def _finite(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both, with 0 where neither is finite."""
    if x.shape != y.shape:
        return x, y
    there = x.isfinite() | y.isfinite()
    return torch.where(there, x, torch.zeros_like(x)), torch.where(there, y, torch.zeros_like(y))


def _tried(run: Callable[[], list[Tensor]]) -> tuple[list[Tensor] | None, str]:
    try:
        return run(), ""
    except TooLargeError:
        raise
    except Exception as error:  # sizes that a file does not allow
        return None, str(error)[:300]


# ------------------------------------------------------------ the file


def _other(model: Any, inputs: Sequence[Input], file: Path) -> tuple[Runs, bool]:
    """What runs the file, and whether all sequences must be whole there."""
    import onnxruntime

    names = [part.name for part in inputs]
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    data: bytes = time_first(model, file).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return _reference(model, names, file, error), True

    def run(given: Sequence[Tensor], apart: bool) -> list[Tensor]:
        feed = {name: part.numpy() for name, part in zip(names, given, strict=True)}
        if apart:
            return run_apart(data, {info.name: feed[info.name] for info in session.get_inputs()})
        return [torch.from_numpy(part) for part in session.run(None, feed)]

    return run, False


def _reference(model: Any, names: list[str], file: Path, error: Exception) -> Runs:
    """ONNX's own reference, which knows no lengths."""
    from onnx.reference import ReferenceEvaluator

    why = str(error).strip().rpartition("\n")[2][:200]
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception as again:
        raise ConversionError(
            f"neither ONNX Runtime nor onnx.reference takes {file.name}: {why}; {again}"
        ) from again
    warnings.warn(
        f"ONNX Runtime does not take {file.name} ({why}): it is compared with onnx.reference "
        "instead",
        stacklevel=7,
    )

    def run(given: Sequence[Tensor], _: bool) -> list[Tensor]:
        feed = {name: part.numpy() for name, part in zip(names, given, strict=True)}
        return [torch.as_tensor(part) for part in evaluator.run(None, feed)]

    return run
