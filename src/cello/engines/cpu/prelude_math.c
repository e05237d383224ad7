/* Cello's C prelude, part 2: functions of vectors, lane by lane. NaN and infinity give what PyTorch gives.
 *
 * The polynomials are minimax fits made for these ranges. exp is reduced by x = n ln 2 + r with |r| <= ln 2 / 2.
 */

#define LANES(name, call)                             \
    INLINE vec name(vec x) {                          \
        vec y;                                        \
        for (int i = 0; i < VL; i++) y[i] = call(x[i]); \
        return y;                                     \
    }

LANES(v_sqrt, LIBM(sqrt))
LANES(v_floor, LIBM(floor))
LANES(v_abs, LIBM(fabs))
LANES(v_sin, LIBM(sin))
LANES(v_cos, LIBM(cos))
LANES(v_erf, LIBM(erf))

INLINE vec v_pow(vec a, vec b) {
    vec y;
    for (int i = 0; i < VL; i++) y[i] = LIBM(pow)(a[i], b[i]);
    return y;
}

INLINE mask is_nan(vec x) { return (mask)(x != x); }
INLINE vec v_max(vec a, vec b) { return select((mask)(a > b) | is_nan(a), a, b); }
INLINE vec v_min(vec a, vec b) { return select((mask)(a < b) | is_nan(a), a, b); }
INLINE vec v_recip(vec x) { return (real)1 / x; }

/* -1, 0 or 1; 0 for NaN. */
INLINE vec v_sign(vec x) {
    vec one = splat(1), zero = splat(0);
    return select((mask)(x > zero), one, select((mask)(x < zero), -one, zero));
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1); n is known when compiled. */
INLINE vec polynomial(vec x, const real *c, int n) {
    vec y = splat(c[n - 1]);
    UNROLL
    for (int i = n - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}
#define POLYNOMIAL(x, ...) polynomial(x, (const real[]){__VA_ARGS__}, sizeof((const real[]){__VA_ARGS__}) / sizeof(real))

#if CELLO_DOUBLE
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROUNDER 0x1.8p52 /* adding it rounds to a whole number, found in the low bits */
#define LN2_HIGH 0x1.62e42fefap-1
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#define EXP_LOWEST -746
#define EXP_HIGHEST 710
#define EXPM1_LOWEST -50
#define TANH_HIGHEST 20
#else
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROUNDER 0x1.8p23f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOWEST -105
#define EXP_HIGHEST 89
#define EXPM1_LOWEST -30
#define TANH_HIGHEST 9
#endif

/* Limits that let NaN through. */
INLINE vec at_least(vec x, real low) { return select((mask)(x < low), splat(low), x); }
INLINE vec at_most(vec x, real high) { return select((mask)(x > high), splat(high), x); }
INLINE mask sign_bit(vec x) { return bits(x) & ((mask){0} - 1) << (8 * sizeof(real) - 1); }

/* n = round(x / ln 2), and e^(x - n ln 2) - 1 = r + r^2 P(r). */
INLINE vec reduced_expm1(vec x, mask *n) {
    vec t = x * (real)0x1.71547652b82fep0 + ROUNDER;
    *n = bits(t) - bits(splat(ROUNDER));
    t -= ROUNDER;
    vec r = (x - t * LN2_HIGH) - t * LN2_LOW;
#if CELLO_DOUBLE
    vec p = POLYNOMIAL(r, 0.5, 0.166666666666666711, 0.0416666666666520694, 0.00833333333332604381,
                       0.00138888888956740787, 0.000198412698751487551, 0.0000248015744405860819,
                       2.75572549757678681e-6, 2.75679676697277199e-7, 2.5105396235873582e-8, 1.76877666993826517e-9);
#else
    vec p = POLYNOMIAL(r, 0.5f, 0.1666666676f, 0.04166623729f, 0.008333285646f, 0.001394882028f, 0.0001990783746f);
#endif
    return r + r * r * p;
}

/* 2^n for an n whose result is a normal number. */
INLINE vec power_of_two(mask n) { return as_vec((n + EXPONENT_BIAS) << MANTISSA_BITS); }

INLINE vec v_exp(vec x) {
    mask n;
    vec y = 1 + reduced_expm1(at_most(at_least(x, EXP_LOWEST), EXP_HIGHEST), &n);
    mask half = n >> 1;
    return y * power_of_two(half) * power_of_two(n - half);
}

INLINE vec v_expm1(vec x) {
    mask n;
    vec y = reduced_expm1(at_most(at_least(x, EXPM1_LOWEST), EXP_HIGHEST), &n);
    vec scale = power_of_two(n - 1);
    y = 2 * (scale * y + (scale - (real)0.5));
    return select((mask)(x == 0), x, y); /* keeps -0 */
}

INLINE vec v_sigmoid(vec x) { return (real)1 / (1 + v_exp(-x)); }

INLINE vec v_tanh(vec x) {
    mask sign = sign_bit(x);
#if CELLO_DOUBLE
    vec e = v_expm1(2 * at_most(as_vec(bits(x) ^ sign), TANH_HIGHEST));
    return as_vec(bits(e / (e + 2)) | sign);
#else
    x = at_most(as_vec(bits(x) ^ sign), TANH_HIGHEST);
    vec z = x * x;
    vec p = POLYNOMIAL(z, 0.999999979236f, 0.133803712461f, 0.00349481062312f, 2.0596265964e-5f, 1.33368352202e-8f);
    vec q = POLYNOMIAL(z, 1.0f, 0.467136866636f, 0.0258740251629f, 0.00032843624921f, 7.7692781262e-7f);
    return as_vec(bits(x * p / q) | sign);
#endif
}

/* x = m 2^e with sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f): log m = f - f^2/2 + s (f^2/2 + s^2 P(s^2)). */
INLINE vec v_log(vec x) {
    mask tiny = (mask)(x < (CELLO_DOUBLE ? (real)0x1p-1022 : (real)0x1p-126));
    vec y = select(tiny, x * ((real)2 * ((whole)1 << MANTISSA_BITS)), x);
    mask root_half = bits(splat((real)0x1.6a09e667f3bcdp-1));
    mask e = (bits(y) - root_half) >> MANTISSA_BITS;
    vec f = as_vec(bits(y) - (e << MANTISSA_BITS)) - 1;
    vec exponent;
    for (int i = 0; i < VL; i++) exponent[i] = (real)e[i];
    exponent = select(tiny, exponent - (MANTISSA_BITS + 1), exponent);
    vec s = f / (2 + f), z = s * s, half = (real)0.5 * f * f;
#if CELLO_DOUBLE
    vec p = POLYNOMIAL(z, 0.666666666666673736, 0.399999999993928471, 0.285714287477011962, 0.222221979844770947,
                       0.181835970323953767, 0.153131628671307661, 0.148053148814155741);
#else
    vec p = POLYNOMIAL(z, 0.666667784071724576f, 0.399772644980323239f, 0.298798131719378628f);
#endif
    vec log_m = f - (half - (s * (half + z * p) + exponent * LN2_LOW));
    y = exponent * LN2_HIGH + log_m;
    y = select((mask)(x < INFINITY), y, x); /* inf and NaN stay */
    y = select((mask)(x == 0), splat(-INFINITY), y);
    return select((mask)(x < 0), splat(NAN), y);
}

/* log u for u = 1 + x rounded, and what the rounding lost. */
INLINE vec v_log1p(vec x) {
    vec u = 1 + x, lost = (x - (u - 1)) / u;
    vec y = v_log(u) + select((mask)(x > -1) & (mask)(x < (real)1e30), lost, splat(0));
    return select((mask)(x == 0), x, y);
}
