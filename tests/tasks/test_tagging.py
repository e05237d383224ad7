"""The tagging task on words: slot filling as in the lecture."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from cello.errors import ArgumentError, DataError, ModelError
from cello.tasks import Tagging, build_network, task_from_config
from cello.tasks.base import IGNORE
from cello.tasks.batching import Example
from cello.tasks.features import CharacterFeatures
from cello.tasks.vocabulary import Vocabulary

CITIES = ["Taipei", "Paris", "Lima", "Oslo"]
DAYS = ["Monday", "Friday", "Sunday"]


def sentence(number: int) -> list[tuple[str, str]]:
    city, day = CITIES[number // 2 % 4], DAYS[number // 3 % 3]
    verb, slot = ("arrive", "B-to") if number % 2 else ("leave", "B-from")
    when = [("on", "O"), (day, "B-time")] + [("morning", "I-time")] * (number % 5 == 0)
    return [("I", "O"), (verb, "O"), (city, slot), *when][number % 2 :]


def write(file: Path, numbers: range, extra: str = "") -> Path:
    rows = ["".join(f"{token} {tag}\n" for token, tag in sentence(n)) for n in numbers]
    file.write_text("\n".join(rows) + extra, encoding="utf-8")
    return file


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / "train", range(60)),
        write(tmp_path / "validation", range(60, 80)),
        write(tmp_path / "test", range(80, 90)),
    ]


def train(task: Tagging, net: nn.Module, epochs: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for epoch in range(epochs):
        for batch in task.epoch(epoch):
            loss = task.loss(net, batch)
            assert loss.count == batch.weight
            assert loss.state is None
            optimizer.zero_grad()
            (loss.total / batch.weight).backward()
            optimizer.step()


@pytest.mark.parametrize(
    ("kind", "features"),
    [
        ("elman", "one-hot"),
        ("gru", "one-hot"),
        ("lstm", "both"),
        ("bi-gru", "trigrams"),
        ("bi-elman", "embedding"),
    ],
)
def test_memory_tells_where_to_from_where_from(files: list[Path], kind: str, features: str):
    """The lecture's example: Taipei is tagged by the word that stood before it."""
    task = Tagging.from_conll(*files, features=features, batch_size=10)
    assert task.tags == ("B-from", "B-time", "B-to", "I-time", "O")
    assert task.monitor == "span_f1"
    assert task.splits == ("validation", "test")
    net = build_network(kind, task.features.encoder(), 12, task.output_size)
    train(task, net, 12)
    assert net.training
    metrics = task.evaluate(net, "test")
    assert net.training
    assert metrics["accuracy"] == metrics["span_f1"] == metrics["accuracy/B-to"] == 1
    asked = ["arrive Taipei on Sunday morning".split(), [], "I leave Taipei".split()]
    told = task.predict(net, asked)
    assert told == [["O", "B-to", "O", "B-time", "I-time"], [], ["O", "O", "B-from"]]

    again = task_from_config(json.loads(json.dumps(task.config())))
    assert isinstance(again, Tagging)
    assert again.predict(net, asked) == told
    assert again.config() == task.config()
    assert again.monitor == task.monitor


def test_jordan_remembers_what_its_output_tells():
    """Inside brackets or not: the tag before says so, for as long as it takes."""
    features = CharacterFeatures(Vocabulary("(x)"))
    texts = [f"{'x' * (n % 4)}({'x' * (3 * n % 7)}){'x' * (n % 3)}" for n in range(60)]

    def example(text: str) -> Example:
        inside = torch.tensor([int(text.find("(") <= t < text.find(")")) for t in range(len(text))])
        return Example(features.encode(text), inside)

    kept = [example(text) for text in texts]
    far = {"test": [example(f"x({'x' * 50})x")]}
    task = Tagging(features, ["out", "in"], train=lambda epoch: kept, held_out=far)
    net = build_network("jordan", features.encoder(), 6, 2)
    train(task, net, 10)
    assert task.monitor == "accuracy"
    assert task.evaluate(net, "test")["accuracy"] == 1


def test_neighbours_do_without_memory(files: list[Path]):
    """With the word before in the window, a linear map of the input suffices."""
    task = Tagging.from_conll(*files, features="one-hot", window=1, batch_size=10)

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = task.features.encoder()
            self.out = nn.Linear(self.encoder.output_size, task.output_size)

        def forward(self, x, state=None, *, lengths=None):
            return self.out(self.encoder(x)), None

    net = Linear()
    train(task, net, 20)
    assert task.evaluate(net, "test")["accuracy"] == 1


class Constant(nn.Module):
    """Always the same logits; remembers how it was called."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.calls: list[dict] = []

    def forward(self, x, state=None, **options):
        assert not torch.is_grad_enabled() or self.training
        self.calls.append({"shape": tuple(x.shape), **options})
        return self.logits.expand(*x.shape[:2], -1), state


def test_unknown_tags_in_held_out_files_count_as_errors(tmp_path: Path):
    train_file = write(tmp_path / "train", range(20))
    test_file = write(tmp_path / "test", range(4), extra="\nhello X-greeting\n")
    task = Tagging.from_conll(train_file, test=test_file)
    assert "X-greeting" not in task.tags
    net = Constant(0.0, 0.0, 0.0, 0.0, 1.0)
    metrics = task.evaluate(net, "test")
    tags = [tag for n in range(4) for _, tag in sentence(n)] + ["X-greeting"]
    assert metrics["accuracy"] == tags.count("O") / len(tags)
    assert metrics["accuracy/X-greeting"] == 0
    assert metrics["accuracy/O"] == 1


def test_without_validation_file_every_tenth_sequence(files: list[Path]):
    task = Tagging.from_conll(files[0], min_count=1, features="one-hot")
    assert task.splits == ("validation",)
    assert sum(batch.x.shape[1] for batch in task.epoch(0)) == 54
    elements = sum(len(sentence(n)) for n in range(60) if n % 10)
    assert sum(batch.weight for batch in task.epoch(0)) == elements


def test_one_sequence_is_too_few_to_set_one_aside(tmp_path: Path):
    file = write(tmp_path / "train", range(1))
    message = (
        f"{file}: expected at least 2 sequences, since one is set aside for validation, found 1; "
        "give a validation file"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        Tagging.from_conll(file)
    assert len(Tagging.from_conll(file, file, min_count=1).epoch(0)) == 1


def test_long_and_short_sequences_come_back_in_order():
    features = CharacterFeatures(Vocabulary("ab"))
    task = Tagging(features, ["other", "a", "b"])

    class Echo(Constant):
        def forward(self, x, state=None, **options):
            super().forward(x, state, **options)
            return nn.functional.one_hot(x, 3).float(), state

    net = Echo(0.0)
    texts = ["ab" * 40_000, "", "ba" * 30_000, "b", "ab" * 50_000, "abz" * 50_000]
    names = {"a": "a", "b": "b", "z": "other"}
    assert task.predict(net, texts) == [[names[c] for c in text] for text in texts]
    # At most 131,072 steps at once, but for a longer sequence by itself.
    shapes = [call["shape"] for call in net.calls]
    assert shapes == [(150_000, 1), (100_000, 1), (80_000, 1), (60_000, 2)]


def test_teacher_forcing_in_the_first_epochs_only():
    features = CharacterFeatures(Vocabulary("ab"))
    kept = [Example(features.encode("ab" * n), torch.tensor([0, 1] * n)) for n in (1, 2)]
    task = Tagging(features, ["x", "y"], train=lambda epoch: kept, teacher_forcing=2)
    assert [task.epoch(e)[0].teacher_forcing for e in range(4)] == [True, True, False, False]

    jordan = build_network("jordan", features.encoder(), 3, 2)
    batch = task.epoch(0)[0]
    forced = task.loss(jordan, batch).total
    free = task.loss(jordan, task.epoch(2)[0]).total
    assert not torch.allclose(forced, free)
    # By hand: before each step the network is given the tag that was right.
    cell = jordan[1].cell
    expected = 0.0
    for row, length in enumerate(batch.lengths.tolist()):
        y = torch.zeros(1, 2)
        for t in range(length):
            x = nn.functional.one_hot(batch.x[t, row : row + 1], 3).float()
            p, _ = cell.step(x, y)
            gold = int(batch.y[t, row])
            assert gold != IGNORE
            expected -= p[0, gold].log().item()
            y = nn.functional.one_hot(torch.tensor([gold]), 2).float()
    assert forced.item() == pytest.approx(expected, rel=1e-5)

    other = Constant(0.0, 0.0)
    task.loss(other, batch)
    assert "targets" not in other.calls[0]


def test_processes_see_the_same_epoch(files: list[Path]):
    task = Tagging.from_conll(*files, batch_size=8)
    whole = [sorted(batch.y[batch.y != IGNORE].tolist()) for batch in task.epoch(3)]
    parts = [task.epoch(3, rank=rank, world_size=2) for rank in range(2)]
    for number, expected in enumerate(whole):
        ids = [n for part in parts for n in part[number].y[part[number].y != IGNORE].tolist()]
        assert sorted(ids) == expected


def test_what_a_task_does_not_have(files: list[Path]):
    task = Tagging.from_conll(files[0])
    with pytest.raises(DataError, match=r"^this task has no 'test' data; it has: validation$"):
        task.evaluate(Constant(0.0), "test")
    saved = Tagging.from_config(task.config())
    with pytest.raises(DataError, match=r"^this task has no 'test' data; it has: none$"):
        saved.evaluate(Constant(0.0), "test")
    message = "this task has no training data: it was made from a saved model"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        saved.epoch(0)


def test_wrong_options(files: list[Path]):
    with pytest.raises(ArgumentError, match=r"^features must be one of one-hot, trigrams, both,"):
        Tagging.from_conll(*files, features="words")
    with pytest.raises(
        ArgumentError, match=r"^window must be a whole number from 0 to 1,000, got -2$"
    ):
        Tagging.from_conll(*files, window=-2)
    with pytest.raises(
        ArgumentError, match=r"^batch_size must be a whole number from 1 to 1,000,000, got 0$"
    ):
        Tagging.from_conll(*files, batch_size=0).epoch(0)


def test_spans_in_any_scheme(tmp_path: Path):
    file = tmp_path / "x.txt"
    file.write_text("Mr U-per\nNew B-loc\nYork I-loc\nCity L-loc\nis O\n" * 2)
    task = Tagging.from_conll(file, file, file, min_count=1)
    assert (task.scheme, task.monitor) == ("BILOU", "span_f1")
    net = build_network("lstm", task.features.encoder(), 8, task.output_size)
    train(task, net, 60)
    metrics = task.evaluate(net, "test")
    assert metrics["span_f1"] == metrics["span_f1/loc"] == metrics["span_f1/per"] == 1
    assert metrics["span_count/loc"] == 2
    assert task.evaluate(net, "test", batch_size=1) == metrics
    assert Tagging(task.features, ["O", "NOUN"]).scheme is None


def test_outputs_that_are_nan_are_told(files: list[Path]):
    task = Tagging.from_conll(*files)
    net = build_network("gru", task.features.encoder(), 3, task.output_size)
    with torch.no_grad():
        net[-1].bias.fill_(torch.nan)
    message = "the network gives NaN for 2 of 2 elements: their tags mean nothing"
    with pytest.warns(UserWarning, match=f"^{message}$"):
        task.predict(net, [["arrive", "Taipei"]])


@pytest.mark.parametrize("missing", ["features", "tags", "groups"])
def test_damaged_descriptions(missing: str):
    config = Tagging(CharacterFeatures(Vocabulary("a")), ["O"], groups={"all": ["O"]}).config()
    assert task_from_config(config).config() == config
    with pytest.raises(ModelError, match=rf"^task\.{missing} is missing$"):
        task_from_config({name: value for name, value in config.items() if name != missing})
    with pytest.raises(ModelError, match=rf"^task\.{missing} must be a .*, got 3$"):
        task_from_config(config | {missing: 3})


@pytest.mark.parametrize(
    ("text", "tokens", "tags"),
    [
        ("I O\nleave O\n\nLima B-from\n", [["I", "leave"], ["Lima"]], [["O", "O"], ["B-from"]]),
        ("I\nleave\n", [["I", "leave"]], [None]),
        ("I PRON\nleave VERB\n", [["I", "leave"]], [None]),  # of no tag that the model knows
    ],
)
def test_a_file_is_read_once_with_its_tags_or_without(
    files: list[Path], tmp_path: Path, text: str, tokens: list, tags: list
):
    task = Tagging.from_conll(*files)
    (tmp_path / "new").write_text(text, encoding="utf-8")
    given = task.given(tmp_path / "new")
    assert [list(one.tokens) for one in given] == tokens
    assert [one.expected and list(one.expected) for one in given] == tags


def test_tags_that_cannot_be_read_are_said_to_be_left_out(files: list[Path], tmp_path: Path):
    task = Tagging.from_conll(*files)
    (tmp_path / "new").write_text("I\tO\nleave\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"read without its tags: .*new:2: expected 2 columns"):
        (given,) = task.given(tmp_path / "new")
    assert (list(given.tokens), given.expected) == (["I", "leave"], None)
    (tmp_path / "new").write_text("leave for Lima\non Monday\n", encoding="utf-8")
    with pytest.raises(DataError, match="running text cannot be read"):
        task.given(tmp_path / "new")
