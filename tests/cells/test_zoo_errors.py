"""Constants of the zoo that make no sense, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable

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


@pytest.mark.parametrize("value", ["0.1", None, True])
def test_constants_must_be_numbers(value: object) -> None:
    with pytest.raises(DtypeError, match=r"^dt must be a number, got \w+ "):
        zoo.LEMCell(3, 4, dt=value)  # type: ignore[arg-type]
