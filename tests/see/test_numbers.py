from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.see.numbers import short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (90, "90"),
        (-110.0, "-110"),
        (6.999501, "6.9995"),
        (0.9999546, "0.99995"),
        (1.362e-4, "1.36e-4"),
        (1e-5, "1e-5"),
        (-2.6e-43, "-2.6e-43"),
        (123456.7, "123457"),
        (1234567.0, "1.23e6"),
        (0.0012346, "0.0012346"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (True, "1"),
        (12345678, "12345678"),
    ],
)
def test_numbers_are_short(value: float, text: str):
    assert short(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_what_is_shown_is_the_number(value: float):
    assert float(short(value, 6)) == pytest.approx(value, rel=6e-4, abs=1e-300)
    assert float(short(value, 19)) == pytest.approx(value, rel=1e-14, abs=1e-300)
