/* The most multiply-adds that this machine can do: chains in registers that do not wait for each
   other, nothing loaded or stored. A multiply-add counts as two operations. Cello's prelude comes before. */

#include <pthread.h>
#include <time.h>

#define CHAINS 12 /* two units times a latency of four to five, in at most sixteen registers */
#define MOST_THREADS 256

typedef struct {
    pthread_t thread;
    pthread_barrier_t *start;
    long rounds;
    double begin, end;
    vec sum; /* kept, so that nothing can be left out */
} share;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *given) {
    share *mine = given;
    vec chain[CHAINS], factor, term;
    for (int lane = 0; lane < VL; lane++) {
        factor[lane] = 0.999f;
        term[lane] = 1e-3f * (float)(lane + 1); /* never 0: no number decays to a denormal */
    }
    for (int i = 0; i < CHAINS; i++) chain[i] = term + (real)i;
    pthread_barrier_wait(mine->start);
    mine->begin = now();
    for (long round = 0; round < mine->rounds; round++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) chain[i] = muladd(chain[i], factor, term);
    }
    mine->end = now();
    mine->sum = chain[0];
    for (int i = 1; i < CHAINS; i++) mine->sum += chain[i];
    return 0;
}

/* Operations of one round of one thread. */
long fma_operations(void) { return 2L * VL * CHAINS; }

/* Seconds for this many rounds on each of so many threads; below 0 if they cannot be started. */
double fma_seconds(int threads, long rounds) {
    static share shares[MOST_THREADS];
    pthread_barrier_t start;
    if (threads < 1 || threads > MOST_THREADS) return -1.0;
    if (pthread_barrier_init(&start, 0, (unsigned)threads)) return -1.0;
    for (int i = 0; i < threads; i++) shares[i] = (share){.start = &start, .rounds = rounds};
    for (int i = 1; i < threads; i++)
        if (pthread_create(&shares[i].thread, 0, work, &shares[i])) return -1.0;
    work(&shares[0]);
    double begin = shares[0].begin, end = shares[0].end;
    for (int i = 1; i < threads; i++) {
        pthread_join(shares[i].thread, 0);
        if (shares[i].begin < begin) begin = shares[i].begin;
        if (shares[i].end > end) end = shares[i].end;
    }
    pthread_barrier_destroy(&start);
    return end - begin;
}
