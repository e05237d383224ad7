"""The task of a saved model on a file whose answers are known."""

from __future__ import annotations

from pathlib import Path

import torch

from cello.errors import DataError
from cello.tasks.batching import Example
from cello.tasks.characters import Characters
from cello.tasks.classification import Classification
from cello.tasks.features import CharacterFeatures, WordFeatures
from cello.tasks.forecasting import Forecasting
from cello.tasks.readers.conll import read_conll
from cello.tasks.readers.python_source import KINDS, kind_ids
from cello.tasks.readers.text_files import read_documents, read_text
from cello.tasks.sentences import Examples, Sentences
from cello.tasks.tagging import Tagging
from cello.tasks.vocabulary import Vocabulary

__all__ = ["on_file"]

#: Python source is read in pieces of so many characters, as after training.
_PIECE = 2048


def on_file(
    task: Tagging | Characters | Classification | Forecasting,
    path: str | Path,
    *,
    token: int | str | None = None,
    tag: int | str | None = None,
) -> Tagging | Characters | Classification | Forecasting:
    """The same task with the split "test": what is in a file.

    Args:
        task: of a saved model.
        path: for words and their tags a file in the CoNLL form; for the kinds of characters Python
            source, whose kinds Python tells; for the next character a text file, or a folder of
            them; for whole sequences one such as the training data; for series a table, of which
            all is forecast that comes after a first context.
        token: the column of the words, counted from 0; that of the task's files unless given.
        tag: the column of the tags, likewise.

    Raises:
        DataError: the file cannot be read, is wrong, or holds nothing.
    """
    if isinstance(task, Forecasting):
        return task.on(task.read(path))
    if isinstance(task, Classification):
        return task.on(task.read(path))
    if isinstance(task, Characters):
        documents = {"test": read_documents([path])}
        return Characters(documents, task.features.vocabulary, batch_size=task.batch_size)
    token = task.columns[0] if token is None else token
    tag = task.columns[1] if tag is None else tag
    known = set(task.tags)
    if isinstance(task.features, WordFeatures):
        sentences = Sentences.read(path, token=token, tag=tag)
        unseen = sorted(sentences.tag_names() - known)
        ids = Vocabulary([*task.tags, *unseen], other=False)
        return _with(task, Examples(sentences, task.features, ids), unseen)
    if known <= set(KINDS) and isinstance(task.features, CharacterFeatures):
        return _with(task, _python(task, path), sorted(set(KINDS) - known))
    found = read_conll(path, token=token, tag=tag)
    unseen = sorted({name for sequence in found for name in sequence.tags} - known)
    ids = Vocabulary([*task.tags, *unseen], other=False)
    examples = [
        Example(task.features.encode(tokens), torch.tensor(ids.encode(tags)))
        for tokens, tags in found
    ]
    return _with(task, examples, unseen)


def _with(task: Tagging, examples: Examples | list[Example], unseen: list[str]) -> Tagging:
    return Tagging(
        task.features,
        task.tags,
        held_out={"test": examples},
        unseen=unseen,
        groups=task.groups,
        columns=task.columns,
    )


def _python(task: Tagging, path: str | Path) -> list[Example]:
    text = read_text(path).replace("\r\n", "\n")
    if not text:
        raise DataError(f"{path}: holds no text to evaluate on")
    names = (*task.tags, *sorted(set(KINDS) - set(task.tags)))
    number = torch.tensor([names.index(kind) for kind in KINDS])
    kinds = number[torch.tensor(list(kind_ids(text, str(path))))]
    ids = task.features.encode(text)
    return [Example(*pair) for pair in zip(ids.split(_PIECE), kinds.split(_PIECE), strict=True)]
