"""The loop with the tasks that there are: carried state, lengths, split data."""

import signal
from pathlib import Path

import pytest
import torch
from torch import nn

import cello
from cello.tasks.characters import Characters
from cello.tasks.corpus import Document
from cello.tasks.tagging import Tagging
from cello.train import Event, Options, TrainingInterrupted, fit
from tests.train.fakes import weights

OPTIONS = Options(epochs=2, learning_rate=0.02, accelerator="cpu", log=(), checkpoint_seconds=None)


def characters() -> Characters:
    text = "".join(f"{number} and {number + 1} make {2 * number + 1}.\n" for number in range(99))
    return Characters.from_documents([Document("sums.txt", text)], batch_size=4, tbptt_steps=16)


def tagging(folder: Path) -> Tagging:
    """Numbers after "up" are tagged up, others down."""
    lines = []
    for number in range(40):
        word = "up" if number % 3 else "down"
        lines += [f"{word} O", *[f"n{number % 5} {word}"] * (1 + number % 4), ""]
    file = folder / "train.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    return Tagging.from_conll(file, features="one-hot", min_count=1, batch_size=8)


def make_net(task: Characters | Tagging) -> cello.Stack:
    encoder = task.features.encoder()
    size: int = encoder.output_size
    layers = (
        [cello.Recurrent(cello.LSTMCell(size, 16))]
        if isinstance(task, Characters)
        else [cello.Bidirectional(cello.GRUCell(size, 8)), nn.Dropout(0.1)]
    )
    return cello.Stack(encoder, *layers, nn.Linear(16, task.output_size))


@pytest.mark.parametrize("name", ["chars", "tag"])
def test_training_stopping_and_resuming(tmp_path: Path, name: str):
    task = characters() if name == "chars" else tagging(tmp_path)

    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 7:
            signal.raise_signal(signal.SIGINT)

    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(make_net(task))
    whole = fit(task, nets[0], OPTIONS, tmp_path / "whole", progress=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(TrainingInterrupted):
            fit(task, nets[1], OPTIONS, tmp_path / "parts", progress=False, on_event=stop)
    finally:
        signal.signal(signal.SIGINT, before)
    parts = fit(task, nets[2], OPTIONS, tmp_path / "parts", resume=True, progress=False)
    assert torch.equal(weights(nets[2]), weights(nets[0]))
    assert (parts.validation, parts.test) == (whole.validation, whole.test)

    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    assert task.monitor in whole.validation
    # The CoNLL task was given no test file.
    assert bool(whole.test) == (name == "chars")
