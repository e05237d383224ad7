"""Other ways to run the same cells: torch.compile of a loop, JAX's scan, ONNX Runtime's step.

torch.compile unrolls the loop, and takes the longer for it the longer the sequence is; hence 20
steps and two sizes. What compiling takes is shown beside what our first call takes with nothing
built yet: in a new process for us, after a compilation of something trivial for torch.compile,
which so has its own setup done. JAX and ONNX Runtime are in the extra "bench".
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn

import cello
from benchmarks.bench_compile import calls
from benchmarks.case import Case, Measured, Skipped
from benchmarks.loops import plain_loop
from benchmarks.passes import GRID, QUICK_SIZES, backward, by_place, cotangent, forward, sizes_of
from cello.convert.c.machine import build
from cello.convert.c.proof import CompiledNet
from cello.convert.c.source import source_of
from cello.layers.stages import as_layers, stages_of

FASTER = 1.0
STEP_RATIO = 2.0  # at most half of ONNX Runtime's time
STEP_SIZES = [32, 128]
SAMPLE_SIZES, SAMPLES = (16, 32, 64), 100  # at 48 kHz a sample has 20.8 µs
UNROLLED = [(1, 20, 32), (32, 20, 128)]  # B, T, H

OURS: dict[str, Callable[[int], cello.Cell]] = {
    "LSTM": lambda size: cello.LSTMCell(size, size),
    "GRU": lambda size: cello.GRUCell(size, size),
}
TORCHS: dict[str, Callable[[int, int], nn.RNNCellBase]] = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


def cases() -> Iterator[Case | Skipped]:
    yield from jax_scan()
    yield from onnx_runtime()
    yield from exported_c()
    yield from compiled_loop()


def _missing(*packages: str) -> str | None:
    """Why a peer cannot be measured, if a package is not there."""
    missing = [name for name in packages if find_spec(name) is None]
    if not missing:
        return None
    are = "is" if len(missing) == 1 else "are"
    return f'{" and ".join(missing)} {are} not installed; pip install "cello[bench]"'


# ---------------------------------------------------------------- JAX


def jax_scan() -> Iterator[Case | Skipped]:
    """The LSTM and the GRU as a jitted scan, both passes, over the grid."""
    if reason := _missing("jax"):
        yield Skipped("JAX lax.scan", reason)
        return
    for name in TORCHS:
        for batch, steps, hidden in GRID:
            cell = TORCHS[name](hidden, hidden)
            layer = cello.Recurrent(cell)
            x = torch.randn(steps, batch, hidden)
            both = (
                ("forward", forward(layer, x), (by_place, one_place), 1e-5),
                ("forward + backward", backward(layer, cell, x.clone()), (tuple, as_torch), 1e-4),
            )
            for which, ours, compared, rtol in both:
                yield Case(
                    f"{name} {which} | JAX lax.scan",
                    ours,
                    _LazyJax(name, which, cell, x),
                    sizes_of(x),
                    rtol=rtol,
                    compared=compared,
                    quick=(batch, steps, hidden) in QUICK_SIZES,
                    least_ratio=FASTER,
                )


class _LazyJax:
    """Loads JAX and hands over the numbers at the first call; then runs what was jitted."""

    def __init__(self, name: str, which: str, cell: nn.RNNCellBase, x: torch.Tensor) -> None:
        self.made_of = name, which, cell, x
        self.run: Callable[[], Any] | None = None

    def __call__(self) -> Any:
        if self.run is None:
            self.run = self._make()
        return self.run()

    def _make(self) -> Callable[[], Any]:
        from benchmarks import jax_cells

        name, which, cell, x = self.made_of
        weights = [p.detach().numpy().T for p in cell.parameters()]
        if which == "forward":
            return jax_cells.forward(name, weights, x.numpy())
        steps, batch, _ = x.shape
        weighted = cotangent(torch.Size((steps, batch, cell.hidden_size)), x.dtype)
        return jax_cells.backward(name, weights, x.numpy(), weighted.numpy())


def one_place(result: Any) -> Any:
    """Outputs and a final state in the form that `by_place` gives."""
    y, state = result
    return y, [state]


def as_torch(result: Any) -> Any:
    """The gradients of weights as PyTorch has them, [outputs, inputs]."""
    y, (of_x, *of_weights) = result
    return y, (of_x, *(gradient.T for gradient in of_weights))


# ---------------------------------------------------------------- ONNX Runtime


def onnx_runtime() -> Iterator[Case | Skipped]:
    """One step from Python, against a layer's stepper."""
    if reason := _missing("onnx", "onnxruntime"):
        yield Skipped("one LSTM step in ONNX Runtime", reason)
        return
    for hidden in STEP_SIZES:
        from benchmarks.onnx_step import step

        cell = nn.LSTMCell(hidden, hidden)
        weights = {name: p.detach().numpy() for name, p in cell.named_parameters()}
        x = torch.randn(1, hidden)
        yield Case(
            "one LSTM step | ONNX Runtime",
            partial(cello.Recurrent(cell).stream(), x),
            partial(step("LSTM", weights), x.numpy()),
            {"B": 1, "T": 1, "H": hidden},
            least_ratio=STEP_RATIO,
        )


def exported_c() -> Iterator[Case | Skipped]:
    """Samples one by one, as in an audio plug-in: 100 in a call of the C, of ONNX Runtime each."""
    if reason := _missing("onnx", "onnxruntime"):
        yield Skipped("exported C", reason)
        return
    for kind, (hidden, each) in product(TORCHS, product(SAMPLE_SIZES, (True, False))):
        cell = TORCHS[kind](1, hidden)
        x = torch.randn(SAMPLES, 1, 1)
        how = "a sample a call" if each else "all in one call"
        yield Case(
            f"{kind} exported to C | ONNX Runtime, {how}",
            _LazyC(cell, x),
            _LazyOnnx(kind, cell, x, each),
            {"B": 1, "T": SAMPLES, "H": hidden},
            quick=hidden == 32,
            least_ratio=FASTER if each else None,
        )


class _LazyC:
    """The C of a cell, for this machine, over x from the initial state on."""

    def __init__(self, cell: nn.RNNCellBase, x: torch.Tensor) -> None:
        self.cell, self.x = cell, x.flatten(1).numpy()

    @cached_property
    def net(self) -> CompiledNet:
        layer = as_layers(self.cell)
        source = source_of(
            stages_of(layer, None), "net", torch.float32, math="own", int8=False, rounded=False
        )
        compile_ = partial(build, optimize=("-O3", "-march=native"))
        return CompiledNet(source, layer, self.x.shape[1:], compile_)

    def __call__(self) -> Any:
        return self.net.block(self.x)


class _LazyOnnx:
    """ONNX Runtime over x from zeros on, one step a call or all."""

    def __init__(self, kind: str, cell: nn.RNNCellBase, x: torch.Tensor, each: bool) -> None:
        self.kind, self.cell, self.x, self.each = kind, cell, x.numpy(), each

    @cached_property
    def run(self) -> Callable[..., Any]:
        from benchmarks.onnx_step import block

        weights = {name: p.detach().numpy() for name, p in self.cell.named_parameters()}
        return block(self.kind, weights)

    def __call__(self) -> Any:
        if not self.each:
            return self.run(self.x, anew=True)[:, 0]
        rows = (self.run(row[None], anew=t == 0) for t, row in enumerate(self.x))
        return np.concatenate(list(rows))[:, 0]


# ---------------------------------------------------------------- torch.compile


def compiled_loop() -> Iterator[Case]:
    """The plain loop through torch.compile; then what compiling has taken."""
    for name, make in OURS.items():
        for batch, steps, hidden in UNROLLED:
            cell = make(hidden)
            layer = cello.Recurrent(cell)
            x = torch.randn(steps, batch, hidden)
            loop = _Compiled(cell)
            first = _FirstCall(backward(loop, cell, x.clone()))
            yield Case(
                f"{name} forward | torch.compile of the loop",
                forward(layer, x),
                forward(loop, x),
                sizes_of(x),
                compared=(by_place, by_place),
                quick=False,
                least_ratio=FASTER,
            )
            yield Case(
                f"{name} forward + backward | torch.compile of the loop",
                backward(layer, cell, x.clone()),
                first,
                sizes_of(x),
                rtol=1e-4,
                quick=False,
                least_ratio=FASTER,
            )
            yield Case(
                f"{name} first call | compiling of the loop",
                calls(f"{name}Cell", (batch, steps, hidden), cached=False)[0],
                first.measured,
                sizes_of(x),
                compared=(_nothing, _nothing),
                rounds=1,
                quick=False,
                least_ratio=FASTER,
            )


def _nothing(_: Any) -> None:
    """The results of first calls come from other numbers; the cases before have compared them."""


class _Compiled:
    """A loop over a cell, compiled at the first call."""

    def __init__(self, cell: cello.Cell) -> None:
        self.cell = cell
        self.run: Callable[..., Any] | None = None

    def __call__(self, x: torch.Tensor) -> Any:
        if self.run is None:
            _set_up_inductor()
            torch.compiler.reset()  # it counts how often a function is compiled, and gives up
            loop = partial(plain_loop, self.cell)
            self.run = torch.compile(loop, dynamic=False, fullgraph=True)
        return self.run(x)


@cache
def _set_up_inductor() -> None:
    folder = tempfile.mkdtemp(prefix="cello-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # empty: what is timed is not taken from it
    with torch.enable_grad():
        x = torch.randn(8, requires_grad=True)
        torch.compile(torch.sin)(x).sum().backward()


class _FirstCall:
    """A function whose first call is timed."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run
        self.seconds: float | None = None

    def __call__(self) -> Any:
        if self.seconds is not None:
            return self.run()
        _set_up_inductor()
        begin = time.perf_counter()
        result = self.run()
        self.seconds = time.perf_counter() - begin
        return result

    def measured(self) -> Measured:
        """How long it took; it is called if it has not been."""
        if self.seconds is None:
            self()
        assert self.seconds is not None
        return Measured(self.seconds, None)
