/* parallel.c - the only place that starts threads: those of POSIX or of Windows.
 *
 * Any thread may take any chunk of work, so no result may depend on which one does.
 *
 * Threads end with the call that started them, so a forked child can start threads like its parent.
 * If the system has no more threads, work goes on with fewer. */
#define _POSIX_C_SOURCE 200809L

#include "fasttsne.h"

#include <stdatomic.h>
#include <time.h>

#define POLL_SECONDS 0.04
#define STACK_BYTES (2 << 20) /* the default of some systems is too small for kernels */
#define COST_PER_THREAD 2e4   /* nanoseconds of work below which a further thread does not pay */
#define SPINS 1000            /* checks of an empty queue before a thread yields its core */
#define AWAKE_SECONDS 5e-4    /* after which a thread without work sleeps */
#define CACHE_LINE 64

/* ---- What differs between systems -------------------------------------------------------------- */

#ifdef _WIN32

#include <process.h>
#include <windows.h>

typedef HANDLE ft_thread;
typedef SRWLOCK ft_lock;
typedef CONDITION_VARIABLE ft_signal;
#define THREAD_FUNCTION unsigned __stdcall
#define LOCK_INIT SRWLOCK_INIT
#define SIGNAL_INIT CONDITION_VARIABLE_INIT

static int start(ft_thread *thread, unsigned(__stdcall *function)(void *), void *argument)
{
    *thread = (HANDLE)_beginthreadex(NULL, STACK_BYTES, function, argument,
                                     STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return *thread != NULL;
}
static void join(ft_thread thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}
static void lock(ft_lock *l) { AcquireSRWLockExclusive(l); }
static void unlock(ft_lock *l) { ReleaseSRWLockExclusive(l); }
static void sleep_on(ft_signal *s, ft_lock *l) { SleepConditionVariableSRW(s, l, INFINITE, 0); }
static void wake_all(ft_signal *s) { WakeAllConditionVariable(s); }
static void destroy(FT_UNUSED ft_lock *l, FT_UNUSED ft_signal *s) {}
static void yield(void) { SwitchToThread(); }
static double now(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (double)ticks.QuadPart / (double)per_second.QuadPart;
}

#else

#include <pthread.h>
#include <sched.h>

typedef pthread_t ft_thread;
typedef pthread_mutex_t ft_lock;
typedef pthread_cond_t ft_signal;
#define THREAD_FUNCTION void *
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_INIT PTHREAD_COND_INITIALIZER

static int start(ft_thread *thread, void *(*function)(void *), void *argument)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int started = pthread_create(thread, &attributes, function, argument) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}
static void join(ft_thread thread) { pthread_join(thread, NULL); }
static void lock(ft_lock *l) { pthread_mutex_lock(l); }
static void unlock(ft_lock *l) { pthread_mutex_unlock(l); }
static void sleep_on(ft_signal *s, ft_lock *l) { pthread_cond_wait(s, l); }
static void wake_all(ft_signal *s) { pthread_cond_broadcast(s); }
static void destroy(ft_lock *l, ft_signal *s)
{
    pthread_mutex_destroy(l);
    pthread_cond_destroy(s);
}
static void yield(void) { sched_yield(); }
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif

/* ---- Interruption ------------------------------------------------------------------------------ */

int ft_parallel_threads(const ft_run *run)
{
    return (int)ft_least(run->n_threads < 1 ? 1 : run->n_threads, FT_MAX_THREADS);
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
 * Each thread has its share of the chunks, the same in every job of as many chunks, so that its
 * caches hold its rows. Without chunks of its own left, it takes those of others.
 *
 * `left` has the number of the job in its upper half and the number of free chunks of the share in
 * its lower half. A thread takes a chunk by compare-and-swap on both, and reads the job afterwards:
 * the job cannot end before this chunk is done. */
typedef struct {
    _Alignas(CACHE_LINE) _Atomic uint64_t left;
    int64_t end; /* of the share */
} share;

struct ft_team {
    share shares[FT_MAX_THREADS];
    _Alignas(CACHE_LINE) _Atomic int64_t done; /* chunks of the job */
    _Alignas(CACHE_LINE) _Atomic uint32_t job; /* its number; 0 before the first */
    _Atomic int n_threads;                     /* that may take part */
    _Atomic int closed;
    _Atomic int n_asleep;
    ft_task task;
    void *context;
    ft_run *run;
    ft_lock lock;
    ft_signal changed;
};

static void relax(unsigned *spins)
{
    if (++*spins < SPINS) {
#if FT_X86_VARIANTS
        __builtin_ia32_pause();
#endif
    } else {
        yield();
    }
}

/* Called after a change of `job` or `closed`. */
static void wake(ft_team *team)
{
    if (team->n_asleep == 0) return;
    lock(&team->lock); /* which a thread about to sleep holds from its last look until it sleeps */
    unlock(&team->lock);
    wake_all(&team->changed);
}

/* Waits for a job after `last`. */
static void await_job(ft_team *team, uint32_t last)
{
    unsigned spins = 0;
    double since = 0.0;
    while (team->job == last && !team->closed) {
        relax(&spins);
        if (spins == SPINS) since = now();
        if (spins <= SPINS || now() - since < AWAKE_SECONDS) continue;
        lock(&team->lock);
        team->n_asleep++;
        while (team->job == last && !team->closed) sleep_on(&team->changed, &team->lock);
        team->n_asleep--;
        unlock(&team->lock);
    }
}

static int take(share *from, int64_t *chunk)
{
    uint64_t left = atomic_load(&from->left);
    while ((uint32_t)left > 0) {
        if (atomic_compare_exchange_weak(&from->left, &left, left - 1)) {
            *chunk = from->end - (uint32_t)left;
            return 1;
        }
    }
    return 0;
}

/* Takes chunks until none is free. */
static void work(ft_team *team, int thread)
{
    int n_threads = team->n_threads;
    int64_t n_done = 0;
    if (thread >= n_threads) return;
    for (int i = 0; i < n_threads; i++) {
        int64_t chunk;
        while (take(&team->shares[(thread + i) % n_threads], &chunk)) {
            if (!team->run->stopped) {
                team->task(team->context, chunk, thread);
                ft_parallel_stopped(team->run, thread);
            }
            n_done++;
        }
    }
    if (n_done > 0) atomic_fetch_add(&team->done, n_done);
}

static void lead(ft_team *team, int n_threads, int64_t n_chunks, ft_task task, void *context)
{
    unsigned spins = 0;
    uint32_t job = team->job + 1;
    team->task = task;
    team->context = context;
    team->n_threads = n_threads;
    atomic_store(&team->done, 0);
    for (int64_t thread = 0; thread < n_threads; thread++) {
        share *own = &team->shares[thread];
        int64_t begin = n_chunks * thread / n_threads;
        own->end = n_chunks * (thread + 1) / n_threads;
        atomic_store(&own->left, (uint64_t)job << 32 | (uint64_t)(own->end - begin));
    }
    atomic_store(&team->job, job);
    wake(team);
    work(team, 0);
    while (atomic_load(&team->done) < n_chunks) {
        ft_parallel_stopped(team->run, 0);
        relax(&spins);
    }
}

typedef struct {
    ft_team *team;
    int thread;
    ft_thread handle;
} follower;

static THREAD_FUNCTION follow(void *argument)
{
    const follower *self = argument;
    ft_team *team = self->team;
    uint32_t job = 0;
    for (;;) {
        await_job(team, job);
        if (team->closed) return 0;
        job = team->job;
        work(team, self->thread);
    }
}

static ft_status with_team(ft_run *run, int n_threads, ft_status (*body)(void *), void *context)
{
    if (n_threads <= 1) return body(context);
    ft_team team = {.run = run, .lock = LOCK_INIT, .changed = SIGNAL_INIT};
    follower followers[FT_MAX_THREADS];
    int n_running = 1;
    run->team = &team;
    for (; n_running < n_threads; n_running++) {
        follower *next = &followers[n_running];
        next->team = &team;
        next->thread = n_running;
        if (!start(&next->handle, follow, next)) break;
    }
    ft_status status = body(context);
    team.closed = 1;
    wake(&team);
    while (--n_running > 0) join(followers[n_running].handle);
    destroy(&team.lock, &team.changed);
    run->team = NULL;
    return status;
}

ft_status ft_parallel_team(ft_run *run, ft_status (*body)(void *context), void *context)
{
    return with_team(run, ft_parallel_threads(run), body, context);
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
    if (n_threads <= 1 || n_chunks > UINT32_MAX) {
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            task(context, chunk, 0);
            if (ft_parallel_stopped(run, 0)) break;
        }
    } else if (run->team != NULL) {
        lead(run->team, n_threads, n_chunks, task, context);
    } else {
        job j = {run, n_chunks, n_threads, task, context};
        with_team(run, n_threads, lead_one_job, &j);
    }
    return run->stopped ? FT_INTERRUPTED : FT_OK;
}

/* ---- Instruction sets ------------------------------------------------------------------------------ */

#if FT_X86_VARIANTS
#include <cpuid.h>
#define SAVES_AVX 0x6u     /* the registers of SSE and AVX */
#define SAVES_AVX512 0xe6u /* with the masks, upper halves and upper 16 registers of AVX-512 */
#endif

static volatile ft_isa selected_isa = FT_ISA_BASELINE;

void ft_parallel_init(void) { selected_isa = ft_parallel_best_isa(); }

/* CPUID lists what the CPU has, and XCR0 which registers the system saves. __builtin_cpu_supports
 * would do the same, but where zig links it is a stub that knows no CPU. */
ft_isa ft_parallel_best_isa(void)
{
#if FT_X86_VARIANTS
    const unsigned needed = bit_FMA | bit_AVX | bit_OSXSAVE;
    const unsigned avx2 = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    unsigned a, b, c, d, saved;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed) return FT_ISA_BASELINE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & avx2) != avx2) return FT_ISA_BASELINE;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
#ifdef __APPLE__
    saved |= SAVES_AVX512; /* macOS does from a thread's first use on */
#endif
    if ((saved & SAVES_AVX) != SAVES_AVX) return FT_ISA_BASELINE;
    if ((saved & SAVES_AVX512) == SAVES_AVX512 && (b & avx512) == avx512) return FT_ISA_AVX512;
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
