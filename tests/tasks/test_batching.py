"""Batches: everything once, near-equal lengths, the same for the same seed."""

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import ArgumentError
from cello.tasks.base import IGNORE
from cello.tasks.batching import (
    Example,
    LazyBatches,
    bucket,
    bucket_by_size,
    collate,
    generator,
    shard,
    shuffled_batches,
)

lengths_of = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def examples_with(lengths: list[int]) -> list[Example]:
    """Sequences whose elements are all different, so that each can be found again."""
    ids = torch.arange(sum(lengths)).split(lengths)
    return [Example(part, part + 1) for part in ids]


def elements(batches) -> list[int]:
    return sorted(n for batch in batches for n in batch.y[batch.y != IGNORE].tolist())


@given(lengths=lengths_of, batch_size=st.integers(1, 9), epoch=st.integers(0, 5))
def test_every_element_once(lengths: list[int], batch_size: int, epoch: int):
    examples = examples_with(lengths)
    batches = shuffled_batches(examples, batch_size, generator("order", 0, epoch))
    assert elements(batches) == list(range(1, sum(lengths) + 1))
    for batch in batches:
        rows = torch.full((batch.x.shape[1],), len(batch.x))
        rows = rows if batch.lengths is None else batch.lengths
        assert 1 <= len(rows) <= batch_size
        assert batch.weight == int(rows.sum()) == int((batch.y != IGNORE).sum())
        for row, length in enumerate(rows.tolist()):
            assert (batch.y[length:, row] == IGNORE).all()
            assert torch.equal(batch.x[:length, row] + 1, batch.y[:length, row])


@given(lengths=lengths_of, batch_size=st.integers(1, 9), world_size=st.integers(1, 4))
def test_processes_share_the_same_global_batches(
    lengths: list[int], batch_size: int, world_size: int
):
    examples = examples_with(lengths)
    whole = shuffled_batches(examples, batch_size, generator("order", 1, 0))
    ranks = [
        shuffled_batches(
            examples, batch_size, generator("order", 1, 0), rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    assert {len(batches) for batches in ranks} == {len(whole)}
    for number, batch in enumerate(whole):
        if batch.x.shape[1] < world_size:
            with pytest.raises(ArgumentError, match="cannot be shared among"):
                ranks[0][number]
            continue
        parts = [batches[number] for batches in ranks]
        assert elements(parts) == elements([batch])
        assert {part.weight for part in parts} == {batch.weight}
        sizes = [part.x.shape[1] for part in parts]
        assert max(sizes) - min(sizes) <= 1


@given(lengths=lengths_of, batch_size=st.integers(1, 9))
def test_lengths_within_a_batch_are_neighbours(lengths: list[int], batch_size: int):
    batches = bucket(lengths, batch_size, generator("order", 0, 0))
    ranges = sorted((min(lengths[n] for n in b), max(lengths[n] for n in b)) for b in batches)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(ranges))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == -(-len(lengths) // batch_size)


@given(lengths=lengths_of, size=st.integers(1, 100))
def test_batches_for_evaluation(lengths: list[int], size: int):
    batches = bucket_by_size(lengths, size)
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[n] for n in batch) * len(batch) <= size


def test_nothing_to_put_into_batches():
    assert bucket([], 4, generator("order", 0, 0)) == []
    assert bucket_by_size([], 4) == []


def test_the_order_depends_on_purpose_seed_and_epoch():
    def order(*which) -> list[list[int]]:
        return bucket([3] * 20, 4, generator(*which))

    assert order("a", 0, 0) == order("a", 0, 0)
    others = [order("b", 0, 0), order("a", 1, 0), order("a", 0, 1)]
    assert order("a", 0, 0) not in others
    assert len({str(other) for other in others}) == 3


def test_the_source_of_chance_is_the_same_everywhere():
    """A resumed run, perhaps with another version, must draw what the first one drew."""
    numbers = torch.randint(1000, (4,), generator=generator("order", 0, 0)).tolist()
    assert numbers == [366, 568, 345, 128]


def test_collate_pads_ids_of_different_widths():
    one = Example(torch.tensor([[1, 2], [3, -1]]), torch.tensor([0, 1]))
    two = Example(torch.tensor([[4, 5, 6]]), torch.tensor([1]))
    batch = collate([one, two])
    assert batch.x.tolist() == [[[1, 2, -1], [4, 5, 6]], [[3, -1, -1], [-1, -1, -1]]]
    assert batch.y.tolist() == [[0, 1], [1, IGNORE]]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.weight == 3
    assert not batch.teacher_forcing


def test_equal_lengths_need_no_lengths():
    batch = collate(examples_with([3, 3]), weight=12, teacher_forcing=True)
    assert batch.lengths is None
    assert (batch.weight, batch.teacher_forcing) == (12, True)


def test_lazy_batches_are_made_when_asked_for():
    made = []

    def make(number: int):
        made.append(number)
        return collate(examples_with([number + 1]))

    batches = LazyBatches(make, 5)
    assert (len(batches), made) == (5, [])
    assert batches[-1].weight == 5
    assert [batch.weight for batch in batches[2:]] == [3, 4, 5]
    assert [batch.weight for batch in batches[1:][1:][:1]] == [3]
    assert made == [4, 2, 3, 4, 2]
    with pytest.raises(IndexError):
        batches[5]


def test_errors():
    with pytest.raises(
        ArgumentError, match=r"^batch_size must be a whole number from 1 to 1,000,000, got 0$"
    ):
        bucket([1], 0, generator("order", 0, 0))
    with pytest.raises(ArgumentError, match=r"^rank must be from 0 to 1, got 2$"):
        shard([1, 2], 2, 2)
    message = (
        "a batch of 1 cannot be shared among 2 processes: take a larger batch_size, more data or "
        "fewer processes"
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        shard([1], 0, 2)
