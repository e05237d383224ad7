/* The forward loop of LSTMCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *x;
    real *y;
    real *vector_b;
    real *matrix_W;
    real *matrix_R;
    real *start_h;
    real *initial_h;
    real *final_h;
    real *start_c;
    real *initial_c;
    real *final_c;
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
    long *row, *seq, *begin; /* of each row at hand: its place, its sequence */
    real **prev_h, **last_prev_h;
    real **prev_c, **last_prev_c;
    real *own_prev_h;
    real *own_prev_c;
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
    UNUSED const long row = team->row[at], seq = team->seq[at];
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
        for (long i = 0; i < rows * 4; i++) sum_0[i] = splat(0);
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
    return team->prev_h[at];
}
INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
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
    const vec c_prev = load_left(team->prev_c[at] + unit, left);
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
        vec sum_0[ROWS * 4];
        for (long i = 0; i < rows * 4; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_1_0_0_in(kernel, team, at + r);
            const long size = 20L * VL;
            const real *weights = kernel->loop_1_0_0 + block * size;
            const real *next = kernel->loop_1_0_0 + after * size;
            dot4(rows, sum_0, weights, 5, in, next + (tiles % 4) * (5L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at + r, unit, VL, sum_0 + r * 4 + u);
            else if (left > 0) loop_1_units(kernel, team, at + r, unit, left, sum_0 + r * 4 + u);
        }
    }
}

#define MOST 64 /* rows of a team that run together */
#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */
#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

INLINE long own_bytes(void) {
    return ALIGNED(MOST * PADDED(5) * sizeof(real)) + ALIGNED(MOST * PADDED(5) * sizeof(real)) + 3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long)) + 2 * ALIGNED(AT_HAND * sizeof(real *)) + 2 * ALIGNED(MOST * sizeof(real *));
}
INLINE long shared_bytes(void) {
    return ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {
    team->part = part, team->parts = parts, team->back = 0;
    char *own = kernel->workspace + thread * own_bytes();
    UNUSED char *shared = kernel->workspace + kernel->shape.threads * own_bytes() + (thread - part) * shared_bytes();
    team->own_prev_h = (real *)own, own += ALIGNED(MOST * PADDED(5) * sizeof(real));
    team->own_prev_c = (real *)own, own += ALIGNED(MOST * PADDED(5) * sizeof(real));
    team->row = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->seq = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->begin = (long *)own, own += ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    team->prev_h = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->prev_c = (real **)own, own += ALIGNED(AT_HAND * sizeof(real *));
    team->last_prev_h = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->last_prev_c = (real **)own, own += ALIGNED(MOST * sizeof(real *));
    team->s_early_z_i = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_early_z_f = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_early_z = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_early_z_o = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->new_next_c = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
}

static void walk(const Kernel *kernel, Team *team) {
    const Shape *shape = &kernel->shape;
    const long count = team->to - team->from;
    for (long r = 0; r < count; r++) {
        UNUSED const long seq = team->from + r;
        team->last_prev_h[r] = kernel->start_h + seq * 5;
        team->last_prev_c[r] = kernel->start_c + seq * 5;
    }
    for (long done = 0; done < shape->steps;) {
        long rows = 0, step = done;
        for (; step < shape->steps && step - done < AT_HAND; step++) {
            const long t = shape->reverse ? shape->steps - 1 - step : step;
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
        before_1(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        for (long s = done; s < step; s++) {
            const long first = team->begin[s - done];
            const long active = team->begin[s - done + 1] - first;
            UNUSED const long t = shape->reverse ? shape->steps - 1 - s : s;
            for (long r = 0, at = first; r < active; r++, at++) {
                UNUSED const long row = team->row[at], seq = team->seq[at];
                UNUSED const int reset = shape->reset && shape->reset[row];
                real *prev_h = team->last_prev_h[r];
                if (reset) prev_h = kernel->initial_h + seq * 5;
                team->prev_h[at] = prev_h;
                real *prev_c = team->last_prev_c[r];
                if (reset) prev_c = kernel->initial_c + seq * 5;
                team->prev_c[at] = prev_c;
            }
            loop_1(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            team->back = !team->back;
            for (long r = 0, at = first; r < active; r++, at++) {
                team->last_prev_h[r] = kernel->y + team->row[at] * 5 + 0;
                team->last_prev_c[r] = team->new_next_c + at * PADDED(5) + 0;
            }
        }
        for (long r = 0; r < count; r++) {
            real *own = team->own_prev_c + r * PADDED(5);
            if (team->last_prev_c[r] != own) memcpy(own, team->last_prev_c[r], 5 * sizeof(real));
            team->last_prev_c[r] = own;
        }
        if (team->parts > 1) shape->barrier();
        done = step;
    }
    for (long r = 0; r < count && team->part == 0; r++) {
        memcpy(kernel->final_h + (team->from + r) * 5, team->last_prev_h[r], 5 * sizeof(real));
        memcpy(kernel->final_c + (team->from + r) * 5, team->last_prev_c[r], 5 * sizeof(real));
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
    kernel->x = pointers[6];
    kernel->y = pointers[7];
    kernel->vector_b = pointers[8];
    kernel->matrix_W = pointers[9];
    kernel->matrix_R = pointers[10];
    kernel->start_h = pointers[11];
    kernel->initial_h = pointers[12];
    kernel->final_h = pointers[13];
    kernel->start_c = pointers[14];
    kernel->initial_c = pointers[15];
    kernel->final_c = pointers[16];
    kernel->forced = pointers[17];
    char *workspace = pointers[5];
    kernel->before_1_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 12L * VL * sizeof(real);
    kernel->loop_1_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 20L * VL * sizeof(real);
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(5) * sizeof(real));
    kernel->workspace = workspace + PADDED(5) * sizeof(real);
}

static void pack_all(const Kernel *kernel, int part, int parts) {
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

/* Bytes of workspace for this many threads. */
long workspace_bytes(long threads) {
    return BLOCKS(5, 1) * 12L * VL * sizeof(real) + BLOCKS(5, 1) * 20L * VL * sizeof(real) + PADDED(5) * sizeof(real) + threads * (own_bytes() + shared_bytes());
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
