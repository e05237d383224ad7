import pytest
import torch
from torch import nn

from cello.errors import ArgumentError
from cello.tasks.base import Batch
from cello.train.saved.identity import check_same, content, training_data, weights_of
from tests.train.fakes import FakeTask


def batch(number: int) -> Batch:
    x = torch.full((2, 1), number)
    return Batch(x, x, None, 2)


def hashed(*batches: Batch) -> str:
    return training_data(FakeTask(), batches)["content"]


def test_a_hash_sees_every_batch_and_their_order():
    marks = {
        hashed(*(batch(number) for number in numbers))
        for numbers in ([1, 2, 3], [0, 2, 3], [1, 0, 3], [1, 2, 0], [3, 2, 1], [1, 2], [])
    }
    assert len(marks) == 7
    assert hashed(batch(1), batch(2)) == hashed(batch(1), batch(2))
    assert training_data(FakeTask(), [batch(1)])["batches"] == 1


def test_a_hash_sees_shape_dtype_lengths_and_what_is_fed():
    x = torch.zeros(2, 3, dtype=torch.int64)
    changed = [
        Batch(x, x, None, 6),
        Batch(x.T, x.T, None, 6),
        Batch(x.int(), x, None, 6),
        Batch(x, x, torch.tensor([2, 2, 1]), 6),
        Batch(x, x, None, 6, teacher_forcing=True),
    ]
    assert len({hashed(batch) for batch in changed}) == 5


class Showing(FakeTask):
    """A task that shows its data, which its batches are drawn from."""

    splits = ("validation",)

    def __init__(self, **data: list[int]):
        super().__init__()
        self.shown = data

    def data(self, split: str):
        return (torch.tensor([number]) for number in self.shown[split])


def test_a_task_may_show_its_data():
    one = Showing(train=[1, 2, 3], validation=[4])
    other = Showing(train=[1, 9, 3], validation=[5])
    assert training_data(one, [batch(1)]) != training_data(other, [batch(1)])
    assert content(one, "train") == training_data(one, [])["content"]
    assert content(one, "validation") != content(other, "validation")
    assert content(one, "test") is None
    assert content(FakeTask(), "validation") is None


def test_weights_of():
    net = nn.Linear(3, 2).double()
    assert weights_of(net) == {"weight": "torch.float64 (2, 3)", "bias": "torch.float64 (2,)"}


@pytest.mark.parametrize(
    ("saved", "now", "message"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a b is 2, but the checkpoint was made with 1; resume"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is 2, but the checkpoint was made with absent;"),
        ({"a": 1, "b": 2}, {"a": 1}, "b is absent, but the checkpoint was made with 2;"),
        (
            {"a": [1, {"b": 2}]},
            {"a": [1, {"b": 3}]},
            "a 1 b is 3, but the checkpoint was made with 2;",
        ),
        ({"a": [1]}, {"a": [1, 2]}, "a 1 is 2, but the checkpoint was made with absent;"),
        ({"a": "x" * 99}, {"a": ""}, "a is '', but the checkpoint was made with 'x{56}\\.\\.\\.;"),
    ],
)
def test_what_differs(saved: dict, now: dict, message: str):
    with pytest.raises(ArgumentError, match=rf"^cannot resume from here: {message}"):
        check_same(saved, now, "here")


def test_tuples_are_lists_after_json():
    check_same({"a": [1, 2], "1": None}, {"a": (1, 2), 1: None}, "here")
