"""A fixed list of entries (words, characters, letter trigrams, tags) and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cello.errors import ArgumentError
from cello.ranges import check_range

__all__ = ["OTHER", "Vocabulary"]

#: How the entry for everything that has none of its own is shown.
OTHER = "<other>"


class Vocabulary:
    """Entries numbered from 0.

    With `other=True`, number 0 is the "other" entry: everything that has no entry of its own.

    Args:
        entries: what has a number of its own, in order, without the "other" entry; distinct.
        other: whether there is an "other" entry.

    Raises:
        ArgumentError: an entry occurs twice, or, without an "other" entry, is asked for and not
            there.

    >>> words = Vocabulary.count(["to", "be", "or", "not", "to", "be"], min_count=2)
    >>> words.entries, len(words)
    (('be', 'to'), 3)
    >>> words.encode(["to", "do"])
    [2, 0]
    """

    def __init__(self, entries: Iterable[str], *, other: bool = True) -> None:
        self.entries = tuple(entries)
        self.other = other
        self._ids = {entry: number for number, entry in enumerate(self.entries, start=int(other))}
        if len(self._ids) != len(self.entries):
            twice = [entry for entry, count in Counter(self.entries).items() if count > 1]
            raise ArgumentError(f"entries must be distinct, {twice[0]!r} occurs twice")

    @classmethod
    def count(
        cls,
        items: Iterable[str] | Mapping[str, int],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        other: bool = True,
    ) -> Vocabulary:
        """The most frequent items, sorted by how often they occur, ties by the items themselves.

        Args:
            items: all items, repeated as they occur; or how often each of them occurs.
            min_count: items that occur less often get no entry.
            max_size: at most so many entries, the "other" entry not counted.
            other: whether there is an "other" entry.

        Raises:
            ArgumentError: `min_count` or `max_size` is less than 1.
        """
        check_range(min_count=min_count, max_size=max_size)
        counts = sorted(Counter(items).items(), key=lambda pair: (-pair[1], pair[0]))
        kept = [item for item, count in counts if count >= min_count]
        return cls(kept[:max_size], other=other)

    def __len__(self) -> int:
        return len(self.entries) + int(self.other)

    def __contains__(self, item: object) -> bool:
        return item in self._ids

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.entries)} entries, other={self.other})"

    def encode(self, items: Iterable[str]) -> list[int]:
        """The numbers of `items`; those without an entry get the number of "other", 0."""
        if self.other:
            return [self._ids.get(item, 0) for item in items]
        numbers = []
        for item in items:
            if item not in self._ids:
                shown = ", ".join(map(repr, self.entries[:20]))
                more = ", …" if len(self.entries) > 20 else ""
                raise ArgumentError(
                    f"{item!r} is not one of the {len(self)} entries: {shown}{more}"
                )
            numbers.append(self._ids[item])
        return numbers

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """The entries with these numbers; the "other" entry as `OTHER`."""
        names = (OTHER, *self.entries) if self.other else self.entries
        return [names[number] for number in numbers]
