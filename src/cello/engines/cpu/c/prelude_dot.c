/* Cello's C prelude, part 3: rows of inputs times packed weights. What takes the time is here. */

/* sum[r * V + v] += in[r][kk] * (vector number kk * V + v of w), for m rows and V vectors.
 * The order of the loads lets 3 x 4 sums and 6 x 4 sums stay in 16 and 32 registers. */
INLINE void dot_at(const int m, const int V, vec *sum, const real *w, const real *const *in, long kk) {
    vec x[ROWS];
    UNROLL
    for (int r = 0; r < m; r++) x[r] = splat(in[r][kk]);
    UNROLL
    for (int v = 0; v < V; v++) {
        const vec weight = load(w + (kk * V + v) * VL);
        UNROLL
        for (int r = 0; r < m; r++) sum[r * V + v] = muladd(x[r], weight, sum[r * V + v]);
    }
}

/* Where one row has few sums under way, k is cut into S stretches with sums of their own, to hide
 * the latency of a multiply-add. S depends on V alone: so what comes out for a row never depends on
 * the rows beside it. */
INLINE void dot_tile(const int m, const int V, vec *acc, const real *w, long k, const real *const *in,
                     const real *ahead) {
    const int S = V == 1 ? 4 : V == 2 ? 2 : 1, sums = m * V;
    const long length = k / S;
    const real *row[ROWS];
    vec sum[4 * ROWS];
    UNROLL
    for (int r = 0; r < m; r++) row[r] = in[r];
    UNROLL
    for (int i = 0; i < sums; i++) sum[i] = acc[i];
    UNROLL
    for (int i = sums; i < S * sums; i++) sum[i] = splat(0);
    if (S == 1) {
        UNROLL_BY_2
        for (long kk = 0; kk < k; kk++) {
            if (m > 2) __builtin_prefetch(ahead + kk * VL, 0, 2);
            dot_at(m, V, sum, w, row, kk);
        }
    } else {
        for (long kk = 0; kk < length; kk++) {
            dot_at(m, V, sum, w, row, kk);
            dot_at(m, V, sum + sums, w, row, length + kk);
            if (S > 2) dot_at(m, V, sum + 2 * sums, w, row, 2 * length + kk);
            if (S > 2) dot_at(m, V, sum + 3 * sums, w, row, 3 * length + kk);
        }
        for (long kk = S * length; kk < k; kk++)
            dot_at(m, V, sum + (S - 1) * sums, w, row, kk);
    }
    UNROLL
    for (int i = sums; i < S * sums; i++) sum[i % sums] += sum[i];
    UNROLL
    for (int i = 0; i < sums; i++) acc[i] = sum[i];
}

/* dot1 to dot4: acc[r * V + v] += sum over kk < k of in[r][kk] * W, where W is vector number
 * kk * V + v of w, for 1 <= m <= ROWS rows and V vectors.
 *
 * With m > 2 and V > 2 k vectors are fetched from `ahead` into the second cache: of weights that do
 * not fit there, each tile of rows can bring a part of the next block. */
#define DOT_ROWS(m, V) \
    case m: dot_tile(m, V, acc, w, k, in, ahead); break;
#if ROWS == 6
#define DOT_MORE_ROWS(V) DOT_ROWS(4, V) DOT_ROWS(5, V) DOT_ROWS(6, V)
#else
#define DOT_MORE_ROWS(V)
#endif
#define DOT(V)                                                                                        \
    APART void dot##V(int m, vec *acc, const real *w, long k, const real *const *in, const real *ahead) { \
        switch (m) { DOT_ROWS(1, V) DOT_ROWS(2, V) DOT_ROWS(3, V) DOT_MORE_ROWS(V) }                  \
    }
DOT(1)
DOT(2)
DOT(3)
DOT(4)

/* The same for one row and two blocks of weights: twice as many sums are under way, which hides the latency of
 * a multiply-add where all weights lie in the first cache. */
INLINE void dot_pair(const int V, vec *acc, const real *w, const real *other, long k, const real *in) {
    vec sum[8];
    UNROLL
    for (int i = 0; i < 2 * V; i++) sum[i] = acc[i];
    UNROLL_BY_2
    for (long kk = 0; kk < k; kk++) {
        dot_at(1, V, sum, w, &in, kk);
        dot_at(1, V, sum + V, other, &in, kk);
    }
    UNROLL
    for (int i = 0; i < 2 * V; i++) acc[i] = sum[i];
}
#define PAIR(V)                                                                                       \
    APART void pair##V(vec *acc, const real *w, const real *other, long k, const real *in) {          \
        dot_pair(V, acc, w, other, k, in);                                                            \
    }
PAIR(3)
PAIR(4)
