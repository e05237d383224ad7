"""The recorded values of one layer and direction, kept in as little memory as possible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from cello.cells import Cell
from cello.errors import ArgumentError
from cello.layers import Steps
from cello.see.numbers import whole
from cello.see.recording.source import Source

__all__ = ["Keeper", "LayerRows", "nbytes"]


@dataclass(eq=False, repr=False)
class LayerRows:
    """The recorded values of one run of a cell through time.

    Attributes:
        layer: where the cell is in the net, such as "0.forward"; "" if it is the whole net.
        steps: which row belongs to which step of which sequence (without data).
        rows: the values by name, each [N, ...], in the order in which the step makes them.
        source: what they were computed from, if that is known.
    """

    layer: str
    steps: Steps
    rows: dict[str, Tensor] = field(default_factory=dict)
    source: Source | None = None

    @property
    def cell(self) -> Cell | None:
        """The cell that ran, if that is known."""
        return None if self.source is None else self.source.cell

    @property
    def parameters(self) -> list[Tensor]:
        """Those of the cell, if that is known."""
        return [] if self.cell is None else list(self.cell.parameters())

    def reads_backward(self, batch: int) -> bool:
        """Whether it reads from the end: its old state is that of the step after."""
        if self.layer.rpartition(".")[2] == "backward":
            return True
        for name, old in self.rows.items():
            state = self.rows.get(name.removesuffix("_prev"))
            if name.endswith("_prev") and state is not None and self.length(batch) > 1:
                before, after = self.sequence(old, batch), self.sequence(state, batch)
                there = torch.equal(before[1:], after[:-1])
                return torch.equal(before[:-1], after[1:]) and not there
        return False

    def length(self, batch: int) -> int:
        """The number of steps of sequence `batch`.

        Raises:
            ArgumentError: there is no such sequence.
        """
        batch = whole("batch", batch)
        if not 0 <= batch < self.steps.batch_size:
            raise ArgumentError(
                f"batch={batch} is no sequence of this recording, which has "
                f"{self.steps.batch_size}, counted from 0"
            )
        lengths = self.steps.lengths
        return self.steps.length if lengths is None else int(lengths[batch])

    def rows_of(self, batch: int) -> Tensor:
        """The numbers of the rows of sequence `batch`, step by step."""
        places = torch.arange(self.length(batch)) * self.steps.batch_size + batch
        packing = self.steps.packing
        if packing is None:
            return places
        row_at, index = torch.full((packing.padded,), -1), packing.index.cpu()
        row_at[index] = torch.arange(len(index))
        return row_at[places]

    def row_of(self, t: int, batch: int) -> int:
        """The number of the row that belongs to step t of sequence `batch`.

        Raises:
            ArgumentError: there is no such step or sequence.
        """
        length = self.length(batch)
        if not 0 <= t < length:
            raise ArgumentError(
                f"t={t} is no step of sequence {batch}, which has {length}, counted from 0"
            )
        return int(self.rows_of(batch)[t])

    def sequence(self, rows: Tensor, batch: int, steps: slice = slice(None)) -> Tensor:
        """Sequence `batch` of one of the values, or some steps of it, on the CPU: [steps, size]."""
        own = rows.detach()[self.rows_of(batch)[steps].to(rows.device)].cpu()
        return own.reshape(len(own), math.prod(rows.shape[1:]))


def nbytes(tensors: Iterable[Tensor]) -> int:
    """The memory that the tensors take, what they share counted once."""
    storages = {_address(tensor): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else -1


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Tensors with the same place are the same values."""
    return _address(tensor), tensor.storage_offset(), tensor.shape, tensor.stride()


class Keeper:
    """Keeps what a layer recorded, in memory of its own and no more than that.

    A layer's input, output and state belong to others, who may change them in place; so do
    parameters. What lies in their memory is copied, and so is what is only a small part of the
    memory that it lies in. What two layers share is copied once.
    """

    def __init__(self) -> None:
        self.copies: list[tuple[Any, int, Tensor]] = []  # weakly: original, its version, the copy

    def keep(self, recorded: Mapping[str, Tensor], foreign: Iterable[Tensor]) -> dict[str, Tensor]:
        """The recorded tensors; `foreign` are those whose memory belongs to others."""
        theirs = {_address(tensor) for tensor in foreign}
        used: dict[int, int] = {}
        for tensor in {_place(t): t for t in recorded.values()}.values():
            used[_address(tensor)] = used.get(_address(tensor), 0) + tensor.nbytes
        kept: dict[tuple[Any, ...], Tensor] = {}
        for tensor in recorded.values():
            if _place(tensor) in kept:
                continue
            address = _address(tensor)
            fills = used[address] == tensor.untyped_storage().nbytes()
            copies = address in theirs or not fills
            kept[_place(tensor)] = self.copy(tensor) if copies else tensor
        return {name: kept[_place(tensor)] for name, tensor in recorded.items()}

    def copy(self, tensor: Tensor) -> Tensor:
        """A copy, the same one each time unless the tensor has changed."""
        version = -1 if tensor.is_inference() else tensor._version
        for original, then, copy in self.copies:
            if original() is tensor and version == then >= 0:
                return copy
        copy = tensor.clone(memory_format=torch.contiguous_format)
        self.copies.append((ref(tensor), version, copy))
        return copy
