"""Numbers as text: halved in precision if they are many, packed, and written in 85 signs.

A block becomes the bytes of its numbers, all first bytes, then all second bytes and so on (so
that exponents, which resemble each other, lie together), deflated, and four bytes at a time
written as five signs from "(" to "|"; "}" stands for "<". Text of numbers that cannot be packed
is 1.25 times as long as they are; base64 would take 1.33.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

__all__ = ["base85", "encode"]

_FIRST = ord("(")
_TABLE = np.array([sign if sign != ord("<") else ord("}") for sign in range(_FIRST, _FIRST + 85)])
_LARGEST_HALF = 2.0**15


def encode(values: np.ndarray, dtype: str | None) -> tuple[dict[str, Any], str]:
    """What the page must know of the numbers, and the text that holds them.

    Args:
        values: [T, size].
        dtype: "float16", "float32" or "float64"; None: as they are.

    >>> encode(np.array([[1.5, -3.0]], np.float32), "float16")[0]
    {'dtype': 'float16', 'factor': 0.0001220703125, 'bytes': 4, 'packed': 12}
    """
    dtype = dtype or str(values.dtype)
    factor = _factor(values) if dtype == "float16" else 1.0
    # What float32 cannot hold of float64 is infinite, and what is no number stays none.
    with np.errstate(over="ignore", invalid="ignore"):
        if factor != 1:
            values = values.astype(np.float64) / factor
        raw = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    planes = raw.reshape(-1).view(np.uint8).reshape(-1, raw.itemsize).T
    packed = zlib.compress(planes.tobytes(), 6)
    about = {"dtype": dtype, "factor": factor, "bytes": raw.nbytes, "packed": len(packed)}
    return about, base85(packed)


def _factor(values: np.ndarray) -> float:
    """The power of two by which the largest finite number nearly fills half precision."""
    finite = np.abs(values[np.isfinite(values)]).astype(np.float64)
    largest = finite.max(initial=0.0)
    if largest == 0:
        return 1.0
    return float(2.0 ** (np.floor(np.log2(largest)) + 1) / _LARGEST_HALF)


def base85(data: bytes) -> str:
    """Bytes as text; the last group is filled with zeros.

    >>> base85(bytes(4))
    '((((('
    """
    words = np.frombuffer(data + bytes(-len(data) % 4), "<u4")
    signs = np.empty((len(words), 5), np.uint8)
    for place in range(4, -1, -1):
        words, digit = np.divmod(words, np.uint32(85))
        signs[:, place] = _TABLE[digit]
    return signs.tobytes().decode("ascii")
