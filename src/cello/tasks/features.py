"""Tokens as ids: what a network is told of each one.

A features object turns a sequence of T tokens into integer ids, [T] or [T, K], and gives the
encoder that reads them. It is built from training data and goes to and from JSON.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, ModelError
from cello.layers.encoders import KHot, OneHot, Projection, WindowEmbedding, WindowProjection
from cello.ranges import Range, check_range, shown
from cello.tasks.config_checks import CHARACTERS, TEXTS, entries
from cello.tasks.readers.vectors import Vectors, read_vectors
from cello.tasks.too_large import make_if_it_fits
from cello.tasks.vocabulary import Vocabulary

__all__ = [
    "WORD_FEATURES",
    "CharacterFeatures",
    "Features",
    "WordFeatures",
    "features_from_config",
    "trigrams",
]

#: What `WordFeatures` can tell of a word.
WORD_FEATURES = ("one-hot", "trigrams", "both", "embedding")

#: Up to so many places, vectors of zeros and ones go straight into the first cell.
_SMALL = 1000
_PROJECTION_SIZE = 64


class Features(Protocol):
    """What a task asks of its features."""

    #: What stands between two tokens of a text.
    separator: str

    def encode(self, tokens: Sequence[str]) -> Tensor:
        """T tokens to ids [T] or [T, K]."""
        ...

    def encoder(self) -> nn.Module:
        """A new encoder for these ids; its `output_size` is the input size of the first cell."""
        ...

    def config(self) -> dict[str, Any]:
        """All of it, as JSON."""
        ...


class CharacterFeatures:
    """1-of-N for single characters: ids [T].

    Args:
        vocabulary: the characters.

    >>> features = CharacterFeatures(Vocabulary("ab"))
    >>> features.encode("abc").tolist()          # 0 is "other"
    [1, 2, 0]
    """

    separator = ""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def encode(self, tokens: Sequence[str]) -> Tensor:
        """T characters to ids [T]."""
        return torch.tensor(self.vocabulary.encode(tokens), dtype=torch.long)

    def encoder(self) -> OneHot:
        """1-of-N."""
        return OneHot(len(self.vocabulary))

    def config(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"kind": "characters", "characters": list(self.vocabulary.entries)}


def trigrams(word: str) -> list[str]:
    """The letter trigrams of a word with a mark at each end, without repetition, sorted.

    Source: Huang et al. 2013, "Learning deep structured semantic models for web search using
    clickthrough data" (word hashing).

    >>> trigrams("apple")
    ['#ap', 'app', 'le#', 'ple', 'ppl']
    """
    marked = f"#{word}#"
    return sorted({marked[i : i + 3] for i in range(len(marked) - 2)})


class WordFeatures:
    """What is known of a word and its neighbours: ids [T, K] of all that is active, -1 for none.

    Beyond the ends of a sequence nothing is active.

    Args:
        kind: "one-hot", 1-of-N with an "other" entry; "trigrams", the letter trigrams of the word;
            "both"; or "embedding", a learned vector.
        words: the words with an entry of their own; with an "other" entry.
        trigrams: the letter trigrams that are known; without one.
        window: so many words to the left and to the right are given too.
        lower: whether words are put in lower case first.
        projection_size: the length of a word's learned vector for "embedding"; for the other
            kinds that of the product of the ones and zeros with a learned matrix, or None to feed
            them straight to the first cell.

    Attributes:
        pretrained: what a new encoder begins with; it is kept in no file, for the network's weights
            are.
        found: how many words of the training data have such a vector, and how many there are.

    >>> features = WordFeatures("one-hot", Vocabulary(["to", "Taipei"]), window=1)
    >>> features.encode(["to", "Taipei"]).tolist()      # left 0 to 2, itself 3 to 5, right 6 to 8
    [[4, 8], [1, 5]]
    """

    separator = " "

    def __init__(
        self,
        kind: str,
        words: Vocabulary,
        trigrams: Vocabulary | None = None,
        *,
        window: int = 0,
        lower: bool = False,
        projection_size: int | None = None,
    ) -> None:
        _check_choice(kind, window)
        check_range(lower=lower, projection_size=projection_size)
        if kind == "embedding" and projection_size is None:
            raise ArgumentError(
                "must be given for embedding features, got None", argument="projection_size"
            )
        self.kind = kind
        self.words = words
        self.trigrams = trigrams or Vocabulary((), other=False)
        self.window = window
        self.lower = lower
        self.projection_size = projection_size
        self.pretrained: Vectors | None = None
        self.found = (0, 0)
        self._seen: dict[str, int] = {}
        self._ids, self._starts = array("q"), array("q", [0])

    @classmethod
    def fit(
        cls,
        sequences: Iterable[Sequence[str]] | Mapping[str, int],
        kind: str = "both",
        *,
        window: int = 0,
        lower: bool = False,
        min_count: int = 2,
        max_size: int | None = 30_000,
        projection_size: int | Literal["auto"] | None = "auto",
        vectors: str | Path | None = None,
    ) -> WordFeatures:
        """Features for the words of some sequences.

        Args:
            sequences: the training data's tokens, or how often each occurs.
            kind: see the class.
            window: see the class.
            lower: see the class.
            min_count: words and trigrams that occur less often are not known. With 1, no word of
                the training data is "other", so that nothing is learned about unknown words.
            max_size: at most so many words, and as many trigrams.
            projection_size: see the class; "auto" is None for up to 1,000 ones and zeros a step,
                and else 64.
            vectors: a file of vectors that embeddings begin with; see `read_vectors`. Words that
                have one are known, however seldom they are, and so are the file's first words, up
                to `max_size` in all.

        Raises:
            ArgumentError: an unknown kind, a negative window, or vectors of another length.
            DataError: the vectors cannot be read.
        """
        _check_choice(kind, window)
        if isinstance(sequences, Mapping):
            given: Mapping[str, int] = sequences
        else:
            given = Counter(token for tokens in sequences for token in tokens)
        counts: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for token, count in given.items():
            counts[token.lower() if lower else token] += count
        words = letters = Vocabulary((), other=False)
        if kind != "trigrams":
            words = Vocabulary.count(counts, min_count=min_count, max_size=max_size)
        pretrained = None
        if vectors is not None:
            pretrained = _read(vectors, kind, projection_size, counts, max_size)
            rest = [word for word in words.entries if word not in set(pretrained.words)]
            words = Vocabulary([*pretrained.words, *rest][:max_size])
            projection_size = pretrained.size
        if kind in ("trigrams", "both"):
            for token, count in counts.items():
                every.update(dict.fromkeys(trigrams(token), count))
            letters = Vocabulary.count(every, min_count=min_count, max_size=max_size, other=False)
        if projection_size == "auto":
            dense = (2 * window + 1) * (len(words) + len(letters)) <= _SMALL
            projection_size = None if dense and kind != "embedding" else _PROJECTION_SIZE
        features = cls(
            kind, words, letters, window=window, lower=lower, projection_size=projection_size
        )
        if pretrained is not None:
            features.pretrained = pretrained
            features.found = len(counts.keys() & set(pretrained.words)), len(counts)
        return features

    @property
    def size(self) -> int:
        """How many ids one word can have."""
        return max(1, len(self.words) + len(self.trigrams))

    def encode(self, tokens: Sequence[str]) -> Tensor:
        """T words to ids [T, K], K the largest number of ids of one step and at least 1."""
        return self.gather(self.rows(tokens), [len(tokens)])

    def rows(self, tokens: Iterable[str]) -> Tensor:
        """The number of each word among all that were seen so far, for `gather`."""
        return torch.tensor([self._row(token) for token in tokens], dtype=torch.long)

    def _row(self, token: str) -> int:
        """Where the ids of a word begin: `_ids` from `_starts[row]` to `_starts[row + 1]`."""
        if token not in self._seen:
            word = token.lower() if self.lower else token
            ids = self.words.encode([word]) if len(self.words) else []
            known = [trigram for trigram in trigrams(word) if trigram in self.trigrams]
            ids += [len(self.words) + number for number in self.trigrams.encode(known)]
            self._seen[token] = len(self._seen)
            self._ids.extend(ids)
            self._starts.append(len(self._ids))
        return self._seen[token]

    def gather(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """The ids of sequences that stand one after the other, [N, K]; no window reaches into the
        next.

        Args:
            rows: of all words, [N]; see `rows`.
            lengths: of the sequences, together N.
        """
        if not len(rows):
            return torch.empty(0, 1, dtype=torch.long)
        places = 2 * self.window + 1
        sizes = torch.tensor(lengths)
        ends = torch.repeat_interleave(sizes.cumsum(0), sizes).unsqueeze(1)
        first = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes).unsqueeze(1)
        at = torch.arange(len(rows)).unsqueeze(1) + torch.arange(places) - self.window
        inside = (at >= first) & (at < ends)  # [N, places]
        near = rows[at.clamp(0, len(rows) - 1)]
        # Tensors over these arrays are gone at once, for arrays move when they grow.
        start, end = (torch.frombuffer(self._starts, dtype=torch.long)[near + i] for i in (0, 1))
        if self.kind == "embedding":  # one table for all places, one id a place
            ids = torch.frombuffer(self._ids, dtype=torch.long)[start]
            return torch.where(inside, ids, -1)
        counts = torch.where(inside, end - start, 0)
        flat = counts.flatten()
        ids = torch.full((len(rows), max(1, int(counts.sum(1).max()))), -1)
        if int(flat.sum()):
            # For each id in turn: where it comes from, its place in the window, where it goes.
            before = (flat.cumsum(0) - flat).view(-1, places)
            which = torch.repeat_interleave(flat)
            number = torch.arange(len(which))
            from_ = number + (start - before).flatten()[which]
            values = torch.frombuffer(self._ids, dtype=torch.long)[from_]
            values += which % places * self.size
            step = which // places
            to = number - before[:, 0][step] + step * ids.shape[1]
            ids.view(-1)[to] = values
        return ids

    def encoder(self) -> KHot | Projection | WindowEmbedding | WindowProjection:
        """The encoder of these ids."""
        places, size = 2 * self.window + 1, self.projection_size
        if size is None:
            return KHot(places * self.size)

        def make() -> Projection | WindowEmbedding | WindowProjection:
            if self.kind == "embedding":
                return WindowEmbedding(self.size, size, places)
            if self.window:
                return WindowProjection(places * self.size, size, places)
            return Projection(self.size, size)

        made = make_if_it_fits(make, "projection_size")
        if self.pretrained is not None:
            _begin_with(made.weight, self.pretrained, self.words)
        return made

    def config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            "kind": self.kind,
            "words": list(self.words.entries),
            "trigrams": list(self.trigrams.entries),
            "window": self.window,
            "lower": self.lower,
            "projection_size": self.projection_size,
        }


def features_from_config(config: dict[str, Any]) -> CharacterFeatures | WordFeatures:
    """The features that `config()` described.

    Raises:
        ModelError: an entry is missing or of the wrong kind, or the kind is not known.

    >>> features_from_config({"kind": "characters", "characters": ["a"]}).encode("a").tolist()
    [1]
    """
    where, kinds = "task.features", ("characters", *WORD_FEATURES)
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind == "characters":
        rules: dict[str, Range | None] = {"characters": CHARACTERS}
        found = entries(config, where, rules, kind="kind")
        return CharacterFeatures(Vocabulary(found["characters"]))
    if not isinstance(kind, str) or kind not in kinds:
        raise ModelError(f"{where}.kind must be one of {', '.join(kinds)}, got {shown(kind)}")
    rules = {"words": TEXTS, "trigrams": TEXTS, **dict.fromkeys(_OPTIONS)}
    found = entries(config, where, rules, kind="kind")
    words = Vocabulary(found.pop("words"), other=kind != "trigrams")
    letters = Vocabulary(found.pop("trigrams"), other=False)
    try:
        return WordFeatures(kind, words, letters, **found)
    except ArgumentError as error:
        raise ModelError(f"{where}: {error}") from error


def _read(
    path: str | Path,
    kind: str,
    projection_size: int | str | None,
    counts: Mapping[str, int],
    max_size: int | None,
) -> Vectors:
    if kind != "embedding":
        raise ArgumentError(
            f"are what embeddings begin with, not features of kind {kind!r}", argument="vectors"
        )
    wanted = sorted(counts, key=lambda word: (-counts[word], word))
    found = read_vectors(path, wanted, max_size)
    if projection_size not in ("auto", None, found.size):
        raise ArgumentError(
            f"must be {found.size}, the length of the vectors in {path}, got {projection_size}",
            argument="projection_size",
        )
    return found


@torch.no_grad()
def _begin_with(weight: Tensor, vectors: Vectors, words: Vocabulary) -> None:
    """Rows of words with a vector are that; the others are drawn with its mean and deviation."""
    table = vectors.table.to(weight.dtype)
    if len(table) > 1:
        weight.normal_().mul_(table.std()).add_(table.mean())
    kept = [name for name in vectors.words if name in words]
    weight[torch.tensor(words.encode(kept))] = table[: len(kept)].to(weight.device)


_OPTIONS = ("window", "lower", "projection_size")


def _check_choice(kind: str, window: int) -> None:
    if kind not in WORD_FEATURES:
        raise ArgumentError(
            f"must be one of {', '.join(WORD_FEATURES)}, got {kind!r}", argument="features"
        )
    check_range(window=window)
