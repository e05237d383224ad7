"""Accuracies by hand."""

import pytest
import torch

from cello.tasks.metrics.accuracies import accuracies, bits


def test_accuracies_by_hand():
    tags = ["keyword", "string", "comment", "number"]
    gold = torch.tensor([0, 1, 1, 1, 2, 2, 0])
    predicted = torch.tensor([0, 1, 2, 1, 2, 0, 3])
    assert accuracies(
        gold, predicted, tags, {"memory": ["string", "comment"], "none": ["number"]}
    ) == {
        "accuracy": 4 / 7,
        "accuracy/keyword": 1 / 2,
        "accuracy/string": 2 / 3,
        "accuracy/comment": 1 / 2,
        "memory_accuracy": 3 / 5,
    }


def test_a_group_may_name_tags_that_the_data_lacks():
    gold, predicted = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])
    groups = {"to": ["B-to", "I-to", "E-to"], "other": ["B-other"]}
    found = accuracies(gold, predicted, ["O", "B-to", "I-to"], groups)
    assert found["to_accuracy"] == 2 / 3
    assert "other_accuracy" not in found


def test_bits():
    assert bits(0.0) == 0
    assert bits(torch.tensor(16.0).log().item()) == pytest.approx(4)
