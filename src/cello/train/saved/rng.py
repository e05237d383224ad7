"""The random number generators that training may draw from, as plain values and tensors."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

__all__ = ["capture", "restore", "seed_all"]


def seed_all(seed: int) -> None:
    """Seed torch (on every device), NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def capture(device: torch.device) -> dict[str, Any]:
    """The state of every generator, and of that of `device`, if it is an accelerator."""
    legacy: Any = np.random.get_state(legacy=True)
    _, words, place, has_gauss, gauss = legacy
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (torch.from_numpy(words.astype(np.int64)), place, has_gauss, gauss),
        "python": random.getstate(),
    }
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state(device)
    return states


def restore(states: dict[str, Any], device: torch.device) -> None:
    """Put every generator into the state that `capture` saw."""
    torch.set_rng_state(states["torch"].cpu())
    words, place, has_gauss, gauss = states["numpy"]
    words = words.cpu().numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, place, has_gauss, gauss))
    random.setstate(states["python"])
    if "device" in states:
        torch.get_device_module(device).set_rng_state(states["device"].cpu(), device)
