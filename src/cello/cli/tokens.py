"""What a model reads from a file: characters of a text, or words in the CoNLL form."""

from __future__ import annotations

from pathlib import Path

from cello.cli.models import Model
from cello.errors import DataError, ModelError

__all__ = ["reads_characters", "token_sequences"]


def token_sequences(model: Model, path: Path, token: int, purpose: str) -> list[tuple[str, ...]]:
    """The sequences of a file: the whole text as one, or the sentences.

    Args:
        model: what reads them.
        path: a text file, or one in the CoNLL form for a model of words.
        token: the column of the words.
        purpose: what for, as an error says it.

    Raises:
        ModelError: the model has no task, so nobody knows how it reads text.
        DataError: the file cannot be read, or holds nothing.
    """
    from cello.tasks.readers.conll import read_conll
    from cello.tasks.readers.text_files import read_text

    if model.task is None:
        raise ModelError("the model has no task, so it is not known how it reads text")
    if reads_characters(model):
        text = read_text(path)
        if not text:
            raise DataError(f"{path}: holds no text to {purpose}")
        return [tuple(text)]
    return [sequence.tokens for sequence in read_conll(path, token=token, tag=None)]


def reads_characters(model: Model) -> bool:
    """Whether its tokens are characters."""
    from cello.tasks.features import CharacterFeatures

    return model.task is not None and isinstance(model.task.features, CharacterFeatures)
