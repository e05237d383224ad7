"""Tokens as ids: what each kind of features tells of a word."""

import re

import pytest
import torch

from cello.errors import ArgumentError, ModelError
from cello.layers.encoders import KHot, Projection, WindowEmbedding, WindowProjection
from cello.tasks.features import (
    WORD_FEATURES,
    CharacterFeatures,
    WordFeatures,
    features_from_config,
    trigrams,
)
from cello.tasks.vocabulary import Vocabulary

SENTENCES = ["I arrive in Taipei on Monday".split(), "I leave Taipei on Tuesday".split()]


def active(features: WordFeatures, tokens: list[str]) -> list[list[list[str]]]:
    """The names of what is active: of each token, of each place of its window."""
    names = features.words.decode(range(len(features.words))) + list(features.trigrams.entries)
    result = []
    for row in features.encode(tokens).tolist():
        places: list[list[str]] = [[] for _ in range(2 * features.window + 1)]
        for number in row:
            if number >= 0:
                places[number // features.size].append(names[number % features.size])
        result.append(places)
    return result


def test_trigrams():
    assert trigrams("to") == ["#to", "to#"]
    assert trigrams("a") == ["#a#"]
    assert trigrams("banana") == ["#ba", "ana", "ban", "na#", "nan"]
    assert trigrams("東京") == ["#東京", "東京#"]
    assert trigrams("") == []


def test_one_of_n_with_other():
    features = WordFeatures.fit(SENTENCES, "one-hot")
    assert features.words.entries == ("I", "Taipei", "on")
    assert active(features, ["I", "love", "Taipei"]) == [[["I"]], [["<other>"]], [["Taipei"]]]


def test_trigrams_of_words_never_seen():
    features = WordFeatures.fit(SENTENCES, "trigrams")
    assert active(features, ["Friday", "xyz"]) == [[["ay#", "day"]], [[]]]
    assert len(features.words) == 0


def test_both():
    features = WordFeatures.fit(SENTENCES, "both")
    assert active(features, ["on", "Sunday"]) == [
        [["on", "#on", "on#"]],
        [["<other>", "ay#", "day"]],
    ]


def test_lower_case():
    features = WordFeatures.fit([["Taipei", "taipei"]], "one-hot", lower=True)
    assert active(features, ["TAIPEI"]) == [[["taipei"]]]
    features = WordFeatures.fit([["Taipei", "taipei"]], "one-hot")
    assert active(features, ["TAIPEI"]) == [[["<other>"]]]


@pytest.mark.parametrize("kind", ["one-hot", "both"])
def test_context_window(kind: str):
    features = WordFeatures.fit(SENTENCES, kind, window=1)
    for tokens in (["leave", "Taipei", "on"], ["Taipei"]):
        alone = WordFeatures(kind, features.words, features.trigrams)
        each = [places[0] for places in active(alone, tokens)]
        wide = active(features, tokens)
        for t in range(len(tokens)):
            assert wide[t] == [
                each[t - 1] if t else [],
                each[t],
                each[t + 1] if t + 1 < len(tokens) else [],
            ]


def test_embedding_has_one_table_for_all_places():
    features = WordFeatures.fit(SENTENCES, "embedding", window=1, projection_size=8)
    assert features.encode(["on", "Taipei"]).tolist() == [[-1, 3, 2], [3, 2, -1]]
    encoder = features.encoder()
    assert isinstance(encoder, WindowEmbedding)
    assert encoder.config() == {"size": 4, "embedding_size": 8, "window_size": 3}


def test_limits():
    features = WordFeatures.fit(SENTENCES, "both", min_count=1, max_size=2)
    assert len(features.words.entries) == len(features.trigrams.entries) == 2


def test_the_encoder_is_chosen_by_size():
    words = [[f"w{number}", f"w{number}"] for number in range(400)]
    small = WordFeatures.fit(words, "one-hot")
    assert isinstance(small.encoder(), KHot)
    assert small.encoder().output_size == 401
    large = WordFeatures.fit(words, "one-hot", window=1)
    window = {"size": 3 * 401, "projection_size": 64, "window_size": 3}
    assert isinstance(large.encoder(), WindowProjection)
    assert large.encoder().config() == window
    assert isinstance(WordFeatures.fit(words, "embedding").encoder(), WindowEmbedding)
    forced = WordFeatures.fit(words, "one-hot", window=1, projection_size=None)
    assert forced.encoder().output_size == 3 * 401
    one = WordFeatures.fit(words, "one-hot", projection_size=7)
    assert isinstance(one.encoder(), Projection)
    assert one.encoder().output_size == 7


@pytest.mark.parametrize("kind", WORD_FEATURES)
@pytest.mark.parametrize("window", [0, 2])
def test_the_encoder_reads_the_ids_and_they_come_back_from_json(kind: str, window: int):
    features = WordFeatures.fit(SENTENCES, kind, window=window, lower=True)
    again = features_from_config(features.config())
    assert again.config() == features.config()
    tokens = "We love Taipei on Monday".split()
    ids = features.encode(tokens)
    assert torch.equal(again.encode(tokens), ids)
    encoder = features.encoder()
    vectors = encoder(ids)
    assert vectors.shape == (5, encoder.output_size)
    assert torch.equal(encoder(ids.reshape(5, 1, -1)), vectors.unsqueeze(1))
    # The first two and the last two words differ, in the word itself or beside it.
    assert not torch.equal(vectors[3], vectors[4])


def test_no_tokens():
    for kind in WORD_FEATURES:
        features = WordFeatures.fit(SENTENCES, kind)
        assert features.encode([]).shape == (0, 1)
    assert CharacterFeatures(Vocabulary("ab")).encode("").shape == (0,)


def test_characters():
    features = CharacterFeatures(Vocabulary(["b", "a"]))
    assert features.encode("abz").tolist() == [2, 1, 0]
    assert features.encoder().output_size == 3
    again = features_from_config(features.config())
    assert isinstance(again, CharacterFeatures)
    assert again.config() == features.config()


def test_errors():
    with pytest.raises(
        ArgumentError,
        match=r"^features must be one of one-hot, trigrams, both, embedding, got 'bytes'$",
    ):
        WordFeatures.fit(SENTENCES, "bytes")
    with pytest.raises(
        ArgumentError, match=r"^window must be a whole number from 0 to 1,000, got -1$"
    ):
        WordFeatures.fit(SENTENCES, "both", window=-1)
    message = "projection_size must be given for embedding features, got None"
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        WordFeatures.fit(SENTENCES, "embedding", projection_size=None)


WORDS = WordFeatures("both", Vocabulary(["a"]), Vocabulary(["#a#"], other=False)).config()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, ".kind must be one of characters, one-hot, trigrams, both, embedding, got None"),
        ({"kind": ["both"]}, ".kind must be one of characters, "),
        ({"kind": "characters"}, ".characters is missing"),
        ({"kind": "characters", "characters": ["ab"]}, ".characters must be a list of single"),
        ({"kind": "characters", "characters": ["a", "a"]}, ".characters must be a list of single"),
        ({"kind": "one-hot", "words": []}, ".trigrams is missing"),
        (
            WORDS | {"words": ["a", "a"]},
            ".words must be a list of texts, each once, got ['a', 'a']",
        ),
        (WORDS | {"words": ["a", 1]}, ".words must be a list of texts, each once, got ['a', 1]"),
        (WORDS | {"kind": "knots"}, ".kind must be one of "),
        (WORDS | {"colour": 1}, " has no entry 'colour'; it has words, trigrams, window, lower, "),
        (WORDS | {"window": 10**9}, ".window must be a whole number from 0 to 1,000, got 10000000"),
        (WORDS | {"window": 1.0}, ".window must be a whole number from 0 to 1,000, got 1.0"),
        (WORDS | {"lower": 1}, ".lower must be true or false, got 1"),
        (WORDS | {"projection_size": 0}, ".projection_size must be a whole number from 1 to "),
        (WORDS | {"kind": "embedding"}, ": projection_size must be given for embedding features"),
        (None, ".kind must be one of "),
    ],
)
def test_damaged_descriptions(config, message):
    with pytest.raises(ModelError, match=f"^{re.escape('task.features' + message)}"):
        features_from_config(config)
