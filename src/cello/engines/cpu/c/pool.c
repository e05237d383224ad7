/* The threads that kernels run on. A library of its own: all kernels of a process share them.
 *
 * They are the threads of the OpenMP that PyTorch uses, if the process has one: after their last work
 * those look out for more for milliseconds, and other threads would wait for a processor meanwhile.
 * Else they are started here when first asked for, and then kept. Between runs each looks out for work
 * for a tenth of a millisecond, so that the next run may start within a microsecond, and then sleeps.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define MOST_THREADS 256
#define STACK_BYTES (4L << 20)
#define LOOKOUT 100000 /* nanoseconds */
#define ALONE 2000
#define APART _Alignas(128) /* on a cache line that no other thread writes to */

typedef void Work(void *argument, int thread, int threads);

/* Something that one thread waits for and others announce. */
typedef struct {
    APART atomic_uint count; /* of announcements */
    atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t announced;
} Signal;

typedef struct {
    Signal start;
    int number;
} Worker;

static struct {
    APART atomic_flag busy;
    int workers; /* that were started; thread 0 is the caller of cello_pool_run */
    Worker worker[MOST_THREADS];
    Signal finished;
    APART atomic_int working;
    APART atomic_int arrived; /* at the barrier */
    APART atomic_uint passed; /* barriers, by all */
    Work *work;
    void *argument;
    int threads;
    fenv_t rounding; /* and what becomes of numbers beneath the normal ones */
} pool = {.busy = ATOMIC_FLAG_INIT};

/* GOMP_parallel, omp_get_thread_num and omp_get_num_threads of that OpenMP, or NULL. */
static struct {
    void (*run)(void (*work)(void *), void *argument, unsigned threads, unsigned flags);
    int (*number)(void), (*count)(void);
} openmp;

static _Thread_local int team = 1; /* threads of the run that this thread takes part in */

static long long nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks at a count until it is no longer what it was, for LOOKOUT at most. Whoever else wants this
 * processor gets it after ALONE: it may be the very thread that is waited for. */
static int changes(atomic_uint *count, unsigned was) {
    for (long long looks = 1, begin = 0;; looks++) {
        if (atomic_load_explicit(count, memory_order_acquire) != was) return 1;
        relax();
        if (looks % 64 == 0) {
            const long long now = nanoseconds();
            if (!begin) begin = now;
            if (now - begin > LOOKOUT) return 0;
            if (now - begin > ALONE) sched_yield();
        }
    }
}

static void wait_for(Signal *signal, unsigned was) {
    if (changes(&signal->count, was)) return;
    pthread_mutex_lock(&signal->mutex);
    atomic_store(&signal->asleep, 1); /* before it looks at count: see announce */
    while (atomic_load(&signal->count) == was)
        pthread_cond_wait(&signal->announced, &signal->mutex);
    atomic_store(&signal->asleep, 0);
    pthread_mutex_unlock(&signal->mutex);
}

static void announce(Signal *signal) {
    atomic_fetch_add(&signal->count, 1);
    if (atomic_load(&signal->asleep)) {
        pthread_mutex_lock(&signal->mutex);
        pthread_cond_signal(&signal->announced);
        pthread_mutex_unlock(&signal->mutex);
    }
}

static void prepare(Signal *signal) {
    atomic_store(&signal->count, 0);
    atomic_store(&signal->asleep, 0);
    pthread_mutex_init(&signal->mutex, NULL);
    pthread_cond_init(&signal->announced, NULL);
}

static void *live(void *argument) {
    Worker *me = argument;
    for (unsigned runs = 0;; runs++) {
        wait_for(&me->start, runs);
        fesetenv(&pool.rounding);
        team = pool.threads;
        pool.work(pool.argument, me->number, pool.threads);
        if (atomic_fetch_sub(&pool.working, 1) == 1) announce(&pool.finished);
    }
    return NULL;
}

#if !defined(_WIN32) /* which neither forks nor has signals that would come to a thread */
/* In the child of a fork there is no thread but the one that forked. */
static void forget(void) {
    openmp.run = NULL;
    pool.workers = 0;
    team = 1;
    atomic_store(&pool.arrived, 0);
    prepare(&pool.finished);
    atomic_flag_clear(&pool.busy);
}

static void block_signals(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}
#endif

/* What is done once, before the first run. */
static void begin(void) {
    static int first = 1;
    if (!first) return;
    first = 0;
    prepare(&pool.finished);
#if !defined(_WIN32)
    pthread_atfork(NULL, NULL, forget);
#endif
}

/* From now on the threads are those of an OpenMP. */
void cello_pool_join(void *run, void *number, void *count) {
    begin();
    openmp.number = (int (*)(void))number, openmp.count = (int (*)(void))count;
    openmp.run = (void (*)(void (*)(void *), void *, unsigned, unsigned))run;
}

/* What one of OpenMP's threads does; nothing where there are fewer than asked for. */
static void take_part(void *came) {
    const int number = openmp.number(), threads = openmp.count();
    if (threads < pool.threads) return;
    fenv_t own;
    fegetenv(&own);
    fesetenv(&pool.rounding);
    team = threads;
    pool.work(pool.argument, number, threads);
    team = 1;
    fesetenv(&own);
    if (number == 0) *(int *)came = threads;
}

/* Starts threads until there are as many workers as wished, or no more can be had. */
static void start_workers(int wished) {
    pthread_attr_t attributes;
    begin();
#if !defined(_WIN32)
    sigset_t before;
    block_signals(&before); /* they are for the threads of the program */
#endif
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (; pool.workers < wished; pool.workers++) {
        Worker *worker = &pool.worker[pool.workers];
        pthread_t thread;
        prepare(&worker->start);
        worker->number = pool.workers + 1;
        if (pthread_create(&thread, &attributes, live, worker) != 0) break;
    }
    pthread_attr_destroy(&attributes);
#if !defined(_WIN32)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
}

/* Calls work(argument, thread, threads) on each of `threads` threads, of which the caller is thread
 * 0, and returns when all are done. Says how many threads there were: fewer than asked for if no
 * more can be had, and one, the caller, if another thread has the pool. */
int cello_pool_run(Work *work, void *argument, int threads) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads > 1 && !atomic_flag_test_and_set(&pool.busy)) {
        pool.work = work;
        pool.argument = argument;
        pool.threads = threads;
        fegetenv(&pool.rounding);
        int came = 0;
        if (openmp.run) openmp.run(take_part, &came, threads, 0);
        if (came) {
            atomic_flag_clear(&pool.busy);
            return came;
        }
        if (pool.workers < threads - 1) start_workers(threads - 1);
        if (threads > pool.workers + 1) threads = pool.workers + 1;
        pool.threads = team = threads;
        atomic_store(&pool.working, threads - 1);
        const unsigned finished = atomic_load(&pool.finished.count);
        for (int i = 0; i < threads - 1; i++) announce(&pool.worker[i].start);
        work(argument, 0, threads);
        if (threads > 1) wait_for(&pool.finished, finished);
        team = 1;
        atomic_flag_clear(&pool.busy);
        return threads;
    }
    const int outer = team; /* a run within a run: its barrier is not that of the outer one */
    team = 1;
    work(argument, 0, 1);
    team = outer;
    return 1;
}

/* Returns when all threads of the run have called it. Returns at once where there is but one. */
void cello_barrier(void) {
    if (team < 2) return;
    const unsigned passed = atomic_load_explicit(&pool.passed, memory_order_relaxed);
    if (atomic_fetch_add(&pool.arrived, 1) == team - 1) {
        atomic_store_explicit(&pool.arrived, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&pool.passed, 1, memory_order_release);
    } else
        while (!changes(&pool.passed, passed)) sched_yield();
}
