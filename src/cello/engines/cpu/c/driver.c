/* The loop over time. Rows are sequences sorted by length: step t has the rows 0 to size(t). A team of one or
 * more threads runs all steps of its rows, a few steps at a time: first what needs no state for all of them,
 * then step by step, then what no state needs. */

#define PADDED(n) (((long)(n) + VL - 1) / VL * VL)
#define BLOCKS(n, width) (((n) + (long)VL * (width) - 1) / ((long)VL * (width)))
#define TOGETHER 192 /* rows for which the phase before the loop runs at once */
/* The blocks of a thread of the team, which shares out `many` at a time. */
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define SHARE(part, many) LEAST(blocks, (blocks + (many) - 1) / (many) * (part) / team->parts * (many))
#define SHARE_BEGIN SHARE(team->part, 1)
#define SHARE_END SHARE(team->part + 1, 1)
/* Blocks of units in order, and the one after each. Where the weights of a step do not fit into the cache,
 * every other step goes through them the other way: what the last step has left there is read first. */
#define FOR_BLOCKS(from, to)                                                                   \
    for (long block = (from), after; after = block + 1 < (to) ? block + 1 : (from), block < (to); block++)
#define FOR_BLOCKS_TO_AND_FRO(from, to)                                                        \
    for (long i = (from), block, after;                                                        \
         block = team->back ? (from) + (to) - 1 - i : i,                                       \
         after = i + 1 == (to) ? block : team->back ? block - 1 : block + 1, i < (to); i++)
#define FOR_TILES(first, count)                                                                \
    for (long at = (first), tiles = ((count) + ROWS - 1) / ROWS, rows;                         \
         tiles > 0 && (rows = ((first) + (count) - at + tiles - 1) / tiles, 1); at += rows, tiles--)

INLINE vec truth(mask m) { return as_vec(m & bits(splat(1))); }
INLINE vec load_left(const real *p, long left) { return left >= VL ? load(p) : load_part(p, left); }
INLINE void store_left(real *p, vec x, long left) {
    if (left >= VL) store(p, x);
    else store_part(p, x, left);
}
INLINE vec first_lanes(vec x, long left, real rest) {
    if (left < VL)
        for (int i = 0; i < VL; i++) x[i] = i < left ? x[i] : rest;
    return x;
}
INLINE vec lane_numbers(void) {
    vec x;
    for (int i = 0; i < VL; i++) x[i] = i;
    return x;
}

typedef int Work(void (*work)(void *, int, int), void *argument, int threads);

typedef struct {
    long steps, rows; /* T, and the sequences that have a step */
    int reverse, threads, parts, packed;
    const long *size, *offset; /* of each step: rows, and the first of them; NULL: rows each */
    const unsigned char *reset;
    void (*barrier)(void);
} Shape;

INLINE long size_of(const Shape *shape, long t) { return shape->size ? shape->size[t] : shape->rows; }
INLINE long offset_of(const Shape *shape, long t) { return shape->offset ? shape->offset[t] : t * shape->rows; }
