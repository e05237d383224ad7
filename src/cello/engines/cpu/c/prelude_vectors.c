/* Cello's C prelude, part 1: a vector of reals, and what all else is made of.
 *
 * Pasted in front of every kernel. Plain C11 with the vector extensions that GCC and Clang share:
 * one text serves AVX-512, AVX, SSE and NEON. A loop over the lanes of a vector is the portable way
 * to write a blend, a root or a masked load; compilers turn each into one instruction or two.
 *
 * CELLO_DOUBLE (0 or 1) chooses the number type. Not for -ffast-math: NaN and infinity must hold.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define long int64_t /* which has 32 bits there; numbers from outside have 64 */
#endif

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
#define VL (VECTOR_BYTES / (4 + 4 * CELLO_DOUBLE)) /* lanes of a vector */

#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 6 /* rows of a register tile: 32 registers hold 6 x 4 sums, 6 inputs and a weight */
#else
#define ROWS 3 /* 16 registers hold 3 x 4 sums, 3 inputs and a weight */
#endif

#define UNUSED __attribute__((unused))
#ifdef __OPTIMIZE__
#define INLINE static inline __attribute__((always_inline, unused))
#else
#define INLINE static inline UNUSED /* where the loop is to be there soon, not to be fast */
#endif
#define APART static __attribute__((noinline, unused))
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_BY_2 /* Clang does as it sees fit; told so, it spills */
#else
#define UNROLL _Pragma("GCC unroll 64")
#define UNROLL_BY_2 _Pragma("GCC unroll 2")
#endif

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef whole mask __attribute__((vector_size(VECTOR_BYTES))); /* per lane: 0 or -1 */
typedef real vec_anywhere
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

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

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FUSES 1
#else
#define FUSES 0
#endif
#if defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_fma)
#define FMA(a, b, c) __builtin_elementwise_fma(a, b, c) /* later Clangs make many of a loop over lanes */
#endif
#endif

/* a * b + c and c - a * b, rounded once where the processor does that in one instruction, else twice.
 *
 * What is not written so is rounded after each operation, as PyTorch does: compilers are told to fuse
 * nothing by themselves (-ffp-contract=off). Were it left to them, a row would differ in its last bit
 * alone and among others, and a result where a product in it is recorded too. */
INLINE vec muladd(vec a, vec b, vec c) {
#if !FUSES
    return a * b + c;
#elif defined(FMA)
    return FMA(a, b, c);
#else
    vec y;
    for (int i = 0; i < VL; i++) y[i] = LIBM(__builtin_fma)(a[i], b[i], c[i]);
    return y;
#endif
}
INLINE vec negmuladd(vec a, vec b, vec c) { return muladd(-a, b, c); }

INLINE vec as_vec(mask m) { return (vec)m; }
INLINE mask bits(vec x) { return (mask)x; }

/* Whole numbers as reals; and halved so many times, towards minus infinity. */
INLINE vec as_reals(mask m) {
    vec y;
    for (int i = 0; i < VL; i++) y[i] = (real)m[i];
    return y;
}
INLINE mask halved(mask m, int times) { return m >> times; }

/* A function of C's, lane by lane. */
#define LANES(name, function)                               \
    INLINE vec name(vec x) {                                \
        vec y;                                              \
        for (int i = 0; i < VL; i++) y[i] = function(x[i]); \
        return y;                                           \
    }
#define LANES_OF_TWO(name, function)                              \
    INLINE vec name(vec a, vec b) {                               \
        vec y;                                                    \
        for (int i = 0; i < VL; i++) y[i] = function(a[i], b[i]); \
        return y;                                                 \
    }

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

/* NaN if either is. */
INLINE mask is_nan(vec x) { return (mask)(x != x); }
INLINE vec v_max(vec a, vec b) { return select((mask)(a > b) | is_nan(a), a, b); }
INLINE vec v_min(vec a, vec b) { return select((mask)(a < b) | is_nan(a), a, b); }

/* Limits that let NaN through. */
INLINE vec at_least(vec x, real low) { return select((mask)(x < low), splat(low), x); }
INLINE vec at_most(vec x, real high) { return select((mask)(x > high), splat(high), x); }

INLINE vec rotated(vec x, int by) {
    vec y;
    UNROLL
    for (int i = 0; i < VL; i++) y[i] = x[(i + by) % VL];
    return y;
}

/* Sum and extremes over features, of which feature number i is in lane i % FOLDED: as many lanes for every
 * width of vector, so that all add in the same order. An extreme is NaN if any feature is. */
#define FOLDED (64 / (long)sizeof(real))
INLINE vec v_add(vec a, vec b) { return a + b; }
INLINE void fold_begin(real *lanes, real x) {
    for (long i = 0; i < FOLDED; i += VL) store(lanes + i, splat(x));
}
#define FOLD(name, join)                                                                       \
    INLINE real name(real *lanes) {                                                            \
        for (long half = FOLDED / 2; half >= VL; half /= 2)                                    \
            for (long i = 0; i < half; i += VL)                                                \
                store(lanes + i, join(load(lanes + i), load(lanes + i + half)));               \
        vec x = load(lanes);                                                                   \
        UNROLL                                                                                 \
        for (int half = VL / 2; half > 0; half /= 2) x = join(x, rotated(x, half));            \
        return x[0];                                                                           \
    }
FOLD(fold_sum, v_add)
FOLD(fold_max, v_max)
FOLD(fold_min, v_min)
