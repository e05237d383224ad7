/* The backward loop of LayerNormLSTMCell. */

#define CELLO_DOUBLE 0

typedef struct {
    Shape shape;
    real *factor_0;
    real *tape;
    real *grad_y;
    real *sum_0_b;
    real *sum_1_norm_c_bias;
    real *cot_0;
    real *sum_2_norm_c_weight;
    real *sum_3_norm_h_weight;
    real *sum_4_norm_x_weight;
    real *cot_1;
    real *dx;
    real *y;
    real *vector_norm_c_weight;
    real *vector_norm_h_weight;
    real *vector_norm_x_weight;
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
    real *loop_11_0_0;
    real *after_7_0_0;
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
    real *s_t46;
    real *s_t47;
    real *s_t48;
    real *s_t49;
    real *s_t50;
    real *s_t51;
    real *s_t52;
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
    const vec t0 = load_left(kernel->tape + row * 78 + 72 + unit, left);
    const vec t1 = t0 * t0;
    const vec t2 = t0 * t1;
    const vec t3 = splat((real)-0.5) * t2;
    store(team->s_t1 + at * PADDED(1) + unit, t3);
    const vec t4 = load_left(kernel->tape + row * 78 + 46 + unit, left);
    const vec t5 = t4 * t4;
    const vec t6 = t4 * t5;
    const vec t7 = splat((real)-0.5) * t6;
    store(team->s_t14 + at * PADDED(1) + unit, t7);
}

/* loop: step by step, 1 features */
APART void loop_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_1_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_1_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->grad_y + row * 5 + unit, left);
    const vec t1 = load_left(team->carry_h[at] + unit, left);
    const vec t2 = t0 + t1;
    const vec t3 = load_left(kernel->tape + row * 78 + 73 + unit, left);
    const vec t4 = t2 * t3;
    const vec t5 = load_left(kernel->tape + row * 78 + 57 + unit, left);
    const vec t6 = t2 * t5;
    const vec t7 = t3 * t3;
    const vec t8 = splat((real)1.0) - t7;
    const vec t9 = t6 * t8;
    store(team->s_t33 + at * PADDED(5) + unit, t9);
    const vec t10 = load_left(kernel->vector_norm_c_weight + unit, left);
    const vec t11 = t9 * t10;
    const vec t12 = splat(*(kernel->tape + row * 78 + 72));
    const vec t13 = t11 * t12;
    store(team->s_t3 + at * PADDED(5) + unit, t13);
    const vec t14 = load_left(kernel->tape + row * 78 + 67 + unit, left);
    const vec t15 = t11 * t14;
    store(team->s_t0 + at * PADDED(1), load(team->s_t0 + at * PADDED(1)) + first_lanes(t15, left, 0));
    const vec t16 = load_left(kernel->tape + row * 78 + 62 + unit, left);
    const vec t17 = t16 * t16;
    const vec t18 = splat((real)1.0) - t17;
    store(team->s_t7 + at * PADDED(5) + unit, t18);
    const vec t19 = splat((real)1.0) - t5;
    const vec t20 = t5 * t19;
    const vec t21 = t4 * t20;
    store(team->s_t29 + at * PADDED(5) + unit, t21);
    const vec t22 = load_left(kernel->tape + row * 78 + 52 + unit, left);
    const vec t23 = splat((real)1.0) - t22;
    const vec t24 = t22 * t23;
    store(team->s_t8 + at * PADDED(5) + unit, t24);
    const vec t25 = load_left(kernel->tape + row * 78 + 47 + unit, left);
    const vec t26 = splat((real)1.0) - t25;
    const vec t27 = t25 * t26;
    store(team->s_t9 + at * PADDED(5) + unit, t27);
    const vec t28 = load_left(kernel->vector_norm_h_weight + 15 + unit, left);
    const vec t29 = t21 * t28;
    const vec t30 = splat(*(kernel->tape + row * 78 + 46));
    const vec t31 = t29 * t30;
    store(team->s_t16 + at * PADDED(5) + unit, t31);
    const vec t32 = load_left(kernel->tape + row * 78 + 41 + unit, left);
    const vec t33 = t29 * t32;
    store(team->s_t10 + at * PADDED(1), load(team->s_t10 + at * PADDED(1)) + first_lanes(t33, left, 0));
    store_left(kernel->sum_0_b + seq * 20 + 15 + unit, load_left(kernel->sum_0_b + seq * 20 + 15 + unit, left) + t21, left);
    store_left(kernel->sum_1_norm_c_bias + seq * 5 + unit, load_left(kernel->sum_1_norm_c_bias + seq * 5 + unit, left) + t9, left);
}

/* loop: step by step, 5 features */
APART void loop_2(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t0 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t10 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_2_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_2_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t0 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t10 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_3_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t0 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t1 + at * PADDED(1) + unit);
    const vec t2 = t0 * t1;
    const vec t3 = t2 * splat((real)0.2);
    store(team->s_t2 + at * PADDED(1) + unit, t3);
}

/* loop: step by step, 1 features */
APART void loop_3(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_3_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_3_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_4_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = splat(*(team->s_t2 + at * PADDED(1)));
    const vec t1 = load_left(kernel->tape + row * 78 + 67 + unit, left);
    const vec t2 = t0 * t1;
    const vec t3 = load(team->s_t3 + at * PADDED(5) + unit);
    const vec t4 = t3 + t2;
    const vec t5 = t4 + t2;
    store(team->s_t5 + at * PADDED(5) + unit, t5);
    const vec t6 = -t5;
    store(team->s_t4 + at * PADDED(1), load(team->s_t4 + at * PADDED(1)) + first_lanes(t6, left, 0));
}

/* loop: step by step, 5 features */
APART void loop_4(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t4 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_4_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_4_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t4 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_5_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t4 + at * PADDED(1) + unit);
    const vec t1 = t0 * splat((real)0.2);
    store(team->s_t6 + at * PADDED(1) + unit, t1);
}

/* loop: step by step, 1 features */
APART void loop_5(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_5_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_5_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_6_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t5 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t6 + at * PADDED(1)));
    const vec t2 = t0 + t1;
    const vec t3 = load_left(team->carry_c[at] + unit, left);
    const vec t4 = t3 + t2;
    const vec c_prev = load_left(team->prev_c[at] + unit, left);
    const vec t6 = t4 * c_prev;
    const vec t7 = load_left(kernel->tape + row * 78 + 62 + unit, left);
    const vec t8 = t4 * t7;
    const vec t9 = load_left(kernel->tape + row * 78 + 47 + unit, left);
    const vec t10 = t4 * t9;
    const vec t11 = load(team->s_t7 + at * PADDED(5) + unit);
    const vec t12 = t10 * t11;
    store(team->s_t30 + at * PADDED(5) + unit, t12);
    const vec t13 = load(team->s_t8 + at * PADDED(5) + unit);
    const vec t14 = t6 * t13;
    store(team->s_t31 + at * PADDED(5) + unit, t14);
    const vec t15 = load(team->s_t9 + at * PADDED(5) + unit);
    const vec t16 = t8 * t15;
    store(team->s_t32 + at * PADDED(5) + unit, t16);
    const vec t17 = load_left(kernel->vector_norm_h_weight + 10 + unit, left);
    const vec t18 = t12 * t17;
    const vec t19 = splat(*(kernel->tape + row * 78 + 46));
    const vec t20 = t18 * t19;
    store(team->s_t17 + at * PADDED(5) + unit, t20);
    const vec t21 = load_left(kernel->tape + row * 78 + 36 + unit, left);
    const vec t22 = t18 * t21;
    store(team->s_t11 + at * PADDED(1), load(team->s_t11 + at * PADDED(1)) + first_lanes(t22, left, 0));
    const vec t23 = load_left(kernel->vector_norm_h_weight + 5 + unit, left);
    const vec t24 = t14 * t23;
    const vec t25 = t24 * t19;
    store(team->s_t18 + at * PADDED(5) + unit, t25);
    const vec t26 = load_left(kernel->tape + row * 78 + 31 + unit, left);
    const vec t27 = t24 * t26;
    store(team->s_t12 + at * PADDED(1), load(team->s_t12 + at * PADDED(1)) + first_lanes(t27, left, 0));
    const vec t28 = load_left(kernel->vector_norm_h_weight + unit, left);
    const vec t29 = t16 * t28;
    const vec t30 = t29 * t19;
    store(team->s_t19 + at * PADDED(5) + unit, t30);
    const vec t31 = load_left(kernel->tape + row * 78 + 26 + unit, left);
    const vec t32 = t29 * t31;
    store(team->s_t13 + at * PADDED(1), load(team->s_t13 + at * PADDED(1)) + first_lanes(t32, left, 0));
    const vec t33 = load_left(kernel->tape + row * 78 + 52 + unit, left);
    const vec t34 = t4 * t33;
    store_left(kernel->sum_0_b + seq * 20 + unit, load_left(kernel->sum_0_b + seq * 20 + unit, left) + t16, left);
    store_left(kernel->sum_0_b + seq * 20 + 5 + unit, load_left(kernel->sum_0_b + seq * 20 + 5 + unit, left) + t14, left);
    store_left(kernel->sum_0_b + seq * 20 + 10 + unit, load_left(kernel->sum_0_b + seq * 20 + 10 + unit, left) + t12, left);
    store(team->new_next_c + at * PADDED(5) + unit, t34);
}

/* loop: step by step, 5 features */
APART void loop_6(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t11 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t12 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t13 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_6_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_6_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t11 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t12 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t13 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_7_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t10 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t11 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t12 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t13 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = load(team->s_t14 + at * PADDED(1) + unit);
    const vec t8 = t6 * t7;
    const vec t9 = t8 * splat((real)0.05);
    store(team->s_t15 + at * PADDED(1) + unit, t9);
}

/* loop: step by step, 1 features */
APART void loop_7(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_7_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_7_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_8_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = splat(*(team->s_t15 + at * PADDED(1)));
    const vec t1 = load_left(kernel->tape + row * 78 + 41 + unit, left);
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->tape + row * 78 + 36 + unit, left);
    const vec t4 = t0 * t3;
    const vec t5 = load_left(kernel->tape + row * 78 + 31 + unit, left);
    const vec t6 = t0 * t5;
    const vec t7 = load_left(kernel->tape + row * 78 + 26 + unit, left);
    const vec t8 = t0 * t7;
    const vec t9 = load(team->s_t16 + at * PADDED(5) + unit);
    const vec t10 = t9 + t2;
    const vec t11 = t10 + t2;
    store(team->s_t24 + at * PADDED(5) + unit, t11);
    const vec t12 = -t11;
    store(team->s_t20 + at * PADDED(1), load(team->s_t20 + at * PADDED(1)) + first_lanes(t12, left, 0));
    const vec t13 = load(team->s_t17 + at * PADDED(5) + unit);
    const vec t14 = t13 + t4;
    const vec t15 = t14 + t4;
    store(team->s_t26 + at * PADDED(5) + unit, t15);
    const vec t16 = -t15;
    store(team->s_t21 + at * PADDED(1), load(team->s_t21 + at * PADDED(1)) + first_lanes(t16, left, 0));
    const vec t17 = load(team->s_t18 + at * PADDED(5) + unit);
    const vec t18 = t17 + t6;
    const vec t19 = t18 + t6;
    store(team->s_t27 + at * PADDED(5) + unit, t19);
    const vec t20 = -t19;
    store(team->s_t22 + at * PADDED(1), load(team->s_t22 + at * PADDED(1)) + first_lanes(t20, left, 0));
    const vec t21 = load(team->s_t19 + at * PADDED(5) + unit);
    const vec t22 = t21 + t8;
    const vec t23 = t22 + t8;
    store(team->s_t28 + at * PADDED(5) + unit, t23);
    const vec t24 = -t23;
    store(team->s_t23 + at * PADDED(1), load(team->s_t23 + at * PADDED(1)) + first_lanes(t24, left, 0));
}

/* loop: step by step, 5 features */
APART void loop_8(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t20 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t21 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t22 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t23 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_8_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_8_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t20 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t21 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t22 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t23 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void loop_9_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t20 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t21 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t22 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t23 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    store(team->s_t25 + at * PADDED(1) + unit, t7);
}

/* loop: step by step, 1 features */
APART void loop_9(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) loop_9_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_9_units(kernel, team, at, unit, left);
    }
}

INLINE void loop_10_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t24 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t25 + at * PADDED(1)));
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t26 + at * PADDED(5) + unit);
    const vec t4 = t3 + t1;
    const vec t5 = load(team->s_t27 + at * PADDED(5) + unit);
    const vec t6 = t5 + t1;
    const vec t7 = load(team->s_t28 + at * PADDED(5) + unit);
    const vec t8 = t7 + t1;
    store_left(kernel->cot_0 + row * 20 + unit, t8, left);
    store_left(kernel->cot_0 + row * 20 + 5 + unit, t6, left);
    store_left(kernel->cot_0 + row * 20 + 10 + unit, t4, left);
    store_left(kernel->cot_0 + row * 20 + 15 + unit, t2, left);
}

/* loop: step by step, 5 features */
APART void loop_10(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) loop_10_units(kernel, team, at, unit, VL);
        else if (left > 0) loop_10_units(kernel, team, at, unit, left);
    }
}

INLINE const real *loop_11_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_0 + row * 20;
}
INLINE void loop_11_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    store(team->new_next_h + at * PADDED(5) + unit, t0);
}

/* loop: step by step, 5 features; 1 product */
APART void loop_11(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS_TO_AND_FRO(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = loop_11_0_0_in(kernel, team, at + r);
            const long size = 20L * VL;
            const real *weights = kernel->loop_11_0_0 + block * size;
            const real *next = kernel->loop_11_0_0 + after * size;
            dot1(rows, sum_0, weights, 20, in, next + (tiles % 1) * (20L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 5 - unit;
            if (5 % (VL * 1) == 0 || left >= VL) loop_11_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) loop_11_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
        }
    }
}

INLINE void after_1_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->tape + row * 78 + 25 + unit, left);
    const vec t1 = t0 * t0;
    const vec t2 = t0 * t1;
    const vec t3 = splat((real)-0.5) * t2;
    store(team->s_t38 + at * PADDED(1) + unit, t3);
}

/* after: for many steps, 1 features */
APART void after_1(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) after_1_units(kernel, team, at, unit, VL);
        else if (left > 0) after_1_units(kernel, team, at, unit, left);
    }
}

INLINE void after_2_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load_left(kernel->tape + row * 78 + 5 + unit, left);
    const vec t1 = splat(*(kernel->tape + row * 78 + 25));
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->tape + row * 78 + 10 + unit, left);
    const vec t4 = t3 * t1;
    const vec t5 = load_left(kernel->tape + row * 78 + 15 + unit, left);
    const vec t6 = t5 * t1;
    const vec t7 = load_left(kernel->tape + row * 78 + 20 + unit, left);
    const vec t8 = t7 * t1;
    const vec t9 = load_left(kernel->tape + row * 78 + 26 + unit, left);
    const vec t10 = splat(*(kernel->tape + row * 78 + 46));
    const vec t11 = t9 * t10;
    const vec t12 = load_left(kernel->tape + row * 78 + 31 + unit, left);
    const vec t13 = t12 * t10;
    const vec t14 = load_left(kernel->tape + row * 78 + 36 + unit, left);
    const vec t15 = t14 * t10;
    const vec t16 = load_left(kernel->tape + row * 78 + 41 + unit, left);
    const vec t17 = t16 * t10;
    const vec t18 = load_left(kernel->tape + row * 78 + 67 + unit, left);
    const vec t19 = splat(*(kernel->tape + row * 78 + 72));
    const vec t20 = t18 * t19;
    const vec t21 = load(team->s_t29 + at * PADDED(5) + unit);
    const vec t22 = load_left(kernel->vector_norm_x_weight + 15 + unit, left);
    const vec t23 = t21 * t22;
    const vec t24 = t23 * t1;
    store(team->s_t40 + at * PADDED(5) + unit, t24);
    const vec t25 = t23 * t7;
    store(team->s_t34 + at * PADDED(1), load(team->s_t34 + at * PADDED(1)) + first_lanes(t25, left, 0));
    const vec t26 = load(team->s_t30 + at * PADDED(5) + unit);
    const vec t27 = load_left(kernel->vector_norm_x_weight + 10 + unit, left);
    const vec t28 = t26 * t27;
    const vec t29 = t28 * t1;
    store(team->s_t41 + at * PADDED(5) + unit, t29);
    const vec t30 = t28 * t5;
    store(team->s_t35 + at * PADDED(1), load(team->s_t35 + at * PADDED(1)) + first_lanes(t30, left, 0));
    const vec t31 = load(team->s_t31 + at * PADDED(5) + unit);
    const vec t32 = load_left(kernel->vector_norm_x_weight + 5 + unit, left);
    const vec t33 = t31 * t32;
    const vec t34 = t33 * t1;
    store(team->s_t42 + at * PADDED(5) + unit, t34);
    const vec t35 = t33 * t3;
    store(team->s_t36 + at * PADDED(1), load(team->s_t36 + at * PADDED(1)) + first_lanes(t35, left, 0));
    const vec t36 = load(team->s_t32 + at * PADDED(5) + unit);
    const vec t37 = load_left(kernel->vector_norm_x_weight + unit, left);
    const vec t38 = t36 * t37;
    const vec t39 = t38 * t1;
    store(team->s_t43 + at * PADDED(5) + unit, t39);
    const vec t40 = t38 * t0;
    store(team->s_t37 + at * PADDED(1), load(team->s_t37 + at * PADDED(1)) + first_lanes(t40, left, 0));
    const vec t41 = load(team->s_t33 + at * PADDED(5) + unit);
    const vec t42 = t41 * t20;
    const vec t43 = t36 * t11;
    const vec t44 = t31 * t13;
    const vec t45 = t26 * t15;
    const vec t46 = t21 * t17;
    const vec t47 = t36 * t2;
    const vec t48 = t31 * t4;
    const vec t49 = t26 * t6;
    const vec t50 = t21 * t8;
    store_left(kernel->sum_2_norm_c_weight + seq * 5 + unit, load_left(kernel->sum_2_norm_c_weight + seq * 5 + unit, left) + t42, left);
    store_left(kernel->sum_3_norm_h_weight + seq * 20 + unit, load_left(kernel->sum_3_norm_h_weight + seq * 20 + unit, left) + t43, left);
    store_left(kernel->sum_3_norm_h_weight + seq * 20 + 5 + unit, load_left(kernel->sum_3_norm_h_weight + seq * 20 + 5 + unit, left) + t44, left);
    store_left(kernel->sum_3_norm_h_weight + seq * 20 + 10 + unit, load_left(kernel->sum_3_norm_h_weight + seq * 20 + 10 + unit, left) + t45, left);
    store_left(kernel->sum_3_norm_h_weight + seq * 20 + 15 + unit, load_left(kernel->sum_3_norm_h_weight + seq * 20 + 15 + unit, left) + t46, left);
    store_left(kernel->sum_4_norm_x_weight + seq * 20 + unit, load_left(kernel->sum_4_norm_x_weight + seq * 20 + unit, left) + t47, left);
    store_left(kernel->sum_4_norm_x_weight + seq * 20 + 5 + unit, load_left(kernel->sum_4_norm_x_weight + seq * 20 + 5 + unit, left) + t48, left);
    store_left(kernel->sum_4_norm_x_weight + seq * 20 + 10 + unit, load_left(kernel->sum_4_norm_x_weight + seq * 20 + 10 + unit, left) + t49, left);
    store_left(kernel->sum_4_norm_x_weight + seq * 20 + 15 + unit, load_left(kernel->sum_4_norm_x_weight + seq * 20 + 15 + unit, left) + t50, left);
}

/* after: for many steps, 5 features */
APART void after_2(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t34 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t35 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t36 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t37 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) after_2_units(kernel, team, at, unit, VL);
        else if (left > 0) after_2_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t34 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t35 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t36 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t37 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void after_3_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t34 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t35 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t36 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t37 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = load(team->s_t38 + at * PADDED(1) + unit);
    const vec t8 = t6 * t7;
    const vec t9 = t8 * splat((real)0.05);
    store(team->s_t39 + at * PADDED(1) + unit, t9);
}

/* after: for many steps, 1 features */
APART void after_3(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) after_3_units(kernel, team, at, unit, VL);
        else if (left > 0) after_3_units(kernel, team, at, unit, left);
    }
}

INLINE void after_4_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = splat(*(team->s_t39 + at * PADDED(1)));
    const vec t1 = load_left(kernel->tape + row * 78 + 20 + unit, left);
    const vec t2 = t0 * t1;
    const vec t3 = load_left(kernel->tape + row * 78 + 15 + unit, left);
    const vec t4 = t0 * t3;
    const vec t5 = load_left(kernel->tape + row * 78 + 10 + unit, left);
    const vec t6 = t0 * t5;
    const vec t7 = load_left(kernel->tape + row * 78 + 5 + unit, left);
    const vec t8 = t0 * t7;
    const vec t9 = load(team->s_t40 + at * PADDED(5) + unit);
    const vec t10 = t9 + t2;
    const vec t11 = t10 + t2;
    store(team->s_t48 + at * PADDED(5) + unit, t11);
    const vec t12 = -t11;
    store(team->s_t44 + at * PADDED(1), load(team->s_t44 + at * PADDED(1)) + first_lanes(t12, left, 0));
    const vec t13 = load(team->s_t41 + at * PADDED(5) + unit);
    const vec t14 = t13 + t4;
    const vec t15 = t14 + t4;
    store(team->s_t50 + at * PADDED(5) + unit, t15);
    const vec t16 = -t15;
    store(team->s_t45 + at * PADDED(1), load(team->s_t45 + at * PADDED(1)) + first_lanes(t16, left, 0));
    const vec t17 = load(team->s_t42 + at * PADDED(5) + unit);
    const vec t18 = t17 + t6;
    const vec t19 = t18 + t6;
    store(team->s_t51 + at * PADDED(5) + unit, t19);
    const vec t20 = -t19;
    store(team->s_t46 + at * PADDED(1), load(team->s_t46 + at * PADDED(1)) + first_lanes(t20, left, 0));
    const vec t21 = load(team->s_t43 + at * PADDED(5) + unit);
    const vec t22 = t21 + t8;
    const vec t23 = t22 + t8;
    store(team->s_t52 + at * PADDED(5) + unit, t23);
    const vec t24 = -t23;
    store(team->s_t47 + at * PADDED(1), load(team->s_t47 + at * PADDED(1)) + first_lanes(t24, left, 0));
}

/* after: for many steps, 5 features */
APART void after_4(const Kernel *kernel, const Team *team, long first, long count) {
    if (team->part > 0) return;
    for (long at = first; at < first + count; at++)
        store(team->s_t44 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t45 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t46 + at * PADDED(1), splat(0));
    for (long at = first; at < first + count; at++)
        store(team->s_t47 + at * PADDED(1), splat(0));
    const long blocks = BLOCKS(5, 1);
    const long from = 0, to = blocks;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) after_4_units(kernel, team, at, unit, VL);
        else if (left > 0) after_4_units(kernel, team, at, unit, left);
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t44 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t45 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t46 + at * PADDED(1);
        *total = hsum(load(total));
    }
    for (long at = first; at < first + count; at++) {
        real *total = team->s_t47 + at * PADDED(1);
        *total = hsum(load(total));
    }
}

INLINE void after_5_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t44 + at * PADDED(1) + unit);
    const vec t1 = load(team->s_t45 + at * PADDED(1) + unit);
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t46 + at * PADDED(1) + unit);
    const vec t4 = t2 + t3;
    const vec t5 = load(team->s_t47 + at * PADDED(1) + unit);
    const vec t6 = t4 + t5;
    const vec t7 = t6 * splat((real)0.05);
    store(team->s_t49 + at * PADDED(1) + unit, t7);
}

/* after: for many steps, 1 features */
APART void after_5(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(1, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 1 - unit;
        if (1 % (VL * 1) == 0 || left >= VL) after_5_units(kernel, team, at, unit, VL);
        else if (left > 0) after_5_units(kernel, team, at, unit, left);
    }
}

INLINE void after_6_units(const Kernel *kernel, const Team *team, long at, long unit, long left) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = load(team->s_t48 + at * PADDED(5) + unit);
    const vec t1 = splat(*(team->s_t49 + at * PADDED(1)));
    const vec t2 = t0 + t1;
    const vec t3 = load(team->s_t50 + at * PADDED(5) + unit);
    const vec t4 = t3 + t1;
    const vec t5 = load(team->s_t51 + at * PADDED(5) + unit);
    const vec t6 = t5 + t1;
    const vec t7 = load(team->s_t52 + at * PADDED(5) + unit);
    const vec t8 = t7 + t1;
    store_left(kernel->cot_1 + row * 20 + unit, t8, left);
    store_left(kernel->cot_1 + row * 20 + 5 + unit, t6, left);
    store_left(kernel->cot_1 + row * 20 + 10 + unit, t4, left);
    store_left(kernel->cot_1 + row * 20 + 15 + unit, t2, left);
}

/* after: for many steps, 5 features */
APART void after_6(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(5, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    for (long at = first; at < first + count; at++)
    for (long block = from; block < to; block++) {
        const long unit = block * VL, left = 5 - unit;
        if (5 % (VL * 1) == 0 || left >= VL) after_6_units(kernel, team, at, unit, VL);
        else if (left > 0) after_6_units(kernel, team, at, unit, left);
    }
}

INLINE const real *after_7_0_0_in(const Kernel *kernel, const Team *team, long at) {
    UNUSED const long row = team->row[at];
    return kernel->cot_1 + row * 20;
}
INLINE void after_7_units(const Kernel *kernel, const Team *team, long at, long unit, long left, const vec *sum_0) {
    UNUSED const long row = team->row[at], seq = team->seq[at];
    const vec t0 = sum_0[0];
    store_left(kernel->dx + row * 3 + unit, t0, left);
}

/* after: for many steps, 3 features; 1 product */
APART void after_7(const Kernel *kernel, const Team *team, long first, long count) {
    const long blocks = BLOCKS(3, 1);
    const long from = SHARE_BEGIN, to = SHARE_END;
    FOR_BLOCKS(from, to)
    FOR_TILES(first, count) {
        vec sum_0[ROWS * 1];
        for (long i = 0; i < rows * 1; i++) sum_0[i] = splat(0);
        {
            const real *in[ROWS];
            for (long r = 0; r < rows; r++) in[r] = after_7_0_0_in(kernel, team, at + r);
            const long size = 20L * VL;
            const real *weights = kernel->after_7_0_0 + block * size;
            const real *next = kernel->after_7_0_0 + after * size;
            dot1(rows, sum_0, weights, 20, in, next + (tiles % 1) * (20L * VL));
        }
        for (long r = 0; r < rows; r++) for (int u = 0; u < 1; u++) {
            const long unit = (block * 1 + u) * VL, left = 3 - unit;
            if (3 % (VL * 1) == 0 || left >= VL) after_7_units(kernel, team, at + r, unit, VL, sum_0 + r * 1 + u);
            else if (left > 0) after_7_units(kernel, team, at + r, unit, left, sum_0 + r * 1 + u);
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
    return ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(1) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real)) + ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
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
    team->s_t0 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t1 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t2 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t3 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t4 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t5 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t6 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t7 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t8 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t9 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t10 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t11 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t12 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t13 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t14 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t15 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t16 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t17 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t18 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t19 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t20 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t21 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t22 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t23 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t24 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t25 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t26 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t27 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t28 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t29 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t30 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t31 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t32 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t33 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t34 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t35 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t36 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t37 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t38 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t39 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t40 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t41 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t42 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t43 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t44 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t45 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t46 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t47 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t48 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t49 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(1) * sizeof(real));
    team->s_t50 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t51 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
    team->s_t52 = (real *)shared, shared += ALIGNED(AT_HAND * PADDED(5) * sizeof(real));
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
                real *prev_c = has ? kernel->tape + row * 78 + 0 : kernel->start_c + seq * 5;
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
            loop_10(kernel, team, first, active);
            if (team->parts > 1) shape->barrier();
            loop_11(kernel, team, first, active);
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
        after_2(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        after_3(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        after_4(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        after_5(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        after_6(kernel, team, 0, rows);
        if (team->parts > 1) shape->barrier();
        after_7(kernel, team, 0, rows);
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
    kernel->tape = pointers[7];
    kernel->grad_y = pointers[8];
    kernel->sum_0_b = pointers[9];
    kernel->sum_1_norm_c_bias = pointers[10];
    kernel->cot_0 = pointers[11];
    kernel->sum_2_norm_c_weight = pointers[12];
    kernel->sum_3_norm_h_weight = pointers[13];
    kernel->sum_4_norm_x_weight = pointers[14];
    kernel->cot_1 = pointers[15];
    kernel->dx = pointers[16];
    kernel->y = pointers[17];
    kernel->vector_norm_c_weight = pointers[18];
    kernel->vector_norm_h_weight = pointers[19];
    kernel->vector_norm_x_weight = pointers[20];
    kernel->matrix_R = pointers[21];
    kernel->matrix_W = pointers[22];
    kernel->start_h = pointers[23];
    kernel->initial_h = pointers[24];
    kernel->grad_final_h = pointers[25];
    kernel->grad_start_h = pointers[26];
    kernel->grad_initial_h = pointers[27];
    kernel->start_c = pointers[28];
    kernel->initial_c = pointers[29];
    kernel->grad_final_c = pointers[30];
    kernel->grad_start_c = pointers[31];
    kernel->grad_initial_c = pointers[32];
    kernel->forced = pointers[33];
    kernel->grad_forced = pointers[34];
    char *workspace = pointers[5];
    kernel->loop_11_0_0 = (real *)workspace;
    workspace += BLOCKS(5, 1) * 20L * VL * sizeof(real);
    kernel->after_7_0_0 = (real *)workspace;
    workspace += BLOCKS(3, 1) * 20L * VL * sizeof(real);
    kernel->zeros = (real *)workspace;
    memset(workspace, 0, PADDED(5) * sizeof(real));
    kernel->workspace = workspace + PADDED(5) * sizeof(real);
}

static void pack_all(const Kernel *kernel, int part, int parts) {
    UNUSED int turn = 0;
    if (turn++ % parts == part) pack(kernel->loop_11_0_0, kernel->matrix_R + 0, 1, 5, 5, 20, 0, 1, 1);
    if (turn++ % parts == part) pack(kernel->after_7_0_0, kernel->matrix_W + 0, 1, 3, 3, 20, 0, 1, 1);
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
