/* The backward loop of JordanCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *factor_0;
    real *grad_y;
    real *cot_0;
    real *sum_1_d;
    real *tape;
    real *cot_1;
    real *sum_0_b;
    real *dx;
    real *y;
    real *matrix_V;
    real *matrix_R;
    real *matrix_W;
    real *start_y;
    real *initial_y;
    real *grad_final_y;
    real *grad_start_y;
    real *grad_initial_y;
    real *forced;
    real *grad_forced;
    real *loop_3_0_0;
    real *loop_4_0_0;
    real *after_1_0_0;
    char *workspace;
    real *zeros;
} Kernel;

typedef struct {
    long from, to; /* its rows */
    int part, parts; /* of the team's threads */
    int back; /* whether this step goes through its blocks from the last one */
    long *row, *seq, *begin; /* of each row at hand: its place, its sequence */
    real **carry_y, **last_carry_y;
    real *own_carry_y;
    real **prev_y;
    real *s_t0;
    real *new_next_y;
} Team;

INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec y_prev = load_left(team->prev_y[at] + unit, left);
    store_left(kernel->factor_0 + row * 2 + unit, y_prev, left);
}

/* before: for many steps at once, 2 features */
APART void before_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(2, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 2 - unit;
        if (2 % (VL * 1) == 0 || left >= VL) before_1_units(kernel, team, at, unit, VL);
        else if (left > 0) before_1_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->grad_y + row * 2 + unit, left);
    const vec t1 = load_left(team->carry_y[at] + unit, left);
    const vec t2 = t0 + t1;
    store_left(kernel->cot_0 + row * 2 + unit, t2, left);
    store_left(kernel->sum_1_d + seq * 2 + unit, load_left(kernel->sum_1_d + seq * 2 + unit, left) + t2, left);
}

/* loop: step by step, 2 features */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(2, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 2 - unit;
        if (2 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_1_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->tape + row * 5 + unit, left);
    const vec t1 = splat((real)1.0) - t0;
    const vec t2 = t0 * t1;
    store(team->s_t0 + at * PADDED(5) + unit, t2);
}

/* loop: step by step, 5 features */
APART void loop_2(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_2_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_2_units(kernel, team, at, unit, left);
    }
}

INLINE const real *loop_3_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_0 + row * 2;
}
INLINE void loop_3_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    const vec t1 = load(team->s_t0 + at * PADDED(5) + unit);
    const vec t2 = t0 * t1;
    store_left(kernel->cot_1 + row * 5 + unit, t2, left);
    store_left(kernel->sum_0_b + seq * 5 + unit, load_left(kernel->sum_0_b + seq * 5 + unit, left) + t2, left);
}

/* loop: step by step, 5 features; 1 product */
APART void loop_3(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_3_0_0_in(kernel, team, at + r);
            const long size = 2L * VL;
            const real *weights = kernel->loop_3_0_0 + block * size;
            const real *next = kernel->loop_3_0_0 + after * size;
            dot1(rows, sum_0, weights, 2, in, next + (tiles % 1) * (2L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_3_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) loop_3_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE const real *loop_4_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_1 + row * 5;
}
INLINE void loop_4_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    store(team->new_next_y + at * PADDED(2) + unit, t0);
}

/* loop: step by step, 2 features; 1 product */
APART void loop_4(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(2, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_4_0_0_in(kernel, team, at + r);
            const long size = 5L * VL;
            const real *weights = kernel->loop_4_0_0 + block * size;
            const real *next = kernel->loop_4_0_0 + after * size;
            dot1(rows, sum_0, weights, 5, in, next + (tiles % 1) * (5L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 2 - unit;
            if (2 % (VL * 1) == 0 || left >= VL) loop_4_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) loop_4_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE const real *after_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_1 + row * 5;
}
INLINE void after_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
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
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
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

#define MOST 64 /* rows of a team that run together */
#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */
#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

INLINE long own_bytes(void) {
    return ALIGNED(MOST * PADDED(2) * sizeof(real)) + 3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long)) + 2 * ALIGNED(AT_HAND * sizeof(real *)) + 1 * ALIGNED(MOST * sizeof(real *));
}
INLINE long shared_bytes(void) {
    return ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(2) * sizeof(real));
}

static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {
    team->part = part, team->parts = parts, team->back = 0;
    char *own = kernel->workspace + thread * own_bytes();
    UNUSED char *shared = kernel->workspace + kernel->shape.threads * own_bytes() + (thread - part) * shared_bytes();
    team->own_carry_y = (real *)own, own += ALIGNED(MOST * PADDED(2) * sizeof(real));
    team->row = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->seq = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->begin = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->carry_y = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->prev_y = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->last_carry_y = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->s_t0 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->new_next_y = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(2) * sizeof(real));
}

static void walk(const Kernel *kernel, Team *team) {
    const Shape *shape = &kernel->shape;
    const long count = team->to - team->from;
    for (long r = 0; r < count; r++) {
        UNUSED const long seq = team->from + r;
        team->last_carry_y[r] = kernel->grad_final_y + seq * 2;
    }
    for (long done = 0; done < shape->steps;) {
        long rows = 0, step = done;
        for (; step < shape->steps && step - done < AT_HAND; step++) {
            const long t = shape->reverse ? step : shape->steps - 1 - step;
            long active = size_of(shape, t) - team->from;
            active = active < 0 ? 0 : active < count ? active : count;
            if (rows && rows + active > TOGETHER) break;
            team->begin[step - done] = rows;
            for (long r = 0; r < active; r++, rows++) {
                team->row[rows] = offset_of(shape, t) + team->from + r;
                team->seq[rows] = team->from + r;
            }
        }
        team->begin[step - done] = rows;
        for (long s = done; s < step; s++) {
            const long t = shape->reverse ? s : shape->steps - 1 - s;
            const long before = shape->reverse ? t + 1 : t - 1;
            for (long at = team->begin[s - done]; at < team->begin[s - done + 1]; at++) {
                UNUSED const long seq = team->seq[at];
                UNUSED const int reset = shape->reset && shape->reset[team->row[at]];
                const int has = before >= 0 && before < shape->steps && seq < size_of(shape, before);
                UNUSED const long row = has ? offset_of(shape, before) + seq : 0;
                real *prev_y = has ? kernel->y + row * 2 + 0 : kernel->start_y + seq * 2;
                if (kernel->forced && has) prev_y = kernel->forced + row * 2;
                if (reset) prev_y = kernel->initial_y + seq * 2;
                team->prev_y[at] = prev_y;
            }
        }
        before_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long s = done; s < step; s++) {
            const long first = team->begin[s - done];
            const long active = team->begin[s - done + 1] - first;
            for (long r = 0; r < active; r++) team->carry_y[first + r] = team->last_carry_y[r];
            loop_1(kernel, team, first, active);
            loop_2(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_3(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_4(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            team->back = !team->back;
            for (long r = 0, at = first; r < active; r++, at++) {
                team->last_carry_y[r] = team->new_next_y + at * PADDED(2) + 0;
            }
            if (shape->reset || kernel->forced) {
                const long t = (shape->reverse ? s : shape->steps - 1 - s), before = shape->reverse ? t + 1 : t - 1;
                for (long r = 0, at = first; r < active; r++, at++) {
                    UNUSED const long seq = team->seq[at];
                    const int reset = shape->reset && shape->reset[team->row[at]];
                    UNUSED const int has = before >= 0 && before < shape->steps && seq < size_of(shape, before);
                    if (reset) {
                        for (long i = 0; i < 2 && team->part == 0; i++) (kernel->grad_initial_y + seq * 2)[i] += team->last_carry_y[r][i];
                        team->last_carry_y[r] = kernel->zeros;
                    }
                    else if (kernel->forced && has) {
                        real *known = kernel->grad_forced + (offset_of(shape, before) + seq) * 2;
                        if (team->part == 0) memcpy(known, team->last_carry_y[r], 2 * sizeof(real));
                        team->last_carry_y[r] = kernel->zeros;
                    }
                }
            }
        }
        after_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long r = 0; r < count; r++) {
            real *own = team->own_carry_y + r * PADDED(2);
            if (team->last_carry_y[r] != own) memcpy(own, team->last_carry_y[r], 2 * sizeof(real));
            team->last_carry_y[r] = own;
        }
        if (team->parts > 1) shape->barrier();
        done = step;
    }
    for (long r = 0; r < count && team->part == 0; r++) {
        memcpy(kernel->grad_start_y + (team->from + r) * 2, team->last_carry_y[r], 2 * sizeof(real));
    }
}

static void take(Kernel *kernel, void *const *pointers, const long *numbers) {
    Shape *shape = &kernel->shape;
    shape->steps = numbers[0], shape->rows = numbers[1];
    shape->reverse = (int)numbers[2];
    shape->threads = (int)numbers[3], shape->parts = (int)numbers[4];
    shape->packed = (int)numbers[5];
    shape->size = pointers[0], shape->offset = pointers[1], shape->reset = pointers[2];
    shape->barrier = (void (*)(void))pointers[4];
    kernel->factor_0 = pointers[6];
    kernel->grad_y = pointers[7];
    kernel->cot_0 = pointers[8];
    kernel->sum_1_d = pointers[9];
    kernel->tape = pointers[10];
    kernel->cot_1 = pointers[11];
    kernel->sum_0_b = pointers[12];
    kernel->dx = pointers[13];
    kernel->y = pointers[14];
    kernel->matrix_V = pointers[15];
    kernel->matrix_R = pointers[16];
    kernel->matrix_W = pointers[17];
    kernel->start_y = pointers[18];
    kernel->initial_y = pointers[19];
    kernel->grad_final_y = pointers[20];
    kernel->grad_start_y = pointers[21];
    kernel->grad_initial_y = pointers[22];
    kernel->forced = pointers[23];
    kernel->grad_forced = pointers[24];
    char *workspace = pointers[5];
    kernel->loop_3_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 2L * VL * sizeof(real);
    kernel->loop_4_0_0 = (real *)workspace;
    workspace += BLOCKS(2, 1) * 5L * VL * sizeof(real);
    kernel->after_1_0_0 = (real *)workspace;
    workspace += BLOCKS(3, 1) * 5L * VL * sizeof(real);
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(2) * sizeof(real));
    kernel->workspace = workspace + PADDED(2) * sizeof(real);
}

static void pack_all(const Kernel *kernel, int part, int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_3_0_0, kernel->matrix_V + 0, 1, 5, 5, 2, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->loop_4_0_0, kernel->matrix_R + 0, 1, 2, 2, 5, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_0, kernel->matrix_W + 0, 1, 3, 3, 5, 0, 1, 1);
}

/* Bytes of workspace for this many threads. */
long workspace_bytes(long threads) {
    return BLOCKS(5, 1) * 2L * VL * sizeof(real) + BLOCKS(2, 1) * 5L * VL * sizeof(real) + BLOCKS(3, 1) * 5L * VL * sizeof(real) + PADDED(2) * sizeof(real) + threads * (own_bytes() + shared_bytes());
}

static void work(void *argument, int thread, int threads) {
    const Kernel *kernel = argument;
    const Shape *shape = &kernel->shape;
    if (!shape->packed) {
        pack_all(kernel, thread, threads);
        if (threads > 1) shape->barrier();
    }
    const int parts = threads > 1 ? shape->parts : 1, teams = threads / parts;
    const int number = thread / parts;
    const long from = shape->rows * number / teams;
    const long to = shape->rows * (number + 1) / teams;
    Team team;
    prepare(kernel, &team, thread, thread % parts, parts);
    const long groups = (to - from + MOST - 1) / MOST;
    for (long g = 0; g < groups; g++) {
        team.from = from + (to - from) * g / groups;
        team.to = from + (to - from) * (g + 1) / groups;
        walk(kernel, &team);
    }
}

void run(void *const *pointers, const long *numbers) {
    Kernel kernel;
    take(&kernel, pointers, numbers);
    Work *pool = (Work *)pointers[3];
    if (kernel.shape.threads > 1) pool(work, &kernel, kernel.shape.threads);
    else work(&kernel, 0, 1);
}

void pack_only(void *const *pointers, const long *numbers) {
    Kernel kernel;
    take(&kernel, pointers, numbers);
    pack_all(&kernel, 0, 1);
}
