/* The backward loop of GRUCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *factor_0;
    real *grad_y;
    real *tape;
    real *cot_0;
    real *cot_1;
    real *sum_0_b;
    real *dx;
    real *y;
    real *matrix_R;
    real *matrix_W;
    real *start_h;
    real *initial_h;
    real *grad_final_h;
    real *grad_start_h;
    real *grad_initial_h;
    real *forced;
    real *grad_forced;
    real *loop_2_0_0;
    real *after_1_0_0;
    real *after_1_0_1;
    char *workspace;
    real *zeros;
} Kernel;

typedef struct {
    long from, to; /* its rows */
    int part, parts; /* of the team's threads */
    int back; /* whether this step goes through its blocks from the last one */
    long *row, *seq, *begin; /* of each row at hand: its place, its sequence */
    real **carry_h, **last_carry_h;
    real *own_carry_h;
    real **prev_h;
    real *s_t0;
    real *new_next_h;
} Team;

INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec h_prev = load_left(team->prev_h[at] + unit, left);
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
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->grad_y + row * 5 + unit, left);
    const vec t1 = load_left(team->carry_h[at] + unit, left);
    const vec t2 = t0 + t1;
    const vec h_prev = load_left(team->prev_h[at] + unit, left);
    const vec t4 = t2 * h_prev;
    const vec t5 = load_left(kernel->tape + row * 20 + 10 + unit, left);
    const vec t6 = splat((real)1.0) - t5;
    const vec t7 = load_left(kernel->tape + row * 20 + 15 + unit, left);
    const vec t8 = t2 * t7;
    const vec t9 = t2 * t6;
    const vec t10 = -t8;
    const vec t11 = t7 * t7;
    const vec t12 = splat((real)1.0) - t11;
    const vec t13 = t9 * t12;
    const vec t14 = load_left(kernel->tape + row * 20 + unit, left);
    const vec t15 = t13 * t14;
    const vec t16 = t4 + t10;
    const vec t17 = t5 * t6;
    const vec t18 = t16 * t17;
    const vec t19 = load_left(kernel->tape + row * 20 + 5 + unit, left);
    const vec t20 = splat((real)1.0) - t19;
    const vec t21 = t19 * t20;
    const vec t22 = t15 * t21;
    const vec t23 = t2 * t5;
    store(team->s_t0 + at * PADDED(5) + unit, t23);
    const vec t24 = t13 * t19;
    store_left(kernel->cot_0 + row * 15 + unit, t22, left);
    store_left(kernel->cot_0 + row * 15 + 5 + unit, t18, left);
    store_left(kernel->cot_0 + row * 15 + 10 + unit, t24, left);
    store_left(kernel->cot_1 + row * 15 + unit, t22, left);
    store_left(kernel->cot_1 + row * 15 + 5 + unit, t18, left);
    store_left(kernel->cot_1 + row * 15 + 10 + unit, t13, left);
    store_left(kernel->sum_0_b + seq * 15 + unit, load_left(kernel->sum_0_b + seq * 15 + unit, left) + t22, left);
    store_left(kernel->sum_0_b + seq * 15 + 5 + unit, load_left(kernel->sum_0_b + seq * 15 + 5 + unit, left) + t18, left);
    store_left(kernel->sum_0_b + seq * 15 + 10 + unit, load_left(kernel->sum_0_b + seq * 15 + 10 + unit, left) + t13, left);
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
    return kernel->cot_0 + row * 15;
}
INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
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
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_2_0_0_in(kernel, team, at + r);
            const long size = 15L * VL;
            const real *weights = kernel->loop_2_0_0 + block * size;
            const real *next = kernel->loop_2_0_0 + after * size;
            dot1(rows, sum_0, weights, 15, in, next + (tiles % 1) * (15L * VL));
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
    return kernel->cot_0 + row * 15;
}
INLINE const real *after_1_0_1_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_1 + row * 15 + 10;
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
            const long size = 10L * VL;
            const real *weights = kernel->after_1_0_0 + block * size;
            const real *next = kernel->after_1_0_0 + after * size;
            dot1(rows, sum_0, weights, 10, in, next + (tiles % 1) * (10L * VL));
        }
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = after_1_0_1_in(kernel, team, at + r);
            const long size = 5L * VL;
            const real *weights = kernel->after_1_0_1 + block * size;
            const real *next = kernel->after_1_0_1 + after * size;
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
    return ALIGNED(MOST * PADDED(5) * sizeof(real)) + 3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long)) + 2 * ALIGNED(AT_HAND * sizeof(real *)) + 1 * ALIGNED(MOST * sizeof(real *));
}
INLINE long shared_bytes(void) {
    return ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {
    team->part = part, team->parts = parts, team->back = 0;
    char *own = kernel->workspace + thread * own_bytes();
    UNUSED char *shared = kernel->workspace + kernel->shape.threads * own_bytes() + (thread - part) * shared_bytes();
    team->own_carry_h = (real *)own, own += ALIGNED(MOST * PADDED(5) * sizeof(real));
    team->row = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->seq = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->begin = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->carry_h = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->prev_h = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->last_carry_h = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->s_t0 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->new_next_h = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void walk(const Kernel *kernel, Team *team) {
    const Shape *shape = &kernel->shape;
    const long count = team->to - team->from;
    for (long r = 0; r < count; r++) {
        UNUSED const long seq = team->from + r;
        team->last_carry_h[r] = kernel->grad_final_h + seq * 5;
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
                real *prev_h = has ? kernel->y + row * 5 + 0 : kernel->start_h + seq * 5;
                if (reset) prev_h = kernel->initial_h + seq * 5;
                team->prev_h[at] = prev_h;
            }
        }
        before_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long s = done; s < step; s++) {
            const long first = team->begin[s - done];
            const long active = team->begin[s - done + 1] - first;
            for (long r = 0; r < active; r++) team->carry_h[first + r] = team->last_carry_h[r];
            loop_1(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_2(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            team->back = !team->back;
            for (long r = 0, at = first; r < active; r++, at++) {
                team->last_carry_h[r] = team->new_next_h + at * PADDED(5) + 0;
            }
            if (shape->reset || kernel->forced) {
                const long t = (shape->reverse ? s : shape->steps - 1 - s), before = shape->reverse ? t + 1 : t - 1;
                for (long r = 0, at = first; r < active; r++, at++) {
                    UNUSED const long seq = team->seq[at];
                    const int reset = shape->reset && shape->reset[team->row[at]];
                    UNUSED const int has = before >= 0 && before < shape->steps && seq < size_of(shape, before);
                    if (reset) {
                        for (long i = 0; i < 5 && team->part == 0; i++) (kernel->grad_initial_h + seq * 5)[i] += team->last_carry_h[r][i];
                        team->last_carry_h[r] = kernel->zeros;
                    }
                }
            }
        }
        after_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long r = 0; r < count; r++) {
            real *own = team->own_carry_h + r * PADDED(5);
            if (team->last_carry_h[r] != own) memcpy(own, team->last_carry_h[r], 5 * sizeof(real));
            team->last_carry_h[r] = own;
        }
        if (team->parts > 1) shape->barrier();
        done = step;
    }
    for (long r = 0; r < count && team->part == 0; r++) {
        memcpy(kernel->grad_start_h + (team->from + r) * 5, team->last_carry_h[r], 5 * sizeof(real));
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
    kernel->tape = pointers[8];
    kernel->cot_0 = pointers[9];
    kernel->cot_1 = pointers[10];
    kernel->sum_0_b = pointers[11];
    kernel->dx = pointers[12];
    kernel->y = pointers[13];
    kernel->matrix_R = pointers[14];
    kernel->matrix_W = pointers[15];
    kernel->start_h = pointers[16];
    kernel->initial_h = pointers[17];
    kernel->grad_final_h = pointers[18];
    kernel->grad_start_h = pointers[19];
    kernel->grad_initial_h = pointers[20];
    kernel->forced = pointers[21];
    kernel->grad_forced = pointers[22];
    char *workspace = pointers[5];
    kernel->loop_2_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 15L * VL * sizeof(real);
    kernel->after_1_0_0 = (real *)workspace;
    workspace += BLOCKS(3, 1) * 10L * VL * sizeof(real);
    kernel->after_1_0_1 = (real *)workspace;
    workspace += BLOCKS(3, 1) * 5L * VL * sizeof(real);
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(5) * sizeof(real));
    kernel->workspace = workspace + PADDED(5) * sizeof(real);
}

static void pack_all(const Kernel *kernel, int part, int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_2_0_0, kernel->matrix_R + 0, 1, 5, 5, 15, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_0, kernel->matrix_W + 0, 1, 3, 3, 10, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_1, kernel->matrix_W + 30, 1, 3, 3, 5, 0, 1, 1);
}

/* Bytes of workspace for this many threads. */
long workspace_bytes(long threads) {
    return BLOCKS(5, 1) * 15L * VL * sizeof(real) + BLOCKS(3, 1) * 10L * VL * sizeof(real) + BLOCKS(3, 1) * 5L * VL * sizeof(real) + PADDED(5) * sizeof(real) + threads * (own_bytes() + shared_bytes());
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
