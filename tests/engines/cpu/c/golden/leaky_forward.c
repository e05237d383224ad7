/* The forward loop of LeakyCell. */

#define CELLO_DOUBLE 0

#define BACKWARD 0
#define BY_UNIT 0
#define SUMMED 256 /* steps of a sequence that run into one sum */
#define STATES 1
static const long SIZE[1] = {5};
#define WIDEST 5

typedef struct {
    Shape shape;
    real *start[1];
    real *initial[1];
    real *final[1];
    real *x;
    real *y;
    real *vector_W_bias;
    real *vector_rsub;
    real *vector_sigmoid;
    real *matrix_W_weight;
    real *matrix_R_weight;
    real *forced;
    real *before_1_0_0;
    real *loop_1_0_0;
    char *workspace;
    real *zeros;
} Kernel;

typedef struct {
    long from, to; /* its rows */
    int part, parts; /* of the team's threads */
    int back; /* whether this step goes through its blocks from the last one */
    long *row, *seq, *sum, *begin; /* of each row at hand: place, sequence, sums */
    real **prev[1];
    real **last[1];
    real *own[1];
    real *s_t0;
} Team;

INLINE const real *before_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->x + row * 3;
}
INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load_left(kernel->vector_W_bias + unit, left);
    const vec t1 = sum_0[0] + t0;
    store(team->s_t0 + at * PADDED(5) + unit, t1);
}

/* before: for many steps at once, 5 features; 1 product */
APART void before_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long n = 0; n < rows * 1; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = before_1_0_0_in(kernel, team, at + r);
            const long size = 3L * VL;
            const real *weights = kernel->before_1_0_0 + block * size;
            const real *next = kernel->before_1_0_0 + after * size;
            dot1(rows, sum_0, weights, 3, in, next + (tiles % 1) * (3L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) before_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) before_1_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE const real *loop_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return team->prev[0][at];
}
INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load_left(kernel->vector_rsub + unit, left);
    const vec h_prev = load_left(team->prev[0][at] + unit, left);
    const vec t2 = t0 * h_prev;
    const vec t3 = load(team->s_t0 + at * PADDED(5) + unit);
    const vec t4 = sum_0[0] + t3;
    const vec g = v_tanh(t4);
    const vec t6 = load_left(kernel->vector_sigmoid + unit, left);
    const vec t7 = t6 * g;
    const vec h = t2 + t7;
    store_left(kernel->y + row * 5 + unit, h, left);
}

/* loop: step by step, 5 features; 1 product; makes g, h */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long n = 0; n < rows * 1; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_1_0_0_in(kernel, team, at + r);
            const long size = 5L * VL;
            const real *weights = kernel->loop_1_0_0 + block * size;
            const real *next = kernel->loop_1_0_0 + after * size;
            dot1(rows, sum_0, weights, 5, in, next + (tiles % 1) * (5L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) loop_1_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

#define FEEDBACK -1
static const int MOVES[1] = {0};
#define EACH_SHARED(X) X(s_t0, 5)
#define EACH_PACKED(X) X(before_1_0_0, 3, 5, 1, 1) X(loop_1_0_0, 5, 5, 1, 1)
#define EACH_POINTER(X) X(x) X(y) X(vector_W_bias) X(vector_rsub) X(vector_sigmoid) X(matrix_W_weight) X(matrix_R_weight) X(start[0]) X(initial[0]) X(final[0]) X(forced)

INLINE real *next_state(UNUSED const Kernel *kernel, Team *team, int state, long at) {
    UNUSED const long row = team->row[at];
    switch (state) {
    case 0: return kernel->y + row * 5 + 0;
    }
    return 0;
}

INLINE void before(UNUSED const Kernel *kernel, UNUSED Team *team, UNUSED long first, UNUSED long rows) {
    before_1(kernel, team, first, rows);
    if (team->parts > 1) kernel->shape.barrier();
}

INLINE void loop(UNUSED const Kernel *kernel, UNUSED Team *team, UNUSED long first, UNUSED long rows) {
    loop_1(kernel, team, first, rows);
    if (team->parts > 1) kernel->shape.barrier();
}

INLINE void after(UNUSED const Kernel *kernel, UNUSED Team *team, UNUSED long first, UNUSED long rows) {
}

static void pack_all(UNUSED const Kernel *kernel, UNUSED int part, UNUSED int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->before_1_0_0, kernel->matrix_W_weight + 0, 3, 1, 5, 3, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->loop_1_0_0, kernel->matrix_R_weight + 0, 5, 1, 5, 5, 0, 1, 1);
}

