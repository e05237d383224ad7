/* Cello's C prelude, part 5: the gradient of a weight, a sum of outer products. */

/* A block of C, OUTER_HEIGHT by OUTER_PANELS * 4 * VL numbers, stays in the second cache while A
 * and B pass by, OUTER_ROWS rows at a time. */
#define OUTER_ROWS 128
#define OUTER_PANELS 4
#define OUTER_HEIGHT 384

/* Vectors of a panel: of the four dots only two are needed, which saves time when compiling. */
INLINE int panel_width(long n) { return n > 2 * VL ? 4 : 2; }

/* Columns of B, n of them there, and zeros: `rows` times V vectors, one after the other. */
INLINE void outer_panel(real *panel, const real *B, long ldb, long rows, long n) {
    const int V = panel_width(n);
    for (long r = 0; r < rows; r++, B += ldb, panel += V * VL)
        for (int v = 0; v < V; v++) {
            const long left = n - v * VL;
            store(panel + v * VL, left >= VL  ? load(B + v * VL)
                                  : left > 0 ? load_part(B + v * VL, left)
                                             : splat(0));
        }
}

/* C += the products of m columns of A with a panel of n columns of B. */
INLINE void outer_tile(int m, const real *const *in, long step, long rows, const real *panel,
                       real *C, long ldc, long n) {
    const int V = panel_width(n);
    vec sum[4 * ROWS] = {{0}};
    if (V == 4) dot4_ahead(m, sum, panel, rows, in, step, panel);
    else dot2_ahead(m, sum, panel, rows, in, step, panel);
    for (int i = 0; i < m; i++)
        for (int v = 0; v < V; v++) {
            real *c = C + i * ldc + v * VL;
            const long left = n - v * VL;
            if (left >= VL) store(c, load(c) + sum[i * V + v]);
            else if (left > 0) store_part(c, load_part(c, left) + sum[i * V + v], left);
        }
}

/* C[i][j] += sum over rows r of A[r][i] * B[r][j], i < na and j < nb: the gradient of a weight from
 * the cotangents A of its outputs and its inputs B. Row-major, with lda, ldb and ldc reals from row
 * to row. Threads may share out the columns of A: the numbers do not depend on it. */
APART void outer(long rows, const real *A, long lda, long na, const real *B, long ldb, long nb,
                 real *C, long ldc) {
    const long width = 4 * VL;
    real panels[OUTER_PANELS * OUTER_ROWS * 4 * VL] __attribute__((aligned(VECTOR_BYTES)));
    real columns[OUTER_ROWS * ROWS];
    for (long j0 = 0; j0 < nb; j0 += OUTER_PANELS * width)
        for (long i0 = 0; i0 < na; i0 += OUTER_HEIGHT)
            for (long r0 = 0; r0 < rows; r0 += OUTER_ROWS) {
                const long some = rows - r0 < OUTER_ROWS ? rows - r0 : OUTER_ROWS;
                const long j1 = nb - j0 < OUTER_PANELS * width ? nb : j0 + OUTER_PANELS * width;
                const long i1 = na - i0 < OUTER_HEIGHT ? na : i0 + OUTER_HEIGHT;
                for (long j = j0; j < j1; j += width)
                    outer_panel(panels + (j - j0) * OUTER_ROWS, B + r0 * ldb + j, ldb, some,
                                nb - j);
                for (long i = i0; i < i1; i += ROWS) {
                    const int m = i1 - i < ROWS ? (int)(i1 - i) : ROWS;
                    const real *a = A + r0 * lda + i, *in[ROWS];
                    const int copied = j1 - j0 > 2 * width; /* worth it for several panels */
                    if (copied)
                        for (long r = 0; r < some; r++)
                            for (int q = 0; q < m; q++) columns[r * ROWS + q] = a[r * lda + q];
                    for (int q = 0; q < m; q++) in[q] = (copied ? columns : a) + q;
                    for (long j = j0; j < j1; j += width)
                        outer_tile(m, in, copied ? ROWS : lda, some, panels + (j - j0) * OUTER_ROWS,
                                   C + i * ldc + j, ldc, nb - j);
                }
            }
}
