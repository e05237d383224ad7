"""A model with our layers in place of PyTorch's: what computes the weights is shared as well."""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import is_
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune

import cello
from cello.errors import ArgumentError
from cello.layers import DropIn

KINDS = ["RNN", "LSTM", "GRU"]
NAME = "weight_hh_l0"


class DroppedFromOutside(nn.Module):
    """Drops weights of the layer inside before each call, and keeps the raw ones itself."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.raw = nn.Parameter(getattr(layer, NAME).data)
        delattr(layer, NAME)
        setattr(layer, NAME, self.raw.clone())
        layer.flatten_parameters = self._nothing  # type: ignore[method-assign]
        self.layer = layer

    def _nothing(self) -> None:
        pass

    def forward(self, x: Tensor) -> Any:
        setattr(self.layer, NAME, F.dropout(self.raw, 0.5, self.training))
        return self.layer(x)


class DroppedInTheList(DroppedFromOutside):
    """The same, but only in the list with which PyTorch's code runs."""

    def forward(self, x: Tensor) -> Any:
        place = self.layer._flat_weights_names.index(NAME)
        self.layer._flat_weights[place] = F.dropout(self.raw, 0.5, self.training)
        return self.layer(x)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class Noisy(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return F.dropout(weight, 0.5, self.training)


def pruned(layer: nn.RNNBase) -> nn.RNNBase:
    prune.random_unstructured(layer, NAME, 0.3)
    prune.l1_unstructured(layer, NAME, 3)
    return prune.l1_unstructured(layer, "bias_ih_l1", 2)


def parametrized(layer: nn.RNNBase) -> nn.RNNBase:
    parametrize.register_parametrization(layer, NAME, Doubled())
    parametrize.register_parametrization(layer, NAME, Noisy())
    return parametrizations.weight_norm(layer, "weight_ih_l0")


COMPUTED: dict[str, Callable[[Any], nn.Module]] = {
    "pruned": pruned,
    "weight norm, the old way": lambda layer: nn.utils.weight_norm(layer, NAME),
    "spectral norm, the old way": lambda layer: nn.utils.spectral_norm(layer, NAME),
    "dropped": DroppedFromOutside,
    "dropped in the list": DroppedInTheList,
    "parametrized": parametrized,
    "orthogonal": lambda layer: parametrizations.orthogonal(layer, NAME),
    "spectral norm": lambda layer: parametrizations.spectral_norm(layer, NAME),
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("how", COMPUTED)
def test_what_computes_the_weights_is_shared(how: str, used: bool) -> None:
    for kind in KINDS:
        model = nn.ModuleDict({"inner": COMPUTED[how](getattr(nn, kind)(3, 4, 2).double())})
        x = torch.randn(5, 2, 3, dtype=torch.float64)
        if used:
            model["inner"](x)
        fast = cello.accelerate(model)
        assert [type(m) for m in model.modules() if isinstance(m, DropIn)] == []
        assert len([m for m in fast.modules() if isinstance(m, getattr(cello, kind))]) == 1
        mine, its = (net.state_dict(keep_vars=True) for net in (fast, model))
        assert mine.keys() == its.keys()
        assert all(map(is_, mine.values(), its.values()))
        buffers = [buffer.clone() for buffer in model.buffers()]

        def trained(net: nn.Module, x: Tensor = x, buffers: list[Tensor] = buffers) -> list[Tensor]:
            """The results of a step of training from the same start, which it leaves as it was."""
            with torch.no_grad():
                for buffer, before in zip(net.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            torch.manual_seed(1)
            y, _ = net["inner"](x)
            grads = torch.autograd.grad(y.square().sum(), list(net.parameters()))
            return [y, *grads]

        expected = trained(model)
        for found, known in zip(trained(fast), expected, strict=True):
            torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)
        with torch.no_grad():  # a step of an optimizer counts for both
            for parameter, grad in zip(model.parameters(), expected[1:], strict=True):
                parameter.sub_(grad, alpha=0.1)
        model.eval()
        fast.eval()
        again = cello.accelerate(fast)  # ours are shared in the same way
        for net in (fast, again):
            torch.testing.assert_close(net["inner"](x)[0], model["inner"](x)[0])


def test_a_step_of_training_reaches_both() -> None:
    model = nn.Sequential(pruned(nn.GRU(3, 4, 2)))
    fast = cello.accelerate(model)
    x = torch.randn(5, 2, 3)
    before = model(x)[0]
    optimizer = torch.optim.SGD(fast.parameters(), lr=0.5)
    fast(x)[0].square().sum().backward()
    optimizer.step()
    assert not torch.allclose(model(x)[0], before)
    torch.testing.assert_close(fast(x)[0], model(x)[0])


class Locked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4)
        self.lock = threading.Lock()


def test_what_cannot_be_copied_is_named() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ModuleDict({"a": Locked()}))
    with pytest.raises(ArgumentError, match=r"1\.a \(Locked\) cannot be copied: .*lock"):
        cello.accelerate(model)
    with pytest.raises(ArgumentError, match=r"module \(Locked\) cannot be copied: .*lock"):
        cello.accelerate(Locked())


def test_a_forward_that_keeps_to_its_module_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4))
    layer = model[1]
    old = layer.forward
    layer.forward = lambda x: old(2 * x)  # type: ignore[method-assign]
    with pytest.raises(ArgumentError, match=r"1 \(GRU\) cannot be copied: its forward"):
        cello.accelerate(model)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripts_are_shared_as_they_are() -> None:
    script: Any = torch.jit.script(nn.Linear(3, 3))
    fast = cello.accelerate(nn.Sequential(script, nn.GRU(3, 4)))
    assert fast[0] is script


class Inner(cello.Cell):
    """Whose step calls a layer of PyTorch's."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.rnn = nn.GRU(3, 4)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        y, after = self.rnn(x[None], h[None])
        return y[0], (after[0],)


def test_what_is_inside_a_cell_stays_part_of_its_step() -> None:
    model = nn.Sequential(nn.GRU(3, 3), cello.Recurrent(Inner()))
    fast = cello.accelerate(model)
    assert type(fast[0]) is cello.GRU
    assert type(fast[1].cell.rnn) is nn.GRU
    assert fast[1].cell.rnn.weight_hh_l0 is model[1].cell.rnn.weight_hh_l0
    x = torch.randn(5, 2, 3)
    with cello.engine("cpu"):  # which refuses a step that cannot be captured
        assert torch.equal(fast[1](x)[0], model[1](x)[0])
