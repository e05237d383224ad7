"""Attribution by Captum's methods."""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError
from tests.see import kinds
from tests.see.kinds import KINDS, LENGTHS, B, I, T

pytestmark = pytest.mark.usefixtures("compile_nothing")


def net() -> cello.Stack:
    return kinds.of_lengths().double().eval()


@pytest.mark.parametrize("name", KINDS)
def test_captum_finds_what_we_find(name: str):
    """Gradient × input to the last digit; integrated gradients, whose places it rounds."""
    kind = kinds.make(name)

    def ask(method: str) -> Tensor:
        found = cello.attribute(kind.net, kind.x, kinds.summed, method=method, **kind.options)
        return found.values

    torch.testing.assert_close(ask("InputXGradient"), ask("gradient_x_input"), rtol=0, atol=1e-15)
    torch.testing.assert_close(
        ask("IntegratedGradients"), ask("integrated_gradients"), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_for_each_sequence_its_own_number_on_any_engine(engine: str):
    model, x = net(), kinds.floats()
    with cello.engine(engine):
        found = cello.attribute(model, x, (1, 0), method="IntegratedGradients", lengths=LENGTHS)
    ours = cello.attribute(model, x, (1, 0), lengths=LENGTHS)
    torch.testing.assert_close(found.values, ours.values, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.target, ours.target)
    torch.testing.assert_close(found.baseline, ours.baseline)
    assert found.gap < 1e-7


def taken_away(model: nn.Module, x: Tensor, t: int, b: int) -> float:
    """What the target of one sequence loses without one of its steps."""
    less = x.clone()
    less[t, b] = 0
    with torch.no_grad():
        whole, rest = (model(given, lengths=LENGTHS)[0][1, b, 0] for given in (x, less))
    return (whole - rest).item()


@pytest.mark.parametrize("method", ["Occlusion", "FeatureAblation"])
def test_a_step_is_taken_away_as_a_whole(method: str):
    model, x = net(), kinds.floats()
    found = cello.attribute(model, x, (1, 0), method=method, lengths=LENGTHS)
    expected = torch.tensor([[taken_away(model, x, t, b) for b in range(B)] for t in range(T)])
    torch.testing.assert_close(found.by_step.float(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.values, found.by_step[..., None].expand(T, B, I) / I)
    assert not found.by_step[2:, 0].any()


def test_options_are_captums():
    model, x = net(), kinds.floats()
    given = {"sliding_window_shapes": (1, 1)}
    found = cello.attribute(model, x, (1, 0), method="Occlusion", options=given, lengths=LENGTHS)
    less = x.clone()
    less[0, 1, 2] = 0
    with torch.no_grad():
        lost = (model(x, lengths=LENGTHS)[0] - model(less, lengths=LENGTHS)[0])[1, 1, 0]
    assert found.values[0, 1, 2].item() == pytest.approx(lost.item(), rel=1e-4)


def test_shapley_values_are_means_over_all_orders():
    model, x = net(), kinds.floats(4, 1, I)
    found = cello.attribute(model, x, (3, 1), method="ShapleyValues")
    gains = torch.zeros(4, dtype=torch.float64)
    for order in itertools.permutations(range(4)):
        present = torch.zeros_like(x)
        for t in order:
            before = model(present)[0][3, 0, 1].item()
            present[t] = x[t]
            gains[t] += model(present)[0][3, 0, 1].item() - before
    expected = gains / math.factorial(4)
    torch.testing.assert_close(found.by_step[:, 0], expected, rtol=1e-4, atol=1e-6)
    assert found.gap < 1e-6


@pytest.mark.parametrize(
    "method", ["GradientShap", "ShapleyValueSampling", "KernelShap", "Lime", "Saliency"]
)
def test_methods_find_the_step_that_is_read(method: str):
    """Of a net that keeps the third step and adds a little of the others."""

    class Keeps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (5 * x[2] + 0.1 * x.sum(0)).sum(-1).tanh()

    x, options = 0.1 * torch.ones(T, 1, I), {} if method == "Saliency" else {"n_samples": 200}
    found = cello.attribute(Keeps(), x, lambda y: y, method=method, options=options)
    assert found.values.shape == x.shape
    assert found.by_step[:, 0].abs().argmax().item() == 2
    if method != "Saliency":
        assert found.by_step[2, 0].item() == pytest.approx(Keeps()(x).item(), rel=0.15)
    assert (found.baseline is None) == (method == "Saliency")


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("DeepLift", {}, r"or of Captum's Integ.*; got 'DeepLift', which works on modules, not on"),
        ("NoiseTunnel", {}, "got 'NoiseTunnel', which works on modules"),
        ("occlusion", {}, "method must be one of integrated_gradients, .*; got 'occlusion'$"),
        ("Occlusion", {"stride": 1}, "Occlusion has no option 'stride'; it has sliding_window_sha"),
        ("GradientShap", {"baselines": 1}, "GradientShap has no option 'baselines'; it has n_sam"),
        ("InputXGradient", {"inputs": 1}, "has no option 'inputs'; it has none"),
    ],
)
def test_what_captum_cannot(method: str, options: dict[str, Any], message: str):
    with pytest.raises(ArgumentError, match=message):
        cello.attribute(net(), kinds.floats(), (0, 0), method=method, options=options)


def test_without_captum(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ImportError, match=r"'Occlusion' is none of ours .* 'cello\[attribute\]'"):
        cello.attribute(net(), kinds.floats(), (0, 0), method="Occlusion")
    assert cello.attribute(net(), kinds.floats(), (0, 0)).gap < 1e-6
