"""Sequences of different lengths as batches: near-equal lengths together, in a known order."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cello.errors import ArgumentError
from cello.ranges import check_range
from cello.tasks.base import IGNORE, Batch

__all__ = [
    "Example",
    "LazyBatches",
    "bucket",
    "bucket_by_size",
    "collate",
    "generator",
    "lengths_of",
    "picked",
    "shard",
    "shuffled_batches",
]


class Example(NamedTuple):
    """One sequence: ids `x` [T] or [T, K], or numbers [T, I]; targets `y` [T], or one, []."""

    x: Tensor
    y: Tensor


class LazyBatches(Sequence[Batch]):
    """Batches that are made when they are asked for.

    Args:
        make: gives batch number k.
        count: how many there are.
    """

    def __init__(self, make: Callable[[int], Batch], count: int) -> None:
        self._make = make
        self._numbers = range(count)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> LazyBatches: ...
    def __getitem__(self, index: int | slice) -> Batch | LazyBatches:
        if isinstance(index, slice):
            rest = LazyBatches(self._make, 0)
            rest._numbers = self._numbers[index]
            return rest
        return self._make(self._numbers[index])

    def __iter__(self) -> Iterator[Batch]:
        return (self._make(number) for number in self._numbers)


def generator(purpose: str, seed: int, epoch: int) -> torch.Generator:
    """The random generator of one purpose in one epoch, always the same for the same three."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def bucket(lengths: Sequence[int], batch_size: int, chance: torch.Generator) -> list[list[int]]:
    """Numbers of sequences, grouped into batches of near-equal lengths, in random order.

    The sequences are sorted by length, equal lengths in random order, and cut into the fewest
    batches of at most `batch_size`; the sizes of the batches differ by at most 1, so that none is
    nearly empty. The batches are then put in random order.

    Args:
        lengths: the length of each of N sequences.
        batch_size: the most sequences of a batch.
        chance: what draws the order.

    Returns:
        Lists that hold each number from 0 to N - 1 once.

    Raises:
        ArgumentError: `batch_size` is less than 1.

    >>> batches = bucket([9, 1, 8, 2, 9], 2, generator("order", 0, 0))
    >>> sorted(sorted(batch) for batch in batches)
    [[0, 4], [1], [2, 3]]
    """
    check_range(batch_size=batch_size)
    count = len(lengths)
    order = _permutation(count, chance)
    order.sort(key=lambda number: -lengths[number])  # stable: ties stay in random order
    cuts = -(-count // batch_size)
    small, larger = divmod(count, max(cuts, 1))
    sizes = [small + (number < larger) for number in range(cuts)]
    ends = list(itertools.accumulate(sizes))
    batches = [order[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [batches[number] for number in _permutation(cuts, chance)]


def bucket_by_size(
    lengths: Sequence[int], elements: int, batch_size: int | None = None
) -> list[list[int]]:
    """Numbers of sequences, longest first, grouped so that a batch has at most `elements` steps.

    For evaluation, where only memory limits a batch. A sequence that is longer than that is a
    batch of its own. With `batch_size`, a batch has at most so many sequences too.

    >>> bucket_by_size([5, 1, 4, 2], elements=10)
    [[0, 2], [3, 1]]
    """
    if batch_size is not None:
        check_range(batch_size=batch_size)
    most = len(lengths) if batch_size is None else batch_size
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    batches: list[list[int]] = []
    for number in order:
        size = len(batches[-1]) + 1 if batches else 0
        if batches and size <= most and lengths[batches[-1][0]] * size <= elements:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


def shard(numbers: Sequence[int], rank: int, world_size: int) -> list[int]:
    """The rows of a batch that process `rank` trains on: every `world_size`-th.

    Raises:
        ArgumentError: fewer rows than processes, or no such rank.

    >>> shard([7, 3, 5], 0, 2), shard([7, 3, 5], 1, 2)
    ([7, 5], [3])
    """
    if not 0 <= rank < world_size:
        raise ArgumentError(f"rank must be from 0 to {world_size - 1}, got {rank}")
    if len(numbers) < world_size:
        raise ArgumentError(
            f"a batch of {len(numbers)} cannot be shared among {world_size} processes: take a "
            "larger batch_size, more data or fewer processes"
        )
    return list(numbers[rank::world_size])


def collate(
    examples: Sequence[Example], weight: int | None = None, *, teacher_forcing: bool = False
) -> Batch:
    """Sequences side by side, time first; `lengths` is None if all are equally long.

    Past the end of a row, x is 0, or -1 for ids [T, K], and y is `IGNORE`. One target a
    sequence makes y [B].

    Args:
        examples: at least one.
        weight: the number of elements of the global batch; those of `examples` unless given.
        teacher_forcing: see `Batch`.

    >>> batch = collate([Example(torch.tensor([4, 5]), torch.tensor([0, 1])),
    ...                  Example(torch.tensor([6]), torch.tensor([1]))])
    >>> batch.x.tolist(), batch.lengths.tolist()
    ([[4, 6], [5, 0]], [2, 1])
    """
    lengths = [len(example.x) for example in examples]
    numbers = examples[0].x.is_floating_point()
    whole = examples[0].y.dim() == 0
    if examples[0].x.dim() == 1 or numbers:
        x = pad_sequence([example.x for example in examples])
    else:
        width = max(example.x.shape[1] for example in examples)
        x = pad_sequence([_widened(example.x, width) for example in examples], padding_value=-1)
    targets = [example.y for example in examples]
    y = torch.stack(targets) if whole else pad_sequence(targets, padding_value=IGNORE)
    elements = len(examples) if whole else sum(lengths)
    return Batch(
        x=x if numbers else x.long(),
        y=y.long(),
        lengths=None if len(set(lengths)) == 1 else torch.tensor(lengths),
        weight=elements if weight is None else weight,
        teacher_forcing=teacher_forcing,
    )


def shuffled_batches(
    examples: Sequence[Example],
    batch_size: int,
    chance: torch.Generator,
    *,
    teacher_forcing: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> LazyBatches:
    """Batches of one epoch: each example once, over all ranks together."""
    lengths = lengths_of(examples)
    groups = bucket(lengths, batch_size, chance)

    def make(number: int) -> Batch:
        weight = sum(lengths[i] for i in groups[number])
        mine = shard(groups[number], rank, world_size)
        return collate(picked(examples, mine), weight, teacher_forcing=teacher_forcing)

    return LazyBatches(make, len(groups))


def _widened(x: Tensor, width: int) -> Tensor:
    missing = width - x.shape[1]
    return torch.nn.functional.pad(x, (0, missing), value=-1) if missing else x


def lengths_of(examples: Sequence[Example]) -> Sequence[int]:
    """The length of each example, without making the examples where these know their lengths."""
    known: Sequence[int] | None = getattr(examples, "lengths", None)
    return [len(example.y) for example in examples] if known is None else known


def picked(examples: Sequence[Example], numbers: Sequence[int]) -> list[Example]:
    """The examples with these numbers, made together where that is quicker."""
    pick: Callable[[Sequence[int]], list[Example]] | None = getattr(examples, "pick", None)
    return [examples[number] for number in numbers] if pick is None else pick(numbers)


def _permutation(count: int, chance: torch.Generator) -> list[int]:
    return torch.randperm(count, generator=chance).tolist()
