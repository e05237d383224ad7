import math

import pytest
import torch

from cello.train import Options
from cello.train.schedule import factor, make_schedule


def test_warmup_rises_to_one():
    options = Options(schedule="cosine", warmup_steps=4)
    assert [factor(step, options, 20) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_cosine_is_half_a_wave():
    options = Options(schedule="cosine", warmup_steps=2)
    for step in range(2, 13):
        expected = (1 + math.cos(math.pi * (step - 2) / 10)) / 2
        assert factor(step, options, 12) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_decay_ends_at_zero_and_stays(schedule: str):
    options = Options(schedule=schedule)
    assert factor(0, options, 10) == 1
    assert factor(10, options, 10) == 0
    assert factor(11, options, 10) == 0


def test_warmup_longer_than_the_training():
    options = Options(schedule="linear", warmup_steps=10)
    assert [factor(step, options, 3) for step in range(3)] == [0.1, 0.2, 0.3]


def learning_rates(start: int, stop: int) -> list[float]:
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.AdamW([parameter], lr=7.0 if start else 0.5)
    options = Options(learning_rate=0.5, schedule="cosine", warmup_steps=3)
    schedule = make_schedule(optimizer, options, start, 20)
    result = []
    for _ in range(start, stop):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return result


def test_a_schedule_can_be_made_at_any_step():
    options = Options(learning_rate=0.5, schedule="cosine", warmup_steps=3)
    whole = learning_rates(0, 20)
    assert whole == [0.5 * factor(step, options, 20) for step in range(20)]
    for start in (1, 2, 3, 11, 19):
        assert learning_rates(start, 20) == whole[start:]
