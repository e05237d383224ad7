"""What a resumed run must share with the run that it continues; errors name what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from cello.errors import ArgumentError
from cello.tasks.base import Batch, Task

__all__ = ["check_same", "content", "training_data", "weights_of"]


def training_data(task: Task, batches: Sequence[Batch]) -> dict[str, Any]:
    """The number of batches of the first epoch, and a hash of the training data."""
    found = content(task, "train") or _hash(_parts(batches))
    return {"batches": len(batches), "content": found}


def content(task: Task, split: str) -> str | None:
    """A hash of all the data of a split; None if there are none, or the task does not show them."""
    data = getattr(task, "data", None)
    if data is None or (split != "train" and split not in task.splits):
        return None
    return _hash(data(split))


def _parts(batches: Iterable[Batch]) -> Iterable[Any]:
    for batch in batches:
        yield from (value for _, value in sorted(vars(batch).items()))


def _hash(values: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            array = value.detach().cpu().contiguous().numpy()
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(memoryview(array))  # type: ignore[arg-type]
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]


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
    if path[-1] == "content":
        raise ArgumentError(
            f"cannot resume from {where}: the {path[0]} are not those that the checkpoint was made "
            f"with (hash {new}, not {old}); resume with the same, or train in another folder"
        )
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
