"""Constants of the zoo that make no sense, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cello
from cello import zoo
from cello.errors import ArgumentError, DtypeError


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: zoo.CoRNNCell(3, 4, dt=0), r"^dt must be a number above 0, got 0$"),
        (lambda: zoo.CoRNNCell(3, 4, gamma=-1), r"^gamma must be a number at least 0, got -1$"),
        (lambda: zoo.CoRNNCell(3, 4, epsilon=-1), r"^epsilon must be a number at least 0"),
        (lambda: zoo.UnICORNNCell(3, 4, dt=-1), r"^dt must be"),
        (lambda: zoo.UnICORNNCell(3, 4, alpha=-1), r"^alpha must be"),
        (lambda: zoo.LEMCell(3, 4, dt=0), r"^dt must be"),
        (lambda: zoo.AntisymmetricCell(3, 4, epsilon=0), r"^epsilon must be a number above 0"),
        (lambda: zoo.AntisymmetricCell(3, 4, gamma=-1), r"^gamma must be"),
        (lambda: zoo.CTRNNCell(3, 4, alpha=1.5), r"^alpha .* above 0 and at most 1, got 1.5$"),
        (lambda: zoo.CTRNNCell(3, 4, noise=-1), r"^noise must be a number at least 0"),
        (lambda: zoo.CTRNNCell(3, 4, activation="rlu"), r"'rlu' is not an activation"),
        (lambda: zoo.IndRNNCell(3, 4, activation="rlu"), r"'rlu' is not an activation"),
        (lambda: zoo.SCRNCell(3, 4, 0), r"^context_size must be at least 1, got 0$"),
        (lambda: zoo.SCRNCell(3, 0, 2), r"^hidden_size must be at least 1, got 0$"),
        (lambda: zoo.SCRNCell(3, 4, 2, alpha=2), r"^alpha .* at least 0 and at most 1, got 2$"),
        (lambda: zoo.ZoneoutLSTMCell(3, 4, zoneout_c=1.1), r"^zoneout_c must be"),
        (lambda: zoo.ZoneoutLSTMCell(3, 4, zoneout_h=-0.1), r"^zoneout_h must be"),
        (
            lambda: zoo.RecurrentDropoutLSTMCell(3, 4, dropout=1),
            r"^dropout must be a number at least 0 and below 1, got 1$",
        ),
        (lambda: zoo.EchoStateCell(3, 4, 0), r"^spectral_radius must be a number above 0, got 0$"),
        (lambda: zoo.EchoStateCell(3, 4, leak=0), r"^leak must be"),
        (lambda: zoo.EchoStateCell(3, 4, input_scale=0), r"^input_scale must be"),
        (lambda: zoo.EchoStateCell(3, 4, connections=0), r"^connections must be at least 1"),
        (lambda: zoo.JANETCell(3, 4, beta=float("nan")), r"^beta must be a number that is finite"),
        (lambda: zoo.JANETCell(3, 4, longest=2), r"^longest must be at least 3 steps, got 2$"),
        (lambda: zoo.UGRNNCell(3, 4, float("inf")), r"^forget_bias must be a number that is fin"),
        (lambda: zoo.SLSTMCell(3, 4, float("inf")), r"^forget_bias must be a number that is fin"),
        (lambda: zoo.STARCell(3, 4, longest=2), r"^longest must be at least 3 steps, got 2$"),
        (lambda: zoo.MLSTMCell(3, 4, float("inf")), r"^forget_bias must be a number that is fin"),
        (lambda: zoo.MLSTMCell(3, 0), r"^hidden_size must be at least 1, got 0$"),
        (lambda: zoo.DeltaNetCell(3, 0), r"^hidden_size must be at least 1, got 0$"),
        (lambda: zoo.ConvLSTMCell((1, 5), 2, 4), r"^kernel_size must be odd, got 4$"),
        (lambda: zoo.ConvLSTMCell((1, 0), 2), r"^shape\[1\] must be at least 1, got 0$"),
        (lambda: zoo.LRUCell(3, 4, r_min=-0.1), r"^r_min must be a number at least 0 and below 1"),
        (lambda: zoo.LRUCell(3, 4, 0.9, 0.5), r"^r_max .* above 0.9 and at most 1, got 0.5$"),
        (lambda: zoo.LRUCell(3, 4, max_phase=0), r"^max_phase must be a number above 0"),
        (lambda: zoo.S6Cell(3, 4, rank=0), r"^rank must be at least 1, got 0$"),
        (lambda: zoo.S6Cell(0, 4), r"^input_size must be at least 1, got 0$"),
        (lambda: zoo.LMUCell(3, 4, theta=0), r"^theta must be a number above 0, got 0$"),
        (lambda: zoo.LMUCell(3, 4, order=0), r"^order must be at least 1, got 0$"),
        (lambda: zoo.GRUDCell(0, 4), r"^in_features must be at least 1, got 0$"),
        (lambda: zoo.GRUDCell(3, 4, float("nan")), r"^mean must be a number that is finite"),
        (lambda: zoo.LTCCell(3, 4, unfolds=0), r"^unfolds must be at least 1, got 0$"),
        (lambda: zoo.CfCCell(3, 4, trunk_size=0), r"^trunk_size must be at least 1, got 0$"),
        (lambda: zoo.PhasedLSTMCell(3, 4, ratio=0), r"^ratio .* above 0 and at most 1, got 0$"),
        (lambda: zoo.PhasedLSTMCell(3, 4, leak=-1), r"^leak must be a number at least 0"),
        (lambda: zoo.PhasedLSTMCell(3, 4, log_longest=0), r"^log_longest must be a number above 0"),
        (lambda: zoo.MogrifierLSTMCell(3, 4, rounds=0), r"^rounds must be at least 1, got 0$"),
        (lambda: zoo.RHNCell(3, 4, depth=0), r"^depth must be at least 1, got 0$"),
        (lambda: zoo.RHNCell(3, 4, gate_bias=float("inf")), r"^gate_bias must be a number that"),
        (lambda: zoo.MCLSTMCell(0, 4), r"^in_features must be at least 1, got 0$"),
        (lambda: zoo.LIFCell(3, 4, decay_i=1), r"^decay_i .* at least 0 and below 1, got 1$"),
        (lambda: zoo.LIFCell(3, 4, decay_u=2), r"^decay_u .* at least 0 and at most 1, got 2$"),
        (lambda: zoo.LIFCell(3, 4, slope=0), r"^slope must be a number above 0, got 0$"),
        (
            lambda: zoo.ClockworkCell(3, 5, periods=(1, 2)),
            r"^periods must be as many as share out the 5 units evenly, got 2$",
        ),
        (lambda: zoo.ClockworkCell(3, 4, periods=()), r"^periods must be as many as .*, got 0$"),
        (lambda: zoo.ClockworkCell(3, 4, (1, 0)), r"^periods\[1\] must be at least 1, got 0$"),
    ],
)
def test_constants_that_make_no_sense(build: Callable[[], cello.Cell], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize("size", [3, (3,), (1, 2, 2, 2, 2), "integer"])
def test_a_picture_has_channels_and_places(size: Any) -> None:
    with pytest.raises(DtypeError, match=r"^shape must be a tuple of channels and one to thr"):
        zoo.ConvLSTMCell(size, 2)


@pytest.mark.parametrize("value", ["0.1", None, True])
def test_constants_must_be_numbers(value: object) -> None:
    with pytest.raises(DtypeError, match=r"^dt must be a number, got \w+ "):
        zoo.LEMCell(3, 4, dt=value)  # type: ignore[arg-type]
