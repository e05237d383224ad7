"""Saved models: a folder with a config that people can read, and the weights.

::

    config.json            {"format": 1, "cello": "0.1.0", "net": {...}, "task": {...},
                            "weights": {"file": ..., "bytes": ..., "sha256": ..., "shared": {...}}}
    weights.safetensors

Loading runs no code from the files: `net` is a specification (see `cello.convert.spec`), and
safetensors holds numbers only.

A model that is there is replaced in an order that leaves a whole one at every moment. The new
weights are written beside the old ones, under a name that nobody else uses; then the new config
takes the old one's place, in one step; then the weights do. Whoever reads between the last two
steps finds by the config's SHA-256 that the new weights still bear the other name.
"""

from __future__ import annotations

import json
import operator
import secrets
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello._version import __version__
from cello.convert.config import CONFIG, FORMAT, read_config
from cello.convert.kinds import KINDS, classes_of
from cello.convert.proved import not_numbers
from cello.convert.spec import net_from_spec, net_to_spec
from cello.errors import ModelError
from cello.files import rename, seal, sync_folder, write
from cello.ranges import shown
from cello.sealed import check_seal, tensors_of, to_bytes

__all__ = ["load_model", "model_files", "save_model"]

WEIGHTS = "weights.safetensors"
_NEXT = ".{}.next-"
#: What weights may be made of: what cells can be run in.
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
#: So many faults at most are named.
_LISTED = 5
_QUOTES = "'\""


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
    text, data = model_files(net, task)
    there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _finish(folder)
        _replace_both(folder, text, data)
        for left_over in (*_pending(folder, CONFIG), *_pending(folder, WEIGHTS)):
            left_over.unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        if not there:
            with suppress(OSError):
                folder.rmdir()  # which is empty
        raise ModelError(f"cannot write the model {folder}: {error}") from error


def model_files(net: nn.Module, task: Mapping[str, Any] | None = None) -> tuple[bytes, bytes]:
    """What `save_model` writes: the config and the weights.

    Raises:
        ModelError: a part of the network cannot be written down, or `task` is no JSON.
    """
    tensors, shared = _tensors(net)
    spec = net_to_spec(net)
    _check_rebuilt(net, spec)
    data = to_bytes(tensors)
    config = {
        "format": FORMAT,
        "cello": __version__,
        "net": spec,
        "task": dict(task) if task is not None else None,
        "weights": {"file": WEIGHTS, **seal(data), "shared": shared},
    }
    try:
        return json.dumps(config, indent=1, ensure_ascii=False).encode(), data
    except (TypeError, ValueError) as error:
        raise ModelError(f"task must be made of what JSON can hold: {error}") from error


def load_model(folder: str | Path, cells: Iterable[type[nn.Module]] = ()) -> nn.Module:
    """The network that `save_model` wrote, on the CPU, in eval mode, with the very same weights.

    Args:
        folder: the model.
        cells: the classes of the cells and modules in it that are not Cello's.

    Raises:
        ModelError: there is no model in `folder`, it is damaged, of a newer format, needs a class
            that is not in `cells`, or its weights do not fit its network.
        DtypeError: `cells` is no list of classes.
    """
    folder = Path(folder)
    config = read_config(folder)
    spec, cells = config["net"], classes_of(cells)
    outline = _outline(spec, cells, folder)
    weights = _read_weights(folder, config["weights"])
    shared = config["weights"].get("shared", {})
    if alone := [alias for alias, name in shared.items() if name not in weights]:
        raise ModelError(
            f"{folder / CONFIG} is damaged: weights.shared says that {shown(alone[0])} is "
            f"{shown(shared[alone[0]])}, which is not in {WEIGHTS}"
        )
    weights |= {alias: weights[name] for alias, name in shared.items()}
    if outline is not None:  # told before anything of the sizes in the config is made
        _check_fit(outline, weights, folder)
    net = _built(spec, cells, folder, "cpu")
    _check_fit(net, weights, folder)
    kinds = {value.dtype for value in weights.values() if value.is_floating_point()}
    if len(kinds) == 1:
        net = net.to(kinds.pop())  # also what is not saved, such as the 1 of a one-hot encoder
    net.load_state_dict(weights, assign=True)
    for alias, name in shared.items():
        _share(net, alias, name, folder)
    if said := not_numbers(net):
        warnings.warn(f"{folder / WEIGHTS}: {said}", stacklevel=2)
    return net.eval()


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


def _check_rebuilt(net: nn.Module, spec: dict[str, Any]) -> None:
    """Make sure now that what is saved can be loaded again."""
    used = {type(module) for module in net.modules()}
    own = [c for c in used if c.__name__ not in KINDS and _names_itself(spec, c.__name__)]
    with torch.random.fork_rng(devices=[]):
        again = net_from_spec(spec, own)
    if misfits := _misfits(again, net.state_dict()):
        raise ModelError(
            "the network cannot be saved: it does not have the parameters that its arguments make: "
            + misfits
        )


def _names_itself(spec: Any, name: str) -> bool:
    """Whether a table in `spec` has this type."""
    if isinstance(spec, dict):
        return spec.get("type") == name or any(_names_itself(v, name) for v in spec.values())
    return isinstance(spec, list) and any(_names_itself(part, name) for part in spec)


def _built(spec: Any, cells: tuple[type[nn.Module], ...], folder: Path, device: str) -> nn.Module:
    """The network of the config, with random weights; the global generator stays as it was."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            return net_from_spec(spec, cells)
    except ModelError as error:
        raise ModelError(f"{folder / CONFIG}: {error}") from error


def _outline(spec: Any, cells: tuple[type[nn.Module], ...], folder: Path) -> nn.Module | None:
    """The network without memory for its weights; None if a class of the caller's needs some."""
    try:
        return _built(spec, cells, folder, "meta")
    except ModelError:
        if cells:
            return None
        raise


def _check_fit(net: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    if misfits := _misfits(net, weights):
        raise ModelError(f"{folder / WEIGHTS} does not fit the network in {CONFIG}: {misfits}")


def _misfits(net: nn.Module, weights: Mapping[str, Tensor]) -> str:
    """What of `weights` does not fit `net`, by name, shape and kind of number; "" if all does."""
    wanted = net.state_dict()
    found = []
    for name, value in wanted.items():
        if name not in weights:
            found.append(f"{name} is missing")
        elif weights[name].shape != value.shape:
            found.append(f"{name} must be {list(value.shape)}, found {list(weights[name].shape)}")
        elif not _same_kind(weights[name].dtype, value.dtype):
            kind = "floating point numbers" if value.is_floating_point() else value.dtype
            found.append(f"{name} must be {kind}, found {weights[name].dtype}")
    found += [
        f"{shown(name).strip(_QUOTES)} is not in the network" for name in weights.keys() - wanted
    ]
    more = f"; and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    return "; ".join(found[:_LISTED]) + more


def _same_kind(dtype: torch.dtype, wanted: torch.dtype) -> bool:
    return dtype == wanted or (dtype in _FLOATS and wanted in _FLOATS)


def _share(net: nn.Module, alias: str, name: str, folder: Path) -> None:
    """Let the parameter `alias` be the parameter `name`."""
    values = [operator.attrgetter(each)(net) for each in (alias, name)]
    if not all(isinstance(value, nn.Parameter) for value in values):
        raise ModelError(
            f"{folder / CONFIG} is damaged: weights.shared must name parameters, got {alias!r} "
            f"and {name!r}"
        )
    owner, _, leaf = alias.rpartition(".")
    setattr(net.get_submodule(owner), leaf, values[1])


# ------------------------------------------------------------ files


def _read_weights(folder: Path, entry: dict[str, Any]) -> dict[str, Tensor]:
    """The weights that the config means, wherever they are."""
    expected = {key: entry.get(key) for key in ("bytes", "sha256")}
    data = _read(folder / WEIGHTS)
    if data is None or seal(data) != expected:
        found = (_read(path) for path in _pending(folder, WEIGHTS))
        data = next((d for d in found if d is not None and seal(d) == expected), data)
    path = folder / WEIGHTS
    if data is None:
        raise ModelError(f"{folder} is no whole model: it has no {WEIGHTS}")
    check_seal(data, expected, str(path))
    return tensors_of(data, str(path))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _pending(folder: Path, name: str) -> list[Path]:
    """Files that are still to take the place of `name`, or never will."""
    return sorted(folder.glob(_NEXT.format(name) + "*"))


def _replace_both(folder: Path, text: bytes, data: bytes) -> None:
    token = secrets.token_hex(8)
    config, weights = (folder / (_NEXT.format(name) + token) for name in (CONFIG, WEIGHTS))
    try:
        write(weights, data)
        write(config, text)
        rename(config, folder / CONFIG)
    except OSError:
        config.unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
        raise
    rename(weights, folder / WEIGHTS)


def _finish(folder: Path) -> None:
    """Bring to its end a replacement that was cut off between its last two steps."""
    try:
        expected = read_config(folder)["weights"]
    except ModelError:
        return
    for path in _pending(folder, WEIGHTS):
        data = _read(path)
        if data is not None and seal(data)["sha256"] == expected.get("sha256"):
            rename(path, folder / WEIGHTS)
