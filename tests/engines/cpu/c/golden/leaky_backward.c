/* The backward loop of LeakyCell. */

#define CELLO_DOUBLE 0

#define BACKWARD 1
#define BY_UNIT 0
#define SUMMED 256 /* steps of a sequence that run into one sum */
#define STATES 1
static const long SIZE[1] = {5};
#define WIDEST 5

typedef struct {
    Shape shape;
    real *start[1];
    real *initial[1];
    real *grad_final[1];
    real *grad_start[1];
    real *grad_initial[1];
    real *factor_0;
    real *grad_y;
    real *tape;
    real *cot_0;
    real *sum_0_W_bias;
    real *dx;
    real *sum_1_rsub;
    real *sum_2_sigmoid;
    real *y;
    real *vector_sigmoid;
    real *vector_rsub;
    real *matrix_R_weight;
    real *matrix_W_weight;
    real *forced;
    real *grad_forced;
    real *loop_2_0_0;
    real *after_1_0_0;
    char *workspace;
    real *zeros;
} Kernel;

typedef struct {
    long from, to; /* its rows */
    int part, parts; /* of the team's threads */
    int back; /* whether this step goes through its blocks from the last one */
    long *row, *seq, *sum, *begin; /* of each row at hand: place, sequence, sums */
    real **carry[1];
    real **prev[1];
    real **last[1];
    real *own[1];
    real *s_t0;
    real *s_t1;
    real *new_next_h;
} Team;

INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec h_prev = load_left(team->prev[0][at] + unit, left);
    store_left(kernel->factor_0 + row * 5 + unit, h_prev, left);
}

/* before: for many steps at once, 5 features */
APART void before_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) before_1_units(kernel, team, at, unit, VL);
        else if (left > 0) before_1_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load_left(kernel->grad_y + row * 5 + unit, left);
    const vec t1 = load_left(team->carry[0][at] + unit, left);
    const vec t2 = t0 + t1;
    store(team->s_t1 + at * PADDED(5) + unit, t2);
    const vec t3 = load_left(kernel->vector_sigmoid + unit, left);
    const vec t4 = t2 * t3;
    const vec t5 = load_left(kernel->vector_rsub + unit, left);
    const vec t6 = t2 * t5;
    store(team->s_t0 + at * PADDED(5) + unit, t6);
    const vec t7 = load_left(kernel->tape + row * 5 + unit, left);
    const vec t8 = t7 * t7;
    const vec t9 = splat((real)1.0) - t8;
    const vec t10 = t4 * t9;
    store_left(kernel->cot_0 + row * 5 + unit, t10, left);
    store_left(kernel->sum_0_W_bias + sum * 5 + unit, load_left(kernel->sum_0_W_bias + sum * 5 + unit, left) + t10, left);
}

/* loop: step by step, 5 features */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_1_units(kernel, team, at, unit, left);
    }
}

INLINE const real *loop_2_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_0 + row * 5;
}
INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load(team->s_t0 + at * PADDED(5) + unit);
    const vec t1 = sum_0[0] + t0;
    store(team->new_next_h + at * PADDED(5) + unit, t1);
}

/* loop: step by step, 5 features; 1 product */
APART void loop_2(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long n = 0; n < rows * 1; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_2_0_0_in(kernel, team, at + r);
            const long size = 5L * VL;
            const real *weights = kernel->loop_2_0_0 + block * size;
            const real *next = kernel->loop_2_0_0 + after * size;
            dot1(rows, sum_0, weights, 5, in, next + (tiles % 1) * (5L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_2_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) loop_2_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE const real *after_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_0 + row * 5;
}
INLINE void after_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = sum_0[0];
    store_left(kernel->dx + row * 3 + unit, t0, left);
}

/* after: for many steps, 3 features; 1 product */
APART void after_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(3, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long n = 0; n < rows * 1; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = after_1_0_0_in(kernel, team, at + r);
            const long size = 5L * VL;
            const real *weights = kernel->after_1_0_0 + block * size;
            const real *next = kernel->after_1_0_0 + after * size;
            dot1(rows, sum_0, weights, 5, in, next + (tiles % 1) * (5L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 3 - unit;
            if (3 % (VL * 1) == 0 || left >= VL) after_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) after_1_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE void after_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load(team->s_t1 + at * PADDED(5) + unit);
    const vec h_prev = load_left(team->prev[0][at] + unit, left);
    const vec t2 = t0 * h_prev;
    const vec t3 = load_left(kernel->tape + row * 5 + unit, left);
    const vec t4 = t0 * t3;
    store_left(kernel->sum_1_rsub + sum * 5 + unit, load_left(kernel->sum_1_rsub + sum * 5 + unit, left) + t2, left);
    store_left(kernel->sum_2_sigmoid + sum * 5 + unit, load_left(kernel->sum_2_sigmoid + sum * 5 + unit, left) + t4, left);
}

/* after: for many steps, 5 features */
APART void after_2(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) after_2_units(kernel, team, at, unit, VL);
        else if (left > 0) after_2_units(kernel, team, at, unit, left);
    }
}

#define FEEDBACK -1
static const int MOVES[1] = {1};
#define EACH_SHARED(X) X(s_t0, 5) X(s_t1, 5) X(new_next_h, 5)
#define EACH_PACKED(X) X(loop_2_0_0, 5, 5, 1, 1) X(after_1_0_0, 5, 3, 1, 1)
#define EACH_POINTER(X) X(factor_0) X(grad_y) X(tape) X(cot_0) X(sum_0_W_bias) X(dx) X(sum_1_rsub) X(sum_2_sigmoid) X(y) X(vector_sigmoid) X(vector_rsub) X(matrix_R_weight) X(matrix_W_weight) X(start[0]) X(initial[0]) X(grad_final[0]) X(grad_start[0]) X(grad_initial[0]) X(forced) X(grad_forced)

INLINE real *next_state(UNUSED const Kernel *kernel, Team *team, int state, long at) {
    UNUSED const long row = team->row[at];
    switch (state) {
    case 0: return team->new_next_h + at * PADDED(5) + 0;
    }
    return 0;
}

INLINE real *kept_state(UNUSED const Kernel *kernel, int state, UNUSED long row) {
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
    loop_2(kernel, team, first, rows);
    if (team->parts > 1) kernel->shape.barrier();
}

INLINE void after(UNUSED const Kernel *kernel, UNUSED Team *team, UNUSED long first, UNUSED long rows) {
    after_1(kernel, team, first, rows);
    after_2(kernel, team, first, rows);
    if (team->parts > 1) kernel->shape.barrier();
}

static void pack_all(UNUSED const Kernel *kernel, UNUSED int part, UNUSED int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_2_0_0, kernel->matrix_R_weight + 0, 1, 5, 5, 5, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_0, kernel->matrix_W_weight + 0, 1, 3, 3, 5, 0, 1, 1);
}

