"""How the compiled loops live in PyTorch: operations, autograd, copies, threads, processes."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.engines.cpu import engine as cpu, operators
from tests.engines.cpu.conftest import in_fork
from tests.registry import make

DOUBLE = torch.float64
CELLS = ["lstm", "gru-reset-before", "jordan", "two-sizes", "no-grad"]


@pytest.fixture(autouse=True)
def no_fallback():
    """What leaves the compiled engine says so, and fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", cello.EngineWarning)
        yield


def layer_of(name: str = "gru", **options) -> cello.Recurrent:
    return cello.Recurrent(make(name), engine="cpu", **options)


def numbers(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, requires_grad=grad)


def by_reference(function, *args):
    with cello.engine("reference"):
        return function(*args)


def close(ours, theirs) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------- the operations themselves


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple]]:
    """The arguments of both operations, as they are called."""
    made: dict[str, list[tuple]] = {"forward": [], "backward": []}
    for name, kept in made.items():
        operation = getattr(operators, f"_op_{name}")

        def noted(*args, operation=operation, kept=kept):
            kept.append(args)
            return operation(*args)

        monkeypatch.setattr(operators, f"_op_{name}", noted)
    return made


def leaves(argument):
    """The same tensors, made of nothing."""
    if isinstance(argument, Tensor):
        return argument.detach().clone().requires_grad_(argument.requires_grad)
    return [leaves(part) for part in argument] if isinstance(argument, list) else argument


@pytest.mark.parametrize(("name", "ragged"), [("lstm", False), ("jordan", True)])
def test_opcheck(name: str, ragged: bool, calls: dict[str, list[tuple]]) -> None:
    layer = layer_of(name, reverse=ragged)
    more = {"lengths": [3, 1], "reset": torch.rand(3, 2) < 0.5} if ragged else {}
    if name == "jordan":
        more["targets"] = numbers(3, 2, 2, grad=True)
    layer(numbers(3, 2, 3, grad=True), **more)[0].sum().backward()
    (forward, *_), (backward, *_) = calls["forward"], calls["backward"]
    torch.library.opcheck(torch.ops.cello.forward.default, tuple(map(leaves, forward)))
    # The gradients of these gradients need to know the lengths: nothing to trace ahead of time.
    ahead = torch.no_grad() if ragged else torch.enable_grad()
    with ahead:
        torch.library.opcheck(torch.ops.cello.backward.default, tuple(map(leaves, backward)))
    with torch.no_grad():
        plain = tuple(leaves(part) for part in forward)
        torch.library.opcheck(torch.ops.cello.forward.default, plain, test_utils="test_schema")


# ---------------------------------------------------------------- autograd


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_gradients(name: str) -> None:
    layer = layer_of(name, initial_state="learned")
    for part in layer.initial.values():
        nn.init.normal_(part)
    x = numbers(3, 2, 3, grad=True)
    reset = torch.tensor([[False, True], [True, False], [False, False]])
    leaves = [x, *layer.parameters()]

    def twice() -> list[Tensor]:
        y, state = layer(x, reset=reset, lengths=[3, 2])
        loss = y.square().sum() + sum(part.sin().sum() for part in state)
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        return [*first, *torch.autograd.grad(sum(g.square().sum() for g in first), leaves)]

    ours = twice()
    layer.engine = "reference"
    close(ours, twice())


def test_gradgradcheck() -> None:
    layer = layer_of()
    inputs = numbers(2, 2, 3, grad=True), numbers(2, 4, grad=True)
    assert torch.autograd.gradcheck(lambda x, h: layer(x, (h,))[0], inputs)
    assert torch.autograd.gradgradcheck(lambda x, h: layer(x, (h,))[0], inputs)


def test_a_state_made_from_the_input() -> None:
    layer, x, M = layer_of(), numbers(3, 2, 3, grad=True), numbers(3, 4)

    def twice() -> tuple[Tensor, ...]:
        (first,) = torch.autograd.grad(
            layer(x, (x[0] @ M,))[0].square().sum(), x, create_graph=True
        )
        return torch.autograd.grad(first.square().sum(), x)

    ours = twice()
    layer.engine = "reference"
    close(ours, twice())


def test_backward_twice() -> None:
    layer, x = layer_of(), numbers(3, 2, 3, grad=True)
    loss = layer(x)[0].square().sum()
    loss.backward(retain_graph=True)
    once = [t.grad.clone() for t in (x, *layer.parameters())]
    loss.backward()
    close([t.grad for t in (x, *layer.parameters())], [2 * grad for grad in once])
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_an_input_changed_before_backward_is_an_error() -> None:
    layer, x = layer_of(), numbers(3, 2, 3)
    y, _ = layer(x)
    with torch.no_grad():
        layer.cell.R.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_frozen_parameters_and_inputs_without_gradient() -> None:
    def gradients(layer: nn.Module, x: Tensor) -> list[Tensor | None]:
        for tensor in (x, *layer.parameters()):
            tensor.grad = None
        layer(x)[0].square().sum().backward()
        return [tensor.grad for tensor in (x, *layer.parameters())]

    for frozen in ([], ["R"], ["W", "b"], ["W", "R", "b"]):
        for grad in (False, True):
            if not grad and len(frozen) == 3:
                continue
            layer = layer_of("lstm")
            for name in frozen:
                getattr(layer.cell, name).requires_grad_(False)
            x = numbers(3, 2, 3, grad=grad)
            ours = gradients(layer, x)
            layer.engine = "reference"
            theirs = gradients(layer, x)
            assert [g is None for g in ours] == [g is None for g in theirs]
            close([g for g in ours if g is not None], [g for g in theirs if g is not None])


def test_one_output_alone_and_none() -> None:
    layer, x = layer_of("lstm"), numbers(3, 2, 3, grad=True)

    def of_cell() -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer(x)[1].c.square().sum(), [x, *layer.parameters()])

    ours = of_cell()
    layer.engine = "reference"
    close(ours, of_cell())


@pytest.mark.parametrize("name", ["lstm", "gru", "two-sizes"])
def test_gradients_through_recorded_values(name: str) -> None:
    layer, x = layer_of(name), numbers(4, 2, 3, grad=True)

    def gradients() -> tuple[list[str], tuple[Tensor | None, ...]]:
        rec = cello.record(layer, x, lengths=[4, 2])
        floats = [n for n in sorted(rec.names) if rec[n].is_floating_point()]
        torch.manual_seed(4)
        loss = sum((rec[n] * torch.randn_like(rec[n])).nansum() for n in floats)
        return floats, torch.autograd.grad(loss, [x, *layer.parameters()])

    ours = gradients()
    layer.engine = "reference"
    theirs = gradients()
    assert ours[0] == theirs[0]
    close(ours[1], theirs[1])


def test_a_recording_without_gradients() -> None:
    layer, x = layer_of("lstm"), numbers(4, 2, 3)
    with torch.no_grad():
        ours = cello.record(layer, x)
        layer.engine = "reference"
        theirs = cello.record(layer, x)
    assert ours.names == theirs.names
    for name in ours.names:
        assert not ours[name].requires_grad
        close(ours[name], theirs[name])


def test_inference_mode() -> None:
    layer, x = layer_of(), numbers(4, 2, 3)
    with torch.inference_mode():
        ours = layer(x)[0]
    assert ours.is_inference()
    close(ours.clone(), layer(x)[0].detach())
