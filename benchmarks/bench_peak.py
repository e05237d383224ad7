"""The LSTM's forward pass against the time that its products take at the machine's peak.

The ratio is the share of the peak that is reached. The peak is measured in turn with the layer, on
as many threads: multiply-adds in registers, see fma.c, as many operations as the products of the
LSTM with its inputs and its hidden states, 2 · 4H · (I + H) · T · B. Activations come on top of
them and are not counted. The table's last lines say what nn.LSTM reaches.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bench_lstm import recurrent
from benchmarks.case import Case, Measured, Skipped
from benchmarks.passes import by_place, forward, sizes_of
from cello.engines.cpu.c.prelude import prelude
from cello.engines.cpu.toolchain.build import build
from cello.errors import CompilerError

SIZES = [(64, 100, 256), (32, 100, 512)]  # B, T, H
LEAST_SHARE = 0.92


def cases() -> Iterator[Case | Skipped]:
    try:
        _library()
    except CompilerError as error:
        yield Skipped("share of the peak", str(error).partition("\n")[0])
        return
    for ours in (True, False):
        for batch, steps, hidden in SIZES:
            theirs = nn.LSTM(hidden, hidden)
            layer = recurrent(theirs) if ours else theirs
            x = torch.randn(steps, batch, hidden)
            operations = 2 * 4 * hidden * (hidden + hidden) * steps * batch
            yield Case(
                f"{'Recurrent' if ours else 'nn.LSTM'} forward | {operations / 1e9:.1f} GFLOP",
                forward(layer, x),
                _at_peak(operations, theirs, x),
                sizes_of(x),
                compared=(by_place, by_place),
                quick=ours and hidden == 256,
                least_ratio=LEAST_SHARE if ours else None,
            )


def _at_peak(operations: int, layer: nn.LSTM, x: Tensor) -> Callable[[], Measured]:
    """A function that measures so many operations at the peak; its value is the layer's result."""
    run: Callable[[], Any] = forward(layer, x)

    def call() -> Measured:
        library, threads = _library(), torch.get_num_threads()
        rounds = round(operations / (threads * library.fma_operations()))
        result = run()
        seconds = library.fma_seconds(threads, rounds)
        if seconds < 0:
            raise OSError(f"{threads} threads cannot be started")
        return Measured(seconds, result)

    return call


@cache
def _library() -> ctypes.CDLL:
    source = Path(__file__).with_name("fma.c").read_text(encoding="utf-8")
    library = build("fma-peak", prelude() + source)
    library.fma_operations.restype = ctypes.c_long
    library.fma_seconds.restype = ctypes.c_double
    library.fma_seconds.argtypes = [ctypes.c_int, ctypes.c_long]
    return library
