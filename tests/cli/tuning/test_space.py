from __future__ import annotations

from types import SimpleNamespace

import pytest

from cello.cli.training.tag import command
from cello.cli.tuning.space import Dimension, space_of
from cello.errors import ArgumentError


def found(*asked: str, **fixed: object) -> list[Dimension]:
    return space_of(asked, command.params, fixed)


def test_what_is_searched_usually_is_what_is_not_given():
    assert [d.name for d in found()] == ["hidden-size", "learning-rate", "dropout", "weight-decay"]
    assert [d.name for d in found(dropout=0.5)] == ["hidden-size", "learning-rate", "weight-decay"]
    assert [d.name for d in found(parameters=9)] == ["learning-rate", "dropout", "weight-decay"]
    with pytest.raises(ArgumentError, match="all that is searched usually is given"):
        found(hidden_size=1, learning_rate=1.0, dropout=0.0, weight_decay=0.0)


def test_ranges_and_choices():
    layers, rate, network, most = found(
        "layers=1..3", "--learning_rate=1e-4..1e-1:log", "network=lstm, gru", "max-size=none,500"
    )
    assert layers == Dimension("layers", "--layers", (), 1, 3, whole=True)
    assert rate == Dimension("learning-rate", "--learning-rate", (), 1e-4, 1e-1, log=True)
    assert network == Dimension("network", "--network", ("lstm", "gru"))
    assert most.choices == ("none", "500")
    trial = SimpleNamespace(
        suggest_int=lambda name, low, high, log: (low, high, log)[1],
        suggest_float=lambda name, low, high, log: 0.00123456,
        suggest_categorical=lambda name, choices: choices[1],
    )
    words = [dimension.suggest(trial) for dimension in (layers, rate, network, most)]
    assert words == ["3", "0.001235", "gru", "500"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("layers", "expected NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C, got 'layers'"),
        ("layers=", "expected NAME=LOW..HIGH"),
        ("knots=1..2", "knots is no option that can be searched; these are: .*hidden-size"),
        ("seed=1..2", "seed is no option that can be searched"),
        ("output=a,b", "output is no option that can be searched"),
        ("epochs=1..2", "epochs is no option that can be searched"),
        ("layers=2..1", "expected a lower and a higher number, got 'layers=2..1'"),
        ("layers=1..x", "expected two whole numbers in 'layers=1..x'"),
        ("layers=1..2.5", "expected two whole numbers"),
        ("dropout=0..0.5:log", "expected a lower and a higher number above 0"),
        ("dropout=0..nan", "expected a lower and a higher number"),
        ("dropout=0..0.5:exp", "expected nothing or :log after the range"),
        ("network=lstm,knit", "network=lstm,knit: 'knit' is not one of"),
        ("network=lstm,lstm", "names a choice twice"),
        ("network=a..b", "network is no number: give words, as in network=A,B"),
    ],
)
def test_what_cannot_be_searched(asked: str, message: str):
    with pytest.raises(ArgumentError, match=message) as error:
        found(asked)
    assert error.value.argument == "--search"


def test_what_is_given_or_named_twice():
    with pytest.raises(ArgumentError, match="--layers is given, so that there is nothing to"):
        found("layers=1..2", layers=3)
    with pytest.raises(ArgumentError, match="layers stands there twice"):
        found("layers=1..2", "layers=1..3")
