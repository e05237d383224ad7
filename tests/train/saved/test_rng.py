import json
import random

import numpy as np
import torch

from cello.train.saved import rng
from cello.tree import flatten, unflatten

CPU = torch.device("cpu")


def draw() -> list[float]:
    return [torch.randn(3).sum().item(), float(np.random.randn()), random.gauss(0, 1)]


def test_a_generator_goes_on_where_it_was_captured():
    rng.seed_all(2**32 - 1)
    draw()  # an odd number of gaussians: one is kept for the next call
    states = rng.capture(CPU)
    expected = [draw(), draw()]
    plain, tensors = flatten(states)  # as in a checkpoint
    rng.restore(unflatten(json.loads(json.dumps(plain)), tensors), CPU)
    assert [draw(), draw()] == expected


def test_seeds_differ():
    drawn = []
    for seed in (0, 1, 0):
        rng.seed_all(seed)
        drawn.append(draw())
    assert drawn[0] == drawn[2]
    assert all(a != b for a, b in zip(drawn[0], drawn[1], strict=True))
