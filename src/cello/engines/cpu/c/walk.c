/* The walk through time, and what is called from outside. What a cell adds stands before: the structs Kernel
 * and Team; BACKWARD; BY_UNIT (vectors of units that threads share out at a time, each its own through all
 * of time, or 0); STATES, the SIZE of each, which of them is FEEDBACK (or -1), which MOVES (its new value
 * is written where that of a later step will be); the macros that list arrays; the functions next_state and
 * kept_state, and those of the phases: before, loop, after. */

#define MOST 64 /* rows of a team that run together */
#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */
#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

/* A step gets its states from the one before (forward), its cotangents from the one after (backward). */
#if BACKWARD
#define CHAIN carry
#define BEGIN grad_final
#define END grad_start
#else
#define CHAIN prev
#define BEGIN start
#define END final
#endif

INLINE long time_of(const Shape *shape, long s) {
    return !shape->reverse == !BACKWARD ? s : shape->steps - 1 - s;
}

/* The step whose new states step t begins with; whether sequence seq has it. */
INLINE long before_of(const Shape *shape, long t) { return shape->reverse ? t + 1 : t - 1; }
INLINE int has_step(const Shape *shape, long t, long seq) {
    return t >= 0 && t < shape->steps && seq < size_of(shape, t);
}

/* ---------------------------------------------------------------- the memory of a team */

INLINE long own_bytes(void) {
    long bytes = 4 * ALIGNED((2 * AT_HAND + 1) * sizeof(long));
    for (int s = 0; s < STATES; s++)
        bytes += ALIGNED(MOST * PADDED(SIZE[s]) * sizeof(real)) + ALIGNED(MOST * sizeof(real *)) +
                 (1 + BACKWARD) * ALIGNED(AT_HAND * sizeof(real *));
    return bytes;
}

INLINE long shared_bytes(void) {
#define BYTES(name, size) +ALIGNED(AT_HAND * PADDED(size) * sizeof(real))
    return 0 EACH_SHARED(BYTES);
#undef BYTES
}

INLINE void *next_bytes(char **memory, long bytes) {
    void *found = *memory;
    *memory += ALIGNED(bytes);
    return found;
}

static void prepare(const Kernel *kernel, Team *team, int thread, int part, int parts) {
    team->part = part, team->parts = parts, team->back = 0;
    char *own = kernel->workspace + thread * own_bytes();
    UNUSED char *shared =
        kernel->workspace + kernel->shape.threads * own_bytes() + (thread - part) * shared_bytes();
    for (int s = 0; s < STATES; s++) team->own[s] = next_bytes(&own, MOST * PADDED(SIZE[s]) * sizeof(real));
    team->row = next_bytes(&own, (2 * AT_HAND + 1) * sizeof(long));
    team->seq = next_bytes(&own, (2 * AT_HAND + 1) * sizeof(long));
    team->sum = next_bytes(&own, (2 * AT_HAND + 1) * sizeof(long));
    team->begin = next_bytes(&own, (2 * AT_HAND + 1) * sizeof(long));
    for (int s = 0; s < STATES; s++) {
        team->CHAIN[s] = next_bytes(&own, AT_HAND * sizeof(real *));
        if (BACKWARD) team->prev[s] = next_bytes(&own, AT_HAND * sizeof(real *));
        team->last[s] = next_bytes(&own, MOST * sizeof(real *));
    }
#define PLACE(name, size) team->name = next_bytes(&shared, AT_HAND * PADDED(size) * sizeof(real));
    EACH_SHARED(PLACE)
#undef PLACE
}

/* ---------------------------------------------------------------- through time */

/* The units of a state that a thread of a team sees to between steps: all, or those that it computes. */
INLINE long units_before(UNUSED const Team *team, UNUSED long part, long size) {
#if BY_UNIT
    const long blocks = BLOCKS(size, BY_UNIT);
    return LEAST(size, SHARE(part, 1) * BY_UNIT * VL);
#else
    return part == team->part ? 0 : size;
#endif
}
INLINE void copy_units(const Team *team, real *to, const real *from, long size) {
    const long first = units_before(team, team->part, size);
    memcpy(to + first, from + first, (units_before(team, team->part + 1, size) - first) * sizeof(real));
}
#define SEES_TO_STATES (BY_UNIT || team->part == 0)

/* Gathers the rows of the next few steps, from step `done` on; returns the step after them. */
static long rows_from(const Shape *shape, Team *team, long done) {
    const long count = team->to - team->from;
    long rows = 0, step = done;
    for (; step < shape->steps && step - done < AT_HAND; step++) {
        const long t = time_of(shape, step);
        long active = size_of(shape, t) - team->from;
        active = active < 0 ? 0 : active < count ? active : count;
        if (rows && rows + active > TOGETHER) break;
        team->begin[step - done] = rows;
        for (long r = 0; r < active; r++, rows++) {
            team->row[rows] = offset_of(shape, t) + team->from + r;
            team->seq[rows] = team->from + r;
            team->sum[rows] = step / SUMMED * shape->rows + team->from + r;
        }
    }
    team->begin[step - done] = rows;
    return step;
}

#if BACKWARD
/* The states that the rows at hand have had before step t: after the forward loop they are there. */
INLINE void find_states(const Kernel *kernel, Team *team, long t, long first, long active) {
    const Shape *shape = &kernel->shape;
    const long before = before_of(shape, t);
    for (long at = first; at < first + active; at++) {
        const long seq = team->seq[at];
        const int reset = shape->reset && shape->reset[team->row[at]], has = has_step(shape, before, seq);
        const long row = has ? offset_of(shape, before) + seq : 0;
        for (int s = 0; s < STATES; s++) {
            real *prev = has ? kept_state(kernel, s, row) : kernel->start[s] + seq * SIZE[s];
            if (s == FEEDBACK && kernel->forced && has) prev = kernel->forced + row * SIZE[s];
            if (reset) prev = kernel->initial[s] + seq * SIZE[s];
            team->prev[s][at] = prev;
        }
    }
}

INLINE void take_on(UNUSED const Kernel *kernel, Team *team, UNUSED long t, long first, long active) {
    for (int s = 0; s < STATES; s++)
        for (long r = 0; r < active; r++) team->carry[s][first + r] = team->last[s][r];
}

/* A cotangent goes no further than a reset, or a known output that was fed back. */
INLINE void cut_off(const Kernel *kernel, Team *team, long t, long first, long active) {
    const Shape *shape = &kernel->shape;
    if (!shape->reset && !kernel->forced) return;
    const long before = before_of(shape, t);
    for (long r = 0, at = first; r < active; r++, at++) {
        const long seq = team->seq[at];
        const int reset = shape->reset && shape->reset[team->row[at]], has = has_step(shape, before, seq);
        for (int s = 0; s < STATES; s++) {
            if (reset) {
                real *sum = kernel->grad_initial[s] + seq * SIZE[s];
                const long first_unit = units_before(team, team->part, SIZE[s]);
                const long end = units_before(team, team->part + 1, SIZE[s]);
                for (long i = first_unit; i < end && SEES_TO_STATES; i++) sum[i] += team->last[s][r][i];
                team->last[s][r] = kernel->zeros;
            } else if (s == FEEDBACK && kernel->forced && has) {
                real *known = kernel->grad_forced + (offset_of(shape, before) + seq) * SIZE[s];
                if (SEES_TO_STATES) copy_units(team, known, team->last[s][r], SIZE[s]);
                team->last[s][r] = kernel->zeros;
            }
        }
    }
}
#else
/* The states with which the rows of step t begin. */
INLINE void take_on(const Kernel *kernel, Team *team, long t, long first, long active) {
    const Shape *shape = &kernel->shape;
    const long before = before_of(shape, t);
    for (long r = 0, at = first; r < active; r++, at++) {
        const long seq = team->seq[at];
        const int reset = shape->reset && shape->reset[team->row[at]];
        for (int s = 0; s < STATES; s++) {
            real *prev = team->last[s][r];
            if (s == FEEDBACK && kernel->forced && has_step(shape, before, seq))
                prev = kernel->forced + (offset_of(shape, before) + seq) * SIZE[s];
            if (reset) prev = kernel->initial[s] + seq * SIZE[s];
            team->prev[s][at] = prev;
        }
    }
}
#endif

/* All steps of a team's rows; backward the last one first. */
static void walk(const Kernel *kernel, Team *team) {
    const Shape *shape = &kernel->shape;
    const long count = team->to - team->from;
    for (long r = 0; r < count; r++)
        for (int s = 0; s < STATES; s++) team->last[s][r] = kernel->BEGIN[s] + (team->from + r) * SIZE[s];
    for (long done = 0; done < shape->steps;) {
        const long step = rows_from(shape, team, done), rows = team->begin[step - done];
#if BACKWARD
        for (long s = done; s < step; s++) {
            const long first = team->begin[s - done], active = team->begin[s - done + 1] - first;
            find_states(kernel, team, time_of(shape, s), first, active);
        }
#endif
        before(kernel, team, 0, rows);
        for (long s = done; s < step; s++) {
            const long t = time_of(shape, s);
            const long first = team->begin[s - done], active = team->begin[s - done + 1] - first;
            take_on(kernel, team, t, first, active);
            loop(kernel, team, first, active);
            team->back = !team->back;
            for (long r = 0; r < active; r++)
                for (int i = 0; i < STATES; i++) team->last[i][r] = next_state(kernel, team, i, first + r);
#if BACKWARD
            cut_off(kernel, team, t, first, active);
#endif
        }
        after(kernel, team, 0, rows);
        for (int s = 0; s < STATES; s++)
            for (long r = 0; MOVES[s] && r < count; r++) {
                real *own = team->own[s] + r * PADDED(SIZE[s]);
                if (team->last[s][r] != own) copy_units(team, own, team->last[s][r], SIZE[s]);
                team->last[s][r] = own;
            }
        if (team->parts > 1 && !BY_UNIT) shape->barrier();
        done = step;
    }
    for (long r = 0; r < count && SEES_TO_STATES; r++)
        for (int s = 0; s < STATES; s++)
            copy_units(team, kernel->END[s] + (team->from + r) * SIZE[s], team->last[s][r], SIZE[s]);
}

/* ---------------------------------------------------------------- from outside */

INLINE long packed_bytes(void) {
#define BYTES(name, inputs, outputs, sums, width) \
    +BLOCKS(outputs, width) * ((long)(inputs) * (sums) * (width)) * VL * sizeof(real)
    return 0 EACH_PACKED(BYTES);
}

static void take(Kernel *kernel, void *const *pointers, const long *numbers) {
    Shape *shape = &kernel->shape;
    shape->steps = numbers[0], shape->rows = numbers[1];
    shape->reverse = (int)numbers[2];
    shape->threads = (int)numbers[3], shape->parts = (int)numbers[4];
    shape->packed = (int)numbers[5];
    shape->size = pointers[0], shape->offset = pointers[1], shape->reset = pointers[2];
    shape->barrier = (void (*)(void))pointers[4];
    char *workspace = pointers[5];
    pointers += 6;
#define TAKE(name) kernel->name = *pointers++;
    EACH_POINTER(TAKE)
#define PLACE(name, inputs, outputs, sums, width) \
    kernel->name = (real *)workspace, workspace += BYTES(name, inputs, outputs, sums, width);
    EACH_PACKED(PLACE)
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(WIDEST) * sizeof(real));
    kernel->workspace = workspace + PADDED(WIDEST) * sizeof(real);
}

/* Bytes of workspace for this many threads. */
long workspace_bytes(long threads) {
    return packed_bytes() + PADDED(WIDEST) * sizeof(real) + threads * (own_bytes() + shared_bytes());
}

static void work(void *argument, int thread, int threads) {
    const Kernel *kernel = argument;
    const Shape *shape = &kernel->shape;
    if (!shape->packed) {
        pack_all(kernel, thread, threads);
        if (threads > 1) shape->barrier();
    }
    const int parts = threads > 1 ? shape->parts : 1, teams = threads / parts, number = thread / parts;
    const long from = shape->rows * number / teams, to = shape->rows * (number + 1) / teams;
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
