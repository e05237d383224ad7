"""Attribution: how much each input step mattered to a chosen output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers import Steps
from cello.see.names import check_module
from cello.see.numbers import whole
from cello.see.outputs import output_of

__all__ = ["Attribution", "attribute"]

METHODS = ("integrated_gradients", "gradient_x_input")

Target = tuple[int, int] | Callable[[Any], Tensor]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What `cello.attribute` returns.

    Attributes:
        values: the share of each feature of each step, in the form of x, [T, B, I]; for ids, of
            each feature of what the first module made of them.
        target: the chosen output, [B] or a scalar.
        baseline: the same for the baseline; None for gradient × input, which has none.
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

        With enough `steps` it comes close to 0; for gradient × input there is no such promise.
        """
        begun = 0.0 if self.baseline is None else float(self.baseline.sum())
        return abs(float(self.values.sum()) - (float(self.target.sum()) - begun))


def attribute(
    net: nn.Module,
    x: Tensor,
    target: Target,
    *args: Any,
    method: str = "integrated_gradients",
    baseline: Tensor | float = 0.0,
    steps: int = 32,
    **kwargs: Any,
) -> Attribution:
    """How much each input step mattered to an output of `net`.

    Integrated gradients go from the baseline to x on a straight line and add up the gradients on
    the way, so that the shares sum to what the target gained. Gradient × input is their first
    look: exact for a linear net, and only there. The net runs in eval mode.

    Args:
        net: any module.
        x: what it takes, [T, B, I]; or ids [T, B], of which the first module makes features: then
            the shares are those of the features.
        target: (t, unit), that unit of the output at step t of each sequence; or a function of the
            net's output (of a tuple the first part) that returns one number for each sequence [B],
            or one in all.
        *args: more of what the net takes, such as a state.
        method: "integrated_gradients" or "gradient_x_input".
        baseline: what counts as no input: a number, or a tensor that fits x or the features.
        steps: points on the way at which gradients are taken (Gauss-Legendre).
        **kwargs: more of what the net takes, such as `lengths`.

    Raises:
        DtypeError: `net` is no module, x no tensor, or the target neither of both.
        ArgumentError: there is no such method, step or unit, or the target does not depend on x.
        ShapeError: the baseline does not fit, or the target is not one number a sequence.

    Sources: M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks" (ICML
    2017); A. Shrikumar, P. Greenside, A. Shcherbina and A. Kundaje, "Not just a black box" (2016).

    >>> import cello
    >>> net = cello.Stack(cello.Recurrent(cello.GRUCell(3, 4)), nn.Linear(4, 2))
    >>> found = attribute(net, torch.randn(10, 2, 3), (5, 0))
    >>> found.by_step.shape, bool(found.by_step[6:].any()), found.gap < 1e-5
    (torch.Size([10, 2]), False, True)
    """
    check_module(net)
    if not isinstance(x, Tensor):
        raise DtypeError(f"x must be a tensor, got {type(x).__name__}")
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if whole("steps", steps) < 1:
        raise ArgumentError(f"steps must be at least 1, got {steps}")
    wanted = _checked_target(net, target)
    was_training = net.training
    net.eval()
    try:
        with torch.enable_grad():
            asked = _Asked(net, x, wanted, args, kwargs)
            return asked.shares(method, baseline, steps)
    finally:
        net.train(was_training)


def _checked_target(net: nn.Module, target: Any) -> Callable[[Any], Tensor]:
    if callable(target):
        return target
    if not isinstance(target, tuple) or len(target) != 2:
        raise DtypeError(
            f"target must be (t, unit) or a function of the net's output, got {target!r}"
        )
    t, unit = whole("t of the target", target[0]), whole("unit of the target", target[1])

    def chosen(output: Tensor) -> Tensor:
        if getattr(net, "batch_first", False) and output.dim() == 3:
            output = output.transpose(0, 1)
        T, units = len(output), output.shape[-1]
        if not 0 <= t < T or not 0 <= unit < units:
            raise ArgumentError(
                f"target ({t}, {unit}) is not in the output, which has {T} steps and {units} "
                "units, counted from 0"
            )
        return output[t, ..., unit]

    return chosen


class _Asked:
    """A net whose input, or what its first module makes of ids, can be changed."""

    def __init__(
        self, net: nn.Module, x: Tensor, target: Callable[[Any], Tensor], args: Any, kwargs: Any
    ) -> None:
        self.net, self.x, self.target = net, x, target
        self.args, self.kwargs = args, kwargs
        self.encoder: nn.Module | None = None
        self.features = x.detach()
        if not x.is_floating_point():
            with self._hooks(self._found), torch.no_grad():
                net(x, *args, **kwargs)
            if self.encoder is None:
                raise ArgumentError(
                    f"x holds ids ({x.dtype}), and no module of {type(net).__name__} makes "
                    "features of them: pass what the ids stand for"
                )

    def shares(self, method: str, baseline: Any, steps: int) -> Attribution:
        given = torch.as_tensor(baseline, dtype=self.features.dtype, device=self.features.device)
        try:
            start = given.broadcast_to(self.features.shape)
        except RuntimeError:
            raise ShapeError(
                f"baseline must fit {list(self.features.shape)}, got {list(given.shape)}"
            ) from None
        reached, gradient = self.run(self.features)
        if method == "gradient_x_input":
            values = gradient * self.features
            return Attribution(self._in_form(values), reached, None)
        begun, _ = self.run(start)
        total = torch.zeros_like(self.features)
        places, weights = np.polynomial.legendre.leggauss(steps)
        for place, weight in zip(places, weights, strict=True):
            _, gradient = self.run(torch.lerp(start, self.features, (1 + float(place)) / 2))
            total += float(weight) / 2 * gradient
        return Attribution(self._in_form(total * (self.features - start)), reached, begun)

    def run(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The target for other features, and its gradient with respect to them."""
        features = features.detach().requires_grad_()
        if self.encoder is None:
            result = self.net(features, *self.args, **self.kwargs)
        else:
            with self._hooks(lambda module, *_: features if module is self.encoder else None):
                result = self.net(self.x, *self.args, **self.kwargs)
        reached = self.target(output_of(result))
        if not isinstance(reached, Tensor) or reached.dim() > 1:
            what = list(reached.shape) if isinstance(reached, Tensor) else type(reached).__name__
            raise ShapeError(f"the target must be one number for each sequence, got {what}")
        if not reached.requires_grad:
            raise ArgumentError("the target does not depend on x")
        (gradient,) = torch.autograd.grad(
            reached.sum(), features, allow_unused=True, materialize_grads=True
        )
        return reached.detach(), gradient

    def _found(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Remember the first module that makes features of ids."""
        given = inputs[0] if inputs else None
        is_ids = isinstance(given, Tensor) and not given.is_floating_point()
        makes = isinstance(output, Tensor) and output.is_floating_point()
        if self.encoder is None and is_ids and makes:
            self.encoder, self.features = module, output.detach()

    @contextmanager
    def _hooks(self, hook: Callable[..., Any]) -> Iterator[None]:
        handles = [module.register_forward_hook(hook) for module in self.net.modules()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _in_form(self, values: Tensor) -> Tensor:
        """Shares of rows without padding, in the form of x."""
        lengths = self.kwargs.get("lengths")
        if self.encoder is None or lengths is None or values.shape[:2] == self.x.shape[:2]:
            return values
        batch_first = bool(getattr(self.net, "batch_first", False))
        padded = Steps.of(self.x, lengths=lengths, batch_first=batch_first).pad(values)
        return padded.transpose(0, 1) if batch_first else padded
