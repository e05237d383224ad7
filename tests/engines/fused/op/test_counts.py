"""Counters of operations see the step's products, the same at every call, and never the tracing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric.utilities.throughput import measure_flops
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import cello
from cello.cells.contract.shapes import width_of
from cello.engines import Run, run
from tests.engines.test_matrix import sample
from tests.registry import COMPILED_ONCE, DISTINCT, NOT_FUSED, LeakyCell, make


def counted(function: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", [n for n in DISTINCT if n not in (*NOT_FUSED, *COMPILED_ONCE)])
def test_products_are_counted_as_the_step_runs_them(name: str) -> None:
    cell, sizes = make(name), [4, 4, 2, 1]
    for reverse, resets in ((False, True), (True, False)):
        given = sample(cell, sizes, torch.float64, resets)
        state, initial = ([p.requires_grad_() for p in given[n]] for n in ("state", "initial"))
        data = given["data"].requires_grad_()
        this = (data, sizes, tuple(state), tuple(initial), reverse, given["reset"])

        def trained(engine: str, this: tuple = this) -> None:
            done = run(Run(*this, cell=cell), engine)
            torch.autograd.backward([done.output.sum(), *(part.sum() for part in done.state)])

        expected = counted(lambda: trained("reference"))
        assert counted(lambda: trained("cpu")) == expected
        assert counted(lambda: trained("cpu")) == expected


def losses(T: int, B: int, frozen: str, of: str) -> Callable[[Any], Callable[[], None]]:
    """How a layer is trained: which parameters need no gradient, and what the loss reads."""

    def trained(layer: Any) -> Callable[[], None]:
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_(name.split(".")[-1] != frozen)
        x = torch.randn(T, B, width_of(layer.input_size), dtype=torch.float64)

        def once() -> None:
            y, state = layer(x)
            loss = {"all": y, "last": y[-1], "state": state[0]}[of]
            loss.sum().backward()

        return once

    return trained


@pytest.mark.parametrize("of", ["all", "last", "state"])
@pytest.mark.parametrize("frozen", ["", "W", "R"])
def test_what_needs_no_gradient_is_not_counted(frozen: str, of: str) -> None:
    for cell in (cello.GRUCell(3, 4), cello.JordanCell(3, 4, 2)):
        once = losses(5, 2, frozen, of)(cello.Recurrent(cell.double()))
        with cello.engine("reference"):
            expected = counted(once)
        assert counted(once) == expected, type(cell)
        assert counted(once) == expected, type(cell)


def test_outputs_that_are_fed_back() -> None:
    layer = cello.Recurrent(cello.JordanCell(3, 4, 2).double())
    x, y = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(5, 2, 2, dtype=torch.float64)
    for targets in (y, y.clone().requires_grad_()):

        def once(targets: Tensor = targets) -> None:
            layer(x, targets=targets)[0].sum().backward()

        with cello.engine("reference"):
            expected = counted(once)
        assert counted(once) == counted(once) == expected


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_drop_ins_count_as_their_namesakes(kind: str) -> None:
    for bidirectional, grad in itertools.product((False, True), repeat=2):
        options: Any = {"num_layers": 2, "bidirectional": bidirectional, "dtype": torch.float64}
        x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=grad)
        counts = [
            counted(lambda net=net, x=x: net(x)[0].sum().backward())
            for net in (getattr(nn, kind)(3, 4, **options), getattr(cello, kind)(3, 4, **options))
        ]
        assert counts[0] == counts[1]
        with torch.no_grad():
            ours = getattr(cello, kind)(3, 4, **options)
            assert 0 < counted(lambda ours=ours, x=x: ours(x)) < counts[0] / 2


def test_lightnings_measure_counts_the_same() -> None:
    def measured(device: str) -> int:
        with torch.device(device):
            layer, x = cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3)
        return measure_flops(layer, lambda: layer(x)[0], lambda y: y.sum())

    assert measured("meta") == measured("cpu") == measured("cpu") > 0


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_counters_that_read_a_trace_see_the_products_of_the_reference_engine() -> None:
    """Such as fvcore, which does not know our operations."""
    layer, x = cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3)
    with cello.engine("reference"):
        graph = torch.jit.trace(layer, (x,), check_trace=False).inlined_graph
    count = 0
    for node in graph.findAllNodes("aten::linear"):
        given, made = (value.type().sizes() for value in (next(node.inputs()), node.output()))
        count += 2 * given[0] * given[1] * made[1]
    assert count == counted(lambda: layer(x))


class Noted(TorchDispatchMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class NotedCalls(TorchFunctionMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class Strange(nn.Module):
    """A third party's cell, with a module inside."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.hidden_size = 3, 4
        self.mix = nn.Linear(7, 4)

    def forward(self, x: Tensor, h: Tensor | None) -> Tensor:
        h = x.new_zeros(len(x), 4) if h is None else h
        return torch.tanh(self.mix(torch.cat([x, h], -1)))


@pytest.mark.parametrize("make_cell", [LeakyCell, Strange])
@pytest.mark.parametrize("listener", ["operations", "functions", "modules", "profiler"])
def test_nobody_sees_the_tracing(listener: str, make_cell: Callable[[], Any]) -> None:
    x = torch.randn(5, 2, 3)
    seen: list[str] = []

    def heard(function: Callable[[], Any]) -> list[str]:
        seen.clear()
        if listener == "operations":
            with Noted(seen):
                function()
        elif listener == "functions":
            with NotedCalls(seen):
                function()
        elif listener == "modules":
            handle = register_module_forward_hook(lambda m, *_: seen.append(type(m).__name__))
            function()
            handle.remove()
        else:
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                function()
            seen.extend(e.key for e in profiler.key_averages() for _ in range(e.count))
        return list(seen)

    made: list[Any] = []
    first = heard(lambda: made.append(cello.Recurrent(make_cell())))
    assert not any("tanh" in name or name == "Linear" for name in first)  # nor the first try
    layer = made[0]
    first, later = heard(lambda: layer(x)), heard(lambda: layer(x))
    if listener in ("operations", "modules"):
        assert first == later
        assert ("Recurrent" if listener == "modules" else "cello.forward.default") in first
    else:
        of_the_step = ("linear", "mm", "tanh", "sigmoid")
        assert [name for name in first if any(part in name for part in of_the_step)] == []


def test_a_profile_names_the_loops() -> None:
    layer, x = cello.LSTM(3, 4), torch.randn(5, 2, 3)
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiler:
        layer(x)[0].sum().backward()
    names = {event.key for event in profiler.key_averages()}
    assert {"cello::forward", "cello::backward"} <= names
    assert "aten::tanh" not in names
