"""A fused loop on a GPU against cuDNN's, and against PyTorch's ways to run a step there.

Nothing is measured where there is no card. Times are those of CUDA's events.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import cello
from benchmarks.case import Case, Measured, Skipped
from benchmarks.loops import plain_loop
from benchmarks.passes import sizes_of

SIZES = [(16, 1024, 64), (16, 1024, 128), (16, 1024, 256), (16, 1024, 768)]  # B, T, H
COMPILED_STEPS = 20  # torch.compile unrolls the loop
#: The aims: how often the peer's time is ours; for a recording, how often ours is the plain pass's.
OF_CUDNN, OF_FLASHRNN, OF_A_LOOP, RECORDED = 1 / 1.2, 2.0, 20.0, 1.4
CUDNN: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "LSTM": (nn.LSTM, nn.LSTMCell),
    "GRU": (nn.GRU, nn.GRUCell),
    "RNN": (nn.RNN, nn.RNNCell),
}


def cases() -> Iterator[Case | Skipped]:
    if not torch.cuda.is_available():
        yield Skipped("fused loops on a GPU", "there is no GPU here")
        return
    card = torch.cuda.get_device_name()
    for sizes in SIZES:
        yield from cases_on(torch.device("cuda"), sizes, card)
        yield flash_case(sizes, card)


def cases_on(device: torch.device, sizes: tuple[int, int, int], card: str) -> Iterator[Case]:
    """All cases of B, T, H on a device; on a CPU those that need no card."""
    batch, steps, hidden = sizes
    x = torch.randn(steps, batch, hidden, device=device)
    for name, (whole, one) in CUDNN.items():
        theirs, own = whole(hidden, hidden).to(device), one(hidden, hidden).to(device)
        own.load_state_dict({n.removesuffix("_l0"): p for n, p in theirs.state_dict().items()})
        ours = cello.Recurrent(own, engine="gpu")
        loop = _Loop(ours.cell)
        yield _case(f"nn.{name} on {card}", ours, theirs, x, least_ratio=OF_CUDNN)
        yield _case(f"{name}, a loop over the step on {card}", ours, loop, x, least_ratio=OF_A_LOOP)
        yield _case(
            f"{name}, recorded | plain on {card}",
            _Recorded(ours),
            ours,
            x,
            grad=False,
            most_times=RECORDED,
        )
        few = x[:COMPILED_STEPS]
        if device.type == "cuda":
            yield _case(f"{name}, torch.compile of the loop on {card}", ours, _compiled(loop), few)
            # A graph holds one pass forward: it is compared and timed without gradients.
            graphed = _graphed(loop, x)
            yield _case(f"{name}, the loop in a CUDA graph on {card}", ours, graphed, x, grad=False)


def flash_case(sizes: tuple[int, int, int], card: str) -> Case | Skipped:
    """FlashRNN's LSTM of one head in bfloat16, forward; it builds its kernels when first called.

    Its weights are its own, so results are not compared with those of ours, but with its plain
    loop in PyTorch, which it brings along.
    """
    name = f"FlashRNN's LSTM on {card}, forward"
    try:
        flashrnn: Any = importlib.import_module("flashrnn")
        while isinstance(flashrnn, ModuleType):  # the function has the name of its modules
            flashrnn = flashrnn.flashrnn
    except ImportError:
        return Skipped(name, "FlashRNN is not installed: pip install flashrnn")
    batch, steps, hidden = sizes
    options: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    given = torch.randn(batch, steps, 4, 1, hidden, **options)
    weights = torch.randn(4, 1, hidden, hidden, **options) / hidden**0.5
    bias = torch.zeros(4, 1, hidden, **options)
    cell = cello.Recurrent(cello.LSTMCell(hidden, hidden), engine="gpu").to(torch.bfloat16).cuda()
    x = torch.randn(steps, batch, hidden, **options)

    def theirs(backend: str) -> Tensor:
        with torch.no_grad():
            states, _ = flashrnn(given, weights, bias, function="lstm", backend=backend)
        made: Tensor = states[0]
        return made

    try:
        torch.testing.assert_close(theirs("cuda_fused"), theirs("vanilla"), rtol=5e-2, atol=5e-2)
    except Exception as error:
        return Skipped(name, f"FlashRNN does not run here: {str(error).partition(chr(10))[0]}")

    def ours() -> Measured:
        def call() -> None:
            with torch.no_grad():
                cell(x)

        return Measured(_timed(call, x.device)().amount, None)

    def peer() -> Measured:
        return Measured(_timed(lambda: theirs("cuda_fused"), x.device)().amount, None)

    return Case(name, ours, peer, sizes_of(x), least_ratio=OF_FLASHRNN)


class _Loop(nn.Module):
    """The plain loop as a module: its parameters are the cell's."""

    def __init__(self, cell: cello.Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return plain_loop(self.cell, x)


class _Recorded(nn.Module):
    """A layer whose gates are recorded in every pass; all values of an RNN, which has no gates."""

    def __init__(self, layer: cello.Recurrent) -> None:
        super().__init__()
        self.layer, self.gates = layer, layer.cell.gates or None

    def forward(self, x: Tensor) -> Any:
        return cello.record(self.layer, x, only=self.gates).result


def _compiled(loop: _Loop) -> nn.Module:
    run = torch.compile(loop, fullgraph=True)
    assert isinstance(run, nn.Module)
    return run


def _graphed(loop: _Loop, x: Tensor) -> nn.Module:
    with torch.no_grad():
        return _Graphed(loop, x)


class _Graphed(nn.Module):
    """A pass forward, captured once and replayed."""

    def __init__(self, loop: _Loop, x: Tensor) -> None:
        super().__init__()
        self.loop, self.given = loop, x.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loop(self.given)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.made = loop(self.given)

    def forward(self, x: Tensor) -> Any:
        self.given.copy_(x)
        self.graph.replay()
        return self.made


def _case(
    name: str, ours: nn.Module, theirs: nn.Module, x: Tensor, *, grad: bool = True, **aims: Any
) -> Case:
    word = "forward + backward" if grad else "forward"
    our_run, their_run = (
        _timed(_pass(side, x.detach().clone(), grad), x.device) for side in (ours, theirs)
    )
    return Case(f"{name}, {word}", our_run, their_run, sizes_of(x), 1e-3, 1e-3, **aims)


def _pass(module: nn.Module, x: Tensor, grad: bool) -> Callable[[], Any]:
    if not grad:
        return torch.no_grad()(lambda: module(x)[0])
    leaves = [x.requires_grad_(), *module.parameters()]
    weights = torch.linspace(-1.0, 1.0, len(x), device=x.device)[:, None, None] / x.numel()

    def call() -> Any:
        y, _ = module(x)
        return y.detach(), torch.autograd.grad((y * weights).sum(), leaves)

    return call


def _timed(call: Callable[[], Any], device: torch.device) -> Callable[[], Measured]:
    """The call with its seconds: between two events on a card, by the clock elsewhere."""

    def measured() -> Measured:
        if device.type != "cuda":
            begin = time.perf_counter()
            value = call()
            return Measured(time.perf_counter() - begin, value)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        value = call()
        last.record()
        last.synchronize()
        return Measured(first.elapsed_time(last) / 1e3, value)

    return measured
