"""Gradients that are asked for by the batch, from the compiled loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import functional
from torch.func import functional_call

import cello
from cello.engines.fused.op.gradients import BackwardRecipe
from tests.engines.cpu.compiled import DOUBLE, close, layer_of, numbers

NAMES = ["gru", "lstm", "drop-in"]


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the backward loop has run: an entry for each time."""
    runs: list[int] = []
    run = BackwardRecipe.__call__
    monkeypatch.setattr(BackwardRecipe, "__call__", lambda *args: runs.append(1) or run(*args))
    return runs


def singly(y: Tensor, leaves: list[Tensor], grads: Tensor) -> list[Tensor]:
    rows = [torch.autograd.grad(y, leaves, grad, retain_graph=True) for grad in grads]
    return [torch.stack(parts) for parts in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_gradients_is_one_after_the_other(name: str, loops: list[int]) -> None:
    layer, x = layer_of(name), numbers(4, 3, 3, grad=True)
    leaves = [x, *layer.parameters()]
    for more in ({}, {"lengths": [2, 4, 0]}, {"reset": torch.rand(4, 3) < 0.5}):
        y = layer(x, **more)[0].sum((1, 2))
        expected = singly(y, leaves, torch.eye(4, dtype=DOUBLE))
        once = len(loops)
        eye = torch.eye(4, dtype=DOUBLE)
        ours = torch.autograd.grad(y, leaves, eye, is_grads_batched=True, retain_graph=True)
        assert len(loops) == 2 * once
        close(list(ours), expected)

        def of(grad: Tensor, y: Tensor = y) -> tuple[Tensor, ...]:
            return torch.autograd.grad(y, leaves, grad, retain_graph=True)

        close(list(torch.vmap(of)(eye)), expected)
        nested = torch.vmap(torch.vmap(of))(eye.view(2, 2, 4))
        close([part.flatten(0, 1) for part in nested], expected)
        loops.clear()


@pytest.mark.parametrize("name", NAMES)
def test_jacobian_and_hessian(name: str) -> None:
    layer, x = layer_of(name), numbers(3, 2, 3)

    def rows(x: Tensor) -> Tensor:
        return layer(x)[0].square().sum(2)

    close(functional.jacobian(rows, x, vectorize=True), functional.jacobian(rows, x))

    def loss(x: Tensor) -> Tensor:
        return rows(x).sum()

    close(functional.hessian(loss, x, vectorize=True), functional.hessian(loss, x))
    x.requires_grad_()
    found = [
        torch.autograd.grad(
            functional.jacobian(rows, x, vectorize=vectorize, create_graph=True).square().sum(), x
        )
        for vectorize in (True, False)
    ]
    close(*found)


def test_gradcheck_by_the_batch() -> None:
    for layer in (layer_of("lstm"), layer_of("drop-in")):
        x = numbers(2, 2, 3, grad=True)
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(lambda x, layer=layer: layer(x)[0], x, check_batched_grad=True)


# PyTorch's own forward-mode formulas still use torch.jit.script.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_transforms_of_functional_calls(kind: str) -> None:
    theirs = getattr(nn, kind)(3, 4).double()
    ours, x = cello.accelerate(theirs), numbers(3, 2, 3)
    parameters = {name: value.detach() for name, value in theirs.named_parameters()}

    def each(layer: nn.Module) -> list[object]:
        def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(layer, parameters, (x,))[0].square().sum()

        return [
            torch.func.grad(loss)(parameters, x),
            torch.func.jacrev(loss, argnums=1)(parameters, x),
            torch.func.jacfwd(loss, argnums=1)(parameters, x),
        ]

    torch.testing.assert_close(each(ours), each(theirs), rtol=1e-10, atol=1e-10)

    def of_one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(ours, parameters, (x.unsqueeze(1),))[0].square().sum()

    each_sample = torch.vmap(torch.func.grad(of_one), (None, 1))(parameters, x)
    for name, parameter in ours.named_parameters():
        for row, found in enumerate(each_sample[name]):
            y, _ = theirs(x[:, row : row + 1])
            (expected,) = torch.autograd.grad(
                y.square().sum(), dict(theirs.named_parameters())[name]
            )
            close(found, expected)
        assert parameter.grad is None
