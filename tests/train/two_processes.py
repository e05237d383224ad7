"""Run by test_processes as a program: Fabric starts it a second time for the other process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from cello.train import Event, Options, TrainingInterrupted, fit
from tests.train.fakes import FakeTask, make_net, weights
from tests.train.real import make_real_net, make_real_task

OPTIONS = {
    "epochs": 3, "schedule": "linear", "warmup_steps": 2, "clip_norm": 0.1, "log_every": 4,
}  # fmt: skip
TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
STEPS = 24


def train(folder: Path, dropout: float, stop: int | None = None, resume: bool = False, **where):
    """Weights after the last step and at the end, and the history."""
    net = make_net(int(resume), dropout).double()
    last = []

    def watch(event: Event) -> None:
        if event.kind == "step" and event.step == STEPS:
            last.append(weights(net))
        if event.kind == "step" and event.step == stop:
            signal.raise_signal(signal.SIGINT)

    task, options = FakeTask(carry=True, batches=8), Options(**OPTIONS, **where)
    result = fit(task, net, options, folder, resume=resume, progress=False, on_event=watch)
    history = [row[name] for row in result.history for name in ("loss", "validation_accuracy")]
    return {"last": last[0] if last else None, "best": weights(net), "history": history}


def train_real(name: str, folder: Path, **where) -> dict[str, object]:
    """Weights at the end, loss and metrics, of a task that there is."""
    files = folder / f"{name}-files-{os.environ.get('LOCAL_RANK', 0)}"
    files.mkdir(parents=True)
    task = make_real_task(name, files)
    torch.manual_seed(0)
    net = make_real_net(task, dropout=0.0).double()
    options = Options(epochs=2, log=(), **where)
    result = fit(task, net, options, folder / name, progress=False)
    history = [row[name] for row in result.history for name in row if name != "seconds"]
    return {"last": None, "best": weights(net), "history": history}


def main() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    results = {
        "plain": train(folder / "plain", 0.0, **TWO),
        "chars": train_real("chars", folder, **TWO),
        "tag": train_real("tag", folder, **TWO),
        "whole": train(folder / "whole", 0.3, **TWO),
    }
    try:
        train(folder / "parts", 0.3, stop=13, **TWO)
    except TrainingInterrupted as error:
        # One write, newline included: both processes write to the same place.
        sys.stderr.write(f"rank {os.environ['LOCAL_RANK']}: {error}\n")
    results["parts"] = train(folder / "parts", 0.3, resume=True, **TWO)
    if os.environ["LOCAL_RANK"] == "0":
        tensors = {
            f"{run}.{name}": torch.as_tensor(value, dtype=torch.float64)
            for run, result in results.items()
            for name, value in result.items()
            if value is not None
        }
        save_file(tensors, folder / "results.safetensors")


if __name__ == "__main__":
    main()
