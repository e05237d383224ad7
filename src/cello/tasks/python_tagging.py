"""Tagging's default data: the kind of each character of Python's standard library."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cello.errors import DataError
from cello.ranges import check_range
from cello.tasks.batching import Example, generator
from cello.tasks.features import CharacterFeatures
from cello.tasks.readers.corpus import Document, split_documents, standard_library
from cello.tasks.readers.python_source import KINDS, MEMORY_KINDS, kind_ids
from cello.tasks.tagging import Tagging
from cello.tasks.vocabulary import Vocabulary

__all__ = ["python_tagging"]


def python_tagging(
    documents: Sequence[Document] | None = None,
    *,
    pieces: int = 6000,
    piece_length: int = 256,
    evaluation_length: int = 2048,
    min_count: int = 20,
    batch_size: int = 32,
    teacher_forcing: int = 1,
    seed: int = 0,
) -> Tagging:
    """The task to tell each character's kind: keyword, name, string, comment …

    In training, an epoch is `pieces` pieces of `piece_length` characters from anywhere in the
    training files, drawn anew for each epoch, each read from the initial state. For evaluation
    whole files are read in pieces of `evaluation_length` characters, each from the initial state.
    The group "memory" holds strings and comments, which can only be told by what began earlier.

    Args:
        documents: Python source files, split by file; the standard library's unless given.
        pieces: pieces an epoch.
        piece_length: characters a piece, in training.
        evaluation_length: characters a piece, in evaluation.
        min_count: characters that occur less often in the training files are "other".
        batch_size: pieces a batch.
        teacher_forcing: see `Tagging`.
        seed: what the choice of the pieces depends on, with the epoch.

    Raises:
        DataError: the standard library's source is not on this machine, a document is not Python
            source, or no training document has `piece_length` characters.
        ArgumentError: a number is less than 1.
    """
    check_range(pieces=pieces, piece_length=piece_length, evaluation_length=evaluation_length)
    parts = split_documents(standard_library() if documents is None else documents)
    vocabulary = Vocabulary.count(
        (character for document in parts["train"] for character in document.text),
        min_count=min_count,
    )
    features = CharacterFeatures(vocabulary)
    examples = {name: [_example(d, features) for d in part] for name, part in parts.items()}

    texts = [example for example in examples["train"] if len(example.y) >= piece_length]
    if not texts:
        raise DataError(f"no training document has as many as {piece_length} characters")
    x, y = (torch.cat(column) for column in zip(*texts, strict=True))
    starts = _piece_starts([len(example.y) for example in texts], piece_length)

    def train(epoch: int) -> list[Example]:
        chance = generator("pieces", seed, epoch)
        chosen = starts[torch.randint(len(starts), (pieces,), generator=chance)].tolist()
        return [Example(x[at : at + piece_length], y[at : at + piece_length]) for at in chosen]

    return Tagging(
        features,
        KINDS,
        train=train,
        corpus=[Example(x, y)],
        held_out={
            name: [piece for e in examples[name] for piece in _cut(e, evaluation_length)]
            for name in ("validation", "test")
        },
        groups={"memory": MEMORY_KINDS},
        batch_size=batch_size,
        teacher_forcing=teacher_forcing,
        seed=seed,
    )


def _example(document: Document, features: CharacterFeatures) -> Example:
    kinds = kind_ids(document.text, document.name)
    return Example(features.encode(document.text), torch.tensor(list(kinds), dtype=torch.long))


def _piece_starts(lengths: Sequence[int], piece_length: int) -> Tensor:
    """Every place in the joined texts at which a piece can begin without leaving its text."""
    ranges, offset = [], 0
    for length in lengths:
        ranges.append(torch.arange(offset, offset + length - piece_length + 1))
        offset += length
    return torch.cat(ranges)


def _cut(example: Example, length: int) -> list[Example]:
    columns = zip(example.x.split(length), example.y.split(length), strict=True)
    return [Example(x, y) for x, y in columns]
