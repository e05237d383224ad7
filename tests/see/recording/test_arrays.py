from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import cello
from cello.errors import ArgumentError, UnknownNameError
from tests.see.recording.test_recording import Segments


def test_dimensions_and_coordinates():
    rec = cello.record(cello.Recurrent(cello.LSTMCell(3, 4)), torch.randn(5, 2, 3))
    data = rec.to_xarray("f", "c")
    assert set(data) == {"f", "c"}
    assert data.f.dims == data.c.dims == ("time", "batch", "unit")
    assert dict(data.sizes) == {"time": 5, "batch": 2, "unit": 4}
    assert data.time.values.tolist() == [0, 1, 2, 3, 4]
    assert data.length.values.tolist() == [5, 5]
    assert np.array_equal(data.f.values, rec["f"].detach().numpy())
    one = data.c.sel(time=3, batch=1, unit=2)
    assert float(one) == rec["c"][3, 1, 2].item()


def test_padding_is_nan():
    layer = cello.Recurrent(cello.GRUCell(3, 4))
    rec = cello.record(layer, torch.randn(5, 3, 3), lengths=torch.tensor([2, 5, 0]))
    z = rec.to_xarray("z").z.values
    for b, length in enumerate([2, 5, 0]):
        assert np.array_equal(z[:length, b], rec["z"][:length, b].detach().numpy())
        assert np.isnan(z[length:, b]).all()


def test_values_of_other_sizes_have_a_dimension_of_their_own():
    data = cello.record(cello.Recurrent(cello.LSTMCell(3, 4)), torch.randn(5, 2, 3)).to_xarray()
    assert data.x.dims == ("time", "batch", "unit_3")
    assert data.h_prev.dims == ("time", "batch", "unit")
    assert data.x.shape == (5, 2, 3)


def test_values_of_other_shapes_and_dtypes():
    class Odd(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(4, 4)

        def step(self, x, h):
            flag = x > 0
            total = x.sum(-1)  # noqa: F841
            square = x.unsqueeze(2) * h.unsqueeze(1)  # noqa: F841
            h = torch.tanh(x + h) * flag
            return h, (h,)

    layer = cello.Recurrent(Odd())
    x = torch.randn(3, 2, 4)
    data = cello.record(layer, x).to_xarray()
    assert data.total.dims == ("time", "batch")
    assert data.square.dims == ("time", "batch", "axis_2_4", "axis_3_4")
    assert data.flag.dtype == bool
    ragged = cello.record(layer, x, lengths=torch.tensor([3, 1])).to_xarray("flag")
    assert np.isnan(ragged.flag.values[1:, 1]).all()
    flags = cello.record(layer, x, lengths=torch.tensor([3, 1]))["flag"]
    assert flags.dtype == torch.bool
    assert not flags[1:, 1].any()
    half = cello.record(cello.Recurrent(Odd().bfloat16()), x.bfloat16()).to_xarray("h")
    assert half.h.dtype == np.float32


def test_names_that_are_paths():
    net = cello.Stack(cello.Bidirectional(cello.GRUCell(3, 4)))
    data = cello.record(net, torch.randn(5, 2, 3)).to_xarray("forward.z", "backward.z")
    assert set(data) == {"0.forward.z", "0.backward.z"}


def test_layers_that_saw_different_sequences_do_not_fit_together():
    rec = cello.record(Segments(), torch.randn(5, 2, 3), torch.randn(7, 2, 3))
    with pytest.raises(
        ArgumentError,
        match=r"^encoder.x has 5 steps of 2 sequences, decoder.x has 7 of 2: ask for values of",
    ):
        rec.to_xarray()
    assert rec.to_xarray("decoder.z").sizes["time"] == 7


def test_unknown_names():
    rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3))
    with pytest.raises(UnknownNameError, match=r"^nothing is named 'f'"):
        rec.to_xarray("f")


def test_without_xarray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    rec = cello.record(cello.Recurrent(cello.GRUCell(3, 4)), torch.randn(5, 2, 3))
    with pytest.raises(ImportError, match=r'to_xarray needs .* pip install "cello\[xarray\]"$'):
        rec.to_xarray()
