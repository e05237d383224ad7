/* Cello's C prelude, part 3: products with matrices. */

/* Writes matrix number d of D, element (i, kk) at w[i * rs + kk * cs], i < n outputs and kk < k inputs, to its
 * place in the packed form: out[((block * k + kk) * D + d) * U * VL + j] for i = block * U * VL + j; 0 for i >= n. */
APART void pack(real *out, const real *w, long rs, long cs, long n, long k, int d, int D, int U) {
    long width = (long)U * VL, blocks = (n + width - 1) / width;
    for (long block = 0; block < blocks; block++)
        for (long kk = 0; kk < k; kk++)
            for (long j = 0; j < width; j++) {
                long i = block * width + j;
                out[((block * k + kk) * D + d) * width + j] = i < n ? w[i * rs + kk * cs] : 0;
            }
}

/* acc[r * V + v] += sum over kk of in[r][kk] * (vector number kk * V + v of w), for m rows and V vectors. */
INLINE void dot_tile(const int m, const int V, vec *acc, const real *w, long k, const real *const *in) {
    vec sum[ROWS * 4];
    const real *row[ROWS];
    UNROLL
    for (int r = 0; r < m; r++) row[r] = in[r];
    UNROLL
    for (int i = 0; i < m * V; i++) sum[i] = acc[i];
    for (long kk = 0; kk < k; kk++, w += V * VL) {
        UNROLL
        for (int r = 0; r < m; r++) {
            UNROLL
            for (int v = 0; v < V; v++) sum[r * V + v] += row[r][kk] * load(w + v * VL);
        }
    }
    UNROLL
    for (int i = 0; i < m * V; i++) acc[i] = sum[i];
}

#if ROWS == 6
#define DOT_MORE_ROWS(V)                            \
    case 4: dot_tile(4, V, acc, w, k, in); break;   \
    case 5: dot_tile(5, V, acc, w, k, in); break;   \
    case 6: dot_tile(6, V, acc, w, k, in); break;
#else
#define DOT_MORE_ROWS(V)
#endif
#define DOT(V)                                                                              \
    APART void dot##V(int m, vec *acc, const real *w, long k, const real *const *in) {      \
        switch (m) {                                                                        \
            case 1: dot_tile(1, V, acc, w, k, in); break;                                   \
            case 2: dot_tile(2, V, acc, w, k, in); break;                                   \
            case 3: dot_tile(3, V, acc, w, k, in); break;                                   \
            DOT_MORE_ROWS(V)                                                                \
        }                                                                                   \
    }
DOT(1)
DOT(2)
DOT(3)
DOT(4)

/* C[i][j] += sum over rows r of A[r][i] * B[r][j], i < na, j < nb: the gradient of a weight from the cotangents A
 * of its outputs and its inputs B. Row-major, lda, ldb and ldc reals from row to row. */
APART void outer(long rows, const real *A, long lda, long na, const real *B, long ldb, long nb, real *C, long ldc) {
    for (long i = 0; i < na; i++)
        for (long j = 0; j < nb; j += VL) {
            vec sum = {0};
            long left = nb - j;
            for (long r = 0; r < rows; r++) {
                const real *b = B + r * ldb + j;
                sum += A[r * lda + i] * (left < VL ? load_part(b, left) : load(b));
            }
            real *c = C + i * ldc + j;
            if (left < VL) store_part(c, load_part(c, left) + sum, left);
            else store(c, load(c) + sum);
        }
}
