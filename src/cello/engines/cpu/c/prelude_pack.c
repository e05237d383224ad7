/* Cello's C prelude, part 4: weights in the order in which the products read them. */

/* Two vectors, cut into runs of `run` lanes: the even runs of both, and the odd runs of both. */
#define LANE_OF_EVEN(run, i) ((i) & (run) ? VL + ((i) ^ (run)) : (i))
#define LANE_OF_ODD(run, i) ((i) & (run) ? VL + (i) : (i) ^ (run))
#define TWO_LANES(f, run, i) f(run, i), f(run, (i) + 1)
#define FOUR_LANES(f, run, i) TWO_LANES(f, run, i), TWO_LANES(f, run, (i) + 2)
#define EIGHT_LANES(f, run, i) FOUR_LANES(f, run, i), FOUR_LANES(f, run, (i) + 4)
#if VL == 2
#define ALL_LANES(f, run) TWO_LANES(f, run, 0)
#elif VL == 4
#define ALL_LANES(f, run) FOUR_LANES(f, run, 0)
#elif VL == 8
#define ALL_LANES(f, run) EIGHT_LANES(f, run, 0)
#else
#define ALL_LANES(f, run) EIGHT_LANES(f, run, 0), EIGHT_LANES(f, run, 8)
#endif
#if defined(__clang__)
#define LANES_OF(a, b, f, run) __builtin_shufflevector(a, b, ALL_LANES(f, run))
#else
#define LANES_OF(a, b, f, run) __builtin_shuffle(a, b, (mask){ALL_LANES(f, run)})
#endif

#define EXCHANGE(run)                                            \
    UNROLL                                                       \
    for (int i = 0; i < VL; i++)                                 \
        if (!(i & run)) {                                        \
            const vec a = x[i], b = x[i + run];                  \
            x[i] = LANES_OF(a, b, LANE_OF_EVEN, run);            \
            x[i + run] = LANES_OF(a, b, LANE_OF_ODD, run);       \
        }

/* x[i][j] and x[j][i] change places, for a square of VL vectors. */
INLINE void transpose(vec *x) {
    EXCHANGE(1)
#if VL > 2
    EXCHANGE(2)
#endif
#if VL > 4
    EXCHANGE(4)
#endif
#if VL > 8
    EXCHANGE(8)
#endif
}

/* The inputs of a square from the rows of w, of which n are there with k inputs. */
INLINE void pack_rows(real *out, long stride, const real *w, long rs, long n, long k) {
    vec x[VL];
    UNROLL
    for (int i = 0; i < VL; i++)
        x[i] = i >= n ? splat(0) : k >= VL ? load(w + i * rs) : load_part(w + i * rs, k);
    transpose(x);
    UNROLL
    for (int kk = 0; kk < VL; kk++)
        if (kk < k) store(out + kk * stride, x[kk]);
}

/* n < VL of the numbers at w, rs apart, and zeros. */
INLINE vec gather(const real *w, long rs, long n) {
    real part[VL] = {0};
    for (int i = 0; i < VL && i < n; i++) part[i] = w[i * rs];
    return load(part);
}

/* Writes matrix number d of D, its element (i, kk) found at w[i * rs + kk * cs] for i < n outputs
 * and kk < k inputs, to its place in the packed form: for i = block * U * VL + j,
 * out[((block * k + kk) * D + d) * U * VL + j]; 0 for i >= n. */
APART void pack(real *out, const real *w, long rs, long cs, long n, long k, int d, int D, int U) {
    const long width = (long)U * VL, stride = D * width, blocks = (n + width - 1) / width;
    for (long block = 0; block < blocks; block++)
        for (long k0 = 0; k0 < k; k0 += VL)
            for (int u = 0; u < U; u++) {
                const long i = block * width + u * VL, left = k - k0 < VL ? k - k0 : VL;
                real *to = out + ((block * k + k0) * D + d) * width + u * VL;
                const real *from = w + i * rs + k0 * cs;
                if (cs == 1) {
                    if (n - i >= VL && left == VL) pack_rows(to, stride, from, rs, VL, VL);
                    else pack_rows(to, stride, from, rs, n - i, left);
                } else if (rs == 1 && n - i >= VL)
                    for (long kk = 0; kk < left; kk++)
                        store(to + kk * stride, load(from + kk * cs));
                else
                    for (long kk = 0; kk < left; kk++)
                        store(to + kk * stride, gather(from + kk * cs, rs, n - i));
            }
}
