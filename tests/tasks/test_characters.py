"""The next-character task: streams, carried state, bits per character, samples."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from cello.errors import ArgumentError, DataError, ModelError
from cello.tasks import Characters, build_network, task_from_config
from cello.tasks.readers.corpus import Document
from cello.tasks.vocabulary import Vocabulary

ALPHABET = "abcdefgh"


def documents(count: int = 12, size: int = 50) -> list[Document]:
    """Texts whose characters tell the document and, roughly, the place."""
    return [
        Document(f"{n}.txt", "".join(chr(256 * n + 300 + place) for place in range(size)))
        for n in range(count)
    ]


def text_of(task: Characters, ids: torch.Tensor) -> str:
    return "".join(task.features.vocabulary.decode(ids.tolist()))


def test_rows_read_the_whole_text_once_and_in_order():
    found = documents(3, 101)
    task = Characters.from_documents(
        found, {"validation": found}, min_count=1, batch_size=4, tbptt_steps=10
    )
    batches = task.epoch(0)
    steps = 3 * 101 // 4 - 1
    assert [len(batch.y) for batch in batches] == [10] * (steps // 10) + [steps % 10]
    x = torch.cat([batch.x for batch in batches])
    y = torch.cat([batch.y for batch in batches])
    assert torch.equal(x[1:], y[:-1])
    read = "".join(text_of(task, torch.cat([x[:1, row], y[:, row]])) for row in range(4))
    texts = sorted(document.text for document in found)
    # All documents one after another, but for the few characters that fill no row.
    order = sorted(texts, key=lambda text: read.find(text[:20]))
    assert read == "".join(order)[: len(read)]
    assert 3 * 101 - len(read) < 4
    assert all(batch.lengths is None for batch in batches)
    assert [batch.weight for batch in batches] == [4 * len(batch.y) for batch in batches]


def test_the_order_of_the_documents_is_drawn_anew():
    task = Characters.from_documents(documents(), min_count=1, batch_size=2, tbptt_steps=9)

    def first(task: Characters, epoch: int) -> str:
        return text_of(task, task.epoch(epoch)[0].x[:, 0])

    assert first(task, 0) == first(task, 0)
    assert len({first(task, epoch) for epoch in range(6)}) > 2
    assert task.epoch(1)[3:][0].x.tolist() == task.epoch(1)[3].x.tolist()


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_rows(world_size: int):
    task = Characters.from_documents(documents(), min_count=1, batch_size=4, tbptt_steps=8)
    parts = [task.epoch(2, rank=r, world_size=world_size) for r in range(world_size)]
    for number, batch in enumerate(task.epoch(2)):
        columns = sorted(map(tuple, batch.x.t().tolist()))
        mine = [map(tuple, part[number].x.t().tolist()) for part in parts]
        assert sorted(row for rows in mine for row in rows) == columns
        assert {part[number].weight for part in parts} == {batch.weight}


def test_state_is_carried_and_cut_from_the_graph():
    task = Characters.from_documents(documents(), min_count=1, batch_size=2, tbptt_steps=7)
    net = build_network("lstm", task.features.encoder(), 6, task.output_size)
    one, two = task.epoch(0)[:2]
    first = task.loss(net, one)
    second = task.loss(net, two, first.state)
    assert (first.count, second.count) == (14, 14)
    both = task.loss(net, type(one)(torch.cat([one.x, two.x]), torch.cat([one.y, two.y]), None, 28))
    torch.testing.assert_close(first.total + second.total, both.total)
    assert not torch.allclose(task.loss(net, two).total, second.total)
    assert not any(part.requires_grad for part in first.state[1])


class Bigram(nn.Module):
    """Logits by the character before; `state` counts the steps."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, x, state=None):
        assert not self.training
        return self.table[x], (state or 0) + len(x)


def test_bits_per_character_by_hand():
    text = ALPHABET * 300
    task = Characters({"test": [Document("t", text)]}, Vocabulary(ALPHABET[:7]))
    size = task.output_size
    assert size == 8
    uniform = task.evaluate(Bigram(torch.zeros(size, size)), "test")
    assert uniform["bits_per_character"] == pytest.approx(3)
    assert uniform["other_share"] == pytest.approx(1 / 8)

    table = torch.zeros(size, size)
    for place, letter in enumerate(ALPHABET):
        row, column = task.features.encode(letter + ALPHABET[(place + 1) % 8]).tolist()
        table[row, column] = math.log(7)  # one half for the right one
    metrics = task.evaluate(Bigram(table), "test")
    assert metrics["bits_per_character"] == pytest.approx(1, abs=1e-6)
    assert metrics["accuracy"] == 1


def test_evaluation_carries_the_state():
    """In pieces or in one: the same bits."""
    torch.manual_seed(1)
    text = "".join(ALPHABET[n] for n in torch.randint(8, (1500,)).tolist())
    task = Characters({"validation": [Document("v", text)]}, Vocabulary(ALPHABET))
    net = build_network("elman", task.features.encoder(), 5, task.output_size)
    net.train()
    metrics = task.evaluate(net, "validation")
    assert net.training
    ids = task.features.encode(text)[: 2 * 750].view(2, 750).t()  # 1,500 // 512 rows
    with torch.no_grad():
        logits, _ = net(ids[:-1])
    nats = nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())
    assert metrics["bits_per_character"] == pytest.approx(nats.item() / math.log(2), rel=1e-5)


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm"])
def test_learns_and_continues_a_text(kind: str):
    task = Characters.from_documents(
        [Document("t", "to be or not to be. " * 60)], batch_size=4, tbptt_steps=20
    )
    net = build_network(kind, task.features.encoder(), 24, task.output_size)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for epoch in range(15):
        state = None
        for batch in task.epoch(epoch):
            loss = task.loss(net, batch, state)
            state = loss.state
            optimizer.zero_grad()
            (loss.total / batch.weight).backward()
            optimizer.step()
    metrics = task.evaluate(net, "test")
    assert metrics["bits_per_character"] < 0.2
    assert metrics["other_share"] == 0
    told = "".join(task.sample(net, "to be or", 40, temperature=0))
    assert told == (" not to be. to be or not to be. to be or not to be.")[:40]
    assert net.training

    again = task_from_config(json.loads(json.dumps(task.config())))
    assert isinstance(again, Characters)
    assert "".join(again.sample(net, "to be or", 40, temperature=0)) == told


def untrained(kind: str = "gru") -> tuple[Characters, nn.Module]:
    task = Characters({}, Vocabulary(ALPHABET))
    return task, build_network(kind, task.features.encoder(), 6, task.output_size)


def test_samples_depend_on_the_seed_and_come_one_by_one():
    task, net = untrained()
    first = "".join(task.sample(net, "abc", 50, seed=1))
    assert first == "".join(task.sample(net, "abc", 50, seed=1))
    assert first != "".join(task.sample(net, "abc", 50, seed=2))
    assert set(first) <= set(ALPHABET)  # never "other"
    endless = task.sample(net, "a", 10**9)
    assert [next(endless) for _ in range(3)] == list("".join(task.sample(net, "a", 3)))
    assert list(task.sample(net, "a", 0)) == []


def test_samples_follow_the_network():
    """Over many draws the shares are the probabilities; temperature makes them flatter."""
    task, net = untrained()
    ids = task.features.encode("cab").unsqueeze(1)
    with torch.no_grad():
        logits = net.eval()(ids)[0][-1, 0]
    logits[0] = -torch.inf
    for temperature in (0.1, 1.0):
        expected = torch.softmax(logits / temperature, -1)
        drawn = "".join(
            next(task.sample(net, "cab", 1, temperature=temperature, seed=seed))
            for seed in range(400)
        )
        for letter, p in zip(ALPHABET, expected[1:].tolist(), strict=True):
            sigma = math.sqrt(p * (1 - p) / 400)
            assert drawn.count(letter) / 400 == pytest.approx(p, abs=4 * sigma + 1e-9)


def test_from_files_and_folders(tmp_path: Path):
    (tmp_path / "books").mkdir()
    for n in range(12):
        (tmp_path / "books" / f"{n}.txt").write_text("ab\r\n" * 30, newline="")
    (tmp_path / "test.txt").write_text("abc" * 20)
    task = Characters.from_files([tmp_path / "books"], test=[tmp_path / "test.txt"], batch_size=2)
    assert task.splits == ("validation", "test")  # a tenth is set aside
    assert task.features.vocabulary.entries == ("\n", "a", "b")
    assert sum(batch.weight for batch in task.epoch(0)) == 11 * 90 - 2
    assert sum(map(len, task.data("validation"))) == 90
    assert sum(map(len, task.data("test"))) == 60
    alone = Characters.from_files([tmp_path / "books"], batch_size=2)
    assert alone.splits == ("validation", "test")
    with pytest.raises(DataError, match=r"nothing: no such file or folder$"):
        Characters.from_files([tmp_path / "nothing"])


def test_few_documents_are_cut_many_are_dealt():
    few = Characters.from_documents(
        [Document("a", ALPHABET * 100)], batch_size=2, tbptt_steps=10**6
    )
    (batch,) = few.epoch(0)
    assert batch.weight == 640 - 2
    tested = Characters.from_documents(
        [Document("a", ALPHABET * 100)], {"test": documents(1)}, batch_size=2, tbptt_steps=10**6
    )
    (batch,) = tested.epoch(0)
    assert batch.weight == 720 - 2  # the last tenth is for validation
    assert sum(map(len, tested.data("validation"))) == 80
    many = Characters.from_documents(documents(20), min_count=1, batch_size=2, tbptt_steps=10**6)
    (batch,) = many.epoch(0)
    assert batch.weight == 16 * 50 - 2


def test_the_default_is_the_standard_library():
    task = Characters.default(batch_size=8, tbptt_steps=16, min_count=20)
    assert 90 < task.output_size < 110
    assert len(task.epoch(0)) * 8 * 16 > 3_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ""}, "prompt must hold at least one character, got ''"),
        (
            {"prompt": "ab€"},
            "prompt: character '€' (U+20AC) at place 3 is not one of the 8 characters that the "
            "network knows",
        ),
        ({"length": -1}, "length must be a whole number from 0 to 2,147,483,647, got -1"),
        ({"temperature": -0.5}, "temperature must be a finite number from 0, got -0.5"),
        ({"temperature": math.nan}, "temperature must be a finite number from 0, got nan"),
        ({"temperature": math.inf}, "temperature must be a finite number from 0, got inf"),
        ({"seed": 2**70}, f"seed must be a whole number from 0 to 4,294,967,295, got {2**70}"),
        ({"seed": True}, "seed must be a whole number from 0 to 4,294,967,295, got True"),
    ],
)
def test_wrong_wishes_for_a_sample(options, message: str):
    """They are told at once, not when the first character is asked for."""
    task, net = untrained()
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        task.sample(net, **({"prompt": "a", "length": 5} | options))


def test_what_reads_from_the_end_cannot_continue():
    task, net = untrained("bi-elman")
    with pytest.raises(ArgumentError, match=r"cannot run one step at a time"):
        task.sample(net, "a", 5)


def test_errors(tmp_path: Path):
    text = [Document("a", "ab" * 100)]
    for name in ("batch_size", "tbptt_steps"):
        with pytest.raises(
            ArgumentError, match=f"^{name} must be a whole number from 1 to .*, got 0$"
        ):
            Characters.from_documents(text, **{name: 0})
    message = (
        "the training text has 160 characters: expected more than 200, the number of rows "
        "(batch_size)"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        Characters.from_documents(text, batch_size=200)
    message = (
        "the test text must have at least 2 characters, so that there is one to predict, found 1"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        Characters.from_documents(text, {"test": [Document("t", "a")]})
    task = Characters.from_documents(text, {"validation": text}, batch_size=4)
    message = "batch_size 4 cannot be shared equally among 3 processes"
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        task.epoch(0, world_size=3)
    message = "this task has no 'test' data; it has: validation"
    with pytest.raises(DataError, match=f"^{message}$"):
        task.evaluate(nn.Linear(1, 1), "test")
    message = "this task has no training data: it was made from a saved model"
    with pytest.raises(DataError, match=f"^{message}$"):
        Characters.from_config(task.config()).epoch(0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"task": "chars"}, r"task\.features is missing"),
        (
            {"task": "chars", "features": {"kind": "both", "words": [], "trigrams": []}},
            r"task\.features\.window is missing",
        ),
        ({"task": "chars", "features": 3}, r"task\.features must be a table, got 3"),
        (
            {"task": "chars", "features": {"kind": "characters", "characters": []}},
            "task.features must be those of characters, and know at least one",
        ),
    ],
)
def test_damaged_descriptions(config, message):
    with pytest.raises(ModelError, match=f"^{message}$"):
        task_from_config(config)


def test_unknown_tasks():
    with pytest.raises(
        ModelError, match=r"^the model's task is None, not one of tag, chars, classify, forecast$"
    ):
        task_from_config({})


def test_a_text_that_is_too_short_to_set_parts_aside():
    with pytest.raises(
        DataError, match=r"has 19 characters, too few to set a tenth aside for vali"
    ):
        Characters.from_documents([Document("a.txt", "a" * 19)])
    task = Characters.from_documents([Document("a.txt", "a" * 20)], batch_size=2)
    assert task.splits == ("validation", "test")
