"""Tagged sentences in little memory: each word and tag once, and numbers for the rest."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from cello.tasks.batching import Example
from cello.tasks.features import WordFeatures
from cello.tasks.readers.conll import read_columns
from cello.tasks.vocabulary import Vocabulary

__all__ = ["Examples", "Sentences"]


class Sentences:
    """Tagged sentences, or some of those of a file.

    Attributes:
        words: each word once; `word_ids` [N] are numbers into it.
        tags: each tag once; `tag_ids` [N] are numbers into it.
        starts: where each of the S sentences starts, [S].
        lengths: of each, [S].
    """

    def __init__(
        self,
        words: Sequence[str],
        tags: Sequence[str],
        word_ids: Tensor,
        tag_ids: Tensor,
        starts: Tensor,
        lengths: Tensor,
    ) -> None:
        self.words, self.tags = words, tags
        self.word_ids, self.tag_ids = word_ids, tag_ids
        self.starts, self.lengths = starts, lengths

    @classmethod
    def read(
        cls, path: str | Path, *, token: int | str, tag: int | str, names: Sequence[str] = ()
    ) -> Sentences:
        """Those of a CoNLL file; see `cello.tasks.readers.conll.read_conll`."""
        numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
        ids, lengths = (array("i"), array("i")), array("i")
        for columns in read_columns(path, token=token, tag=tag, names=names):
            for known, found, column in zip(numbers, ids, columns, strict=True):
                found.extend([known.setdefault(text, len(known)) for text in column])
            lengths.append(len(columns[0]))
        sizes = _tensor(lengths)
        words, tags = (list(known) for known in numbers)
        word_ids, tag_ids = map(_tensor, ids)
        return cls(words, tags, word_ids, tag_ids, sizes.cumsum(0) - sizes, sizes)

    def __len__(self) -> int:
        return len(self.starts)

    def chosen(self, which: Tensor) -> Sentences:
        """Some of the sentences, by a mask or by numbers; words, tags and ids are shared."""
        starts, lengths = self.starts[which], self.lengths[which]
        return Sentences(self.words, self.tags, self.word_ids, self.tag_ids, starts, lengths)

    def places(self, which: Sequence[int] | slice = slice(None)) -> tuple[Tensor, list[int]]:
        """Where the words of some sentences are, one after the other [N]; and their lengths."""
        starts, lengths = self.starts[which], self.lengths[which].long()
        ends = lengths.cumsum(0)
        first = torch.repeat_interleave(starts - (ends - lengths), lengths)
        return torch.arange(len(first)) + first, lengths.tolist()

    def counts(self) -> Counter[str]:
        """How often each word occurs."""
        return self._counts(self.words, self.word_ids)

    def tag_names(self) -> set[str]:
        """The tags that occur."""
        return set(self._counts(self.tags, self.tag_ids))

    def _counts(self, names: Sequence[str], ids: Tensor) -> Counter[str]:
        found = torch.bincount(ids[self.places()[0]], minlength=len(names)).tolist()
        return Counter({name: n for name, n in zip(names, found, strict=True) if n})


class Examples(Sequence[Example]):
    r"""Sentences as a network reads them, encoded when they are asked for.

    Args:
        sentences: what is encoded.
        features: what is told of words.
        tags: the numbers of tags.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "x.txt"
    ...     _ = file.write_text("to O\nTaipei B-to\n\nto O\n")
    ...     sentences = Sentences.read(file, token=0, tag=1)
    >>> features = WordFeatures("one-hot", Vocabulary(["to", "Taipei"]))
    >>> examples = Examples(sentences, features, Vocabulary(["B-to", "O"], other=False))
    >>> examples[0].x.tolist(), examples[0].y.tolist(), examples.lengths
    ([[1], [2]], [1, 0], [2, 1])
    """

    def __init__(self, sentences: Sentences, features: WordFeatures, tags: Vocabulary) -> None:
        self.sentences, self.features = sentences, features
        self.lengths: list[int] = sentences.lengths.tolist()
        self._rows = features.rows(sentences.words)
        present = sentences.tag_names()
        known = [tags.encode([name])[0] if name in present else -1 for name in sentences.tags]
        self._tags = torch.tensor(known, dtype=torch.long)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self.pick([numbers])[0]
        return self.pick(numbers)

    def pick(self, numbers: Sequence[int]) -> list[Example]:
        """The examples with these numbers, encoded together."""
        if not len(numbers):
            return []
        at, lengths = self.sentences.places(list(numbers))
        x = self.features.gather(self._rows[self.sentences.word_ids[at]], lengths)
        y = self._tags[self.sentences.tag_ids[at]]
        return [Example(*pair) for pair in zip(x.split(lengths), y.split(lengths), strict=True)]


def _tensor(numbers: array[int]) -> Tensor:
    """The same memory as a tensor."""
    return torch.frombuffer(numbers, dtype=torch.int32)
