"""Attribution: how much each input step mattered to a chosen output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import evaluating
from cello.layers.paths import check_module
from cello.see.gradients.captum import by_captum, captum_method
from cello.see.gradients.target import AttributionTarget, Target
from cello.see.numbers import short, whole

__all__ = ["Attribution", "attribute"]

OURS = ("integrated_gradients", "gradient_x_input")


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """What `cello.attribute` returns.

    Attributes:
        values: the share of each feature of each step, in the form of x, [T, B, I]; for ids, of
            each feature of what the first module made of them. Of a packed x padded, [T, B, I].
        target: the chosen output, [B] or a scalar.
        baseline: the same for the baseline; None if the method has none, as gradient × input.
    """

    values: Tensor
    target: Tensor
    baseline: Tensor | None

    @property
    def by_step(self) -> Tensor:
        """The share of each step, in the form of x without the features, [T, B]."""
        return self.values.sum(-1)

    @property
    def gap(self) -> float:
        """How far the shares, added up, are from what the target gained over the baseline.

        For integrated gradients it comes close to 0 with enough `steps`; other methods, such as
        gradient × input, promise no such thing.
        """
        begun = 0.0 if self.baseline is None else float(self.baseline.sum())
        return abs(float(self.values.sum()) - (float(self.target.sum()) - begun))

    def __repr__(self) -> str:
        begun = "" if self.baseline is None else f" over {_listed(self.baseline)}"
        shares = f"shares {list(self.values.shape)}, gap {short(self.gap, 2)}"
        return f"Attribution of {_listed(self.target)}{begun}: {shares}"


def _listed(targets: Tensor, most: int = 4) -> str:
    shown = [short(number, 3) for number in targets.flatten().tolist()]
    return ", ".join(shown[:most] + ["…"] * (len(shown) > most))


def attribute(
    net: nn.Module,
    x: Tensor | PackedSequence,
    target: Target,
    *args: Any,
    method: str = "integrated_gradients",
    baseline: Tensor | float = 0.0,
    steps: int = 32,
    options: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Attribution:
    """How much each input step mattered to an output of `net`.

    Integrated gradients go from the baseline to x on a straight line and add up the gradients on
    the way, so that the shares sum to the gain of the target. Gradient × input is their first
    look: exact for a linear net, and only there. The net runs in eval mode.

    With Captum (`pip install 'cello[attribute]'`) its methods that ask nothing but a function work
    too, by their names there: "GradientShap", "Saliency", "Occlusion", "FeatureAblation",
    "ShapleyValueSampling", "KernelShap", "Lime" and others. Those that take parts of the input
    away take whole steps away, and divide the share of a step evenly among its features.

    Args:
        net: any module.
        x: what it takes, [T, B, I], [T, I], or packed; or ids [T, B], of which the first module
            makes features: then the shares are those of the features.
        target: (t, unit), that unit of the output at step t of each sequence; or a function of the
            net's output (of a tuple the first part) that returns one number for each sequence [B],
            or one in all.
        *args: more of what the net takes, such as a state.
        method: "integrated_gradients", "gradient_x_input", or a method of Captum.
        baseline: what counts as no input: a number, or a tensor that fits x or the features.
        steps: points on the way at which gradients are taken (Gauss-Legendre).
        options: more of what Captum's method takes, such as {"n_samples": 50}.
        **kwargs: more of what the net takes, such as `lengths`.

    Raises:
        DtypeError: `net` is no module, x or the baseline no tensor, or the target neither of both.
        ArgumentError: there is no such method, option, step or unit, or the target does not
            depend on x.
        ShapeError: the baseline does not fit, or the target is not one number a sequence.
        ImportError: the method is one of Captum, which is not installed.

    Sources: M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks" (ICML
    2017); A. Shrikumar, P. Greenside, A. Shcherbina and A. Kundaje, "Not just a black box" (2016);
    N. Kokhlikyan et al., "Captum" (2020).

    >>> import cello
    >>> net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), nn.Linear(4, 2))
    >>> found = attribute(net, torch.randn(10, 2, 3), (5, 0))
    >>> found.by_step.shape, bool(found.by_step[6:].any()), found.gap < 1e-5
    (torch.Size([10, 2]), False, True)
    """
    check_module(net)
    captums = None if method in OURS else captum_method(method, OURS)
    if options and captums is None:
        raise ArgumentError(f"options are for Captum's methods, {method!r} is not one of them")
    if whole("steps", steps) < 1:
        raise ArgumentError(f"steps must be at least 1, got {steps}")
    with evaluating(net), torch.enable_grad():
        target_run = AttributionTarget(net, x, target, args, kwargs)
        start = _fitting(baseline, target_run.features)
        reached, gradient = _gradient(target_run, target_run.features)
        if method == "gradient_x_input":
            return Attribution(gradient * target_run.features, reached, None)
        if captums is None:
            values, has_baseline = _integrated(target_run, start, steps), True
        else:
            values, has_baseline = by_captum(target_run, captums, start, steps, options or {})
        begun = target_run.reached(start).detach() if has_baseline else None
        return Attribution(values, reached, begun)


def _fitting(baseline: Any, features: Tensor) -> Tensor:
    try:
        given = torch.as_tensor(baseline, dtype=features.dtype, device=features.device)
    except (TypeError, ValueError, RuntimeError):
        raise DtypeError(f"baseline must be a number or a tensor, got {baseline!r}") from None
    try:
        return given.broadcast_to(features.shape)
    except RuntimeError:
        raise ShapeError(
            f"baseline must fit {list(features.shape)}, got {list(given.shape)}"
        ) from None


def _gradient(target_run: AttributionTarget, features: Tensor) -> tuple[Tensor, Tensor]:
    """The target for these features, and its gradient with respect to them."""
    features = features.detach().requires_grad_()
    reached = target_run.reached(features)
    if not reached.requires_grad:
        raise ArgumentError("the target does not depend on x")
    (gradient,) = torch.autograd.grad(
        reached.sum(), features, allow_unused=True, materialize_grads=True
    )
    return reached.detach(), gradient


def _integrated(target_run: AttributionTarget, start: Tensor, steps: int) -> Tensor:
    """The mean gradient along the line from `start` to x, times the difference of the two."""
    mean = torch.zeros_like(target_run.features)
    places, weights = np.polynomial.legendre.leggauss(steps)
    for place, weight in zip(places, weights, strict=True):
        between = torch.lerp(start, target_run.features, (1 + float(place)) / 2)
        mean += float(weight) / 2 * _gradient(target_run, between)[1]
    return mean * (target_run.features - start)
