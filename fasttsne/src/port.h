/* port.h - differences between compilers and processors, and small helpers of every kernel.
 *
 * A kernel is written once, as an always-inlined body, which is compiled for the instruction set of
 * the function around it. FT_TASK_VARIANTS(name) wraps name_body in one function per instruction
 * set, and FT_TASK(name) is the variant that runs here (see parallel.c for the choice). */
#ifndef FT_PORT_H
#define FT_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifndef __GNUC__
#error "GCC or clang is needed; on Windows, setup.py takes clang from the package ziglang."
#endif

#define FT_INLINE static inline __attribute__((always_inline))
#define FT_UNUSED __attribute__((unused))

/* In a loop around a vectorised loop: otherwise GCC takes two iterations at once and does an odd
 * one without vectors. */
#define FT_NO_JAM __asm__ volatile("");
#define FT_PREFETCH(address) __builtin_prefetch(address)
#define FT_PREFETCH_WRITE(address) __builtin_prefetch(address, 1)

/* Before a short loop over rows of an array that is to stay in registers. */
#ifdef __clang__
#define FT_UNROLL _Pragma("unroll")
#else
#define FT_UNROLL _Pragma("GCC unroll 8")
#endif

#ifdef __aarch64__
#define FT_NEON 1
#else
#define FT_NEON 0
#endif

#ifdef __x86_64__
#define FT_X86_VARIANTS 1
#define FT_TARGET_AVX2 __attribute__((target("avx2,fma,bmi,bmi2")))
#ifdef __clang__
#define FT_TARGET_AVX512                                                           \
    __attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl"), \
                   min_vector_width(512)))
#else
#define FT_TARGET_AVX512                                                          \
    __attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl," \
                          "prefer-vector-width=512")))
#endif
#else
#define FT_X86_VARIANTS 0
#endif

/* The place of the lowest set bit, for x != 0; and the number of set bits. */
FT_INLINE int ft_lowest_bit(uint64_t x) { return __builtin_ctzll(x); }
FT_INLINE int ft_count_bits(uint64_t x) { return __builtin_popcountll(x); }

/* Widest vector of floats in any variant: arrays are padded to a multiple of it. */
#define FT_LANES 16
#define FT_PAD(count) (((count) + FT_LANES - 1) / FT_LANES * FT_LANES)

FT_INLINE int64_t ft_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Adds in order. */
FT_INLINE double ft_sum(const double *values, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) sum += values[i];
    return sum;
}

/* The finaliser of SplitMix64 (Steele, Lea & Flood 2014), a bijection that mixes the bits. Its
 * states are the multiples of FT_GOLDEN, the golden ratio. */
#define FT_GOLDEN UINT64_C(0x9e3779b97f4a7c15)
FT_INLINE uint64_t ft_mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The signature of every task: one chunk of the work, done by one thread. */
#define FT_TASK_ARGUMENTS void *context, int64_t chunk, FT_UNUSED int thread
typedef void (*ft_task)(FT_TASK_ARGUMENTS);

#if FT_X86_VARIANTS
#define FT_TASK_VARIANTS(name)                                                              \
    static void name##_baseline(FT_TASK_ARGUMENTS) { name##_body(context, chunk, thread); } \
    FT_TARGET_AVX2 static void name##_avx2(FT_TASK_ARGUMENTS)                               \
    {                                                                                       \
        name##_body(context, chunk, thread);                                                \
    }                                                                                       \
    FT_TARGET_AVX512 static void name##_avx512(FT_TASK_ARGUMENTS)                           \
    {                                                                                       \
        name##_body(context, chunk, thread);                                                \
    }
/* The same for a name_body that takes the floats of a vector register first. */
#define FT_WIDTH_TASK_VARIANTS(name)                                                           \
    static void name##_baseline(FT_TASK_ARGUMENTS) { name##_body(4, context, chunk, thread); } \
    FT_TARGET_AVX2 static void name##_avx2(FT_TASK_ARGUMENTS)                                  \
    {                                                                                          \
        name##_body(8, context, chunk, thread);                                                \
    }                                                                                          \
    FT_TARGET_AVX512 static void name##_avx512(FT_TASK_ARGUMENTS)                              \
    {                                                                                          \
        name##_body(16, context, chunk, thread);                                               \
    }
#define FT_TASK(name) \
    ((const ft_task[]){name##_baseline, name##_avx2, name##_avx512}[ft_parallel_isa()])
#else
#define FT_TASK_VARIANTS(name) \
    static void name##_baseline(FT_TASK_ARGUMENTS) { name##_body(context, chunk, thread); }
#define FT_WIDTH_TASK_VARIANTS(name) \
    static void name##_baseline(FT_TASK_ARGUMENTS) { name##_body(4, context, chunk, thread); }
#define FT_TASK(name) (name##_baseline)
#endif

#endif
