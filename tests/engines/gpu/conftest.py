"""Where loops in Triton run: on its interpreter, and on a card where there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `cuda` is left out where there is no card, and says so."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda") is not None:
                item.add_marker(pytest.mark.skip(reason="there is no GPU here"))


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Triton decides for a whole process whether it interprets."""
    _needs(interpreter=request.param == "interpreter")
    return torch.device("cpu" if request.param == "interpreter" else "cuda")


@pytest.fixture
def interpreted() -> None:
    """What stands in for a card needs the interpreter."""
    _needs(interpreter=True)


def _needs(*, interpreter: bool) -> None:
    """Skip where the loops of this process run elsewhere: the interpreter and a card exclude it."""
    from cello.engines.gpu.language import is_interpreted

    if is_interpreted() != interpreter:
        where = "the interpreter" if is_interpreted() else "a card"
        other = f"TRITON_INTERPRET={int(interpreter)}"
        pytest.skip(f"the loops of this process run on {where}: {other} has this test")


def moved(part: Any, device: torch.device) -> Any:
    """A tensor, or each of a tuple or of a dict, on a device."""
    if isinstance(part, dict):
        return {name: moved(value, device) for name, value in part.items()}
    if isinstance(part, tuple):
        return tuple(moved(value, device) for value in part)
    return part.to(device) if isinstance(part, torch.Tensor) else part
