"""`cello.RNN`, `cello.LSTM` and `cello.GRU`: PyTorch's layers, with what those keep sealed.

They are subclasses of their namesakes and hold the same parameters under the same names. As long
as nothing is asked of them that those cannot do, PyTorch's own code runs; else our cells run over
the very same parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn import functional as F

from cello.cells import Cell, TorchGRUCell, TorchLSTMCell, TorchRNNCell, share_parameters
from cello.engines import current_engine, in_transform
from cello.errors import ArgumentError, DtypeError, ShapeError
from cello.layers.layer import c_of, check_input, check_reset
from cello.layers.observe import observer
from cello.layers.recurrent import Recurrent
from cello.layers.steps import Steps
from cello.layers.stream import BOTH_WAYS, Stepper
from cello.layers.through_time import run_cell

__all__ = ["GRU", "LSTM", "RNN", "DropIn", "accelerate"]


class DropIn(nn.RNNBase):
    """What the three have in common; see `LSTM`."""

    def _new_cell(self, input_size: int) -> Cell:
        raise NotImplementedError

    def forward(
        self,
        input: Any,  # noqa: A002 - PyTorch's name
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run through time; see `LSTM`."""
        full = isinstance(input, Tensor) and input.numel() and lengths is None and reset is None
        if full and _torchs_may_run() and observer() is None:
            self._parts(hx)
            return super().forward(input, hx)
        steps = check_input(self, input, lengths, self.batch_first)
        done, state = self.run(steps, hx, check_reset(steps, reset))
        return done.to_user(), state

    def run(self, steps: Steps, hx: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run over steps; the state comes and goes as PyTorch has it.

        PyTorch's code for sequences of different lengths is slower than ours, and it has none for
        resets.
        """
        torchs = reset is None and not steps.is_ragged and len(steps.data)
        if not torchs or not _torchs_may_run():
            return self._run_cells(steps, hx, reset)
        if observer() is not None:
            # Our cells show what happens; the result is that of PyTorch's code, to the bit.
            with torch.random.fork_rng(enabled=self.training and self.dropout > 0):
                self._run_cells(steps, hx, reset)
        return self._run_torch(steps, hx)

    def _run_torch(self, steps: Steps, hx: Any) -> tuple[Steps, Any]:
        """Run PyTorch's own code."""
        if steps.form == "T":
            y, state = super().forward(steps.data, hx)
            return steps.with_data(y), state
        x = steps.pad(steps.data)
        y, state = super().forward(x.transpose(0, 1) if self.batch_first else x, hx)
        y = y.transpose(0, 1) if self.batch_first else y
        return steps.with_data(steps.unpad(y)), state

    def _run_cells(self, steps: Steps, hx: Any, reset: Tensor | None) -> tuple[Steps, Any]:
        """Run our cells."""
        cells, places = self._cells(), self._places()
        states = self._split_state(hx, cells, steps)
        directions = ("forward", "backward")[: 1 + self.bidirectional]
        final: list[Any] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in directions:
                cell = cells[len(final)]
                made, state = run_cell(
                    cell,
                    steps,
                    states[len(final)],
                    cell.zero_state(
                        steps.batch_size, dtype=steps.data.dtype, device=steps.data.device
                    ),
                    owner=self,
                    place=places[len(final)],
                    reverse=direction == "backward",
                    reset=reset,
                )
                outputs.append(made.data)
                final.append(state)
            data = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
            steps = steps.with_data(data)
        parts = [torch.stack(part) for part in zip(*final, strict=True)]
        if steps.form == "T":
            parts = [part.squeeze(1) for part in parts]
        return steps, tuple(parts) if len(parts) > 1 else parts[0]

    def _parts(self, hx: Any) -> tuple[Tensor, ...]:
        """The tensors of a state as PyTorch has it."""
        if hx is None:
            return ()
        count = 2 if isinstance(self, nn.LSTM) else 1
        parts = (hx,) if isinstance(hx, Tensor) else hx
        fits = isinstance(parts, (tuple, list)) and len(parts) == count
        if not fits or not all(isinstance(part, Tensor) for part in parts):
            wanted = "a tensor h_0" if count == 1 else "a tuple (h_0, c_0)"
            raise DtypeError(f"hx must be {wanted}, got {type(hx).__name__}")
        return tuple(parts)

    def _split_state(self, hx: Any, cells: list[Cell], steps: Steps) -> list[Any]:
        """The state of each cell out of PyTorch's stacked one."""
        if hx is None:
            return [None] * len(cells)
        names, parts = cells[0].state, self._parts(hx)
        unbatched = steps.form == "T"
        for name, part in zip(names, parts, strict=True):
            rows = [] if unbatched else [steps.batch_size]
            expected = [len(cells), *rows, cells[0].state_sizes[name]]
            if list(part.shape) != expected:
                raise ShapeError(f"{name}_0 must be {expected}, got {list(part.shape)}")
            if part.dtype != steps.data.dtype:
                raise DtypeError(
                    f"{name}_0 must have the dtype of the input, {steps.data.dtype}, "
                    f"got {part.dtype}"
                )
        if unbatched:
            parts = tuple(part.unsqueeze(1) for part in parts)
        return list(zip(*(part.unbind(0) for part in parts), strict=True))

    def cells(self) -> dict[str, Cell]:
        """Our cells over the parameters as they are now, by place: "0", or "0.forward", …."""
        return dict(zip(self._places(), self._cells(), strict=True))

    def _places(self) -> list[str]:
        """The name of each cell, in the order of `_cells`."""
        directions = (".forward", ".backward") if self.bidirectional else ("",)
        return [f"{layer}{way}" for layer in range(self.num_layers) for way in directions]

    def _cells(self) -> list[Cell]:
        """Our cells over the parameters as they are now, layer by layer, forward first."""
        kept: list[tuple[Cell, dict[str, Tensor]]] = self.__dict__.get("_kept_cells", [])
        weights = [
            self._weights(f"_l{layer}{suffix}")
            for layer in range(self.num_layers)
            for suffix in ("", "_reverse")[: 1 + self.bidirectional]
        ]
        fits = len(kept) == len(weights) and all(
            all(old[name] is new[name] for name in new)
            for (_, old), new in zip(kept, weights, strict=True)
        )
        if not fits:
            kept = []
            # A new cell draws parameters: for nothing, and no vmap shall mind.
            with temporarily_clear_interpreter_stack(), torch.random.fork_rng(devices=[]):
                for number, own in enumerate(weights):
                    first_layer = number <= int(self.bidirectional)
                    below = (self.proj_size or self.hidden_size) * (1 + self.bidirectional)
                    cell = self._new_cell(self.input_size if first_layer else below)
                    kept.append((share_parameters(cell, own), own))
            self.__dict__["_kept_cells"] = kept  # not a submodule: the parameters are here already
        return [cell for cell, _ in kept]

    def _weights(self, suffix: str) -> dict[str, Tensor]:
        names = ["weight_ih", "weight_hh"]
        names += ["bias_ih", "bias_hh"] if self.bias else []
        names += ["weight_hr"] if self.proj_size else []
        return {name: getattr(self, name + suffix) for name in names}

    def __getstate__(self) -> dict[str, Any]:
        """Without the cells, which are made again."""
        state = dict(super().__getstate__())
        state.pop("_kept_cells", None)
        return state

    def source(self, *, backward: bool = False, whole: bool = False) -> str:
        """The C of the loops of all layers and directions; see `Recurrent.source`.

        Raises:
            EngineError: a cell cannot be compiled; names the reason.
        """
        return c_of(self._cells(), backward=backward, whole=whole)

    def stream(self, batch_size: int = 1) -> Stepper:
        """One step at a time, with the same numbers as the layer in eval mode; see `Stepper`.

        Raises:
            ArgumentError: the layer is bidirectional.
        """
        if self.bidirectional:
            raise ArgumentError(BOTH_WAYS)
        return Stepper([Recurrent(cell) for cell in self._cells()], batch_size)


def _torchs_may_run() -> bool:
    """Whether PyTorch's own code may: no engine is asked for, and no vmap, which it cannot."""
    return current_engine() == "auto" and not in_transform()


class RNN(DropIn, nn.RNN):
    """`torch.nn.RNN` (Elman), with lengths, resets, recording and streaming; see `LSTM`."""

    def _new_cell(self, input_size: int) -> Cell:
        return TorchRNNCell(input_size, self.hidden_size, self.nonlinearity, self.bias)


class LSTM(DropIn, nn.LSTM):
    """`torch.nn.LSTM` with its signature, its state_dict keys and its results, but open.

    Beyond its namesake it takes `lengths` and `reset` (see `Recurrent`), every gate of every step
    can be recorded, and `stream()` runs it one step at a time.

    Called as `layer(input, hx=None, *, lengths=None, reset=None)`.

    Returns:
        The output, and the final state as PyTorch has it: (h_n, c_n), each
        [layers × directions, B, size], never batch-first.

    >>> import cello
    >>> ours, theirs = LSTM(3, 4, num_layers=2), nn.LSTM(3, 4, num_layers=2)
    >>> _ = ours.load_state_dict(theirs.state_dict())
    >>> x = torch.randn(5, 2, 3)
    >>> torch.equal(ours(x)[0], theirs(x)[0])
    True
    """

    def _new_cell(self, input_size: int) -> Cell:
        return TorchLSTMCell(input_size, self.hidden_size, self.bias, self.proj_size or None)


class GRU(DropIn, nn.GRU):
    """`torch.nn.GRU`, with lengths, resets, recording and streaming; see `LSTM`."""

    def _new_cell(self, input_size: int) -> Cell:
        return TorchGRUCell(input_size, self.hidden_size, self.bias)


_OURS: dict[type, type] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


def accelerate(module: nn.Module) -> nn.Module:
    """A copy of `module` in which every `nn.RNN`, `nn.LSTM` and `nn.GRU` is ours.

    The copy shares all parameters and buffers with `module`, which stays as it is: training one
    trains both. Subclasses of those layers are left alone, for they may change what they do.

    Raises:
        DtypeError: not a module.

    >>> model = nn.Sequential(nn.LSTM(3, 4))
    >>> fast = accelerate(model)
    >>> type(fast[0]) is LSTM, fast[0].weight_hh_l0 is model[0].weight_hh_l0
    (True, True)
    """
    if not isinstance(module, nn.Module):
        raise DtypeError(f"module must be an nn.Module, got {type(module).__name__}")
    shared: dict[int, Any] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    twin = copy.deepcopy(module, shared)
    for part in twin.modules():
        if type(part) in _OURS:
            part.__class__ = _OURS[type(part)]
    return twin
