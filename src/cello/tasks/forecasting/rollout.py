"""A network's forecasts: all steps at once, or one after the other on its own forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from cello.layers import evaluating
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.windows import SeriesTensors
from cello.tasks.networks import has_feedback

__all__ = ["forecasts", "teacher"]

#: Steps of all rows together that are run at once.
_STEPS_AT_ONCE = 2**17
#: Paths that a recursive forecast is drawn on, for its band.
_PATHS = 64


@torch.no_grad()
def forecasts(
    plan: ForecastPlan,
    net: nn.Module,
    laid: Sequence[SeriesTensors],
    origins: Sequence[tuple[int, int]],
) -> Tensor:
    """Quantiles of the steps after each origin, as the network is scaled.

    Args:
        plan: see there.
        net: a network.
        laid: series.
        origins: of each forecast, the number of its series and the last step that is read.

    Returns:
        [N, H, D, Q], ascending along Q (crossing quantiles are put in order: V. Chernozhukov et
        al., "Quantile and probability curves without crossing", Econometrica 78, 2010).
    """
    rows = 1 + _PATHS if plan.recursive else 1
    each = max(1, _STEPS_AT_ONCE // ((plan.context + plan.horizon) * rows))
    found = []
    with evaluating(net):
        for start in range(0, len(origins), each):
            some = origins[start : start + each]
            run = _walk if plan.recursive else _at_once
            found.append(run(plan, net, laid, some))
    return torch.cat(found).sort(-1).values


def teacher(plan: ForecastPlan, laid: SeriesTensors, start: int, steps: int) -> Tensor:
    """What a network that feeds its output back should have said at each step: [steps, D·Q].

    What is missing is 0: no change, or the mean.
    """
    following = laid.y[start + 1 : start + 1 + steps]
    base = laid.base[start : start + steps] if plan.relative else 0.0
    said = (following - base).nan_to_num(0.0)
    return said.repeat_interleave(len(plan.quantiles), 1)


def _windows(
    plan: ForecastPlan, laid: Sequence[SeriesTensors], origins: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Inputs [C, N, I] that end at each origin, and lengths [N]; shorter ones are padded behind."""
    found = [laid[n].x[max(0, at + 1 - plan.context) : at + 1] for n, at in origins]
    lengths = torch.tensor([len(x) for x in found])
    return nn.utils.rnn.pad_sequence(found), lengths


def _at_once(
    plan: ForecastPlan,
    net: nn.Module,
    laid: Sequence[SeriesTensors],
    origins: Sequence[tuple[int, int]],
) -> Tensor:
    x, lengths = _windows(plan, laid, origins)
    device = next(net.parameters()).device
    same = bool((lengths == len(x)).all())
    out, _ = net(x.to(device), lengths=None if same else lengths.to(device))
    last = out.cpu()[lengths - 1, torch.arange(len(lengths))]
    said = last.view(len(origins), plan.horizon, plan.targets, len(plan.quantiles))
    return said + _bases(laid, origins)[:, None, :, None] if plan.relative else said


def _walk(
    plan: ForecastPlan,
    net: nn.Module,
    laid: Sequence[SeriesTensors],
    origins: Sequence[tuple[int, int]],
) -> Tensor:
    """The path of the median, and others on which the next value is drawn, for the band."""
    said, state = _read(plan, net, laid, origins)
    N, D, Q, P = len(origins), plan.targets, len(plan.quantiles), 1 + _PATHS
    device = next(net.parameters()).device
    # The rows of a state are its last axis but one, in a layer and in a drop-in for PyTorch's.
    state = tree_map(lambda part: part if part is None else part.repeat_interleave(P, -2), state)
    said, base = (v.repeat_interleave(P, 0) for v in (said, _bases(laid, origins)))
    draw = torch.Generator().manual_seed(0)
    paths = []
    for step in range(plan.horizon):
        levels = said.view(N * P, D, Q).sort(-1).values
        levels = levels + base[..., None] if plan.relative else levels
        noise = torch.randn(N * P, D, generator=draw)
        value = _drawn(levels, plan.quantiles, noise)
        value[::P] = levels[::P, :, plan.middle]
        paths.append(value.view(N, P, D))
        if step + 1 < plan.horizon:
            told = torch.stack([laid[n].future[at + 1 + step] for n, at in origins])
            inputs = told.repeat_interleave(P, 0)
            inputs[:, :D], inputs[:, D : 2 * D] = value, 1.0
            out, state = net(inputs[None].to(device), state)
            said, base = out[0].cpu(), value
    walked = torch.stack(paths, 1)  # [N, H, P, D]
    middle = walked[:, :, 0]
    band = walked[:, :, 1:].quantile(torch.tensor(plan.quantiles), dim=2).permute(1, 2, 3, 0)
    low, high = band.minimum(middle[..., None]), band.maximum(middle[..., None])
    level = torch.tensor(plan.quantiles)
    return torch.where(level < 0.5, low, torch.where(level > 0.5, high, middle[..., None]))


def _read(
    plan: ForecastPlan,
    net: nn.Module,
    laid: Sequence[SeriesTensors],
    origins: Sequence[tuple[int, int]],
) -> tuple[Tensor, Any]:
    """What the network says at each origin [N, D·Q], and its state there."""
    x, lengths = _windows(plan, laid, origins)
    device, every = next(net.parameters()).device, torch.arange(len(origins))
    if not has_feedback(net):
        out, state = net(x.to(device), lengths=lengths.to(device))
        return out.cpu()[lengths - 1, every], state
    # What it was to say is known up to the last step; from there on it hears itself.
    known = [
        teacher(plan, laid[number], at + 1 - steps, steps - 1)
        for (number, at), steps in zip(origins, lengths.tolist(), strict=True)
    ]
    targets = x.new_zeros(*x.shape[:2], known[0].shape[1])
    for row, rows in enumerate(known):
        targets[: len(rows), row] = rows
    before = {"lengths": (lengths - 1).to(device), "targets": targets.to(device)}
    _, state = net(x.to(device), **before)
    out, state = net(x[lengths - 1, every][None].to(device), state)
    return out[0].cpu(), state


def _bases(laid: Sequence[SeriesTensors], origins: Sequence[tuple[int, int]]) -> Tensor:
    return torch.stack([laid[n].base[at] for n, at in origins])


def _drawn(levels: Tensor, quantiles: Sequence[float], noise: Tensor) -> Tensor:
    """Values of a distribution with these quantiles [N, D, Q] at the normal scores `noise` [N, D].

    Between two quantiles, and beyond the last ones, value and normal score go in a line.
    """
    if len(quantiles) == 1:
        return levels[..., 0].clone()
    scores = torch.special.ndtri(torch.tensor(quantiles))
    right = torch.bucketize(noise, scores).clamp(1, len(quantiles) - 1)
    low, high = (levels.gather(-1, place[..., None])[..., 0] for place in (right - 1, right))
    return low + (noise - scores[right - 1]) / (scores[right] - scores[right - 1]) * (high - low)
