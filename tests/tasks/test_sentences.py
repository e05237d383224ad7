"""Sentences in little memory give the very examples that each of them gives alone."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cello.tasks.batching import Example, generator, shuffled_batches
from cello.tasks.features import WORD_FEATURES, WordFeatures, trigrams
from cello.tasks.readers.conll import read_conll
from cello.tasks.sentences import Examples, Sentences
from cello.tasks.tagging import Tagging
from cello.tasks.vocabulary import Vocabulary

WORDS = ["to", "Taipei", "on", "a", "é", "supercalifragilistic", "TO", "#"]


def by_hand(features: WordFeatures, tokens: tuple[str, ...]) -> list[list[int]]:
    """The ids of each step, as the class says: place by place, word by word."""
    active = []
    for token in tokens:
        word = token.lower() if features.lower else token
        ids = features.words.encode([word]) if len(features.words) else []
        known = [t for t in trigrams(word) if t in features.trigrams]
        active.append(ids + [len(features.words) + n for n in features.trigrams.encode(known)])
    steps = []
    for t in range(len(tokens)):
        step = []
        for place, at in enumerate(range(t - features.window, t + features.window + 1)):
            inside = 0 <= at < len(tokens)
            if features.kind == "embedding":
                step.append(active[at][0] if inside else -1)
            elif inside:
                step += [place * features.size + number for number in active[at]]
        steps.append(step)
    width = max(1, *map(len, steps))
    return [step + [-1] * (width - len(step)) for step in steps]


def write(path: Path, sentences: list[list[tuple[str, str]]]) -> Path:
    lines = ("".join(f"{word} {tag}\n" for word, tag in sentence) for sentence in sentences)
    path.write_text("\n".join(lines))
    return path


SENTENCES = st.lists(
    st.lists(
        st.tuples(st.sampled_from(WORDS), st.sampled_from(["O", "B-x", "I-x"])),
        min_size=1,
        max_size=7,
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.filterwarnings("ignore:.*# is a token there")
@given(SENTENCES, st.sampled_from(WORD_FEATURES), st.integers(0, 2), st.booleans(), st.data())
def test_examples_are_those_of_each_sentence(
    tmp_path: Path, rows, kind: str, window: int, lower: bool, data
):
    path = write(tmp_path / "x.txt", rows)
    features = WordFeatures.fit(
        [[word for word, _ in rows[0]]], kind, window=window, lower=lower, min_count=1
    )
    ids = Vocabulary(["O", "B-x", "I-x"], other=False)
    plain = read_conll(path)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    sentences = Sentences.read(path, token=0, tag=1)
    examples = Examples(sentences.chosen(torch.tensor(chosen)), features, ids)
    assert examples.lengths == [len(plain[number].tokens) for number in chosen]
    for place, number in enumerate(chosen):
        example = examples[place]
        assert example.x.tolist() == by_hand(features, plain[number].tokens)
        assert torch.equal(example.x, features.encode(plain[number].tokens))
        assert example.y.tolist() == ids.encode(plain[number].tags)
        assert (example.x.dtype, example.y.dtype) == (torch.long, torch.long)
    counts = sentences.chosen(torch.tensor(chosen)).counts()
    assert sum(counts.values()) == sum(examples.lengths)

    alone = [examples[number] for number in range(len(examples))]
    batches = [
        shuffled_batches(which, 3, generator("order", 0, 1), rank=0, world_size=1)
        for which in (examples, alone)
    ]
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
        assert (one.weight, str(one.lengths)) == (other.weight, str(other.lengths))


def test_slices_and_nothing(tmp_path: Path):
    path = write(tmp_path / "x.txt", [[("a", "O")], [("b", "O")], [("a", "O"), ("c", "O")]])
    features = WordFeatures("one-hot", Vocabulary("abc"))
    examples = Examples(
        Sentences.read(path, token=0, tag=1), features, Vocabulary("O", other=False)
    )
    assert [example.x.tolist() for example in examples[1:]] == [[[2]], [[1], [3]]]
    assert examples.pick([]) == []
    assert isinstance(examples[-1], Example)
    with pytest.raises(IndexError):
        examples[3]


def test_a_large_file_takes_a_few_times_its_size(tmp_path: Path):
    words = [f"word{number}" for number in range(500)]
    path = write(
        tmp_path / "x.txt",
        [[(words[(7 * n + t * t) % 500], "O" if t % 3 else "B-x") for t in range(15)]
         for n in range(3000)],
    )  # fmt: skip
    tracemalloc.start()
    try:
        task = Tagging.from_conll(path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = path.stat().st_size
    assert peak < 6 * size  # Python's own: the bytes, the text, and what is made of them
    assert held < 2 * size
    assert sum(len(batch.y.flatten()) for batch in task.epoch(0)) == 2700 * 15
