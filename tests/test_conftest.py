"""The test bench itself."""

from __future__ import annotations

import warnings

import pytest
import torch


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="stop here"):
        warnings.warn("stop here", stacklevel=1)


@pytest.mark.parametrize("_again", [1, 2])
def test_every_test_starts_from_the_same_seed(_again: int):
    seeded = torch.Generator().manual_seed(0)
    assert torch.rand(()).item() == torch.rand((), generator=seeded).item()
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("poison_empty")
def test_unwritten_memory_holds_nan():
    x = torch.zeros(2)
    assert torch.empty(3).isnan().all()
    assert torch.empty_like(x).isnan().all()
    assert torch.empty_strided((2, 2), (2, 1)).isnan().all()
    assert x.new_empty(2).isnan().all()
    assert torch.empty(2, dtype=torch.int64).eq(torch.iinfo(torch.int64).max).all()


def test_the_poison_does_not_outlive_its_test():
    assert torch.empty.__module__ is None or "conftest" not in torch.empty.__module__
    assert "poison" not in repr(torch.empty)
