/* Cello's C prelude, part 1: a vector of reals, and what all else is made of.
 *
 * Pasted in front of every kernel. Plain C11 with the vector extensions that GCC and Clang share, so one text
 * serves AVX-512, AVX, SSE and NEON. A loop over lanes is the portable way to write a blend, a root or a masked
 * load: compilers turn each into one instruction.
 *
 * CELLO_DOUBLE (0 or 1) chooses the number type. Not for -ffast-math: NaN and infinity must hold.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef CELLO_DOUBLE
#define CELLO_DOUBLE 0
#endif

#if CELLO_DOUBLE
typedef double real;
typedef int64_t whole; /* the integer as wide as a real */
#define LIBM(name) name
#else
typedef float real;
typedef int32_t whole;
#define LIBM(name) name##f
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define VL ((int)(VECTOR_BYTES / sizeof(real))) /* lanes of a vector */

#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 6 /* rows of a register tile: 32 registers hold 6 x 4 sums */
#else
#define ROWS 3 /* 16 registers hold 3 x 4 */
#endif

#define UNUSED __attribute__((unused))
#define INLINE static inline __attribute__((always_inline, unused))
#define APART static __attribute__((noinline, unused))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef whole mask __attribute__((vector_size(VECTOR_BYTES))); /* per lane: 0 or -1 */
typedef real vec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

INLINE vec splat(real x) { return x - (vec){0}; }
INLINE vec load(const real *p) { return *(const vec_anywhere *)p; }
INLINE void store(real *p, vec x) { *(vec_anywhere *)p = x; }

/* The first n < VL numbers, the rest 0; nothing beyond them is read. */
INLINE vec load_part(const real *p, long n) {
    real part[VL];
    for (int i = 0; i < VL; i++) part[i] = i < n ? p[i] : 0;
    return load(part);
}

INLINE void store_part(real *p, vec x, long n) {
    real part[VL];
    store(part, x);
    for (int i = 0; i < VL; i++)
        if (i < n) p[i] = part[i];
}

INLINE vec as_vec(mask m) { return (vec)m; }
INLINE mask bits(vec x) { return (mask)x; }

/* Per lane: m ? a : b, for a mask of 0 and -1. */
INLINE vec select(mask m, vec a, vec b) {
#if VECTOR_BYTES > 16 && !defined(__clang__)
    vec y;
    for (int i = 0; i < VL; i++) y[i] = m[i] ? a[i] : b[i];
    return y;
#else
    return as_vec((m & bits(a)) | (~m & bits(b)));
#endif
}

/* Sums and extremes over the lanes. max and min give NaN if any lane is NaN. */
INLINE real hsum(vec x) {
    real part[VL];
    store(part, x);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

INLINE real hmax(vec x) {
    real y = x[0];
    for (int i = 1; i < VL; i++) y = x[i] > y || x[i] != x[i] ? x[i] : y;
    return y;
}

INLINE real hmin(vec x) {
    real y = x[0];
    for (int i = 1; i < VL; i++) y = x[i] < y || x[i] != x[i] ? x[i] : y;
    return y;
}
