"""How a published cell is written down: its step, its states and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import cello

I, H = 3, 4  # noqa: E741 - the sizes that the equations name so

#: By name, what makes the cell.
PUBLISHED: dict[str, Callable[[], cello.Cell]] = {}


def published(
    source: str,
    states: dict[str, Any],
    *,
    x: Any = I,
    y: Any = None,
    **parts: Any,
) -> Callable[[Any], Any]:
    """Register the decorated function as the step of a cell.

    Args:
        source: who published it.
        states: the size or shape of each state.
        x: of the input.
        y: of the output, if not that of the first state.
        parts: attributes of the cell: of two numbers, an affine map of the first to the second; of
            one number or a list, a parameter of that shape; else what makes a module.
    """

    def register(step: Any) -> Any:
        first = next(iter(states.values()))
        output = first if y is None else y

        def init(self: Any) -> None:
            cello.Cell.__init__(self, x, H, output_size=output, state_sizes=states)
            for name, part in parts.items():
                if isinstance(part, tuple):
                    made: Any = nn.Linear(*part)
                elif isinstance(part, (int, list)):
                    shape = [part] if isinstance(part, int) else part
                    made = nn.Parameter(torch.randn(shape) / 2)
                else:
                    made = part()
                setattr(self, name, made)

        members = {"state": tuple(states), "__init__": init, "step": step, "__doc__": source}
        PUBLISHED[step.__name__] = type(step.__name__, (cello.Cell,), members)
        return step

    return register


def make_published(name: str, dtype: torch.dtype = torch.float64) -> cello.Cell:
    """The cell of that name, in evaluation, always the same."""
    torch.manual_seed(3)
    return PUBLISHED[name]().to(dtype).eval()
