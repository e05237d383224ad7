"""What a step does besides its operations, or by what goes on around it: never lost in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from operator import call
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import cello
from cello.engines import choose
from cello.errors import CaptureError
from cello.program import capture

Step = Callable[[Any, Tensor, Tensor], Tensor]


class Base(cello.Cell):
    """h' = change(tanh(W x + h / 2)), where `change` is what a test is about."""

    state = ("h",)
    change: Step

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.W = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.rand(3))

    def step(self, x: Tensor, h: Tensor) -> Any:
        h = self.change(x, torch.tanh(self.W(x) + h / 2) * self.scale)
        return h, (h,)


STEPS: dict[str, Step] = {}


def step(function: Step) -> Step:
    STEPS[function.__name__] = function
    return function


def twice(gradient: Tensor) -> Tensor:
    return 2 * gradient


@step
def hook_on_a_value(self: Base, x: Tensor, h: Tensor) -> Tensor:
    if h.requires_grad:
        h.register_hook(twice)
    return h * 2


@step
def hook_on_a_function(self: Base, x: Tensor, h: Tensor) -> Tensor:
    if h.grad_fn is not None:
        h.grad_fn.register_prehook(lambda gradients: tuple(map(twice, gradients)))
    return h * 2


@step
def hook_that_is_tried(self: Base, x: Tensor, h: Tensor) -> Tensor:
    with suppress(RuntimeError):  # no gradients here
        h.register_hook(twice)
    return h * 2


@step
def hooks_on_what_is_saved(self: Base, x: Tensor, h: Tensor) -> Tensor:
    with saved_tensors_hooks(twice, lambda saved: saved):
        return torch.sin(h)


@step
def other_numbers(self: Base, x: Tensor, h: Tensor) -> Tensor:
    h.data = 2 * h.data
    return h


@step
def detached_in_place(self: Base, x: Tensor, h: Tensor) -> Tensor:
    h.detach_()
    return h * self.scale


@step
def gradient_of_a_parameter(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h if self.scale.grad is None else h + self.scale.grad


@step
def asks_for_gradients(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if torch.is_grad_enabled() else h


@step
def asks_for_gradients_in_c(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * (2 if any(map(call, [torch.is_grad_enabled])) else 1)


@step
def asks_a_value(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if h.requires_grad else h


@step
def asks_the_input(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if x.requires_grad else h


@step
def asks_whether_it_is_a_leaf(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if x.is_leaf else h


@step
def asks_for_inference(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if torch.is_inference_mode_enabled() else h


@step
def asks_the_input_for_inference(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if x.is_inference() else h


@step
def asks_for_anomalies(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if torch.is_anomaly_enabled() else h


@step
def asks_where_it_lies(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h + x.storage_offset()


@step
def asks_whether_it_is_a_view(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h if x._base is None else h * 2


@step
def asks_for_changes(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h + self.scale._version


@step
def switches_gradients_on(self: Base, x: Tensor, h: Tensor) -> Tensor:
    with torch.enable_grad():
        return h * 2


@step
def leaves_gradients_off(self: Base, x: Tensor, h: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    return h * 2


@step
def freezes_a_parameter(self: Base, x: Tensor, h: Tensor) -> Tensor:
    self.scale.requires_grad_(not self.scale.requires_grad)
    return h


@step
def seeds(self: Base, x: Tensor, h: Tensor) -> Tensor:
    torch.manual_seed(0)
    return h + torch.rand_like(h)


@step
def seeds_for_a_while(self: Base, x: Tensor, h: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return h + torch.rand_like(h)


@step
def asks_for_the_seed(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h + torch.initial_seed() % 5


@step
def swallows_an_error(self: Base, x: Tensor, h: Tensor) -> Tensor:
    try:
        return h + float(h.detach().sum())
    except Exception:
        return h


@step
def carries_an_attribute(self: Base, x: Tensor, h: Tensor) -> Tensor:
    h = h * 2
    h.number = 3
    return h


@step
def prints(self: Base, x: Tensor, h: Tensor) -> Tensor:
    print("one step")
    return h


@step
def prints_a_value(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h + len(str(h))


@step
def logs(self: Base, x: Tensor, h: Tensor) -> Tensor:
    logging.getLogger(__name__).error("one step")
    return h


@step
def few_rows(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if x.shape[0] < 3 else h


@step
def two_rows(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if len(x) == 2 else h


@step
def three_rows(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if x.size(0) == 3 else h


@step
def many_rows(self: Base, x: Tensor, h: Tensor) -> Tensor:
    return h * 2 if len(x) > 8 else h


def made(change: Step) -> Base:
    torch.manual_seed(1)
    return type("Tried", (Base,), {"change": change})()


def results(change: Step, engine: str, around: str, B: int) -> list[Any]:
    cell = made(change)
    layer, x = cello.Recurrent(cell), torch.randn(3, B, 3, requires_grad=around == "leaf")
    found: list[Any] = []
    modes = {"inference": torch.inference_mode, "off": torch.no_grad}
    anomalies = torch.autograd.set_detect_anomaly(around == "anomalies", check_nan=False)
    with anomalies, cello.engine(engine):
        for _ in range(2):  # what the first call freezes, the second shows
            try:
                with modes.get(around, torch.enable_grad)():
                    y, state = layer(x)
            finally:
                torch.set_grad_enabled(True)
            found += [y.detach().clone(), state.h.detach().clone(), y.requires_grad]
            if y.requires_grad:
                (y.square().sum() + state.h.sum()).backward()
            found += [p.grad if p.grad is None else p.grad.clone() for p in layer.parameters()]
            around = "off" if around == "off later" else around
    return [*found, x.grad]


AROUND = ["on", "off", "off later", "leaf", "inference", "anomalies"]


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("name", STEPS)
def test_it_is_what_the_step_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On all engines the same; and the user is told why the step itself runs, and the line."""
    monkeypatch.setattr(choose, "_warned", set())
    with pytest.warns(cello.EngineWarning, match=r"Tried.step cannot be captured: "):
        cello.Recurrent(made(STEPS[name]))(torch.zeros(2, 5, 3))
    torch.set_grad_enabled(True)
    for around, B in [*((around, 5) for around in AROUND), ("on", 2), ("on", 3), ("on", 17)]:
        expected = results(STEPS[name], "reference", around, B)
        found = results(STEPS[name], "auto", around, B)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, msg=f"{around} {B}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hook_on_a_value", r"looks at how gradients come, or changes it, with register_hook \("),
        ("hook_on_a_function", r"looks at how gradients come, or changes it, with grad_fn \("),
        ("hooks_on_what_is_saved", r"or changes it, with saved_tensors_hooks \("),
        ("other_numbers", r"it puts other numbers into a tensor, with data = … \("),
        ("asks_for_gradients", r"asks how PyTorch is set, .*, with is_grad_enabled \("),
        ("asks_for_gradients_in_c", r"depends on whether there are gradients around it \("),
        ("asks_a_value", r"depends on whether there are gradients around it"),
        ("switches_gradients_on", r"it switches gradients on, wherever it is called \("),
        ("leaves_gradients_off", r"it leaves gradients switched on or off"),
        ("freezes_a_parameter", r"it changes the cell itself \(scale.requires_grad\)"),
        ("seeds_for_a_while", r"it sets the state of PyTorch's random numbers \("),
        ("carries_an_attribute", r"its results have attributes, which are not carried on"),
        ("prints", r"writes something out, .* do again, with print \("),
        ("prints_a_value", r"it reads the values in a tensor, with repr \("),
        ("logs", r"writes something out, .*, with logging \("),
        ("two_rows", r"depends on the batch size"),
    ],
)
def test_it_says_why(name: str, reason: str) -> None:
    place = r".*test_unseen\.py:\d+\)" if reason.endswith(r"\(") else ""
    with pytest.raises(CaptureError, match=reason + place):
        capture(made(STEPS[name]))
    torch.set_grad_enabled(True)


def test_nothing_is_printed_while_it_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("prints", "logs"):
        with pytest.raises(CaptureError):
            capture(made(STEPS[name]))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        lambda self, x, h: h * 2 if self.scale.requires_grad else h,
        lambda self, x, h: h * 2 if self.training else h,
        lambda self, x, h: h * 2 if x.dtype == torch.float32 and x.device.type == "cpu" else h,
        lambda self, x, h: checkpoint(torch.sin, h, use_reentrant=False),
        lambda self, x, h: torch.vmap(torch.sin)(h),
        lambda self, x, h: torch.no_grad()(torch.sin)(h),
        lambda self, x, h: nn.functional.dropout(h),
        lambda self, x, h: nn.functional.layer_norm(h, (3,)) + h.data,
        lambda self, x, h: h + h.detach().requires_grad_(),
        lambda self, x, h: torch.func.functional_call(self.W, {"bias": self.scale}, (h,)),
        lambda self, x, h: h.unflatten(1, (1, 3)).flatten(1).nan_to_num().view_as(x),
    ],
)
def test_what_pytorch_asks_for_itself_is_no_matter(change: Step) -> None:
    capture(made(change))
