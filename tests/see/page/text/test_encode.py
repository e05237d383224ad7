"""Numbers as text, without a browser: what is written can be read, and takes little room."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cello.see.page.encode import base85, encode


def bytes_of(text: str) -> bytes:
    """What five signs each stand for: "(" is 0, "}" stands for "<"."""
    digits = [ord(sign.replace("}", "<")) - ord("(") for sign in text]
    groups = [digits[at : at + 5] for at in range(0, len(digits), 5)]
    numbers = [sum(d * 85 ** (4 - place) for place, d in enumerate(group)) for group in groups]
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def numbers_of(text: str, about: dict) -> np.ndarray:
    planes = zlib.decompress(bytes_of(text)[: about["packed"]])
    width = np.dtype(about["dtype"]).itemsize
    raw = np.frombuffer(planes, np.uint8).reshape(width, -1).T.copy()
    return raw.view(about["dtype"])[:, 0].astype(np.float64) * about["factor"]


@given(st.binary(max_size=50))
def test_bytes_come_back(data: bytes):
    text = base85(data)
    assert bytes_of(text)[: len(data)] == data
    assert "<" not in text
    assert "&" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64", None])
def test_numbers_come_back(dtype: str | None):
    values = np.array([[0.1, -7e30], [np.inf, -np.inf], [5.7e-39, 0.0]], np.float32)
    about, text = encode(values, dtype)
    assert np.array_equal(numbers_of(text, about), values.astype(np.float64).ravel())


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 7e4, 1e30])
def test_half_precision_holds_numbers_of_any_size(scale: float):
    values = np.random.default_rng(0).normal(size=(50, 3)) * scale
    about, text = encode(values, "float16")
    largest = np.abs(values).max()
    assert numbers_of(text, about) == pytest.approx(values.ravel(), rel=2**-11, abs=largest * 1e-6)


def test_what_cannot_be_packed_takes_a_quarter_more():
    bits = np.random.default_rng(0).integers(0, 2**16, (4000, 64)).astype(np.uint16)
    about, text = encode(bits.view(np.float16), "float16")
    assert about["bytes"] == bits.nbytes
    assert len(text) <= 1.251 * bits.nbytes


def test_gates_take_less_than_their_bytes():
    normal = np.random.default_rng(0).normal(size=(4000, 64))
    gates = 1 / (1 + np.exp(-normal))
    about, text = encode(gates, "float16")
    assert len(text) < about["bytes"]


def test_no_numbers_at_all():
    about, text = encode(np.zeros((0, 4), np.float32), "float16")
    assert about["bytes"] == 0
    assert len(numbers_of(text, about)) == 0
