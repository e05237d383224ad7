"""One step at a time: the compiled step and the cell's own, with the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ShapeError


def layer_of(engine: str = "auto", **options: object) -> cello.Recurrent:
    return cello.Recurrent(cello.LSTMCell(3, 4, **options), engine=engine)


def steps(stepper: cello.Stepper, x: Tensor) -> Tensor:
    return torch.stack([stepper(x_t) for x_t in x])


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_state_can_be_taken_and_put_back(engine: str) -> None:
    stepper, x = layer_of(engine).stream(2), torch.randn(5, 2, 3)
    stepper(x[0])
    (kept,) = stepper.state
    first = steps(stepper, x)
    assert kept.h.shape == kept.c.shape == (2, 4)
    stepper.state = [kept]
    torch.testing.assert_close(steps(stepper, x), first, rtol=0, atol=0)


def test_a_state_of_another_shape_is_refused() -> None:
    stepper = layer_of().stream(2)
    with pytest.raises(ShapeError, match=r"shapes \[\[2, 4\], \[2, 4\]\], got \[\[1, 4\]"):
        stepper.state = [tuple(torch.zeros(2, 1, 4))]
    with pytest.raises(ShapeError, match="1 parts, one for each recurrent layer, got 0"):
        stepper.state = []


def test_what_comes_out_stays_as_it_is() -> None:
    stepper, x = layer_of().stream(), torch.randn(4, 1, 3)
    kept = [stepper(x_t) for x_t in x]
    copies = [y.clone() for y in kept]
    steps(stepper, x)
    assert all(torch.equal(y, copy) for y, copy in zip(kept, copies, strict=True))


def test_weights_that_change_count_from_the_next_step() -> None:
    layer, x = layer_of(), torch.randn(3, 1, 3)
    stepper = layer.stream()
    changes = [
        lambda: layer.cell.R.detach().mul_(2),
        lambda: layer.load_state_dict(layer_of().state_dict()),
        lambda: layer.load_state_dict(layer_of().state_dict(), assign=True),
        lambda: setattr(layer.cell, "W", nn.Parameter(torch.randn(16, 3))),
    ]
    for change in changes:
        (before,) = stepper.state
        change()
        expected, _ = layer(x[:1], before)
        torch.testing.assert_close(stepper(x[0]), expected[0])


def test_a_change_of_engine_on_the_way_keeps_the_state() -> None:
    layer, x = layer_of(), torch.randn(6, 1, 3)
    stepper = layer.stream()
    found = [stepper(x[0]), stepper(x[1])]
    with cello.engine("reference"):
        found += [stepper(x[2]), stepper(x[3])]
    found += [stepper(x[4]), stepper(x[5, 0])[None]]
    torch.testing.assert_close(torch.stack(found), layer(x)[0])


def test_weights_made_in_inference_mode_are_read_at_every_step() -> None:
    with torch.inference_mode():
        layer = layer_of()
        stepper, x = layer.stream(), torch.randn(2, 1, 3)
        stepper(x[0])
        layer.cell.R.mul_(2)
        (before,) = stepper.state
        torch.testing.assert_close(stepper(x[1]), layer(x[1:], before)[0][0])
