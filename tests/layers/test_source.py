"""The C of a layer's loops, to read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

import cello
from cello.engines.cpu.c.prelude import prelude
from cello.engines.cpu.toolchain.build import compiler
from tests.registry import LeakyCell, MixingCell


def test_the_loop_has_the_names_of_the_step():
    text = cello.Recurrent(LeakyCell()).source()
    assert text.startswith("/* The forward loop of LeakyCell. */\n")
    for line in ("const vec a = v_sigmoid(", "const vec g = v_tanh(", "const vec h = "):
        assert line in text


def test_what_all_loops_share_is_left_out():
    layer = cello.Recurrent(LeakyCell())
    own, whole = layer.source(), layer.source(whole=True)
    assert prelude() in whole
    assert "INLINE vec splat(real x)" in whole
    assert "INLINE vec " not in own
    assert "\n\n\n" not in own
    assert set(own.splitlines()) <= set(whole.splitlines())


@pytest.mark.parametrize("backward", [False, True])
def test_the_whole_text_can_be_compiled(backward: bool, tmp_path: Path):
    text = cello.Recurrent(LeakyCell()).source(backward=backward, whole=True)
    (tmp_path / "loop.c").write_text(text)
    command = [*compiler().command, "-std=gnu11", "-fsyntax-only", "loop.c"]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_the_backward_loop():
    layer = cello.Recurrent(LeakyCell())
    text = layer.source(backward=True)
    assert text.startswith("/* The backward loop of LeakyCell. */\n")
    assert text != layer.source()
    assert "grad_y" in text


def test_the_dtype_is_that_of_the_parameters():
    layer = cello.Recurrent(LeakyCell())
    assert "\n#define CELLO_DOUBLE 1\n" in layer.double().source()
    assert "\n#define CELLO_DOUBLE 0\n" in layer.float().source()


def test_loops_that_are_the_same_are_shown_once():
    one = cello.Recurrent(cello.GRUCell(3, 5)).source()
    assert cello.Bidirectional(cello.GRUCell(3, 5)).source() == one
    both = cello.Bidirectional(cello.GRUCell(3, 5), cello.ElmanCell(3, 5)).source()
    assert both == one + "\n" + cello.Recurrent(cello.ElmanCell(3, 5)).source()


def test_the_loops_of_a_stack_and_of_drop_ins():
    drop_in = cello.LSTM(3, 5, num_layers=3, bidirectional=True)
    assert drop_in.source().count("/* The forward loop of LSTMCell. */") == 2  # 3 and 10 wide
    inner = cello.Stack(cello.Recurrent(LeakyCell()), nn.Linear(4, 2))
    net = cello.Stack(drop_in, nn.Dropout(0.1), inner)
    assert net.source() == drop_in.source() + "\n" + inner[0].source()
    assert net.source(backward=True).count("/* The backward loop of ") == 3
    assert cello.Stack(nn.Linear(2, 2)).source() == ""


def test_a_cell_that_cannot_be_compiled():
    for layer in (cello.Recurrent(MixingCell()), cello.Stack(cello.Recurrent(MixingCell()))):
        message = r"MixingCell cannot become a loop in C: .*registry\.py.*"
        with pytest.raises(cello.errors.EngineError, match=message):
            layer.source()


def test_a_dtype_that_has_no_loop():
    layer = cello.Recurrent(LeakyCell()).to(torch.float16)
    message = (
        r"LeakyCell cannot become a loop in C: compiled loops compute in .*, not in torch\.float16"
    )
    with pytest.raises(cello.errors.EngineError, match=message):
        layer.source()
