"""Cells that nobody wrote: steps strung together at random, on the fused loop and on their own.

`HYPOTHESIS_PROFILE=full` runs many more.
"""

from __future__ import annotations

from random import Random

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import cello
from tests.engines.cpu.random_cells import make_cell, random_source
from tests.engines.test_matrix import outcome, same, sample

EXAMPLES = max(1, settings().max_examples // 3)
SHAPES = [[1] * 3, [3] * 4, [4, 4, 2, 1], [7], [5, 3]]


def scaled(found: dict, expected: dict) -> None:
    """Equal up to rounding, measured by the largest number of each tensor."""
    for name, value in expected.items():
        mine = found[name]
        if value is None or mine is None or not value.is_floating_point():
            same({name: mine}, {name: value}, 0)
            continue
        size = max(1.0, float(value.detach().abs().max()))
        same({name: mine / size}, {name: value / size}, 1e-9)


# A smaller cell that fails as well would be found by compiling hundreds: read the one there is.
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate])
@given(random=st.randoms(use_true_random=False))
def test_random_cells_agree_with_their_step(poison_empty: None, random: Random) -> None:
    source = random_source(random)
    cell, sizes = make_cell(source), random.choice(SHAPES)
    data = sample(cell, sizes, torch.float64, resets=random.random() < 0.4)
    if random.random() < 0.5:  # numbers that meet kinks and ties
        data["data"] = (2 * data["data"]).round() / 2
        data["state"] = tuple((2 * part).round() / 2 for part in data["state"])
    reverse, wanted = random.random() < 0.4, random.choice([None, ()])
    try:
        expected = outcome(cell, "reference", sizes, data, reverse, wanted)
        for engine in ("cpu", "split"):
            found = outcome(cell, engine, sizes, data, reverse, wanted)
            for ours, theirs in zip(found, expected, strict=True):
                scaled(ours, theirs)
        scaled(streamed(cell, data["data"]), at_once(cell, data["data"]))
    except AssertionError as error:
        raise AssertionError(f"{error}\nin\n{source}") from None


def at_once(cell: cello.Cell, x: Tensor) -> dict[str, Tensor]:
    """Outputs and final states of a single sequence, by the step itself."""
    with torch.no_grad():
        y, state = cello.Recurrent(cell, engine="reference")(x[:, None])
    return {"y": y, **dict(zip(cell.state, state, strict=True))}


def streamed(cell: cello.Cell, x: Tensor) -> dict[str, Tensor]:
    """The same, one step a call."""
    stepper = cello.Recurrent(cell).stream()
    y = torch.stack([stepper(x_t[None]) for x_t in x])
    return {"y": y, **dict(zip(cell.state, stepper.state, strict=True))}
