import pytest
import torch
from torch import nn

from cello.errors import ArgumentError
from cello.tasks.base import Batch
from cello.train.identity import check_same, fingerprint, weights_of


def batch(number: int) -> Batch:
    x = torch.full((2, 1), number)
    return Batch(x, x, None, 2)


def test_a_fingerprint_sees_number_first_and_last_batch():
    marks = [
        fingerprint([batch(number) for number in numbers])["content"]
        for numbers in ([1, 2, 3], [0, 2, 3], [1, 2, 0], [3, 2, 1])
    ]
    assert len(set(marks)) == 4
    assert fingerprint([batch(1), batch(2)]) == fingerprint([batch(1), batch(2)])
    assert fingerprint([]) == {"batches": 0, "content": fingerprint([])["content"]}


def test_a_fingerprint_sees_shape_dtype_and_lengths():
    x = torch.zeros(2, 3, dtype=torch.int64)
    changed = [
        Batch(x, x, None, 6),
        Batch(x.T, x.T, None, 6),
        Batch(x.int(), x, None, 6),
        Batch(x, x, torch.tensor([2, 2, 1]), 6),
    ]
    assert len({fingerprint([batch])["content"] for batch in changed}) == 4


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
