"""What makes a run the run it is, so that a resumed one is the same or says what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from cello.errors import ArgumentError

__all__ = ["check_same", "fingerprint", "weights_of"]


def fingerprint(batches: Sequence[Any]) -> dict[str, Any]:
    """The number of batches, and a hash of what is in the first and the last.

    Where batches are drawn from all the data in a random order, other data make others of them.
    """
    digest = hashlib.sha256()
    for batch in [batches[0], batches[-1]] if len(batches) else []:
        for name, value in sorted(vars(batch).items()):
            if isinstance(value, Tensor):
                array = value.detach().cpu().contiguous().numpy()
                digest.update(f"{name} {array.dtype} {array.shape}".encode())
                digest.update(array.tobytes())
    return {"batches": len(batches), "content": digest.hexdigest()}


def weights_of(net: nn.Module) -> dict[str, Any]:
    """Name, shape and dtype of everything in the state_dict of `net`."""
    return {name: f"{v.dtype} {tuple(v.shape)}" for name, v in net.state_dict().items()}


def check_same(saved: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Compare what a checkpoint was made with to what there is now.

    Raises:
        ArgumentError: something differs: says what, and both values.
    """
    found = _difference(json.loads(json.dumps(saved)), json.loads(json.dumps(now)), ())
    if found is None:
        return
    path, old, new = found
    raise ArgumentError(
        f"cannot resume from {where}: {' '.join(path)} is {_short(new)}, but the checkpoint was "
        f"made with {_short(old)}; resume with the same, or train in another folder"
    )


_MISSING = object()


def _difference(
    old: Any, new: Any, path: tuple[str, ...]
) -> tuple[tuple[str, ...], Any, Any] | None:
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = (*path, str(key))
            found = _difference(old.get(key, _MISSING), new.get(key, _MISSING), inner)
            if found is not None:
                return found
        return None
    return None if old == new else (path, old, new)


def _short(value: Any) -> str:
    text = "absent" if value is _MISSING else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
