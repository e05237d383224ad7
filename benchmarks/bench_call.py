"""What a call costs beside its loops: layers, drop-ins, stacks, lengths and steppers.

The other side is the very loops of that call, run again on the same memory: what lies between the
two is what Python and PyTorch take for a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

import cello
from benchmarks.case import Case
from cello.engines.cpu.library import Library

MOST_FORWARD_MS, MOST_BACKWARD_MS = 0.020, 0.110
SIZES = [(1, 1, 32), (1, 100, 32), (1, 1, 128)]  # B, T, H

NETS: dict[str, Callable[[int], Any]] = {
    "Recurrent(LSTMCell)": lambda size: cello.Recurrent(cello.LSTMCell(size, size)),
    "Recurrent(GRUCell)": lambda size: cello.Recurrent(cello.GRUCell(size, size)),
    "cello.LSTM": lambda size: cello.LSTM(size, size),
    "cello.LSTM of two layers, both ways": lambda size: cello.LSTM(
        size, size, num_layers=2, bidirectional=True
    ),
    "cello.LSTM, batch first": lambda size: cello.LSTM(size, size, batch_first=True),
    "Bidirectional(LSTMCell)": lambda size: cello.Bidirectional(cello.LSTMCell(size, size)),
    "Stack(GRU, Linear)": lambda size: cello.Stack(cello.GRU(size, size), nn.Linear(size, 2)),
}


def cases() -> Iterator[Case]:
    for name, make in NETS.items():
        for batch, steps, hidden in SIZES:
            net, x = make(hidden), torch.randn(steps, batch, hidden)
            x = x.transpose(0, 1) if net.batch_first else x
            sizes = {"B": batch, "T": steps, "H": hidden}
            plain = name in ("Recurrent(LSTMCell)", "cello.LSTM", "cello.LSTM, batch first")
            yield beside_its_loops(
                f"{name} forward", _forward(net, x), sizes, MOST_FORWARD_MS if plain else None
            )
            yield beside_its_loops(
                f"{name} forward + backward",
                _backward(net, x),
                sizes,
                MOST_BACKWARD_MS if plain else None,
            )
    net, x = NETS["Recurrent(LSTMCell)"](32), torch.randn(20, 4, 32)
    lengths = torch.tensor([20, 13, 13, 2])
    sizes = {"B": 4, "T": 20, "H": 32}
    yield beside_its_loops("lengths forward", _forward(net, x, lengths=lengths), sizes)
    yield beside_its_loops("lengths forward + backward", _backward(net, x, lengths=lengths), sizes)
    for hidden in (32, 128):
        elman = cello.ElmanCell(hidden, hidden)
        elman.R.data.zero_()  # so that every step gives the same
        stepper, sizes = _step(cello.Recurrent(elman), hidden), {"B": 1, "T": 1, "H": hidden}
        yield beside_its_loops("stepper of an ElmanCell", stepper, sizes)


def beside_its_loops(
    name: str, call: Callable[[], Tensor], sizes: dict[str, int], most: float | None = None
) -> Case:
    """A call, and its loops alone, which write the same numbers to the same place once more."""
    loops, result = _watched(call)  # the first call: others may go another way than through Python
    assert loops

    def loops_alone() -> Tensor:
        for library, addresses, numbers, _ in loops:
            library.run(addresses, numbers)
        return result

    return Case(
        name, call, loops_alone, dict(sizes), rtol=0, atol=0, most_extra=most,
        quick=sizes["T"] == 1 and sizes["H"] == 32,
    )  # fmt: skip


def _watched(call: Callable[[], Tensor]) -> tuple[list[Any], Tensor]:
    """The loops that a call runs, with all that they read and write, and its result."""
    loops: list[Any] = []
    kept: list[Any] = []
    run, whole = Library.run, Library.__call__

    def watched_run(library: Library, addresses: Any, numbers: Any) -> None:
        # Copies, for a stepper goes on with its own.
        loops.append((library, addresses[:], numbers[:], kept))
        run(library, addresses, numbers)

    def watched_call(library: Library, steps: Any, tensors: Any, reset: Any) -> None:
        kept.extend((steps, list(tensors), reset))
        whole(library, steps, tensors, reset)
        kept.append(list(library._workspaces))

    with patch.object(Library, "run", watched_run), patch.object(Library, "__call__", watched_call):
        return loops, call()


def _forward(net: nn.Module, x: Tensor, **options: Any) -> Callable[[], Tensor]:
    @torch.no_grad()
    def call() -> Tensor:
        y: Tensor = net(x, **options)[0]
        return y

    return call


def _backward(net: nn.Module, x: Tensor, **options: Any) -> Callable[[], Tensor]:
    def call() -> Tensor:
        y: Tensor = net(x, **options)[0]
        y.sum().backward()
        return y.detach()

    return call


def _step(net: Any, size: int) -> Callable[[], Tensor]:
    stepper, x = net.stream(1), torch.zeros(1, size)

    def call() -> Tensor:
        y: Tensor = stepper(x)
        return y

    return call
