"""Tokens out of files and texts: characters, words of running text, or the CoNLL form."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from cello.errors import DataError
from cello.tasks.base import Given
from cello.tasks.batching import Example
from cello.tasks.features import Features, WordFeatures
from cello.tasks.readers.conll import TaggedSequence, read_conll
from cello.tasks.readers.python_source import KINDS, character_kinds, kind_ids
from cello.tasks.readers.text_files import read_text
from cello.tasks.sentences import Examples, Sentences
from cello.tasks.vocabulary import Vocabulary

__all__ = ["FIRST_TEXT", "TokenTask", "with_tags"]

#: What a page begins with.
FIRST_TEXT = "The quick brown fox jumps over the lazy dog.\n"

#: Python source is read in pieces of so many characters, as after training.
_PIECE = 2048


class TokenTask:
    """What tasks of tokens, words or characters, have in common: how they read; see `FileTask`.

    Attributes:
        features: what turns tokens into ids.
        columns: of the tokens and of the tags in files of words.
        tags: what a network can say of each token; none if it says something else.
    """

    features: Features
    columns: tuple[int, ...] = 0, -1
    tags: tuple[str, ...] = ()

    @property
    def separator(self) -> str:
        """What stands between two tokens of a text."""
        return self.features.separator

    def encoder(self) -> nn.Module:
        """What reads the ids of a token, new."""
        return self.features.encoder()

    def given(self, path: str | Path, *, token: int | str | None = None) -> list[Given]:
        """Of characters the whole text of a file, of words its sentences; see `FileTask.given`."""
        column = self.columns[0] if token is None else token
        return [self._given(*one) for one in self._sequences(path, column)]

    def given_text(self, text: str) -> list[Given]:
        """A text as one sequence of characters, or the words of each line as one."""
        sequences: list[Sequence[str]] = [text]
        if self.separator:
            sequences = [line.split() for line in text.splitlines() if line.strip()] or [[]]
        return [self._given(tokens) for tokens in sequences]

    def text_of(self, path: Path | None) -> str:
        """A text as it stands in a file, or with a sentence a line; see `FileTask.text_of`."""
        if path is None:
            return FIRST_TEXT
        if not self.separator:
            return read_text(path)
        try:
            sequences = self._sequences(path, self.columns[0])
        except DataError:
            sequences = []
        if all(len(one.tokens) == 1 for one in sequences):  # running text
            return read_text(path)
        return "\n".join(self.separator.join(one.tokens) for one in sequences)

    def _given(self, tokens: Sequence[str], tags: Sequence[str] = ()) -> Given:
        if self._tells_kinds:
            with suppress(DataError):  # no Python source: nobody knows its kinds
                tags = character_kinds("".join(tokens))
        return Given(tokens, self.features.encode(tokens), tags or None)

    @property
    def reads_columns(self) -> bool:
        """Whether its files have columns, of tokens and of their tags."""
        return bool(self.tags) and not self._tells_kinds

    @property
    def _tells_kinds(self) -> bool:
        """Whether its tags are the kinds of characters of Python source."""
        return bool(self.tags) and not self.separator and set(self.tags) <= set(KINDS)

    def _sequences(self, path: str | Path, column: int | str) -> list[TaggedSequence]:
        """What a file holds; with its tags, if it has a column of them and some are known."""
        if not self.separator:
            return [TaggedSequence(tuple(_text(path)), ())]
        if not self.tags:
            return read_conll(path, token=column, tag=None)
        try:
            found = read_conll(path, token=column, tag=self.columns[1], tagless=True)
        except DataError as refused:
            found = read_conll(path, token=column, tag=None)
            warnings.warn(f"read without its tags: {refused}", stacklevel=3)
        known = set(self.tags)
        if all(known.isdisjoint(one.tags) for one in found):
            return [TaggedSequence(one.tokens, ()) for one in found]
        return found


def with_tags(
    features: Features,
    tags: Sequence[str],
    path: str | Path,
    token: int | str,
    tag: int | str,
) -> tuple[Sequence[Example], list[str]]:
    """The examples of a file whose tags are known, and the tags in it that are none of `tags`.

    Args:
        features: what turns tokens into ids.
        tags: in the order of a network's outputs; those not among them follow.
        path: a file in the CoNLL form; for the kinds of characters Python source, whose kinds
            Python tells.
        token: the column of the words.
        tag: the column of the tags.

    Raises:
        DataError: the file cannot be read, is wrong, or holds nothing.
    """
    known = set(tags)
    if not features.separator and known <= set(KINDS):
        unseen = sorted(set(KINDS) - known)
        return _python(features, (*tags, *unseen), path), unseen
    if isinstance(features, WordFeatures):
        sentences = Sentences.read(path, token=token, tag=tag)
        unseen = sorted(sentences.tag_names() - known)
        return Examples(sentences, features, Vocabulary([*tags, *unseen], other=False)), unseen
    found = read_conll(path, token=token, tag=tag)
    unseen = sorted({name for sequence in found for name in sequence.tags} - known)
    ids = Vocabulary([*tags, *unseen], other=False)
    return [
        Example(features.encode(tokens), torch.tensor(ids.encode(own))) for tokens, own in found
    ], unseen


def _text(path: str | Path) -> str:
    text = read_text(path)
    if not text:
        raise DataError(f"{path}: holds no text")
    return text


def _python(features: Features, names: Sequence[str], path: str | Path) -> list[Example]:
    text = _text(path).replace("\r\n", "\n")
    number = torch.tensor([names.index(kind) for kind in KINDS])
    kinds = number[torch.tensor(list(kind_ids(text, str(path))))]
    ids = features.encode(text)
    return [Example(*pair) for pair in zip(ids.split(_PIECE), kinds.split(_PIECE), strict=True)]
