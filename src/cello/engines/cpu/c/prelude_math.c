/* Cello's C prelude, part 2: functions, lane by lane. NaN and infinity give what PyTorch gives.
 *
 * The polynomials are minimax fits to the ranges given. Exported C (cello.convert.c) takes of this
 * file what it needs, block by block, with a single lane: a definition refers to others by name alone.
 */

LANES(v_sqrt, LIBM(sqrt))
LANES(v_floor, LIBM(floor))
LANES(v_abs, LIBM(fabs))
LANES(v_sin, LIBM(sin))
LANES(v_cos, LIBM(cos))
LANES(v_tan, LIBM(tan))
LANES(v_sinh, LIBM(sinh))
LANES(v_cosh, LIBM(cosh))
LANES(v_erf, LIBM(erf))
LANES(v_erfc, LIBM(erfc))
LANES(v_asin, LIBM(asin))
LANES(v_acos, LIBM(acos))
LANES(v_atan, LIBM(atan))
LANES(v_asinh, LIBM(asinh))
LANES(v_acosh, LIBM(acosh))
LANES(v_atanh, LIBM(atanh))
LANES(v_rint, LIBM(rint)) /* halves to the even number */

LANES_OF_TWO(v_pow, LIBM(pow))
LANES_OF_TWO(v_fmod, LIBM(fmod))
LANES_OF_TWO(v_atan2, LIBM(atan2))
LANES_OF_TWO(v_hypot, LIBM(hypot))
LANES_OF_TWO(v_copysign, LIBM(copysign))

INLINE vec v_recip(vec x) { return (real)1 / x; }

/* -1, 0 or 1; 0 for NaN. */
INLINE vec v_sign(vec x) {
    vec zero = splat(0), one = splat(1);
    return select((mask)(x > zero), one, select((mask)(x < zero), -one, zero));
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1); n is known when compiled. */
INLINE vec polynomial(vec x, const real *c, int n) {
    vec y = splat(c[n - 1]);
    UNROLL
    for (int i = n - 2; i >= 0; i--) y = muladd(y, x, splat(c[i]));
    return y;
}
#define POLYNOMIAL(x, ...) \
    polynomial(x, (const real[]){__VA_ARGS__}, sizeof((const real[]){__VA_ARGS__}) / sizeof(real))

/* LN2 = LN2_HIGH + LN2_LOW, the high part short enough for exact products with small whole numbers.
 * LARGEST is just above log of the largest real, SMALLEST just below log of the smallest. */
#define LN2 (real)0x1.62e42fefa39efp-1
#define PER_LN2 (real)0x1.71547652b82fep0
#if CELLO_DOUBLE
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define LN2_HIGH 0x1.62e42fefap-1
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#define LARGEST 710
#define SMALLEST -746
#else
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define LARGEST 89
#define SMALLEST -105
#endif

/* Added to a number of modest size, this rounds it to a whole number n and leaves n + bias in the
 * low bits. A shift makes 2^n of n + EXPONENT_BIAS: 0 of 0, infinity of the largest that fits. */
#define ROUNDER(bias) (real)(((int64_t)3 << (MANTISSA_BITS - 1)) + (bias))
INLINE vec power_of_two(mask biased) { return as_vec(biased << MANTISSA_BITS); }

/* x = n ln 2 + r, |r| <= ln 2 / 2. Gives e^r - 1 and, in the low bits of *n, n + bias. */
INLINE vec expm1_of_rest(vec x, int bias, mask *n) {
    vec t = muladd(x, splat(PER_LN2), splat(ROUNDER(bias)));
    *n = bits(t);
    t -= ROUNDER(bias);
    vec r = negmuladd(t, splat(LN2_LOW), negmuladd(t, splat(LN2_HIGH), x));
#if CELLO_DOUBLE
    vec p = POLYNOMIAL(r, 0.5, 0.166666666666666711, 0.0416666666666520694, 0.00833333333332604381,
                       0.00138888888956740787, 0.000198412698751487551, 0.0000248015744405860819,
                       2.75572549757678681e-6, 2.75679676697277199e-7, 2.5105396235873582e-8,
                       1.76877666993826517e-9);
#else
    vec p = POLYNOMIAL(r, 0.5f, 0.1666666676f, 0.04166623729f, 0.008333285646f, 0.001394882028f,
                       0.0001990783746f);
#endif
    return muladd(r * r, p, r);
}

INLINE vec v_exp(vec x) {
    mask n;
    vec y = 1 + expm1_of_rest(at_most(at_least(x, SMALLEST), LARGEST), 2 * EXPONENT_BIAS, &n);
    mask half = n >> 1; /* 2^n in two steps, for results beneath the normal numbers */
    return y * power_of_two(half) * power_of_two(n - half);
}

INLINE vec v_expm1(vec x) {
    mask n;
    vec y = expm1_of_rest(at_most(at_least(x, -50), LARGEST), EXPONENT_BIAS - 1, &n);
    vec half = power_of_two(n); /* of 2^n, which may be infinite */
    y = 2 * muladd(half, y, half - (real)0.5);
    return select((mask)(x == 0), x, y); /* keeps -0 */
}

/* h = n ln 2 / 2 + r, |r| <= ln 2 / 4. Gives t = tanh r, *p = 2^n: e^2h = p (1 + t) / (1 - t). */
INLINE vec tanh_of_rest(vec h, vec *p) {
    vec n = muladd(h, splat(2 * PER_LN2), splat(ROUNDER(EXPONENT_BIAS)));
    *p = power_of_two(bits(n));
    n -= ROUNDER(EXPONENT_BIAS);
#if CELLO_DOUBLE || !FUSES
    vec r = negmuladd(n, splat(LN2_LOW / 2), negmuladd(n, splat(LN2_HIGH / 2), h)), z = r * r;
#else
    vec r = negmuladd(n, splat(LN2 / 2), h), z = r * r;
#endif
#if CELLO_DOUBLE
    vec c = POLYNOMIAL(z, -0.333333333333323794, 0.133333333327273541, -0.0539682526857723588,
                       0.0218693636350349355, -0.00885707471565273949, 0.00344198286181580246);
#else
    vec c = POLYNOMIAL(z, -0.333311899608222448f, 0.131062547820149303f);
#endif
    return muladd(r * z, c, r);
}

/* 1 / (1 + e^-x) */
INLINE vec v_sigmoid(vec x) {
    const real low = LARGEST - (real)0.1, high = (EXPONENT_BIAS - (real)0.1) * LN2;
    vec p, t = tanh_of_rest((real)-0.5 * at_most(at_least(x, -low), high), &p);
    return (1 - t) / muladd(p, 1 + t, 1 - t);
}

/* (e^2|x| - 1) / (e^2|x| + 1), with the sign of x */
INLINE vec v_tanh(vec x) {
    mask sign = bits(splat((real)-0.0));
    vec p, t = tanh_of_rest(at_most(as_vec(bits(x) & ~sign), 20), &p);
    vec y = muladd(p + 1, t, p - 1) / muladd(p - 1, t, p + 1);
    return as_vec(bits(y) | (bits(x) & sign));
}

/* x = m 2^e, sqrt(1/2) <= m < sqrt(2). With f = m - 1 and s = f / (2 + f),
 * log m = f - f^2 / 2 + s (f^2 / 2 + s^2 P(s^2)). */
INLINE vec v_log(vec x) {
    const real least = CELLO_DOUBLE ? (real)0x1p-1022 : (real)0x1p-126;
    mask small = (mask)(x < least);
    vec normal = select(small, x * (real)((int64_t)2 << MANTISSA_BITS), x);
    mask root_half = bits(splat((real)0x1.6a09e667f3bcdp-1));
    mask e = halved(bits(normal) - root_half, MANTISSA_BITS);
    vec f = as_vec(bits(normal) - (e << MANTISSA_BITS)) - 1, exponent = as_reals(e);
    exponent = select(small, exponent - (MANTISSA_BITS + 1), exponent);
    vec s = f / (2 + f), z = s * s, half = (real)0.5 * f * f;
#if CELLO_DOUBLE
    vec p = POLYNOMIAL(z, 0.666666666666673736, 0.399999999993928471, 0.285714287477011962,
                       0.222221979844770947, 0.181835970323953767, 0.153131628671307661,
                       0.148053148814155741);
#else
    vec p = POLYNOMIAL(z, 0.666667784071724576f, 0.399772644980323239f, 0.298798131719378628f);
#endif
    vec low = muladd(s, muladd(z, p, half), exponent * LN2_LOW);
    vec log_m = f - (half - low);
    vec y = select((mask)(x < INFINITY), muladd(exponent, splat(LN2_HIGH), log_m), x); /* inf and NaN stay */
    y = select((mask)(x == 0), splat(-INFINITY), y);
    return select((mask)(x < 0), splat(NAN), y);
}

/* log u for u = 1 + x rounded, and what the rounding lost. */
INLINE vec v_log1p(vec x) {
    vec u = 1 + x, lost = (x - (u - 1)) / u;
    vec y = v_log(u) + select((mask)(x > -1) & (mask)(x < (real)1e30), lost, splat(0));
    return select((mask)(x == 0), x, y); /* keeps -0 */
}
