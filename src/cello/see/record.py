"""Recordings: made, loaded, and what can be done with one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from torch import nn

from cello.see.arithmetic.explain import explain
from cello.see.page.methods import explore, to_html
from cello.see.plot import plot
from cello.see.recording.arrays import to_xarray
from cello.see.recording.file import load, save
from cello.see.recording.recorded import Recorded
from cello.see.recording.recorder import watch
from cello.see.recording.table import table

__all__ = ["Recording", "load_recording", "record"]


def record(
    net: nn.Module, x: Any, *args: Any, only: str | Iterable[str] | None = None, **kwargs: Any
) -> Recording:
    """Run `net(x, *args, **kwargs)` and keep every named value of every step.

    The result is that of the plain call, to the bit. With gradients on, gradients flow through
    the recorded values. What PyTorch's own code computes in `cello.LSTM` and its kin cannot be
    seen; the values recorded there come from our equations over the same parameters, and may
    differ from PyTorch's by rounding.

    Args:
        net: a layer, a stack, or any module with such in it.
        x: what the net takes, such as [T, B, I].
        *args: more of what the net takes, such as a state.
        only: what to keep: names or patterns such as "f", "0.*", "*.c"; everything unless given.
        **kwargs: likewise, such as `lengths`.

    Raises:
        DtypeError: `net` is no module, or `only` holds something else than strings.
        ArgumentError: there is no layer of ours in `net`, or none ran.
        UnknownNameError: one of `only` fits no value.

    >>> import cello
    >>> net = cello.Stack(cello.Recurrent(cello.LSTMCell(3, 4)), nn.Linear(4, 2))
    >>> rec = record(net, torch.randn(7, 2, 3))
    >>> rec["f"].shape, rec.output.shape
    (torch.Size([7, 2, 4]), torch.Size([7, 2, 2]))
    >>> print(rec)
    Recording of 13 values, 2,856 bytes
      0: 7 steps of 2 sequences: x h_prev c_prev z_i z_f z z_o i f g c o h
    """
    return watch(Recording, net, x, *args, only=only, **kwargs)


def load_recording(path: str | os.PathLike[str], net: nn.Module | None = None) -> Recording:
    """Read a recording that `Recording.save` wrote; nothing is unpickled.

    Everything works as before, save that gradients are gone, and that `explain` needs `net`.

    Args:
        path: the file.
        net: the net that was recorded, with the parameters that it had then.

    Raises:
        ModelError: there is no such file, it is no recording, or damaged, or of a newer format.
        DtypeError, ArgumentError: `net` is no module, or there are no cells in it.

    >>> import tempfile, cello
    >>> layer = cello.Recurrent(cello.GRUCell(3, 2))
    >>> rec = cello.record(layer, torch.randn(4, 1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rec.save(f"{folder}/run.safetensors")
    ...     again = load_recording(f"{folder}/run.safetensors", layer)
    >>> again.names == rec.names, torch.equal(again["z"], rec["z"])
    (True, True)
    """
    return load(Recording, path, net)


class Recording(Recorded):
    """What `cello.record` returns: the result of the call, and every named value of its steps.

    A value's name is the path of its layer in the net, the direction if there are two, and the
    name of the variable in the cell's `step`: "0.forward.f"; just "f" if the net is one layer.
    A layer that is called again in the same pass is another one: "rnn#2.f".

    Attributes:
        result: what the net returned.
        output: its first part, if it is a tuple.
        state: its second part, if it is a tuple of two; else None.
        names: of all values, layer by layer, in the order in which a step makes them.
        layers: the names without their last part.
        call: what was called; None if the recording comes from a file.

    >>> import cello
    >>> layer = cello.Recurrent(cello.LSTMCell(3, 4))
    >>> rec = cello.record(layer, torch.randn(5, 2, 3), lengths=torch.tensor([5, 3]))
    >>> rec["c"].shape, "c" in rec, rec.lengths.tolist()
    (torch.Size([5, 2, 4]), True, [5, 3])
    """

    table = table
    plot = plot
    to_xarray = to_xarray
    save = save
    to_html = to_html
    explore = explore
    explain = explain
