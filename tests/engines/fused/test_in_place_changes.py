"""Outputs, states and inputs that are changed in place before the backward loop runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import cello
from cello.engines.fused.op.forward import ForwardRecipe
from tests.engines.cpu.compiled import close, layer_of, numbers

CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "relu": lambda y: F.relu(y, inplace=True),
    "a step": lambda y: y[1].mul_(3.0),
    "unseen": lambda y: torch.no_grad()(y.zero_)(),
}


def gradients(layer: nn.Module, x: Tensor, change: Callable[[Tensor], Any], **more) -> list[Tensor]:
    y, state = layer(x, **more)
    change(y)
    loss = y.square().sum() + y.sin().sum() + sum(part.sin().sum() for part in state)
    return list(torch.autograd.grad(loss, [x, *layer.parameters()]))


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("name", ["elman", "gru", "lstm", "drop-in"])
def test_outputs_changed_in_place(name: str, change: str) -> None:
    layer, x = layer_of(name), numbers(4, 3, 3, grad=True)
    for more in ({}, {"lengths": [4, 0, 2]}):
        ours = gradients(layer, x, CHANGES[change], **more)
        with cello.engine("cpu"):  # whose outputs are copied before they are changed
            apart = gradients(Copied(layer), x, CHANGES[change], **more)
        torch.testing.assert_close(ours, apart, rtol=0, atol=0)


class Copied(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, **more: Any) -> tuple[Tensor, Any]:
        y, state = self.layer(x, **more)
        return y.clone(), state


def test_a_module_in_place_between_layers() -> None:
    def stack(inplace: bool) -> cello.Stack:
        torch.manual_seed(3)
        relu = nn.ReLU(inplace=inplace)
        return cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), relu, cello.RNN(4, 4), relu)

    x = torch.randn(4, 2, 3, requires_grad=True)
    found = []
    for inplace in (True, False):
        net = stack(inplace)
        found.append(torch.autograd.grad(net(x)[0].square().sum(), [x, *net.parameters()]))
    torch.testing.assert_close(*found)


def test_only_then_is_the_loop_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    run = ForwardRecipe.run
    monkeypatch.setattr(ForwardRecipe, "run", lambda *args: runs.append(1) or run(*args))
    layer, x = layer_of("gru"), numbers(4, 3, 3, grad=True)
    gradients(layer, x, lambda y: y.clone().zero_())
    assert len(runs) == 1
    gradients(layer, x, lambda y: y.zero_())
    assert len(runs) == 3


def test_final_states_and_recorded_values_changed_in_place() -> None:
    layer, x = layer_of("lstm"), numbers(4, 3, 3, grad=True)

    def found(change: bool) -> tuple[Tensor, ...]:
        rec = cello.record(layer, x)
        loss = rec.output.sin().sum() + (2 * rec["f"]).sum()
        if change:
            with torch.no_grad():
                for part in (rec["f"], rec["c"], rec["h"], *rec.state):
                    part.zero_()
        return torch.autograd.grad(loss, [x, *layer.parameters()])

    torch.testing.assert_close(found(True), found(False), rtol=0, atol=0)


def test_with_gradients_of_gradients() -> None:
    layer, x = layer_of("gru"), numbers(3, 2, 3, grad=True)

    def twice() -> tuple[Tensor, ...]:
        y = F.relu(layer(x)[0], inplace=True)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, *layer.parameters()])

    ours = twice()
    layer.engine = "reference"
    close(ours, twice())


def test_under_a_counter_and_recomputed() -> None:
    layer, x = layer_of("gru"), numbers(3, 2, 3, grad=True)

    def run(x: Tensor) -> Tensor:
        return F.relu(layer(x)[0], inplace=True).square().sum()

    (expected,) = torch.autograd.grad(run(x), x)
    with FlopCounterMode(display=False):
        run(x).backward()
    close(x.grad, expected)
    for reentrant in (False, True):
        x.grad = None
        checkpoint(run, x, use_reentrant=reentrant).backward()
        close(x.grad, expected)


def test_compiled() -> None:
    layer = cello.GRU(3, 4)
    x = torch.randn(3, 2, 3, requires_grad=True)

    def run(x: Tensor) -> Tensor:
        return F.relu(layer(x)[0], inplace=True).square().sum()

    torch.compiler.reset()
    ours = torch.autograd.grad(torch.compile(run, backend="aot_eager", fullgraph=True)(x), x)
    torch.testing.assert_close(ours, torch.autograd.grad(run(x), x))


def test_an_input_changed_in_place_is_an_error() -> None:
    layer, leaf = layer_of("gru"), numbers(3, 2, 3, grad=True)
    x = leaf * 1
    y, _ = layer(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_saved_tensors_are_all_tensors() -> None:
    y, _ = layer_of("lstm")(numbers(3, 2, 3, grad=True), lengths=[3, 1])
    todo, saved = [y.grad_fn], []
    while todo:
        node = todo.pop()
        if type(node).__name__ == "_DifferentiableBackward":
            saved += node.saved_tensors
        todo += [after for after, _ in getattr(node, "next_functions", ()) if after is not None]
    assert saved
    assert all(isinstance(tensor, Tensor) for tensor in saved)
