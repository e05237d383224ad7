/* The backward loop of LSTMCell. */

#define CELLO_DOUBLE 0

#define BACKWARD 1
#define BY_UNIT 0
#define SUMMED 256 /* steps of a sequence that run into one sum */
#define STATES 2
static const long SIZE[2] = {5, 5};
#define WIDEST 5

typedef struct {
    Shape shape;
    real *start[2];
    real *initial[2];
    real *grad_final[2];
    real *grad_start[2];
    real *grad_initial[2];
    real *factor_0;
    real *grad_y;
    real *tape;
    real *cot_0;
    real *sum_0_b;
    real *dx;
    real *y;
    real *matrix_R;
    real *matrix_W;
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
    real **carry[2];
    real **prev[2];
    real **last[2];
    real *own[2];
    real *new_next_h;
    real *new_next_c;
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
    const vec t3 = load_left(kernel->tape + row * 25 + unit, left);
    const vec t4 = v_tanh(t3);
    const vec t5 = t2 * t4;
    const vec t6 = load_left(kernel->tape + row * 25 + 20 + unit, left);
    const vec t7 = t2 * t6;
    const vec t8 = t4 * t4;
    const vec t9 = splat((real)1.0) - t8;
    const vec t10 = t7 * t9;
    const vec t11 = splat((real)1.0) - t6;
    const vec t12 = t6 * t11;
    const vec t13 = t5 * t12;
    const vec t14 = load_left(team->carry[1][at] + unit, left);
    const vec t15 = t14 + t10;
    const vec c_prev = load_left(team->prev[1][at] + unit, left);
    const vec t17 = t15 * c_prev;
    const vec t18 = load_left(kernel->tape + row * 25 + 15 + unit, left);
    const vec t19 = t15 * t18;
    const vec t20 = load_left(kernel->tape + row * 25 + 5 + unit, left);
    const vec t21 = t15 * t20;
    const vec t22 = t18 * t18;
    const vec t23 = splat((real)1.0) - t22;
    const vec t24 = t21 * t23;
    const vec t25 = load_left(kernel->tape + row * 25 + 10 + unit, left);
    const vec t26 = splat((real)1.0) - t25;
    const vec t27 = t25 * t26;
    const vec t28 = t17 * t27;
    const vec t29 = splat((real)1.0) - t20;
    const vec t30 = t20 * t29;
    const vec t31 = t19 * t30;
    const vec t32 = t15 * t25;
    store_left(kernel->cot_0 + row * 20 + unit, t31, left);
    store_left(kernel->cot_0 + row * 20 + 5 + unit, t28, left);
    store_left(kernel->cot_0 + row * 20 + 10 + unit, t24, left);
    store_left(kernel->cot_0 + row * 20 + 15 + unit, t13, left);
    store_left(kernel->sum_0_b + sum * 20 + unit, load_left(kernel->sum_0_b + sum * 20 + unit, left) + t31, left);
    store_left(kernel->sum_0_b + sum * 20 + 5 + unit, load_left(kernel->sum_0_b + sum * 20 + 5 + unit, left) + t28, left);
    store_left(kernel->sum_0_b + sum * 20 + 10 + unit, load_left(kernel->sum_0_b + sum * 20 + 10 + unit, left) + t24, left);
    store_left(kernel->sum_0_b + sum * 20 + 15 + unit, load_left(kernel->sum_0_b + sum * 20 + 15 + unit, left) + t13, left);
    store(team->new_next_c + at * PADDED(5) + unit, t32);
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
    return kernel->cot_0 + row * 20;
}
INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = sum_0[0];
    store(team->new_next_h + at * PADDED(5) + unit, t0);
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
            const long size = 20L * VL;
            const real *weights = kernel->loop_2_0_0 + block * size;
            const real *next = kernel->loop_2_0_0 + after * size;
            dot1(rows, sum_0, weights, 20, in, next + (tiles % 1) * (20L * VL));
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
    return kernel->cot_0 + row * 20;
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
            const long size = 20L * VL;
            const real *weights = kernel->after_1_0_0 + block * size;
            const real *next = kernel->after_1_0_0 + after * size;
            dot1(rows, sum_0, weights, 20, in, next + (tiles % 1) * (20L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 3 - unit;
            if (3 % (VL * 1) == 0 || left >= VL) after_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) after_1_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

#define FEEDBACK -1
static const int MOVES[2] = {1, 1};
#define EACH_SHARED(X) X(new_next_h, 5) X(new_next_c, 5)
#define EACH_PACKED(X) X(loop_2_0_0, 20, 5, 1, 1) X(after_1_0_0, 20, 3, 1, 1)
#define EACH_POINTER(X) X(factor_0) X(grad_y) X(tape) X(cot_0) X(sum_0_b) X(dx) X(y) X(matrix_R) X(matrix_W) X(start[0]) X(initial[0]) X(grad_final[0]) X(grad_start[0]) X(grad_initial[0]) X(start[1]) X(initial[1]) X(grad_final[1]) X(grad_start[1]) X(grad_initial[1]) X(forced) X(grad_forced)

INLINE real *next_state(UNUSED const Kernel *kernel, Team *team, int state, long at) {
    UNUSED const long row = team->row[at];
    switch (state) {
    case 0: return team->new_next_h + at * PADDED(5) + 0;
    case 1: return team->new_next_c + at * PADDED(5) + 0;
    }
    return 0;
}

INLINE real *kept_state(UNUSED const Kernel *kernel, int state, UNUSED long row) {
    switch (state) {
    case 0: return kernel->y + row * 5 + 0;
    case 1: return kernel->tape + row * 25 + 0;
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
    if (team->parts > 1) kernel->shape.barrier();
}

static void pack_all(UNUSED const Kernel *kernel, UNUSED int part, UNUSED int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_2_0_0, kernel->matrix_R + 0, 1, 5, 5, 20, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_0, kernel->matrix_W + 0, 1, 3, 3, 20, 0, 1, 1);
}

