"""Files of vectors as word2vec, GloVe and fastText write them, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cello.errors import ArgumentError, DataError
from cello.tasks.features import WordFeatures, features_from_config
from cello.tasks.readers.vectors import read_vectors

LINES = "the 0.5 -1 2e-1\nrome 1 2 3\nRome 4 5 6\nof 7 8 9\n"
HEADED = {"glove": "", "word2vec": "4 3\n"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize("head", HEADED.values(), ids=HEADED)
@pytest.mark.parametrize("end", ["\n", " \r\n"])  # fastText ends lines with a space
def test_words_that_are_wanted_and_the_first_of_the_file(file: Path, head: str, end: str):
    file.write_bytes((head + LINES).replace("\n", end).encode())
    vectors = read_vectors(file, ["Rome", "THE", "Oslo"], most=4)
    assert vectors.words == ["Rome", "THE", "the", "rome"]
    wanted = [[4.0, 5, 6], [0.5, -1, 0.2], [0.5, -1, 0.2], [1, 2, 3]]
    torch.testing.assert_close(vectors.table, torch.tensor(wanted))
    assert set(read_vectors(file, ["Rome"]).words) == {"the", "rome", "Rome", "of"}
    assert read_vectors(file, ["Rome"], most=1).words == ["Rome"]


def test_tokens_with_spaces_other_bytes_and_twice(file: Path):
    file.write_bytes(b"to 7 8\n. . . 1 2\nat x@y.z 3 4\n\xff\xfe 5 6\nto 9 9\n3 1 1\n")
    vectors = read_vectors(file, ["to", ". . .", "3"])
    rows = dict(zip(vectors.words, vectors.table.tolist(), strict=True))
    assert (rows["to"], rows[". . ."], rows["3"]) == ([7, 8], [1, 2], [1, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": holds no vectors"),
        (b"3 2\n", ": holds no vectors"),
        (b"to 1 2\nof 1\n", ":2: expected a word and 2 numbers, as on the first line, found 1"),
        (b"to 1 2\nof 1 2 3\n", ":2: expected a word and 2 numbers, as on the first line, found 3"),
        (b"2 3\nto 1 2\n", ":2: expected a word and 3 numbers, as the first line says, found 2"),
        (b"to 1 2\n\nof 1 2\n", ":2: expected a word and 2 numbers"),
        (b"to 1 x\n", ":1: expected numbers, found 'x'"),
        (b"to 1 nan\n", ":1: expected numbers, found 'nan'"),
        (b"to 1 1e39\n", ":1: expected numbers, found '1e39'"),
        (b" 1 2\n", ":1: expected a word before the numbers"),
        (b"to\n", ":1: expected a word and its numbers, or how many"),
        (b"3 0\nto\n", ":1: expected a word and its numbers, or how many"),
        (b"1 999999999999999999999\nto 1\n", ":1: expected a word and its numbers, or how many"),
        (b"5 2\nto 1 2\nof 1 2\n", ":3: the file ends after 2 words; its first line says 5"),
        (b"\x00" * 2**21 + b"\x00\x00", ":1: the line has no end"),
        (b"by 1 2\n", "has a vector for none of the words"),
    ],
)
def test_what_is_no_file_of_vectors(file: Path, content: bytes, message: str):
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_vectors(file, ["to", "of"], most=0)
    assert str(error.value).startswith(str(file))
    assert message in str(error.value)
    with pytest.raises(DataError, match="no such file"):
        read_vectors(file.with_name("other"), ["to"])


def test_an_embedding_begins_with_them(file: Path):
    sentences = [["Rome", "is", "is", "here"]]
    features = WordFeatures.fit(sentences, "embedding", vectors=file, window=1)
    assert features.found == (1, 3)
    assert set(features.words.entries) == {"the", "rome", "Rome", "of", "is"}  # "here" is too rare
    torch.manual_seed(0)
    encoder = features.encoder()
    (row,) = features.words.encode(["Rome"])
    assert encoder.weight[row].tolist() == [4, 5, 6]
    ids = features.encode(["Rome"])
    assert encoder(ids)[0].tolist() == [0, 0, 0, 4, 5, 6, 0, 0, 0]
    (row,) = features.words.encode(["is"])
    assert encoder.weight[row].abs().sum() > 0
    again = features_from_config(features.config())  # without the file
    assert torch.equal(again.encode(["Rome", "x"]), features.encode(["Rome", "x"]))
    assert again.encoder().weight.shape == encoder.weight.shape


def test_options_that_do_not_fit(file: Path):
    with pytest.raises(ArgumentError, match="vectors are what embeddings begin with, not feat"):
        WordFeatures.fit([["the"]], "both", vectors=file)
    with pytest.raises(ArgumentError, match="projection_size must be 3, the length of the vect"):
        WordFeatures.fit([["the"]], "embedding", vectors=file, projection_size=4)
