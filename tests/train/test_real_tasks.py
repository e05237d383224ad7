"""The loop with the tasks that there are: carried state, lengths, split data."""

import signal
from pathlib import Path

import pytest
import torch

from cello.train import Event, Options, TrainingInterrupted, fit
from tests.train.fakes import weights
from tests.train.real import make_real_net, make_real_task

OPTIONS = Options(epochs=2, learning_rate=0.02, accelerator="cpu", log=(), checkpoint_seconds=None)


@pytest.mark.parametrize("name", ["chars", "tag"])
def test_training_stopping_and_resuming(tmp_path: Path, name: str, ctrl_c: None):
    task = make_real_task(name, tmp_path)

    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 7:
            signal.raise_signal(signal.SIGINT)

    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(make_real_net(task))
    whole = fit(task, nets[0], OPTIONS, tmp_path / "whole", progress=False)
    with pytest.raises(TrainingInterrupted):
        fit(task, nets[1], OPTIONS, tmp_path / "parts", progress=False, on_event=stop)
    parts = fit(task, nets[2], OPTIONS, tmp_path / "parts", resume=True, progress=False)
    assert torch.equal(weights(nets[2]), weights(nets[0]))
    assert (parts.validation, parts.test) == (whole.validation, whole.test)

    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    assert task.monitor in whole.validation
    # The CoNLL task was given no test file.
    assert bool(whole.test) == (name == "chars")
