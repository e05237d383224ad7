"""Exported C equals the net: every export compiles, runs and compares; here over all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cello
from cello.convert.c import prelude
from cello.errors import ConversionError
from tests.convert.c.nets import NETS
from tests.effort import FULL
from tests.registry import ACTIVATED, CELLS, NOT_FUSED, make

#: One of each kind of step: products, folds, gathered features, masks, shapes, several inputs.
SOME = (
    "lstm-hard", "gru-reset-before", "torch-lstm", "jordan-softmax", "two-sizes", "matrix-memory",
    "two-inputs", "pieces", "SLSTMCell", "elman-gelu", "elman-callable", "EchoStateCell",
)  # fmt: skip
FUSED = [name for name in CELLS if name not in NOT_FUSED]


@pytest.mark.parametrize("name", FUSED if FULL else SOME)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64] if FULL else [torch.float32])
def test_every_cell(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    report = cello.to_c(cello.Recurrent(make(name, dtype)), tmp_path)
    assert report.difference is not None, report.why_not


def test_the_cells_that_are_chosen_are_there() -> None:
    assert set(SOME) <= {*FUSED, *ACTIVATED}


@pytest.mark.parametrize("name", NETS)
def test_every_net(name: str, tmp_path: Path) -> None:
    make_net, arguments = NETS[name]
    report = cello.to_c(make_net(), tmp_path, **arguments)
    assert report.difference is not None, report.why_not
    assert report.difference < 1e-5


@pytest.mark.parametrize("name", ["embedding", "projection", "window", "window-projection"])
def test_tables_are_kept_in_8_bits_too(name: str, tmp_path: Path) -> None:
    make_net, arguments = NETS[name]
    whole = cello.to_c(make_net(), tmp_path, **arguments)
    small = cello.to_c(make_net(), tmp_path, weights="int8", **arguments)
    assert "_int8(y" in (tmp_path / "net.c").read_text()
    assert small.weight_bytes < 0.6 * whole.weight_bytes
    assert small.int8_loss is not None
    assert 0 < small.int8_loss[1] < small.int8_loss[0] < 0.02


def test_float64_and_the_functions_of_the_c_library(tmp_path: Path) -> None:
    net = NETS["both-ways"][0]().double()
    report = cello.to_c(net, tmp_path)
    assert report.difference is not None
    assert report.difference < 1e-13
    text = report.files[0].read_text()
    assert "typedef double real;" in text
    assert "math.h" not in text
    report = cello.to_c(net, tmp_path, math="libm")
    assert report.difference is not None
    assert report.difference < 1e-13
    assert "LANES(v_tanh, LIBM(tanh))" in report.files[0].read_text()


def test_a_net_is_written_as_it_is_in_eval_mode_and_stays_as_it_was(tmp_path: Path) -> None:
    net = cello.Stack(cello.LSTM(2, 3), torch.nn.Dropout(0.5)).train()
    cello.to_c(net, tmp_path)
    assert net.training
    assert all(module.training for module in net.modules())


def test_what_is_wrong_is_found_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = prelude.needed
    monkeypatch.setattr(
        "cello.convert.c.source.needed",
        lambda text, **kind: needed(text, **kind).replace("-0.333311", "-0.233311"),
    )
    with pytest.raises(ConversionError, match=r"net\.c is not equal to the net: .*\(T = "):
        cello.to_c(cello.GRU(2, 3), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_read_back_exactly(tmp_path: Path) -> None:
    values = torch.tensor([0.1, -0.0, 1e-45, 3.4e38, 1 / 3, -16777217.0])
    net = torch.nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(values)
    text = _text(net, tmp_path)
    table = text.split("W0[6] = {")[1].split("}")[0]
    words = [word.strip().removesuffix("f") for word in table.split(",") if word.strip()]
    read = torch.tensor([float(word) for word in words])
    assert torch.equal(read, values)
    assert words[1] == "-0.0"


def _text(net: torch.nn.Module, folder: Path) -> str:
    from cello.convert.c.source import source_of
    from cello.layers.stages import stages_of

    return source_of(
        stages_of(net, None), "net", torch.float32, math="own", int8=False, rounded=False
    ).code
