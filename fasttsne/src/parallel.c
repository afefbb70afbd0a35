/* parallel.c - the only place that starts threads.
 *
 * Any thread may take any chunk of work, so no result may depend on which one does.
 *
 * On POSIX the threads are our own: libgomp takes the size of their stacks from OMP_STACKSIZE, where
 * a small one crashes kernels, and ends the process if it cannot start a thread. Work goes on with
 * fewer threads than wanted. OpenMP still gives their number.
 *
 * A forked child always runs on one thread: BLAS and OpenMP libraries of its parent can hang in it. */
#define _POSIX_C_SOURCE 200809L

#include "fasttsne.h"

#include <stdatomic.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#include <sched.h>
#endif

#define POLL_SECONDS 0.04
#define STACK_BYTES (2 << 20)
#define COST_PER_THREAD 2e4 /* nanoseconds of work below which a further thread does not pay */
#define SPINS 1000          /* checks of an empty queue before a thread yields its core */

static volatile int forked = 0;
static volatile ft_isa selected_isa = FT_ISA_BASELINE;

#ifndef _WIN32
static void after_fork_in_child(void) { forked = 1; }
#endif

void ft_parallel_init(void)
{
#ifndef _WIN32
    pthread_atfork(NULL, NULL, after_fork_in_child);
#endif
    selected_isa = ft_parallel_best_isa();
}

int ft_parallel_forked(void) { return forked; }

#ifdef _OPENMP
int ft_parallel_openmp(void) { return 1; }
int ft_parallel_max_threads(void) { return omp_get_max_threads(); }
int ft_parallel_threads(const ft_run *run)
{
    if (forked || run->n_threads < 1) return 1;
    return run->n_threads < FT_MAX_THREADS ? run->n_threads : FT_MAX_THREADS;
}
#else
int ft_parallel_openmp(void) { return 0; }
int ft_parallel_max_threads(void) { return 1; }
int ft_parallel_threads(FT_UNUSED const ft_run *run) { return 1; }
#endif

static double now(void)
{
#ifdef _WIN32
    return (double)clock() / CLOCKS_PER_SEC;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

int ft_parallel_stopped(ft_run *run, int thread)
{
    if (thread == 0 && run->poll != NULL && !run->stopped) {
        double t = now();
        if (t >= run->next_poll) {
            run->next_poll = t + POLL_SECONDS;
            if (run->poll()) run->stopped = 1;
        }
    }
    return run->stopped;
}

/* ---- The team ----------------------------------------------------------------------------------
 *
 * A barrier also waits for an idle thread that the operating system has suspended: on a
 * busy machine thousands of short barriers cost a time slice each. So one team surrounds
 * the whole descent. In it the leader posts jobs, all threads take chunks, and the leader waits for
 * chunks, not for threads.
 *
 * `ticket` has the number of the job in its upper half and the next free chunk in its lower half.
 * Compare-and-swap on both keeps a thread from running a chunk of a later job with the task of an
 * earlier one; and no job ends before its taken chunks are done. */
struct ft_team {
    _Atomic uint64_t ticket;
    _Atomic int64_t done; /* chunks of the job */
    _Atomic int closed;
    /* The job; written while the ticket is NO_CHUNK and none is under way. */
    _Atomic int64_t n_chunks;
    _Atomic int n_threads; /* that may take part */
    _Atomic ft_task task;
    void *_Atomic context;
    ft_run *run;
};

#define NO_CHUNK UINT32_MAX

static void relax(int *spins)
{
    if (++*spins < SPINS) {
#if FT_X86_VARIANTS
        __builtin_ia32_pause();
#endif
    } else {
#ifndef _WIN32
        sched_yield();
#endif
    }
}

/* Takes chunks until none is free. */
static void work(ft_team *team, int thread)
{
    for (;;) {
        uint64_t ticket = atomic_load(&team->ticket);
        int64_t chunk = (int64_t)(ticket & NO_CHUNK);
        if (chunk == NO_CHUNK || chunk >= team->n_chunks || thread >= team->n_threads) return;
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket + 1)) continue;
        if (!team->run->stopped) {
            ft_task task = team->task;
            task(team->context, chunk, thread);
            ft_parallel_stopped(team->run, thread);
        }
        atomic_fetch_add(&team->done, 1);
    }
}

static void lead(ft_team *team, int n_threads, int64_t n_chunks, ft_task task, void *context)
{
    int spins = 0;
    uint64_t last = atomic_load(&team->ticket) >> 32;
    atomic_store(&team->ticket, last << 32 | NO_CHUNK);
    team->n_chunks = n_chunks;
    team->n_threads = n_threads;
    team->task = task;
    team->context = context;
    atomic_store(&team->done, 0);
    atomic_store(&team->ticket, (last + 1) << 32);
    work(team, 0);
    while (atomic_load(&team->done) < n_chunks) {
        ft_parallel_stopped(team->run, 0);
        relax(&spins);
    }
}

#ifdef _OPENMP
typedef struct {
    ft_team *team;
    int thread;
} follower;

static void *follow(void *argument)
{
    ft_team *team = ((follower *)argument)->team;
    int thread = ((follower *)argument)->thread;
    uint64_t job = 0;
    int spins = 0;
    while (!atomic_load(&team->closed)) {
        uint64_t posted = atomic_load(&team->ticket) >> 32;
        if (posted == job) {
            relax(&spins);
            continue;
        }
        job = posted;
        spins = 0;
        work(team, thread);
    }
    return NULL;
}
#endif

ft_status ft_parallel_team(ft_run *run, ft_status (*body)(void *context), void *context)
{
    int n_threads = ft_parallel_threads(run);
    ft_status status = FT_OK;
    if (n_threads <= 1) return body(context);
#ifdef _OPENMP
    ft_team team = {.ticket = NO_CHUNK, .done = 0, .closed = 0, .run = run};
    run->team = &team;
    follower followers[FT_MAX_THREADS];
    for (int thread = 1; thread < n_threads; thread++)
        followers[thread] = (follower){&team, thread};
#ifdef _WIN32
#pragma omp parallel num_threads(n_threads) default(none) \
    shared(team, body, context, status, followers)
    {
        int thread = omp_get_thread_num();
        if (thread == 0) {
            status = body(context);
            atomic_store(&team.closed, 1);
        } else {
            follow(&followers[thread]);
        }
    }
#else
    pthread_t threads[FT_MAX_THREADS];
    pthread_attr_t attributes;
    int n_running = 1;
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        while (n_running < n_threads &&
               pthread_create(&threads[n_running], &attributes, follow, &followers[n_running]) == 0)
            n_running++;
        pthread_attr_destroy(&attributes);
    }
    status = body(context);
    atomic_store(&team.closed, 1);
    while (--n_running > 0) pthread_join(threads[n_running], NULL);
#endif
    run->team = NULL;
#endif
    return status;
}

typedef struct {
    ft_run *run;
    int64_t n_chunks;
    int n_threads;
    ft_task task;
    void *context;
} job;

static ft_status lead_one_job(void *context)
{
    job *j = context;
    lead(j->run->team, j->n_threads, j->n_chunks, j->task, j->context);
    return FT_OK;
}

ft_status ft_parallel_run(ft_run *run, int64_t n_chunks, double chunk_cost, ft_task task,
                          void *context)
{
    double worth_while = (double)n_chunks * chunk_cost / COST_PER_THREAD;
    int n_threads = ft_parallel_threads(run);
    if (n_threads > n_chunks) n_threads = (int)n_chunks;
    if (n_threads > worth_while) n_threads = (int)worth_while;
    run->stopped = 0;
    if (n_threads <= 1 || n_chunks >= NO_CHUNK) {
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            task(context, chunk, 0);
            if (ft_parallel_stopped(run, 0)) break;
        }
    } else if (run->team != NULL) {
        lead(run->team, n_threads, n_chunks, task, context);
    } else {
        job j = {run, n_chunks, n_threads, task, context};
        ft_parallel_team(run, lead_one_job, &j);
    }
    return run->stopped ? FT_INTERRUPTED : FT_OK;
}

/* ---- Instruction sets ------------------------------------------------------------------------------ */

ft_isa ft_parallel_best_isa(void)
{
#if FT_X86_VARIANTS
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
          __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")))
        return FT_ISA_BASELINE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return FT_ISA_AVX512;
    return FT_ISA_AVX2;
#else
    return FT_ISA_BASELINE;
#endif
}

ft_isa ft_parallel_isa(void) { return selected_isa; }

void ft_parallel_select_isa(ft_isa isa)
{
    selected_isa = isa <= ft_parallel_best_isa() ? isa : ft_parallel_best_isa();
}
