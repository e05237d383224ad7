"""The tasks that there are, on a few lines of text."""

from __future__ import annotations

from pathlib import Path

from torch import nn

import cello
from cello.tasks.characters import Characters
from cello.tasks.readers.corpus import Document
from cello.tasks.tagging import Tagging


def make_real_task(name: str, folder: Path) -> Characters | Tagging:
    """ "chars" or "tag"; `folder` is for its files."""
    return characters() if name == "chars" else tagging(folder)


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


def make_real_net(task: Characters | Tagging, dropout: float = 0.1) -> cello.Stack:
    encoder = task.features.encoder()
    size: int = encoder.output_size
    layers = (
        [cello.Recurrent(cello.LSTMCell(size, 16))]
        if isinstance(task, Characters)
        else [cello.Bidirectional(cello.GRUCell(size, 8)), nn.Dropout(dropout)]
    )
    return cello.Stack(encoder, *layers, nn.Linear(16, task.output_size))
