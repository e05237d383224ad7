"""Saved models: a folder with a config that people can read, and the weights.

::

    config.json            {"format": 1, "cello": "0.1.0", "net": {...}, "task": {...},
                            "weights": {"file": ..., "bytes": ..., "sha256": ..., "shared": {...}}}
    weights.safetensors

Loading runs no code from the files: `net` is a specification (see `cello.convert.spec`), and
safetensors holds numbers only.

A model that is there is replaced in an order that leaves a whole one at every moment. The new
weights are written beside the old ones; then the new config takes the old one's place, in one
step; then the weights do. Whoever reads between the last two steps finds by the config's SHA-256
that the new weights still bear the other name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello._version import __version__
from cello.convert.kinds import KINDS
from cello.convert.spec import net_from_spec, net_to_spec
from cello.errors import ModelError
from cello.files import own_memory, seal, sync_folder, write

__all__ = ["FORMAT", "load_model", "read_config", "save_model"]

#: Of config.json; raised when an older Cello could not read what a newer one writes.
FORMAT = 1

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
_NEXT = ".next"


def save_model(
    net: nn.Module, folder: str | Path, *, task: Mapping[str, Any] | None = None
) -> None:
    """Write `net` into `folder`, which is made if need be; other files in it stay.

    Args:
        net: any network that `cello.convert.net_to_spec` can write down.
        folder: where to; a model that is there is replaced only once the new one is whole.
        task: what is needed to use the network, such as a vocabulary, as JSON.

    Raises:
        ModelError: a part of the network cannot be written down, or the files cannot be written.

    >>> import tempfile
    >>> net = nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(net, folder)
    ...     again = load_model(folder)
    >>> torch.equal(again.weight, net.weight)
    True
    """
    folder = Path(folder)
    tensors, shared = _tensors(net)
    spec = net_to_spec(net)
    _check_rebuilt(net, spec)
    data = _to_bytes(tensors)
    config = {
        "format": FORMAT,
        "cello": __version__,
        "net": spec,
        "task": dict(task) if task is not None else None,
        "weights": {"file": WEIGHTS, **seal(data), "shared": shared},
    }
    try:
        text = json.dumps(config, indent=1, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(f"task must be made of what JSON can hold: {error}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _finish(folder)
        write(folder / (WEIGHTS + _NEXT), data)
        write(folder / (CONFIG + _NEXT), text)
        os.replace(folder / (CONFIG + _NEXT), folder / CONFIG)
        os.replace(folder / (WEIGHTS + _NEXT), folder / WEIGHTS)
        sync_folder(folder)
    except OSError as error:
        raise ModelError(f"cannot write the model {folder}: {error}") from error


def load_model(folder: str | Path, cells: Iterable[type[nn.Module]] = ()) -> nn.Module:
    """The network that `save_model` wrote, on the CPU, in eval mode, with the very same weights.

    Args:
        folder: the model.
        cells: the classes of the cells and modules in it that are not Cello's.

    Raises:
        ModelError: there is no model in `folder`, it is damaged, of a newer format, needs a class
            that is not in `cells`, or its weights do not fit its network.
    """
    folder = Path(folder)
    config = read_config(folder)
    weights, shared = _read_weights(folder, config["weights"])
    try:
        with torch.random.fork_rng(devices=[]):
            net = net_from_spec(config["net"], cells)
    except ModelError as error:
        raise ModelError(f"{folder / CONFIG}: {error}") from error
    weights |= {alias: weights[name] for alias, name in shared.items() if name in weights}
    if misfits := list(_misfits(net, weights)):
        raise ModelError(
            f"{folder / WEIGHTS} does not fit the network in {CONFIG}: {'; '.join(misfits)}"
        )
    kinds = {value.dtype for value in weights.values() if value.is_floating_point()}
    if len(kinds) == 1:
        net = net.to(kinds.pop())  # also what is not saved, such as the 1 of a one-hot encoder
    net.load_state_dict(weights, assign=True)
    for alias, name in shared.items():
        _put(net, alias, _get(net, name))
    return net.eval()


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config of a saved model: format, cello (the version that wrote it), net, task, weights.

    Raises:
        ModelError: there is no model in `folder`, its config is damaged, or of a newer format.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ModelError(f"{folder} does not exist: expected the folder of a saved model")
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder} is no saved model: it has no {CONFIG}")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    number = config.get("format") if isinstance(config, dict) else None
    if not isinstance(number, int):
        raise ModelError(f"{path} is not the config of a model of Cello: it states no format")
    if number > FORMAT:
        raise ModelError(
            f"{path} is of format {number}, written by Cello {config.get('cello')}; this one, "
            f"{__version__}, reads up to {FORMAT}: update Cello"
        )
    for key in ("net", "weights"):
        if not isinstance(config.get(key), dict):
            raise ModelError(f"{path} is damaged: {key} is missing or no table")
    return config


# ------------------------------------------------------------ tensors of a network


def _tensors(net: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of `net` by name, each once, and for its other names the first one."""
    first: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, value in net.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{name} is of type {type(value).__name__}: only tensors can be saved")
        if id(value) in first:
            shared[name] = first[id(value)]
        else:
            first[id(value)] = name
            tensors[name] = value
    return tensors, shared


def _to_bytes(tensors: dict[str, Tensor]) -> bytes:
    import safetensors.torch

    try:
        return safetensors.torch.save(own_memory(tensors))
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"the weights cannot be saved: {error}") from error


def _check_rebuilt(net: nn.Module, spec: dict[str, Any]) -> None:
    """Make sure now that what is saved can be loaded again."""
    used = {type(module) for module in net.modules()}
    own = [c for c in used if c.__name__ not in KINDS and _names_itself(spec, c.__name__)]
    with torch.random.fork_rng(devices=[]):
        again = net_from_spec(spec, own)
    if misfits := list(_misfits(again, net.state_dict())):
        raise ModelError(
            "the network cannot be saved: it does not have the parameters that its arguments make: "
            + "; ".join(misfits)
        )


def _names_itself(spec: Any, name: str) -> bool:
    """Whether a table in `spec` has this type."""
    if isinstance(spec, dict):
        return spec.get("type") == name or any(_names_itself(v, name) for v in spec.values())
    return isinstance(spec, list) and any(_names_itself(part, name) for part in spec)


def _misfits(net: nn.Module, weights: Mapping[str, Tensor]) -> Iterable[str]:
    """What of `weights` does not fit `net`, by name and shape."""
    wanted = net.state_dict()
    for name, value in wanted.items():
        if name not in weights:
            yield f"{name} is missing"
        elif weights[name].shape != value.shape:
            yield f"{name} must be {list(value.shape)}, found {list(weights[name].shape)}"
    for name in weights:
        if name not in wanted:
            yield f"{name} is not in the network"


def _get(net: nn.Module, name: str) -> Any:
    owner, _, leaf = name.rpartition(".")
    return getattr(net.get_submodule(owner), leaf)


def _put(net: nn.Module, name: str, value: Any) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(owner), leaf, value)


# ------------------------------------------------------------ files


def _read_weights(folder: Path, entry: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights that the config means, wherever they are; and the other names of shared ones."""
    import safetensors.torch

    expected = {key: entry.get(key) for key in ("bytes", "sha256")}
    data = _read(folder / WEIGHTS)
    if data is None or seal(data) != expected:
        newer = _read(folder / (WEIGHTS + _NEXT))
        if newer is not None and seal(newer) == expected:
            data = newer
    path = folder / WEIGHTS
    if data is None:
        raise ModelError(f"{folder} is no whole model: it has no {WEIGHTS}")
    if len(data) != expected["bytes"]:
        raise ModelError(
            f"{path} is damaged: it has {len(data)} bytes instead of {expected['bytes']}"
        )
    if seal(data) != expected:
        raise ModelError(f"{path} is damaged: its SHA-256 is not the one in {CONFIG}")
    shared = entry.get("shared", {})
    try:
        return safetensors.torch.load(data), dict(shared)
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _finish(folder: Path) -> None:
    """Bring to its end a replacement that was cut off between its last two steps."""
    try:
        expected = read_config(folder)["weights"]
    except ModelError:
        return
    newer, data = folder / (WEIGHTS + _NEXT), _read(folder / (WEIGHTS + _NEXT))
    if data is not None and seal(data)["sha256"] == expected.get("sha256"):
        os.replace(newer, folder / WEIGHTS)
