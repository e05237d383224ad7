/* The forward loop of LayerNormLSTMCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *x;
    real *y;
    real *vector_norm_x_weight;
    real *vector_norm_h_weight;
    real *vector_b;
    real *vector_norm_c_weight;
    real *vector_norm_c_bias;
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
    real *s_t0;
    real *s_t1;
    real *s_t2;
    real *s_t3;
    real *s_t4;
    real *s_t5;
    real *s_t6;
    real *s_t7;
    real *s_t8;
    real *s_t9;
    real *s_t10;
    real *s_t11;
    real *s_t12;
    real *s_t13;
    real *s_t14;
    real *s_t15;
    real *s_t16;
    real *s_t17;
    real *s_t18;
    real *s_t19;
    real *s_t20;
    real *s_t21;
    real *s_t22;
    real *s_t23;
    real *s_t24;
    real *s_t25;
    real *s_t26;
    real *s_t27;
    real *s_t28;
    real *s_t29;
    real *s_t30;
    real *s_t31;
    real *s_t32;
    real *s_t33;
    real *s_t34;
    real *s_t35;
    real *s_t36;
    real *s_t37;
    real *s_t38;
    real *s_t39;
    real *s_t40;
    real *s_t41;
    real *s_t42;
    real *s_t43;
    real *s_t44;
    real *s_t45;
    real *s_o;
    real *new_next_c;
} Team;

INLINE const real *before_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->x + row * 3;
}
INLINE void before_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    const vec t1 = t0;
    store(team->s_t4 + at * PADDED(5) + unit, t1);
    const vec t2 = sum_0[1];
    const vec t3 = t2;
    store(team->s_t6 + at * PADDED(5) + unit, t3);
    const vec t4 = sum_0[2];
    const vec t5 = t4;
    store(team->s_t7 + at * PADDED(5) + unit, t5);
    const vec t6 = sum_0[3];
    const vec t7 = t6;
    store(team->s_t8 + at * PADDED(5) + unit, t7);
    store(team->s_t0 + at * PADDED(1), load(team->s_t0 + at * PADDED(1)) + first_lanes(t1, left, 0));
    store(team->s_t1 + at * PADDED(1), load(team->s_t1 + at * PADDED(1)) + first_lanes(t3, left, 0));
    store(team->s_t2 + at * PADDED(1), load(team->s_t2 + at * PADDED(1)) + first_lanes(t5, left, 0));
    store(team->s_t3 + at * PADDED(1), load(team->s_t3 + at * PADDED(1)) + first_lanes(t7, left, 0));
}

/* before: for many steps at once, 5 features; 4 products */
APART void before_1(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t0 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t1 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t2 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t3 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
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
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t0 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t1 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t2 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t3 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void before_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t0 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t1 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t2 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t3 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    store(team->s_t5 + at * PADDED(1) + unit, t7);
}

/* before: for many steps at once, 1 features */
APART void before_2(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) before_2_units(kernel, team, at, unit, VL);
        else if (left > 0) before_2_units(kernel, team, at, unit, left);
    }
}

INLINE void before_3_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t4 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t5 + at * PADDED(1)));
    const vec t2 = t0 - t1;
    store(team->s_t13 + at * PADDED(5) + unit, t2);
    const vec t3 = load(team->s_t6 + at * PADDED(5) + unit);
    const vec t4 = t3 - t1;
    store(team->s_t15 + at * PADDED(5) + unit, t4);
    const vec t5 = load(team->s_t7 + at * PADDED(5) + unit);
    const vec t6 = t5 - t1;
    store(team->s_t16 + at * PADDED(5) + unit, t6);
    const vec t7 = load(team->s_t8 + at * PADDED(5) + unit);
    const vec t8 = t7 - t1;
    store(team->s_t17 + at * PADDED(5) + unit, t8);
    const vec t9 = t2 * t2;
    const vec t10 = t4 * t4;
    const vec t11 = t6 * t6;
    const vec t12 = t8 * t8;
    store(team->s_t9 + at * PADDED(1), load(team->s_t9 + at * PADDED(1)) + first_lanes(t9, left, 0));
    store(team->s_t10 + at * PADDED(1), load(team->s_t10 + at * PADDED(1)) + first_lanes(t10, left, 0));
    store(team->s_t11 + at * PADDED(1), load(team->s_t11 + at * PADDED(1)) + first_lanes(t11, left, 0));
    store(team->s_t12 + at * PADDED(1), load(team->s_t12 + at * PADDED(1)) + first_lanes(t12, left, 0));
}

/* before: for many steps at once, 5 features */
APART void before_3(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t9 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t10 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t11 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t12 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) before_3_units(kernel, team, at, unit, VL);
        else if (left > 0) before_3_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t9 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t10 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t11 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t12 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void before_4_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t9 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t10 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t11 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t12 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    const vec t8 = t7 + splat((real)1e-05);
    const vec t9 = v_recip(v_sqrt(t8));
    store(team->s_t14 + at * PADDED(1) + unit, t9);
}

/* before: for many steps at once, 1 features */
APART void before_4(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) before_4_units(kernel, team, at, unit, VL);
        else if (left > 0) before_4_units(kernel, team, at, unit, left);
    }
}

INLINE void before_5_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t13 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t14 + at * PADDED(1)));
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->vector_norm_x_weight + unit, left);
    const vec t4 = t2 * t3;
    store(team->s_t36 + at * PADDED(5) + unit, t4);
    const vec t5 = load(team->s_t15 + at * PADDED(5) + unit);
    const vec t6 = t5 * t1;
    const vec t7 = load_left(kernel->vector_norm_x_weight + 5 + unit, left);
    const vec t8 = t6 * t7;
    store(team->s_t37 + at * PADDED(5) + unit, t8);
    const vec t9 = load(team->s_t16 + at * PADDED(5) + unit);
    const vec t10 = t9 * t1;
    const vec t11 = load_left(kernel->vector_norm_x_weight + 10 + unit, left);
    const vec t12 = t10 * t11;
    store(team->s_t38 + at * PADDED(5) + unit, t12);
    const vec t13 = load(team->s_t17 + at * PADDED(5) + unit);
    const vec t14 = t13 * t1;
    const vec t15 = load_left(kernel->vector_norm_x_weight + 15 + unit, left);
    const vec t16 = t14 * t15;
    store(team->s_t39 + at * PADDED(5) + unit, t16);
}

/* before: for many steps at once, 5 features */
APART void before_5(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) before_5_units(kernel, team, at, unit, VL);
        else if (left > 0) before_5_units(kernel, team, at, unit, left);
    }
}

INLINE const real *loop_1_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return team->prev_h[at];
}
INLINE void loop_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    const vec t1 = t0;
    store(team->s_t22 + at * PADDED(5) + unit, t1);
    const vec t2 = sum_0[1];
    const vec t3 = t2;
    store(team->s_t24 + at * PADDED(5) + unit, t3);
    const vec t4 = sum_0[2];
    const vec t5 = t4;
    store(team->s_t25 + at * PADDED(5) + unit, t5);
    const vec t6 = sum_0[3];
    const vec t7 = t6;
    store(team->s_t26 + at * PADDED(5) + unit, t7);
    store(team->s_t18 + at * PADDED(1), load(team->s_t18 + at * PADDED(1)) + first_lanes(t1, left, 0));
    store(team->s_t19 + at * PADDED(1), load(team->s_t19 + at * PADDED(1)) + first_lanes(t3, left, 0));
    store(team->s_t20 + at * PADDED(1), load(team->s_t20 + at * PADDED(1)) + first_lanes(t5, left, 0));
    store(team->s_t21 + at * PADDED(1), load(team->s_t21 + at * PADDED(1)) + first_lanes(t7, left, 0));
}

/* loop: step by step, 5 features; 4 products */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t18 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t19 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t20 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t21 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    FOR_BLOCKS(from, to)
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
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t18 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t19 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t20 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t21 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t18 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t19 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t20 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t21 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    store(team->s_t23 + at * PADDED(1) + unit, t7);
}

/* loop: step by step, 1 features */
APART void loop_2(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_2_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_2_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_3_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t22 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t23 + at * PADDED(1)));
    const vec t2 = t0 - t1;
    store(team->s_t31 + at * PADDED(5) + unit, t2);
    const vec t3 = load(team->s_t24 + at * PADDED(5) + unit);
    const vec t4 = t3 - t1;
    store(team->s_t33 + at * PADDED(5) + unit, t4);
    const vec t5 = load(team->s_t25 + at * PADDED(5) + unit);
    const vec t6 = t5 - t1;
    store(team->s_t34 + at * PADDED(5) + unit, t6);
    const vec t7 = load(team->s_t26 + at * PADDED(5) + unit);
    const vec t8 = t7 - t1;
    store(team->s_t35 + at * PADDED(5) + unit, t8);
    const vec t9 = t2 * t2;
    const vec t10 = t4 * t4;
    const vec t11 = t6 * t6;
    const vec t12 = t8 * t8;
    store(team->s_t27 + at * PADDED(1), load(team->s_t27 + at * PADDED(1)) + first_lanes(t9, left, 0));
    store(team->s_t28 + at * PADDED(1), load(team->s_t28 + at * PADDED(1)) + first_lanes(t10, left, 0));
    store(team->s_t29 + at * PADDED(1), load(team->s_t29 + at * PADDED(1)) + first_lanes(t11, left, 0));
    store(team->s_t30 + at * PADDED(1), load(team->s_t30 + at * PADDED(1)) + first_lanes(t12, left, 0));
}

/* loop: step by step, 5 features */
APART void loop_3(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t27 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t28 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t29 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t30 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_3_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_3_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t27 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t28 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t29 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t30 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_4_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t27 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t28 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t29 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t30 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    const vec t8 = t7 + splat((real)1e-05);
    const vec t9 = v_recip(v_sqrt(t8));
    store(team->s_t32 + at * PADDED(1) + unit, t9);
}

/* loop: step by step, 1 features */
APART void loop_4(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_4_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_4_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_5_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t31 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t32 + at * PADDED(1)));
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->vector_norm_h_weight + unit, left);
    const vec t4 = t2 * t3;
    const vec t5 = load(team->s_t33 + at * PADDED(5) + unit);
    const vec t6 = t5 * t1;
    const vec t7 = load_left(kernel->vector_norm_h_weight + 5 + unit, left);
    const vec t8 = t6 * t7;
    const vec t9 = load(team->s_t34 + at * PADDED(5) + unit);
    const vec t10 = t9 * t1;
    const vec t11 = load_left(kernel->vector_norm_h_weight + 10 + unit, left);
    const vec t12 = t10 * t11;
    const vec t13 = load(team->s_t35 + at * PADDED(5) + unit);
    const vec t14 = t13 * t1;
    const vec t15 = load_left(kernel->vector_norm_h_weight + 15 + unit, left);
    const vec t16 = t14 * t15;
    const vec t17 = load(team->s_t36 + at * PADDED(5) + unit);
    const vec t18 = t17 + t4;
    const vec t19 = load(team->s_t37 + at * PADDED(5) + unit);
    const vec t20 = t19 + t8;
    const vec t21 = load(team->s_t38 + at * PADDED(5) + unit);
    const vec t22 = t21 + t12;
    const vec t23 = load(team->s_t39 + at * PADDED(5) + unit);
    const vec t24 = t23 + t16;
    const vec t25 = load_left(kernel->vector_b + unit, left);
    const vec drive = t18 + t25;
    const vec t27 = load_left(kernel->vector_b + 5 + unit, left);
    const vec drive_2 = t20 + t27;
    const vec t29 = load_left(kernel->vector_b + 10 + unit, left);
    const vec drive_3 = t22 + t29;
    const vec t31 = load_left(kernel->vector_b + 15 + unit, left);
    const vec drive_4 = t24 + t31;
    const vec i = v_sigmoid(drive);
    const vec f = v_sigmoid(drive_2);
    const vec o = v_sigmoid(drive_4);
    store(team->s_o + at * PADDED(5) + unit, o);
    const vec g = v_tanh(drive_3);
    const vec t37 = i * g;
    const vec c_prev = load_left(team->prev_c[at] + unit, left);
    const vec t39 = f * c_prev;
    const vec c = t37 + t39;
    const vec t41 = c;
    store(team->s_t41 + at * PADDED(5) + unit, t41);
    store(team->s_t40 + at * PADDED(1), load(team->s_t40 + at * PADDED(1)) + first_lanes(t41, left, 0));
    store(team->new_next_c + at * PADDED(5) + unit, c);
}

/* loop: step by step, 5 features; makes drive, i, f, o, g, c */
APART void loop_5(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t40 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_5_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_5_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t40 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_6_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t40 + at * PADDED(1) + unit);
    const vec t1 = t0 * splat((real)0.2);
    store(team->s_t42 + at * PADDED(1) + unit, t1);
}

/* loop: step by step, 1 features */
APART void loop_6(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_6_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_6_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_7_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t41 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t42 + at * PADDED(1)));
    const vec t2 = t0 - t1;
    store(team->s_t44 + at * PADDED(5) + unit, t2);
    const vec t3 = t2 * t2;
    store(team->s_t43 + at * PADDED(1), load(team->s_t43 + at * PADDED(1)) + first_lanes(t3, left, 0));
}

/* loop: step by step, 5 features */
APART void loop_7(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t43 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_7_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_7_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t43 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_8_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t43 + at * PADDED(1) + unit);
    const vec t1 = t0 * splat((real)0.2);
    const vec t2 = t1 + splat((real)1e-05);
    const vec t3 = v_recip(v_sqrt(t2));
    store(team->s_t45 + at * PADDED(1) + unit, t3);
}

/* loop: step by step, 1 features */
APART void loop_8(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_8_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_8_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_9_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t44 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t45 + at * PADDED(1)));
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->vector_norm_c_weight + unit, left);
    const vec t4 = t2 * t3;
    const vec t5 = load_left(kernel->vector_norm_c_bias + unit, left);
    const vec t6 = t4 + t5;
    const vec t7 = v_tanh(t6);
    const vec o = load(team->s_o + at * PADDED(5) + unit);
    const vec h = o * t7;
    store_left(kernel->y + row * 5 + unit, h, left);
}

/* loop: step by step, 5 features; makes h */
APART void loop_9(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_9_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_9_units(kernel, team, at, unit, left);
    }
}

#define MOST 64 /* rows of a team that run together */
#define AT_HAND (MOST > TOGETHER ? MOST : TOGETHER) /* rows, of one step or of a few */
#define ALIGNED(bytes) (((bytes) + 63) / 64 * 64)

INLINE long own_bytes(void) {
    return ALIGNED(MOST * PADDED(5) * sizeof(real)) + ALIGNED(MOST * PADDED(5) * sizeof(real)) + 3 * ALIGNED((2 * AT_HAND + 1) * sizeof(long)) + 2 * ALIGNED(AT_HAND * sizeof(real *)) + 2 * ALIGNED(MOST * sizeof(real *));
}
INLINE long shared_bytes(void) {
    return ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
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
    team->s_t0 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t1 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t2 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t3 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t4 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t5 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t6 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t7 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t8 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t9 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t10 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t11 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t12 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t13 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t14 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t15 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t16 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t17 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t18 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t19 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t20 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t21 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t22 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t23 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t24 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t25 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t26 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t27 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t28 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t29 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t30 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t31 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t32 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t33 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t34 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t35 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t36 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t37 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t38 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t39 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t40 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t41 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t42 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t43 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t44 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t45 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_o = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
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
        before_2(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        before_3(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        before_4(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        before_5(kernel, team, 0, rows);
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
            loop_2(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_3(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_4(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_5(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_6(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_7(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_8(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_9(kernel, team, first, active);
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
    kernel->vector_norm_x_weight = pointers[8];
    kernel->vector_norm_h_weight = pointers[9];
    kernel->vector_b = pointers[10];
    kernel->vector_norm_c_weight = pointers[11];
    kernel->vector_norm_c_bias = pointers[12];
    kernel->matrix_W = pointers[13];
    kernel->matrix_R = pointers[14];
    kernel->start_h = pointers[15];
    kernel->initial_h = pointers[16];
    kernel->final_h = pointers[17];
    kernel->start_c = pointers[18];
    kernel->initial_c = pointers[19];
    kernel->final_c = pointers[20];
    kernel->forced = pointers[21];
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
