"""Peak memory of a training step beyond what was in use before, against nn.LSTM.

Each side in processes of its own: forward, backward and an update, two times over, after a step on
a very short sequence, which loads libraries and starts threads. The peak is the system's count of
the process's pages (VmHWM; where there is no /proc, ru_maxrss), so that every allocator is in it.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from benchmarks.bench_lstm import recurrent
from benchmarks.case import MIB, Case
from benchmarks.processes import in_fresh_process

SIZES = [(16, 100, 64), (16, 1000, 64), (32, 100, 128), (64, 100, 256), (32, 100, 512)]  # B, T, H
ROUNDS = 3

STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def cases() -> Iterator[Case]:
    for size in SIZES:
        yield Case(
            "training step",
            in_fresh_process("benchmarks.bench_memory", "training_step", "ours", *size),
            in_fresh_process("benchmarks.bench_memory", "training_step", "theirs", *size),
            dict(zip("BTH", size, strict=True)),
            rtol=1e-4,
            unit=MIB,
            rounds=ROUNDS,
            quick=size == SIZES[0],
            most_times=1.0,
        )


def training_step(side: str, batch: int, steps: int, hidden: int) -> tuple[int, list[float]]:
    """Bytes at the peak beyond those before, and the losses; run in a new process."""
    torch.manual_seed(0)
    x = torch.randn(steps, batch, hidden)
    theirs = nn.LSTM(hidden, hidden)
    layer = recurrent(theirs) if side == "ours" else theirs
    _step(layer, x[:2])
    before = _start_peak()
    losses = [_step(layer, x) for _ in range(2)]
    return _peak() - before, losses


def _step(layer: nn.Module, x: torch.Tensor) -> float:
    layer.zero_grad()
    y, _ = layer(x)
    loss = y.square().mean()
    loss.backward()
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    return loss.item()


def _start_peak() -> int:
    """Forget the peak so far; return the bytes in use.

    Where that cannot be, the peak so far is returned: what an import took for a while then hides
    the first bytes of the step, on both sides alike.
    """
    if not RESET_PEAK.exists():
        return _peak()
    RESET_PEAK.write_text("5", encoding="ascii")
    return _from_status("VmRSS")


def _peak() -> int:
    if STATUS.exists():
        return _from_status("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _from_status(name: str) -> int:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {name}")
