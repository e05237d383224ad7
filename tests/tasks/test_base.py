"""The seam between tasks and the loop."""

import torch

from cello.tasks.base import IGNORE, Batch, Loss, Task, sequence_loss
from cello.tasks.characters import Characters
from cello.tasks.features import CharacterFeatures
from cello.tasks.readers.corpus import Document
from cello.tasks.tagging import Tagging
from cello.tasks.vocabulary import Vocabulary


def test_both_tasks_keep_the_protocol():
    assert isinstance(Tagging(CharacterFeatures(Vocabulary("a")), ["O"]), Task)
    assert isinstance(Characters.from_documents([Document("a", "ab" * 400)]), Task)


def test_loss_is_summed_and_knows_nothing_of_padding():
    logits = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    y = torch.randint(5, (4, 3))
    lengths = [4, 1, 0]
    expected = 0.0
    for row, length in enumerate(lengths):
        y[length:, row] = IGNORE
        for t in range(length):
            expected -= torch.log_softmax(logits[t, row], -1)[y[t, row]].item()
    total, count = sequence_loss(logits, y)
    assert count == 5
    torch.testing.assert_close(total.item(), expected)
    total.backward()
    assert logits.grad is not None
    assert not logits.grad[1:, 1].any()
    assert not logits.grad[:, 2].any()
    assert logits.grad[:, 0].any()


def test_batch_moves_as_a_whole():
    batch = Batch(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([2]), 2, teacher_forcing=True)
    moved = batch.to("meta")
    assert {moved.x.device.type, moved.y.device.type, moved.lengths.device.type} == {"meta"}
    assert (moved.weight, moved.teacher_forcing) == (2, True)
    assert Batch(batch.x, batch.y, None, 2).to("meta").lengths is None


def test_a_loss_carries_nothing_unless_told():
    assert Loss(torch.zeros(()), 1).state is None
