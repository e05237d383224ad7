"""Entries and their numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.errors import ArgumentError
from cello.tasks.vocabulary import OTHER, Vocabulary


def test_most_frequent_first_ties_by_name():
    words = Vocabulary.count("b a c a b d".split())
    assert words.entries == ("a", "b", "c", "d")
    assert words.encode(["a", "d", "z"]) == [1, 4, 0]
    assert words.decode([1, 0]) == ["a", OTHER]


def test_limits():
    items = "b a c a b d a".split()
    assert Vocabulary.count(items, min_count=2).entries == ("a", "b")
    assert Vocabulary.count(items, max_size=1).entries == ("a",)
    assert Vocabulary.count(items, min_count=9).entries == ()


def test_without_other():
    tags = Vocabulary(["O", "B-to"], other=False)
    assert (len(tags), tags.encode(["B-to"]), tags.decode([0])) == (2, [1], ["O"])
    assert "O" in tags
    assert "X" not in tags
    with pytest.raises(ArgumentError, match=r"^'X' is not one of the 2 entries: 'O', 'B-to'$"):
        tags.encode(["O", "X"])


def test_a_long_list_is_shown_in_part():
    many = Vocabulary([f"{number:02d}" for number in range(30)], other=False)
    with pytest.raises(ArgumentError, match=r"^'X' is not one of the 30 entries: '00', .*'19', …$"):
        many.encode(["X"])


def test_repr():
    assert repr(Vocabulary("ab")) == "Vocabulary(2 entries, other=True)"


@given(st.lists(st.text(max_size=3)))
def test_encode_and_decode(items: list[str]):
    for other in (True, False):
        vocabulary = Vocabulary.count(items, other=other)
        assert vocabulary.decode(vocabulary.encode(items)) == items


def test_errors():
    with pytest.raises(ArgumentError, match=r"^entries must be distinct, 'a' occurs twice$"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(
        ArgumentError, match=r"^min_count must be a whole number from 1 to 1,000,000, got 0$"
    ):
        Vocabulary.count([], min_count=0)
    with pytest.raises(
        ArgumentError, match=r"^max_size must be a whole number from 1 to .* or None, got 0$"
    ):
        Vocabulary.count([], max_size=0)
