/* The prelude of exported C: what Cello's own calls a vector has one lane here, and of a mask the lowest
 * bit counts. What a net does not use of this file and of Cello's prelude is left out. */

#if CELLO_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#if CELLO_DOUBLE
typedef uint64_t mask;
#else
typedef uint32_t mask;
#endif

typedef real vec;

#define INLINE static inline

#define UNROLL

#if CELLO_DOUBLE
#define LIBM(name) name
#else
#define LIBM(name) name##f
#endif

#define LANES(name, function) \
    INLINE vec name(vec x) { return function(x); }

#define LANES_OF_TWO(name, function) \
    INLINE vec name(vec a, vec b) { return function(a, b); }

#define splat(x) (x)

#define lane_numbers() (real)0

#define truth(m) ((real)((m) & 1u))

#define select(m, a, b) (((m) & 1u) ? (a) : (b))

/* A number and its bits. */
typedef union {
    real number;
    mask bits;
} Bits;

INLINE vec as_vec(mask m) {
    Bits both;
    both.bits = m;
    return both.number;
}

INLINE mask bits(vec x) {
    Bits both;
    both.number = x;
    return both.bits;
}

#if CELLO_DOUBLE
INLINE vec as_reals(mask m) { return (real)(int64_t)m; }
#else
INLINE vec as_reals(mask m) { return (real)(int32_t)m; }
#endif

#if CELLO_DOUBLE
INLINE mask halved(mask m, int times) { return (mask)((int64_t)m >> times); }
#else
INLINE mask halved(mask m, int times) { return (mask)((int32_t)m >> times); }
#endif

INLINE vec muladd(vec a, vec b, vec c) { return a * b + c; }

INLINE vec negmuladd(vec a, vec b, vec c) { return c - a * b; }

/* y[i] += sum over k of x[k] w[k][i] */
static void dot(const real *restrict x, int inputs, const real *restrict w, int outputs, real *restrict y) {
    for (int k = 0; k < inputs; k++, w += outputs) {
        const real by = x[k];
        for (int i = 0; i < outputs; i++) y[i] += by * w[i];
    }
}

/* The same for weights of 8 bits, a row for each output, with a scale each. */
static void dot_int8(const real *restrict x, int inputs, const int8_t *restrict w,
                     const real *restrict scale, int outputs, real *restrict y) {
    for (int i = 0; i < outputs; i++, w += inputs) {
        real sum = 0;
        for (int k = 0; k < inputs; k++) sum += x[k] * (real)w[k];
        y[i] += scale[i] * sum;
    }
}

static void fill(real *to, real number, int count) {
    for (int i = 0; i < count; i++) to[i] = number;
}

static void copy(real *to, const real *from, int count) {
    for (int i = 0; i < count; i++) to[i] = from[i];
}

static void add(real *to, const real *from, int count) {
    for (int i = 0; i < count; i++) to[i] += from[i];
}

/* The same for a row of 8 bits, with a scale for each number. */
static void copy_int8(real *to, const int8_t *from, const real *scale, int count) {
    for (int i = 0; i < count; i++) to[i] = (real)from[i] * scale[i];
}

static void add_int8(real *to, const int8_t *from, const real *scale, int count) {
    for (int i = 0; i < count; i++) to[i] += (real)from[i] * scale[i];
}

static void multiply(real *to, real by, int count) {
    for (int i = 0; i < count; i++) to[i] *= by;
}
