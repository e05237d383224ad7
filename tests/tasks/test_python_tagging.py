"""Tagging's default data: pieces to train on, long pieces to be judged by."""

import re

import pytest
import torch

from cello.errors import ArgumentError, DataError
from cello.tasks import build_network, python_tagging
from cello.tasks.readers.corpus import Document, split_documents
from cello.tasks.readers.python_source import KINDS, character_kinds

SOURCE = '''\
def area(width, height=2):  # of a rectangle
    """Multiply."""
    return width * height + 0
'''


def documents(count: int = 12, copies: int = 3) -> list[Document]:
    return [Document(f"m{n}.py", SOURCE.replace("area", f"area{n}") * copies) for n in range(count)]


def test_pieces_are_text_with_its_kinds():
    task = python_tagging(documents(), pieces=20, piece_length=16, batch_size=8, min_count=1)
    assert task.tags == KINDS
    assert task.monitor == "accuracy"
    assert task.splits == ("validation", "test")
    characters = task.features.vocabulary
    train = {
        document.text: "".join(
            chr(65 + KINDS.index(kind)) for kind in character_kinds(document.text)
        )
        for document in split_documents(documents())["train"]
    }
    batches = task.epoch(0)
    assert sorted(batch.x.shape for batch in batches) == [(16, 6), (16, 7), (16, 7)]
    for batch in batches:
        assert batch.lengths is None
        for x, y in zip(batch.x.t().tolist(), batch.y.t().tolist(), strict=True):
            piece = "".join(characters.decode(x))
            kinds = "".join(chr(65 + kind) for kind in y)
            # The piece stands in one of the files, and has the kinds that it has there.
            assert any(
                kinds == train[text][at.start() : at.start() + 16]
                for text in train
                for at in re.finditer(f"(?={re.escape(piece)})", text)
            )


def test_each_epoch_has_pieces_of_its_own_and_always_the_same():
    def epoch(number: int, **options) -> torch.Tensor:
        task = python_tagging(documents(), pieces=8, piece_length=16, batch_size=8, **options)
        return task.epoch(number)[0].x

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(0), epoch(1))
    assert not torch.equal(epoch(0), epoch(0, seed=1))


def test_evaluation_reads_whole_files_in_pieces():
    task = python_tagging(documents(), pieces=4, piece_length=16, evaluation_length=100)

    class Perfect(torch.nn.Module):
        """Knows by heart what it is to be asked."""

        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(1))
            self.steps = 0
            self.longest = 0

        def forward(self, x, state=None, *, lengths=None):
            self.longest = max(self.longest, len(x))
            self.steps += x.numel() if lengths is None else int(lengths.sum())
            return torch.zeros(*x.shape, len(KINDS)).index_fill_(2, torch.tensor([3]), 1.0), None

    net = Perfect()
    metrics = task.evaluate(net, "test")
    texts = [document.text for document in split_documents(documents())["test"]]
    kinds = [kind for text in texts for kind in character_kinds(text)]
    assert (net.steps, net.longest) == (len(kinds), 100)
    assert metrics["accuracy"] == pytest.approx(kinds.count("string") / len(kinds))
    assert metrics["accuracy/string"] == 1
    assert metrics["accuracy/comment"] == 0
    memory = kinds.count("string") + kinds.count("comment")
    assert metrics["memory_accuracy"] == pytest.approx(kinds.count("string") / memory)


def test_rare_characters_are_other():
    task = python_tagging([*documents(), Document("é.py", SOURCE + "# é\n")], min_count=20)
    assert "é" not in task.features.vocabulary
    assert "(" in task.features.vocabulary


def test_a_network_learns_it():
    task = python_tagging(documents(30), pieces=256, piece_length=64, batch_size=16, min_count=1)
    net = build_network("bi-gru", task.features.encoder(), 12, task.output_size)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for epoch in range(3):
        for batch in task.epoch(epoch):
            optimizer.zero_grad()
            (task.loss(net, batch).total / batch.weight).backward()
            optimizer.step()
    metrics = task.evaluate(net, "test")
    assert metrics["accuracy"] > 0.95
    told = task.predict(net, [SOURCE])[0]
    right = [a == b for a, b in zip(told, character_kinds(SOURCE), strict=True)]
    assert sum(right) / len(right) > 0.95


def test_the_default_is_the_standard_library():
    task = python_tagging(pieces=64)
    assert [batch.x.shape for batch in task.epoch(0)] == [(256, 32), (256, 32)]
    assert 90 < len(task.features.vocabulary) < 110


def test_errors():
    with pytest.raises(DataError, match=r"^m\d+\.py:1: not Python source: "):
        python_tagging([Document(f"m{n}.py", "'") for n in range(5)])
    with pytest.raises(DataError, match=r"^no training document has as many as 1000 characters$"):
        python_tagging(documents(), piece_length=1000)
    for name in ("pieces", "piece_length", "evaluation_length"):
        with pytest.raises(
            ArgumentError, match=f"^{name} must be a whole number from 1 to .*, got 0$"
        ):
            python_tagging(documents(), **{name: 0})
