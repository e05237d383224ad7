"""Sequences without padding: the one form in which layers hand them on.

Whatever a user passes (time-major, batch-first, unbatched, with lengths, packed) becomes rows
sorted by length, the rows of step 0 first, then those of step 1, and so on; and goes back into
the form in which it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from cello.cells.contract.shapes import INTEGERS
from cello.cells.contract.step_checks import kind_of
from cello.cells.tracing import is_traced, is_written_down
from cello.engines import Alike, Packing, packing_of
from cello.errors import ArgumentError, DtypeError, EngineError, ShapeError

__all__ = ["Steps", "of_its_own"]


@dataclass(eq=False)
class Steps:
    """The steps of a batch of sequences, without padding.

    Attributes:
        data: one row for each step of each sequence, [N, ...].
        batch_sizes: how many sequences have a step t, for each t that any has; never growing.
        length: T, the steps of the padded form.
        batch_size: B, sequences; those without any step count too.
        packing: where the rows of `data` stand when padded; None if all are there.
        lengths: of each sequence in the user's order, [B]; None if all are T. With lengths but no
            packing there is padding all the same, for `torch.compile` may not look at lengths.
        form: how it goes back: "TB", "BT", "T" (unbatched), "packed", or "pooled" and "pooled T"
            if there is one row for each sequence and no axis of time any more.
        whole: what goes back, if it is at hand: its rows are `data`. (To take it apart and put it
            together again is more than `torch.export` can follow for a batch of any size.)
        source: the `PackedSequence` that came, if there is padding now, in the user's order.
    """

    data: Tensor
    batch_sizes: Sequence[int]
    length: int
    batch_size: int
    packing: Packing | None
    lengths: Tensor | None
    form: str
    whole: Tensor | None = None
    source: PackedSequence | None = None

    @classmethod
    def of(
        cls,
        x: Any,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        batch_first: bool = False,
        unbatched: bool = False,
        called: str = "x",
    ) -> Steps:
        """Take what the user passes.

        Args:
            x: [T, B, ...], [B, T, ...] if `batch_first`, [T, ...] if `unbatched`, or a
                `PackedSequence`.
            lengths: integers [B], a tensor or a list, each from 0 to T.
            batch_first: whether the batch is the first axis of x.
            unbatched: whether x is a single sequence.
            called: the user's word for x.

        Raises:
            DtypeError: x is no tensor, or lengths are not integers.
            ShapeError: lengths are not one for each sequence.
            ArgumentError: a length is negative or beyond T, or lengths come with a packed or
                unbatched x.
        """
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ArgumentError("lengths come with a PackedSequence already: pass only one")
            return cls._of_packed(x)
        if not isinstance(x, Tensor):
            raise DtypeError(f"{called} must be a tensor or a PackedSequence, got {kind_of(x)}")
        if unbatched:
            if lengths is not None:
                raise ArgumentError(
                    f"lengths need a batch, got an unbatched {called} {list(x.shape)}; "
                    f"cut {called} instead"
                )
            T = x.shape[0]
            return cls(x, Alike(1, int(T) if is_traced() else T), T, 1, None, None, "T", x)
        whole, form = x, "BT" if batch_first else "TB"
        if batch_first:
            x = x.transpose(0, 1)
        T, B = x.shape[:2]
        flat = x.reshape(T * B, *x.shape[2:])
        traced = is_traced()  # then sizes are tensors, from which those of other calls follow
        sizes = Alike(int(B), int(T)) if traced else Alike(B, T)
        if lengths is None:
            return cls(flat, sizes, T, B, None, None, form, whole)
        lengths = _integers(lengths, B).to(device=x.device, dtype=torch.int64)
        if (traced or torch.compiler.is_compiling()) and x.device.type == "cpu":
            return cls(flat, sizes, T, B, None, lengths, form)
        packing, alive = packing_of(lengths, T)
        return cls(packing.pack(flat), alive, T, B, packing, lengths, form)

    @classmethod
    def _of_packed(cls, x: PackedSequence) -> Steps:
        sizes = x.batch_sizes
        if is_traced() and x.data.device.type == "cpu":  # other calls have other lengths
            padded, lengths = pad_packed_sequence(x)
            return replace(cls.of(padded, lengths=lengths), form="packed", source=x)
        if is_traced():
            raise EngineError(
                "torch.jit.trace would write down the lengths of this PackedSequence for good: "
                "trace the model on the CPU, or let PyTorch's own layer run, nn.LSTM and its kin"
            )
        T, B = len(sizes), int(sizes[0]) if len(sizes) else 0
        device = x.data.device
        order = x.sorted_indices
        rows = torch.arange(B, device=device)
        alive = rows < sizes.to(device)[:, None]
        sequence = rows if order is None else order
        index = (torch.arange(T, device=device)[:, None] * B + sequence)[alive]
        lengths = torch.empty(B, dtype=torch.int64, device=device)
        lengths[sequence] = alive.sum(0)
        packing = Packing(index, order, T * B)
        return cls(x.data, sizes.tolist(), T, B, packing, lengths, "packed")

    @property
    def all_lengths(self) -> Tensor:
        """The length of each sequence, [B], whether or not they may differ."""
        return torch.full((self.batch_size,), self.length) if self.lengths is None else self.lengths

    @property
    def order(self) -> Tensor | None:
        """For each row of a step, its sequence in the user's order; None if the same."""
        return None if self.packing is None else self.packing.order

    @property
    def index(self) -> Tensor | None:
        """For each row of `data`, its place t * B + b when padded; None if all are there."""
        return None if self.packing is None else self.packing.index

    @property
    def is_ragged(self) -> bool:
        """Whether the sequences may differ in length."""
        return self.lengths is not None

    @property
    def is_padded(self) -> bool:
        """Whether they may, and there is padding among the rows."""
        return self.lengths is not None and self.packing is None

    def without_padding(self) -> Steps:
        """The same steps without padding; whoever traces this cannot see through."""
        if not self.is_padded:
            return self
        assert self.lengths is not None
        packing, sizes = packing_of(self.lengths, self.length)
        data = packing.pack(self.data)
        return replace(self, data=data, batch_sizes=sizes, packing=packing, whole=None, source=None)

    @property
    def can_be_packed(self) -> bool:
        """Whether PyTorch can pack them: each sequence has a step."""
        return not self.is_padded and list(self.batch_sizes[:1]) == [self.batch_size]

    def with_data(self, data: Tensor, whole: Tensor | None = None) -> Steps:
        """The same steps with other values, [N, ...]; see `whole`."""
        return Steps(
            data, self.batch_sizes, self.length, self.batch_size, self.packing, self.lengths,
            self.form, whole, self.source,
        )  # fmt: skip

    @property
    def is_pooled(self) -> bool:
        """Whether there is no axis of time any more."""
        return self.form.startswith("pooled")

    def pooled(self, data: Tensor) -> Steps:
        """One row for each sequence, in the user's order, and no axis of time, [B, ...]."""
        form = "pooled T" if self.form == "T" else "pooled"
        return Steps(data, Alike(self.batch_size, 1), 1, self.batch_size, None, None, form)

    def map(self, function: Callable[[Any], Any]) -> Steps:
        """Apply a module to the rows if lengths differ, else to the tensor as the user has it."""
        if self.is_ragged or self.is_pooled:
            return self.with_data(function(self.data))
        whole = result = function(self.to_user())
        if not isinstance(result, Tensor):
            name = type(function).__name__
            raise DtypeError(
                f"{name} between layers must return a tensor, it returned {kind_of(result)}"
            )
        if self.form == "BT":
            result = result.transpose(0, 1)
        axes = 1 if self.form == "T" else 2
        if tuple(result.shape[:axes]) != (self.length, self.batch_size)[:axes]:
            raise ShapeError(
                f"{type(function).__name__} between layers must keep the axes of time and batch, "
                f"{[self.length, self.batch_size][:axes]}; it returned {list(result.shape)}"
            )
        rows = self.length * self.batch_size
        return self.with_data(result.reshape(rows, *result.shape[axes:]), whole)

    def pad(self, data: Tensor) -> Tensor:
        """Rows [N, ...] as a time-major tensor [T, B, ...], zero where there is no step."""
        flat = data if self.packing is None else self.packing.pad(data)
        padded = flat.reshape(self.length, self.batch_size, *data.shape[1:])
        if not self.is_padded:
            return padded
        assert self.lengths is not None
        alive = torch.arange(self.length, device=data.device)[:, None] < self.lengths
        return torch.where(alive.reshape(*alive.shape, *[1] * (data.dim() - 1)), padded, 0)

    def unpad(self, padded: Tensor) -> Tensor:
        """A time-major tensor [T, B, ...] as rows [N, ...]."""
        flat = padded.reshape(self.length * self.batch_size, *padded.shape[2:])
        return flat if self.packing is None else self.packing.pack(flat)

    def to_user(self) -> Any:
        """In the form in which it came."""
        if self.form == "packed":
            return self.packed()
        if self.whole is not None:
            return self.whole
        if self.form in ("T", "pooled"):
            return of_its_own(self.data)
        if self.form == "pooled T":
            return self.data[0]
        padded = self.pad(self.data)
        return padded.transpose(0, 1) if self.form == "BT" else padded

    def packed(self) -> PackedSequence:
        """As PyTorch packs them; sequences without any step are none for it."""
        if self.source is not None:
            _, sizes, order, inverse = self.source
            assert self.lengths is not None
            rows, lengths = self.pad(self.data), self.lengths
            if order is not None:
                rows, lengths = rows[:, order], lengths[order]
            packed = pack_padded_sequence(rows, lengths)
            return PackedSequence(packed.data, sizes, order, inverse)
        sizes = torch.tensor(self.batch_sizes, dtype=torch.int64)
        inverse = None if self.packing is None else self.packing.inverse
        return PackedSequence(of_its_own(self.data), sizes, self.order, inverse)

    def like_user(self, name: str, value: Tensor, axes: int, called: str = "x") -> Tensor:
        """Rows [N, ...] of something that the user passes beside x, in the form of x.

        Args:
            name: what the user calls it.
            value: in the form of x; for a packed x in its padded time-major form.
            axes: how many axes there are, those of time and batch included.
            called: what the user calls x.
        """
        expected = {"T": [self.length], "BT": [self.batch_size, self.length]}.get(
            self.form, [self.length, self.batch_size]
        )
        axes -= self.form == "T"
        if not isinstance(value, Tensor):
            raise DtypeError(f"{name} must be a tensor, got {type(value).__name__}")
        if value.dim() != axes or list(value.shape[: len(expected)]) != expected:
            wanted = ", ".join(map(str, expected)) + ", size" * (axes - len(expected))
            raise ShapeError(f"{name} must be [{wanted}] to fit {called}, got {list(value.shape)}")
        if self.form == "T":
            return value
        return self.unpad(value.transpose(0, 1) if self.form == "BT" else value)

    def sort_state(self, state: Any) -> tuple[Tensor, ...]:
        """States [B, size] from the user's order of sequences to that of the rows."""
        return tuple(state if self.packing is None else map(self.packing.sort, state))

    def unsort_state(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """States [B, size] back to the user's order of sequences."""
        return state if self.packing is None else tuple(map(self.packing.unsort, state))


def of_its_own(tensor: Tensor) -> Tensor:
    """The same tensor with a place of its own in autograd's graph.

    A hook on one of several results of an operation is called with None where only the others have
    a gradient.
    """
    # A trace is to be the same with gradients and without.
    return tensor.view_as(tensor) if tensor.requires_grad or is_written_down() else tensor


def _integers(lengths: Any, B: int) -> Tensor:
    if isinstance(lengths, (list, tuple)) and {*map(type, lengths)} <= {int}:
        lengths = torch.tensor(lengths, dtype=torch.int64)
    if not isinstance(lengths, Tensor) or lengths.dtype not in INTEGERS:
        what = lengths.dtype if isinstance(lengths, Tensor) else kind_of(lengths)
        if isinstance(lengths, (list, tuple)):
            what = f"{what} of {', '.join(sorted({type(one).__name__ for one in lengths}))}"
        raise DtypeError(f"lengths must be a tensor of integers, got {what}")
    if list(lengths.shape) != [B]:
        raise ShapeError(f"lengths must be [{B}], one for each sequence, got {list(lengths.shape)}")
    return lengths
