"""Steps that change their state in place: the state before is an output, or the user's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import CellError

pytestmark = pytest.mark.filterwarnings("ignore:.*in place:cello.EngineWarning")


class InPlace(cello.Cell):
    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.W = nn.Linear(3, 4)

    def step(self, x: Tensor, h: Tensor) -> Any:
        h += self.W(x)
        h.tanh_()
        return h, (h,)


class Apart(InPlace):
    def step(self, x: Tensor, h: Tensor) -> Any:
        h = torch.tanh(h + self.W(x))
        return h, (h,)


def pair() -> tuple[cello.Recurrent, cello.Recurrent]:
    found, expected = cello.Recurrent(InPlace()), cello.Recurrent(Apart())
    expected.load_state_dict(found.state_dict())
    return found, expected


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("form", ["plain", "lengths", "reset", "no_grad", "inference", "compiled"])
def test_each_step_has_its_own_state(engine: str, form: str) -> None:
    x, start = torch.randn(6, 2, 3), torch.randn(2, 4)
    more: dict[str, Any] = {
        "lengths": {"lengths": torch.tensor([2, 6])},
        "reset": {"reset": torch.rand(6, 2) < 0.5},
    }.get(form, {})
    with cello.engine(engine):
        results = []
        for layer in pair():
            given = start.clone()
            run = torch.compile(layer, backend="eager") if form == "compiled" else layer
            mode = {"no_grad": torch.no_grad, "inference": torch.inference_mode}.get(form)
            with mode() if mode else torch.enable_grad():
                y, state = run(x, (given,), **more)
            assert torch.equal(given, start)
            if mode is None:
                y.square().sum().backward()
            results.append([y, state.h, *(p.grad for p in layer.parameters() if mode is None)])
    torch.testing.assert_close(*results)


def test_streaming() -> None:
    found, expected = pair()
    x = torch.randn(6, 2, 3)
    stepper = found.stream(batch_size=2)
    torch.testing.assert_close(torch.stack([stepper(part) for part in x]), expected(x)[0])


def test_a_recording_tells_the_state_before() -> None:
    found, expected = pair()
    x = torch.randn(6, 2, 3)
    ours, theirs = cello.record(found, x), cello.record(expected, x)
    for name in ("h", "h_prev"):
        torch.testing.assert_close(ours[name], theirs[name])


def test_a_step_that_does_so_only_later_is_refused() -> None:
    class Later(Apart):
        def step(self, x: Tensor, h: Tensor) -> Any:
            if h.any():
                h += x.sum()
            return h + self.W(x), (h + self.W(x),)

    layer = cello.Recurrent(Later(), engine="reference")
    with pytest.raises(CellError, match=r"Later.step changes its state in place, but did not at"):
        layer(torch.randn(6, 2, 3))


def filled(n: Tensor) -> Tensor:
    return torch.zeros_like(n).fill_(0.5)


def in_part(n: Tensor) -> Tensor:
    made = torch.ones_like(n)
    made[:, 1:3] = n[:, :2]
    return made


def in_all_of_it(n: Tensor) -> Tensor:
    """A part that is the whole, of each axis and by a name of its own."""
    made = n.clone()
    made[:, 0:] += n[:, 0:]
    made[:, :] *= n
    part = made[..., :]
    part += 1
    return made * part[:]


def of_whole_and_detached(n: Tensor) -> Tensor:
    made = torch.zeros_like(n)
    other = made.detach()
    other.add_(2)
    return made * other


@pytest.mark.parametrize(
    ("make", "engine"),
    [
        *(
            (make, engine)
            for make in (filled, in_part, in_all_of_it)
            for engine in ("split", "cpu")
        ),
        (of_whole_and_detached, "auto"),  # which leaves it to the step itself
    ],
)
def test_what_is_made_like_a_tensor_may_be_changed(make: Any, engine: str) -> None:
    class Like(Apart):
        def step(self, x: Tensor, h: Tensor) -> Any:
            n = self.W(x) + h
            h = torch.tanh(n * make(n))
            return h, (h,)

    layer, x = cello.Recurrent(Like().double()), torch.randn(6, 2, 3).double()
    found = []
    for name in ("reference", engine):
        with cello.engine(name):
            y = layer(x)[0]
        found.append([y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))])
    torch.testing.assert_close(*found)
