/* In place of the functions of Cello's prelude: those of the C library. */

LANES(v_exp, LIBM(exp))
LANES(v_expm1, LIBM(expm1))
LANES(v_log, LIBM(log))
LANES(v_log1p, LIBM(log1p))
LANES(v_tanh, LIBM(tanh))

INLINE vec v_sigmoid(vec x) { return 1 / (1 + LIBM(exp)(-x)); }
