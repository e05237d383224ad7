import dataclasses

import pytest

from cello.errors import ArgumentError, DtypeError
from cello.train import Options
from cello.train.options import FREE


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "a whole number from 1 to 1,000,000,000"),
        ("epochs", 2**70, "a whole number from 1 to 1,000,000,000"),
        ("learning_rate", 0.0, "a finite number above 0"),
        ("learning_rate", float("inf"), "a finite number above 0"),
        ("learning_rate", float("nan"), "a finite number above 0"),
        ("weight_decay", -0.1, "a finite number from 0"),
        ("clip_norm", 0, "a finite number above 0 or None"),
        ("schedule", "exponential", "one of constant, cosine, linear"),
        ("warmup_steps", -1, "a whole number from 0 to 1,000,000,000"),
        ("patience", 0, "a whole number from 1 to 1,000,000,000 or None"),
        ("seed", -1, "a whole number from 0 to 4,294,967,295"),
        ("seed", 2**32, "a whole number from 0 to 4,294,967,295"),
        ("checkpoint_steps", 0, "a whole number from 1 to 1,000,000,000 or None"),
        ("checkpoint_seconds", 0, "a finite number above 0 or None"),
        ("log", "csb", "any of csv, tensorboard"),
        ("log_every", 0, "a whole number from 1 to 1,000,000,000"),
        ("nodes", 0, "a whole number from 1 to 1,000,000,000"),
        ("checkpoint_seconds", float("inf"), "a finite number above 0 or None"),
    ],
)
def test_values_that_make_no_sense(name: str, value: object, expected: str):
    with pytest.raises(ArgumentError, match=rf"^{name} must be {expected}, got ") as caught:
        Options(**{name: value})
    assert not isinstance(caught.value, DtypeError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 2.0),
        ("epochs", True),
        ("epochs", None),
        ("learning_rate", "0.1"),
        ("schedule", None),
        ("log", ["csv"]),
    ],
)
def test_values_of_the_wrong_type(name: str, value: object):
    with pytest.raises(DtypeError, match=rf"^{name} must be .*, got {value!r}".replace("[", r"\[")):
        Options(**{name: value})


@pytest.mark.parametrize(
    "name", ["clip_norm", "patience", "checkpoint_steps", "checkpoint_seconds"]
)
def test_none_switches_off(name: str):
    assert getattr(Options(**{name: None}), name) is None


def test_one_kind_of_log_may_be_a_string():
    assert Options(log="tensorboard").log == ("tensorboard",)
    assert Options(log=()).log == ()


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().epochs = 3  # type: ignore[misc]


def test_fixed_options_are_all_that_are_not_free():
    names = {field.name for field in dataclasses.fields(Options)}
    assert names >= FREE
    assert set(Options().fixed()) == names - FREE
    assert {"learning_rate", "seed", "schedule", "precision"} <= set(Options().fixed())
