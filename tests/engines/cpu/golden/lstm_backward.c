/* The backward loop of LSTMCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *factor_0;
    real *grad_y;
    real *tape;
    real *cot_0;
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
    real *start_c;
    real *initial_c;
    real *grad_final_c;
    real *grad_start_c;
    real *grad_initial_c;
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
    long *row, *seq, *begin; /* of each row at hand: its place, its sequence */
    real **carry_h, **last_carry_h;
    real **carry_c, **last_carry_c;
    real *own_carry_h;
    real *own_carry_c;
    real **prev_h;
    real **prev_c;
    real *new_next_h;
    real *new_next_c;
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
    const vec t14 = load_left(team->carry_c[at] + unit, left);
    const vec t15 = t14 + t10;
    const vec c_prev = load_left(team->prev_c[at] + unit, left);
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
    store_left(kernel->sum_0_b + seq * 20 + unit, load_left(kernel->sum_0_b + seq * 20 + unit, left) + t31, left);
    store_left(kernel->sum_0_b + seq * 20 + 5 + unit, load_left(kernel->sum_0_b + seq * 20 + 5 + unit, left) + t28, left);
    store_left(kernel->sum_0_b + seq * 20 + 10 + unit, load_left(kernel->sum_0_b + seq * 20 + 10 + unit, left) + t24, left);
    store_left(kernel->sum_0_b + seq * 20 + 15 + unit, load_left(kernel->sum_0_b + seq * 20 + 15 + unit, left) + t13, left);
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
    UNUSED const long row = team->row[at], seq = team->seq[at];
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
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
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

#define MOST 64 /* rows of a team that run together */
#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */
#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

INLINE long own_bytes(void) {
    return ALIGNED(MOST * PADDED(5) * sizeof(real)) + ALIGNED(MOST * PADDED(5) * sizeof(real)) + 3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long)) + 4 * ALIGNED(AT_HAND * sizeof(real *)) + 2 * ALIGNED(MOST * sizeof(real *));
}
INLINE long shared_bytes(void) {
    return ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {
    team->part = part, team->parts = parts, team->back = 0;
    char *own = kernel->workspace + thread * own_bytes();
    UNUSED char *shared = kernel->workspace + kernel->shape.threads * own_bytes() + (thread - part) * shared_bytes();
    team->own_carry_h = (real *)own, own += ALIGNED(MOST * PADDED(5) * sizeof(real));
    team->own_carry_c = (real *)own, own += ALIGNED(MOST * PADDED(5) * sizeof(real));
    team->row = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->seq = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->begin = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->carry_h = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->carry_c = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->prev_h = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->prev_c = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->last_carry_h = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->last_carry_c = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->new_next_h = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->new_next_c = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void walk(const Kernel *kernel, Team *team) {
    const Shape *shape = &kernel->shape;
    const long count = team->to - team->from;
    for (long r = 0; r < count; r++) {
        UNUSED const long seq = team->from + r;
        team->last_carry_h[r] = kernel->grad_final_h + seq * 5;
        team->last_carry_c[r] = kernel->grad_final_c + seq * 5;
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
                real *prev_c = has ? kernel->tape + row * 25 + 0 : kernel->start_c + seq * 5;
                if (reset) prev_c = kernel->initial_c + seq * 5;
                team->prev_c[at] = prev_c;
            }
        }
        before_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long s = done; s < step; s++) {
            const long first = team->begin[s - done];
            const long active = team->begin[s - done + 1] - first;
            for (long r = 0; r < active; r++) team->carry_h[first + r] = team->last_carry_h[r];
            for (long r = 0; r < active; r++) team->carry_c[first + r] = team->last_carry_c[r];
            loop_1(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_2(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            team->back = !team->back;
            for (long r = 0, at = first; r < active; r++, at++) {
                team->last_carry_h[r] = team->new_next_h + at * PADDED(5) + 0;
                team->last_carry_c[r] = team->new_next_c + at * PADDED(5) + 0;
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
                    if (reset) {
                        for (long i = 0; i < 5 && team->part == 0; i++) (kernel->grad_initial_c + seq * 5)[i] += team->last_carry_c[r][i];
                        team->last_carry_c[r] = kernel->zeros;
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
        for (long r = 0; r < count; r++) {
            real *own = team->own_carry_c + r * PADDED(5);
            if (team->last_carry_c[r] != own) memcpy(own, team->last_carry_c[r], 5 * sizeof(real));
            team->last_carry_c[r] = own;
        }
        if (team->parts > 1) shape->barrier();
        done = step;
    }
    for (long r = 0; r < count && team->part == 0; r++) {
        memcpy(kernel->grad_start_h + (team->from + r) * 5, team->last_carry_h[r], 5 * sizeof(real));
        memcpy(kernel->grad_start_c + (team->from + r) * 5, team->last_carry_c[r], 5 * sizeof(real));
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
    kernel->sum_0_b = pointers[10];
    kernel->dx = pointers[11];
    kernel->y = pointers[12];
    kernel->matrix_R = pointers[13];
    kernel->matrix_W = pointers[14];
    kernel->start_h = pointers[15];
    kernel->initial_h = pointers[16];
    kernel->grad_final_h = pointers[17];
    kernel->grad_start_h = pointers[18];
    kernel->grad_initial_h = pointers[19];
    kernel->start_c = pointers[20];
    kernel->initial_c = pointers[21];
    kernel->grad_final_c = pointers[22];
    kernel->grad_start_c = pointers[23];
    kernel->grad_initial_c = pointers[24];
    kernel->forced = pointers[25];
    kernel->grad_forced = pointers[26];
    char *workspace = pointers[5];
    kernel->loop_2_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 20L * VL * sizeof(real);
    kernel->after_1_0_0 = (real *)workspace;
    workspace += BLOCKS(3, 1) * 20L * VL * sizeof(real);
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(5) * sizeof(real));
    kernel->workspace = workspace + PADDED(5) * sizeof(real);
}

static void pack_all(const Kernel *kernel, int part, int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_2_0_0, kernel->matrix_R + 0, 1, 5, 5, 20, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_1_0_0, kernel->matrix_W + 0, 1, 3, 3, 20, 0, 1, 1);
}

/* Bytes of workspace for this many threads. */
long workspace_bytes(long threads) {
    return BLOCKS(5, 1) * 20L * VL * sizeof(real) + BLOCKS(3, 1) * 20L * VL * sizeof(real) + PADDED(5) * sizeof(real) + threads * (own_bytes() + shared_bytes());
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
