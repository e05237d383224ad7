"""Small models that the commands use: untrained, for what is tested is the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cello.convert import save_model
from cello.tasks import Characters, Tagging, build_network, python_tagging
from cello.tasks.readers.corpus import Document

SOURCE = 'def f(x):\n    """Twice x."""\n    return 2 * x  # why not\n'
WORDS = """\
arrive O
Taipei B-to
on O
November B-time
2nd I-time

leave O
Taipei B-from
on O
Monday B-time
"""


@pytest.fixture(autouse=True)
def no_loops_for_a_few_units(request: pytest.FixtureRequest) -> None:
    """That commands run compiled loops is seen where a test starts a process, and in the demo's."""
    if not request.module.__name__.endswith("test_demo"):
        request.getfixturevalue("step_by_step")


def saved(kind: str, task: Tagging | Characters, folder: Path) -> Path:
    torch.manual_seed(0)
    net = build_network(kind, task.features.encoder(), 6, task.output_size)
    save_model(net, folder, task=task.config())
    return folder


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return [Document(f"{name}.py", SOURCE * 3) for name in "abcdef"]


@pytest.fixture(scope="session")
def kinds_model(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> Path:
    """An LSTM that tells kinds of characters."""
    task = python_tagging(documents, pieces=4, piece_length=16, min_count=1)
    return saved("lstm", task, tmp_path_factory.mktemp("models") / "kinds")


@pytest.fixture(scope="session")
def words_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "words.txt"
    path.write_text(WORDS)
    return path


@pytest.fixture(scope="session")
def words_model(tmp_path_factory: pytest.TempPathFactory, words_file: Path) -> Path:
    """A bidirectional Elman network that tags words."""
    task = Tagging.from_conll(words_file, words_file, features="both", min_count=1, window=1)
    return saved("bi-elman", task, tmp_path_factory.mktemp("models") / "words")


@pytest.fixture(scope="session")
def chars_model(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> Path:
    """A GRU that predicts characters."""
    task = Characters.from_documents(documents, min_count=1, batch_size=2)
    return saved("gru", task, tmp_path_factory.mktemp("models") / "chars")
