"""Functions that Triton lacks give what PyTorch's give: near 0, far away, and at the ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import cello

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")

ENDS = [0.0, math.inf, -math.inf, math.nan]
AT = torch.tensor(
    [*(s * v for v in (1e-6, 0.1, 0.39, 0.41, 0.7, 3.0, 20.0) for s in (1, -1)), *ENDS]
)
ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "expm1": torch.expm1, "log1p": torch.log1p, "sinh": torch.sinh,
    "cosh": torch.cosh, "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh,
    "round": torch.round, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos,
    "atan": torch.atan, "erfc": torch.special.erfc,
}  # fmt: skip
TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "maximum": torch.maximum, "minimum": torch.minimum, "pow": torch.pow, "fmod": torch.fmod,
    "atan2": torch.atan2, "hypot": torch.hypot, "copysign": torch.copysign,
}  # fmt: skip


class EveryFunction(cello.Cell):
    """All of them of the same two numbers, each one feature of the output."""

    state = ("h",)

    def __init__(self) -> None:
        super().__init__(2, 1, output_size=len(ONE) + len(TWO))
        self.weight = nn.Parameter(torch.ones(1))

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        a, b = (x * self.weight).split(1, 1)
        made = [f(a) for f in ONE.values()] + [f(a, b) for f in TWO.values()]
        return torch.cat(made, 1), (h + 0 * self.weight,)


def test_every_function(device: torch.device) -> None:
    layer = cello.Recurrent(EveryFunction().to(device))
    x = torch.cartesian_prod(AT, AT)[None].to(device)
    found = []
    for engine in ("reference", "gpu"):
        with cello.engine(engine), torch.no_grad():
            found.append(layer(x)[0][0])
    for number, name in enumerate([*ONE, *TWO]):
        expected, ours = (part[:, number] for part in found)
        torch.testing.assert_close(
            ours, expected, rtol=1e-5, atol=1e-7, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
        )
