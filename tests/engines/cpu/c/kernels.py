"""The C prelude as functions that NumPy can call, for every width of vector that there is here."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cello.engines.cpu.c.prelude import prelude
from cello.engines.cpu.toolchain.build import build

Array = NDArray[np.floating]

#: What must come out the same to the bit, whatever the compiler.
EXACT = """
#define MAP(name) \\
    void map_##name(real *y, const real *x, long n) { \\
        for (long i = 0; i < n; i += VL) store(y + i, v_##name(load(x + i))); \\
    }
MAP(exp) MAP(expm1) MAP(log) MAP(log1p) MAP(sigmoid) MAP(tanh)

long lanes(void) { return VL; }
long tile_rows(void) { return ROWS; }
void muladds(real *y, const real *a, const real *b, const real *c) {
    store(y, muladd(load(a), load(b), load(c)));
}

void dots(long V, long m, real *acc, const real *w, long k, const real *x, long row) {
    vec sum[4 * ROWS];
    const real *in[ROWS];
    for (int r = 0; r < m; r++) in[r] = x + r * row;
    for (int i = 0; i < m * V; i++) sum[i] = load(acc + i * VL);
    if (V == 1) dot1(m, sum, w, k, in, w);
    if (V == 2) dot2(m, sum, w, k, in, w);
    if (V == 3) dot3(m, sum, w, k, in, w);
    if (V == 4) dot4(m, sum, w, k, in, w);
    for (int i = 0; i < m * V; i++) store(acc + i * VL, sum[i]);
}
"""
REST = """
#define MAP2(name) \\
    void map_##name(real *y, const real *a, const real *b, long n) { \\
        for (long i = 0; i < n; i += VL) store(y + i, v_##name(load(a + i), load(b + i))); \\
    }
#define FOLDS(name) \\
    void fold_##name##_of(real *y, const real *x) { \\
        real lanes[FOLDED]; \\
        memcpy(lanes, x, sizeof(lanes)); \\
        *y = fold_##name(lanes); \\
    }
MAP(sqrt) MAP(sin) MAP(cos) MAP(erf) MAP(abs) MAP(floor) MAP(sign) MAP(recip)
MAP2(max) MAP2(min) MAP2(pow)
FOLDS(sum) FOLDS(max) FOLDS(min)

void load_some(real *y, const real *x, long n) { store(y, load_part(x, n)); }
void store_some(real *y, const real *x, long n) { store_part(y, load(x), n); }

void packs(real *out, const real *w, long rs, long cs, long n, long k, long d, long D, long U) {
    pack(out, w, rs, cs, n, k, d, D, U);
}
"""

# A narrower vector is had by hiding what the processor can do; so is one without a multiply-add.
WIDTHS = {
    "widest": "",
    "32 bytes": "#undef __AVX512F__\n",
    "16 bytes": "#undef __AVX512F__\n#undef __AVX__\n",
    "16 bytes, not fused": "#undef __AVX512F__\n#undef __AVX__\n#undef __FMA__\n",
}


class Kernels:
    """The prelude compiled for one number type and one width of vector."""

    def __init__(self, width: str, dtype: DTypeLike, wrappers: str = EXACT + REST):
        self.dtype = np.dtype(dtype)
        self.eps = float(np.finfo(self.dtype).eps)
        source = WIDTHS[width] + prelude(double=self.dtype == np.float64) + wrappers
        self.library = build("test-prelude", source)
        self.lanes: int = self.library.lanes()
        self.rows: int = self.library.tile_rows()

    def __call__(self, name: str, *arguments: Array | int | None) -> None:
        getattr(self.library, name)(
            *(
                ctypes.c_long(a) if isinstance(a, int) else a if a is None else pointer(a)
                for a in arguments
            )
        )

    def map(self, name: str, *arguments: Array) -> Array:
        """The function of every element."""
        size = arguments[0].size
        padded = [np.resize(a, -(-size // 16) * 16).astype(self.dtype) for a in arguments]
        result = np.empty_like(padded[0])
        self(f"map_{name}", result, *padded, result.size)
        return result[:size]

    def random(self, *shape: int) -> Array:
        """Normal numbers at the end of their memory: to read beyond them ends the process."""
        return guarded(np.random.default_rng(shape).standard_normal(shape).astype(self.dtype))


def pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def guarded(array: Array) -> Array:
    """A copy behind which a page lies that nobody may touch."""
    page = mmap.PAGESIZE
    length = -(-max(array.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, length + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert (
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + length), ctypes.c_size_t(page), 0) == 0
    )
    copy = np.frombuffer(memory, array.dtype, array.size, length - array.nbytes)
    copy[:] = array.ravel()
    return copy.reshape(array.shape)
