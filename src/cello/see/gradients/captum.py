"""Attribution by the methods of Captum, for nets through time."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cello.errors import ArgumentError
from cello.see.gradients.target import AttributionTarget

__all__ = ["by_captum", "captum_method"]

# Arguments of a method's `attribute` that are set here, not by options.
_SET = (
    "inputs baselines target additional_forward_args n_steps return_convergence_delta kwargs"
).split()


def captum_method(name: str, ours: tuple[str, ...]) -> type:
    """The class of Captum that has this name, if it asks for nothing but a function.

    Raises:
        ImportError: Captum is not installed.
        ArgumentError: it has no such method; lists those that it has.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise ImportError(
            f"method {name!r} is none of ours ({', '.join(ours)}); those of Captum come with "
            "Cello's extra attribute: pip install 'cello[attribute]'"
        ) from error
    classes = {known: getattr(attr, known) for known in attr.__all__}
    methods = {known: one for known, one in classes.items() if _asks_a_function(one)}
    if name in methods:
        return methods[name]
    why = f"{name!r}, which works on modules, not on a function" if name in classes else repr(name)
    raise ArgumentError(
        f"method must be one of {', '.join(ours)}, or of Captum's {', '.join(methods)}; got {why}"
    )


def _asks_a_function(one: Any) -> bool:
    if not inspect.isclass(one) or not hasattr(one, "attribute"):
        return False
    needed = [p.name for p in inspect.signature(one).parameters.values() if p.default is p.empty]
    return needed == ["forward_func"]


def by_captum(
    target_run: AttributionTarget,
    method: type,
    start: Tensor,
    steps: int,
    options: Mapping[str, Any],
) -> tuple[Tensor, bool]:
    """The share of each feature, in the form of the features; and if the baseline played a part.

    What takes away parts of the input takes away whole steps, unless `options` say otherwise; the
    share of a step is then divided evenly among its features.

    Raises:
        ArgumentError: the method has no such option.
    """
    examples = _Examples(target_run)
    x = examples.originals.clone().requires_grad_()
    found = method(examples.reached)
    taken = _taken(found, options)
    usual = {"baselines": examples.of(start), "n_steps": steps, "internal_batch_size": len(x)}
    grouped = {name: value for name, value in _whole_steps(x).items() if name in taken}
    arguments = {name: value for name, value in usual.items() if name in taken} | grouped
    rows = torch.arange(len(x), device=x.device)
    values = found.attribute(x, additional_forward_args=(rows,), **(arguments | dict(options)))
    values = values.detach().to(x.dtype)
    if grouped and grouped.keys().isdisjoint(options):
        values = values / x.shape[-1]  # each feature has got what its step is worth
    return examples.back(values), "baselines" in taken


def _taken(method: Any, options: Mapping[str, Any]) -> list[str]:
    """The arguments of the method's `attribute`; checks that the options are among them."""
    taken = list(inspect.signature(method.attribute).parameters)
    free = [name for name in taken if name not in _SET]
    if unknown := [name for name in options if name not in free]:
        raise ArgumentError(
            f"{type(method).__name__} has no option {unknown[0]!r}; "
            f"it has {', '.join(free) or 'none'}"
        )
    return taken


def _whole_steps(examples: Tensor) -> dict[str, Any]:
    """Which features go together, in the two ways in which Captum is told."""
    *steps, features = examples.shape[1:]
    numbers = torch.arange(math.prod(steps), device=examples.device).reshape(1, *steps, 1)
    return {
        "feature_mask": numbers.repeat(*[1] * (len(steps) + 1), features),
        "sliding_window_shapes": (*[1] * len(steps), features),
    }


class _Examples:
    """Sequences along the first axis, as Captum wants them; all in one if the target is one."""

    def __init__(self, target_run: AttributionTarget) -> None:
        self.target_run = target_run
        with torch.no_grad():
            self.axis = (
                target_run.batch_axis if target_run.reached(target_run.features).dim() else None
            )
        self.originals = self.of(target_run.features)

    def of(self, features: Tensor) -> Tensor:
        """Features as examples."""
        examples = features[None] if self.axis is None else features.movedim(self.axis, 0)
        return examples.contiguous()

    def back(self, examples: Tensor) -> Tensor:
        """Examples as features."""
        return examples[0] if self.axis is None else examples.movedim(0, self.axis)

    def reached(self, given: Tensor, which: Tensor) -> Tensor:
        """The target of each example, [N]; `which` tells from which sequence each was made.

        The net always sees the whole batch, so that lengths and states fit: in the first turn the
        first example of each sequence, then the second, and so on.
        """
        order = which.argsort(stable=True)
        counts = which.bincount(minlength=len(self.originals))
        begins = counts.cumsum(0) - counts
        turn = torch.empty_like(which)
        turn[order] = torch.arange(len(which), device=which.device) - begins[which[order]]
        parts, places = [], []
        for number in range(int(counts.max())):
            own = (turn == number).nonzero()[:, 0]
            batch = self.originals.index_copy(0, which[own], given[own])
            reached = self.target_run.reached(self.back(batch))
            reached = reached.sum()[None] if self.axis is None else reached
            parts.append(reached[which[own]])
            places.append(own)
        return torch.cat(parts)[torch.cat(places).argsort()]
