/* The forward loop of LSTMCell. */

#define CELLO_DOUBLE 0

#define BACKWARD 0
#define BY_UNIT 0
#define SUMMED 256 /* steps of a sequence that run into one sum */
#define STATES 2
static const long SIZE[2] = {5, 5};
#define WIDEST 5

typedef struct {
    Shape shape;
    real *start[2];
    real *initial[2];
    real *final[2];
    real *x;
    real *y;
    real *vector_b;
    real *matrix_W;
    real *matrix_R;
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
    real **prev[2];
    real **last[2];
    real *own[2];
    real *s_early_z_i;
    real *s_early_z_f;
    real *s_early_z;
    real *s_early_z_o;
    real *new_next_c;
} Team;

INLINE const real *before_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->x + row * 3;
}
INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec t0 = load_left(kernel->vector_b + unit, left);
    const vec early_z_i = sum_0[0] + t0;
    store(team->s_early_z_i + at * PADDED(5) + unit, early_z_i);
    const vec t2 = load_left(kernel->vector_b + 5 + unit, left);
    const vec early_z_f = sum_0[1] + t2;
    store(team->s_early_z_f + at * PADDED(5) + unit, early_z_f);
    const vec t4 = load_left(kernel->vector_b + 10 + unit, left);
    const vec early_z = sum_0[2] + t4;
    store(team->s_early_z + at * PADDED(5) + unit, early_z);
    const vec t6 = load_left(kernel->vector_b + 15 + unit, left);
    const vec early_z_o = sum_0[3] + t6;
    store(team->s_early_z_o + at * PADDED(5) + unit, early_z_o);
}

/* before: for many steps at once, 5 features; 4 products; makes early_z_i, early_z_f, early_z, early_z_o */
APART void before_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 4];
        for (long n = 0; n < rows * 4; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = before_1_0_0_in(kernel, team, at + r);
            const long size = 12L * VL;
            const real *weights = kernel->before_1_0_0 + block * size;
            const real *next = kernel->before_1_0_0 + after * size;
            dot4(rows, sum_0, weights, 3, in, next + (tiles % 4) * (3L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) before_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 4 + u);
            else if (left > 0) before_1_units(kernel, team, at + r, unit, left, sum_0 + r * 4 + u);
        }
    }
}

INLINE const real *loop_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return team->prev[0][at];
}
INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], sum = team->sum[at];
    const vec early_z_i = load(team->s_early_z_i + at * PADDED(5) + unit);
    const vec z_i = sum_0[0] + early_z_i;
    const vec early_z_f = load(team->s_early_z_f + at * PADDED(5) + unit);
    const vec z_f = sum_0[1] + early_z_f;
    const vec early_z = load(team->s_early_z + at * PADDED(5) + unit);
    const vec z = sum_0[2] + early_z;
    const vec early_z_o = load(team->s_early_z_o + at * PADDED(5) + unit);
    const vec z_o = sum_0[3] + early_z_o;
    const vec i = v_sigmoid(z_i);
    const vec f = v_sigmoid(z_f);
    const vec g = v_tanh(z);
    const vec t11 = i * g;
    const vec c_prev = load_left(team->prev[1][at] + unit, left);
    const vec t13 = f * c_prev;
    const vec c = t11 + t13;
    const vec o = v_sigmoid(z_o);
    const vec t16 = v_tanh(c);
    const vec h = o * t16;
    store_left(kernel->y + row * 5 + unit, h, left);
    store(team->new_next_c + at * PADDED(5) + unit, c);
}

/* loop: step by step, 5 features; 4 products; makes z_i, z_f, z, z_o, i, f, g, c, o, h */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        const int pair = count == 1 && i + 1 < to; /* this block and the one after */
        vec sum_0[ROWS * 4];
        for (long n = 0; n < (rows + pair) * 4; n++) sum_0[n] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_1_0_0_in(kernel, team, at + r);
            const long size = 20L * VL;
            const real *weights = kernel->loop_1_0_0 + block * size;
            const real *next = kernel->loop_1_0_0 + after * size;
            if (pair) pair4(sum_0, weights, next, 5, in[0]);
            else
            dot4(rows, sum_0, weights, 5, in, next + (tiles % 4) * (5L * VL));
        }
        for (long r = 0; r < rows + pair; r++) for (int u = 0; u < 1; u++) {
            const long unit = ((pair && r ? after : block) * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at + (pair ? 0 : r), unit, VL, sum_0 + r * 4 + u);
            else if (left > 0) loop_1_units(kernel, team, at + (pair ? 0 : r), unit, left, sum_0 + r * 4 + u);
        }
        i += pair;
    }
}

#define FEEDBACK -1
static const int MOVES[2] = {0, 1};
#define EACH_SHARED(X) X(s_early_z_i, 5) X(s_early_z_f, 5) X(s_early_z, 5) X(s_early_z_o, 5) X(new_next_c, 5)
#define EACH_PACKED(X) X(before_1_0_0, 3, 5, 4, 1) X(loop_1_0_0, 5, 5, 4, 1)
#define EACH_POINTER(X) X(x) X(y) X(vector_b) X(matrix_W) X(matrix_R) X(start[0]) X(initial[0]) X(final[0]) X(start[1]) X(initial[1]) X(final[1]) X(forced)

INLINE real *next_state(UNUSED const Kernel *kernel, Team *team, int state, long at) {
    UNUSED const long row = team->row[at];
    switch (state) {
    case 0: return kernel->y + row * 5 + 0;
    case 1: return team->new_next_c + at * PADDED(5) + 0;
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
    if (turn++ % parts == part) pack(kernel->before_1_0_0, kernel->matrix_W + 0, 3, 1, 5, 3, 0, 4, 1);
    if (turn++ % parts == part) pack(kernel->before_1_0_0, kernel->matrix_W + 15, 3, 1, 5, 3, 1, 4, 1);
    if (turn++ % parts == part) pack(kernel->before_1_0_0, kernel->matrix_W + 30, 3, 1, 5, 3, 2, 4, 1);
    if (turn++ % parts == part) pack(kernel->before_1_0_0, kernel->matrix_W + 45, 3, 1, 5, 3, 3, 4, 1);
    if (turn++ % parts == part) pack(kernel->loop_1_0_0, kernel->matrix_R + 0, 5, 1, 5, 5, 0, 4, 1);
    if (turn++ % parts == part) pack(kernel->loop_1_0_0, kernel->matrix_R + 25, 5, 1, 5, 5, 1, 4, 1);
    if (turn++ % parts == part) pack(kernel->loop_1_0_0, kernel->matrix_R + 50, 5, 1, 5, 5, 2, 4, 1);
    if (turn++ % parts == part) pack(kernel->loop_1_0_0, kernel->matrix_R + 75, 5, 1, 5, 5, 3, 4, 1);
}

