"""The layers of PyTorch that there is a drop-in for."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from cello.cells import Cell, TorchGRUCell, TorchLSTMCell, TorchRNNCell
from cello.cells.contract.like import autocast_dtype
from cello.layers.drop_in.base import DropIn

__all__ = ["GRU", "LSTM", "RNN"]


@cache
def _multiplies_bfloat16() -> bool:
    """Whether the processor does, and PyTorch's LSTM with it."""
    able = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # no public function tells
    return torch.backends.mkldnn.is_available() and able is not None and bool(able())


class RNN(DropIn):
    """`torch.nn.RNN` (Elman), with lengths, resets, recording and streaming; see `LSTM`."""

    namesake = nn.RNN
    nonlinearity: str

    def _new_cell(self, input_size: int) -> Cell:
        return TorchRNNCell(input_size, self.hidden_size, self.nonlinearity, self.bias)


class _ForTheCodeOfLSTM(DropIn):
    """What the code of `nn.LSTM` calls that `nn.RNNBase` lacks, or has for one state alone."""

    check_forward_args = nn.LSTM.check_forward_args  # type: ignore[assignment]
    get_expected_cell_size = nn.LSTM.get_expected_cell_size
    permute_hidden = nn.LSTM.permute_hidden  # type: ignore[assignment]


class LSTM(_ForTheCodeOfLSTM):
    """`torch.nn.LSTM` with its signature, its state_dict keys and its results, but open and fast.

    On a CPU it runs the compiled loops, whole sequences, packed ones and float64 alike; elsewhere
    PyTorch's own code runs, as far as it can what is asked for, and so it does in bfloat16 where
    the processor multiplies that. The results are those of its namesake up to rounding.

    Beyond its namesake it takes `lengths` and `reset` (see `Recurrent`), every gate of every step
    can be recorded, `stream()` runs it one step at a time, and `torch.compile` takes it. For that
    it is an `nn.RNNBase`, but no `nn.LSTM`.

    Called as `layer(input, hx=None, *, lengths=None, reset=None)`.

    Returns:
        The output, and the final state as PyTorch has it: (h_n, c_n), each
        [layers × directions, B, size], never batch-first.

    >>> import cello
    >>> ours, theirs = LSTM(3, 4, num_layers=2), nn.LSTM(3, 4, num_layers=2)
    >>> _ = ours.load_state_dict(theirs.state_dict())
    >>> x = torch.randn(5, 2, 3)
    >>> torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)
    True
    """

    namesake = nn.LSTM

    def _new_cell(self, input_size: int) -> Cell:
        return TorchLSTMCell(input_size, self.hidden_size, self.bias, self.proj_size or None)

    def _has_instructions(self, x: Tensor) -> bool:
        return (
            x.dtype is torch.bfloat16
            and x.is_cpu
            and not self.proj_size
            and torch._C._get_mkldnn_enabled()
            and _multiplies_bfloat16()
            and not torch.compiler.is_compiling()
        )

    def _refuses_gradients(self, x: Tensor) -> bool:
        return autocast_dtype(x) is torch.float16 and x.is_cpu and torch.is_grad_enabled()


class GRU(DropIn):
    """`torch.nn.GRU`, with lengths, resets, recording and streaming; see `LSTM`."""

    namesake = nn.GRU

    def _new_cell(self, input_size: int) -> Cell:
        return TorchGRUCell(input_size, self.hidden_size, self.bias)
