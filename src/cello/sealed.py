"""Sealed files: tensors as safetensors, and the check that they are read as they were written.

Saved models, checkpoints and recordings are made of these; nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cello._version import __version__
from cello.errors import ModelError
from cello.files import seal
from cello.ranges import shown

__all__ = ["check_format", "check_seal", "own_memory", "tensors_of", "to_bytes"]


def to_bytes(tensors: Mapping[str, Tensor], **head: str) -> bytes:
    """Tensors as the bytes of a safetensors file, with texts in its head.

    Raises:
        ModelError: the format does not know such tensors.
    """
    import safetensors.torch

    try:
        return safetensors.torch.save(own_memory(tensors), head or None)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"the tensors cannot be saved: {error}") from error


def tensors_of(data: bytes, what: str) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file.

    Raises:
        ModelError: there are none; `what` names the file.
    """
    import safetensors.torch

    try:
        return safetensors.torch.load(data)
    except Exception as error:  # whatever the package raises on bytes that it cannot read
        raise ModelError(f"{what} is damaged: {error}") from error


def check_seal(data: bytes, expected: Mapping[str, Any], what: str) -> None:
    """Check that bytes are those of which `files.seal` told.

    Raises:
        ModelError: they are not; `what` names the file.
    """
    if len(data) != expected["bytes"]:
        raise ModelError(
            f"{what} is damaged: it has {len(data)} bytes instead of {expected['bytes']}"
        )
    if seal(data)["sha256"] != expected["sha256"]:
        raise ModelError(f"{what} is damaged: its SHA-256 is not the one that was written down")


def check_format(head: Mapping[str, Any], what: str, *, newest: int, oldest: int = 1) -> None:
    """Check the format that a file's head states; formats from `oldest` to `newest` can be read.

    Raises:
        ModelError: it is another one, or none; `what` names the file.

    >>> check_format({"format": 2}, "a file", newest=2)
    """
    number = head.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ModelError(
            f"{what} is damaged: format must be from 1 to {newest}, got {shown(number)}"
        )
    if oldest <= number <= newest:
        return
    by = head.get("cello")
    writer = f", written by Cello {shown(by).strip(chr(39))}" if by is not None else ""
    reads = f"up to {newest}" if oldest == 1 else f"from {oldest} to {newest}"
    advice = ": update Cello" if number > newest else ""
    raise ModelError(
        f"{what} is of format {shown(number)}{writer}; this one, {__version__}, reads "
        f"{reads}{advice}"
    )


def own_memory(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU that share no memory, as the safetensors format wants them."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        alone = place not in seen and plain.untyped_storage().nbytes() == plain.nbytes
        result[name] = plain if alone else plain.clone()
        seen.add(place)
    return result
