"""A tiny task and network: no text, a few steps, and dropout so that random numbers matter."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import cello
from cello.tasks.base import Batch, Loss, sequence_loss
from tests.patience import LIMIT

SYMBOLS = 5


class FakeTask:
    """Say which symbol came two places before. With `carry`, epochs are one long text in pieces."""

    name = "fake"
    monitor = "accuracy"
    higher_is_better = True
    splits: tuple[str, ...] = ("validation", "test")

    def __init__(self, *, carry: bool = False, batches: int = 4, rows: int = 4, seed: int = 0):
        self.carry, self.number, self.rows, self.seed = carry, batches, rows, seed

    def _symbols(self, epoch: int, batches: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        steps = 6 * batches + 2
        return torch.randint(SYMBOLS, (steps, self.rows), generator=generator)

    def _batches(self, epoch: int, batches: int, rank: int, world_size: int) -> list[Batch]:
        symbols = self._symbols(epoch, batches)
        mine = symbols[:, rank::world_size]
        weight = 6 * self.rows
        return [
            Batch(mine[2 + at : 8 + at], mine[at : 6 + at], None, weight)
            for at in range(0, 6 * batches, 6)
        ]

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        return self._batches(epoch, self.number, rank, world_size)

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        logits, state = net(batch.x, state, lengths=batch.lengths)
        total, count = sequence_loss(logits, batch.y)
        return Loss(total, count, state.detach() if self.carry else None)

    def evaluate(self, net: nn.Module, split: str) -> dict[str, float]:
        torch.rand(3)  # drawing numbers here must not disturb training
        assert not net.training
        right, count = 0, 0
        for batch in self._batches({"validation": 998, "test": 999}[split], 2, 0, 1):
            logits, _ = net(batch.x)
            right += int((logits.argmax(-1) == batch.y).sum())
            count += batch.y.numel()
        return {"accuracy": right / count}

    def config(self) -> dict[str, Any]:
        return {"symbols": SYMBOLS, "carry": self.carry}


def make_net(seed: int = 0, dropout: float = 0.3) -> cello.Stack:
    """Embedding, GRU, dropout, readout."""
    torch.manual_seed(seed)
    return cello.Stack(
        nn.Embedding(SYMBOLS, 4),
        cello.Recurrent(cello.GRUCell(4, 8)),
        nn.Dropout(dropout),
        nn.Linear(8, SYMBOLS),
    )


def weights(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, which can import cello and these tests."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=process_environment(),
        timeout=LIMIT,
    )
    assert not check or result.returncode == 0, result.stderr
    return result


def process_environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def logged(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv."""
    with open(folder / "log" / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
