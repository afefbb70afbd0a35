/* screening.h - the nearest points of a block of rows, found by single-precision products.
 *
 * For a block of query rows and a tile of columns, BLAS gives s = x.y in one call; then
 *
 *     |x|^2 + |y|^2 - 2 s - E (|x|^2 + |y|^2)  <=  d^2  <=  |x|^2 + |y|^2 - 2 s + E (...)
 *
 * with E a bound on the relative rounding error. A row keeps every column whose lower bound does
 * not exceed the k-th smallest upper bound so far, so no true neighbour is lost. A row with too
 * many candidates (an extreme outlier, or copies of one point) is undecided.
 *
 * The screening loop only counts survivors per strip, which vectorises; strips with survivors are
 * rare, and their survivors are collected one by one. */
#ifndef FT_SCREENING_H
#define FT_SCREENING_H

#include "candidates.h"
#include "memory.h"

#define FT_BLOCK 128            /* query rows of one task, at most */
#define FT_TILE 1024            /* columns of one product: it stays in the L2 cache */
#define FT_SLACK (4 * FT_STRIP) /* room of a candidate list beyond 2 k */

typedef struct {
    const float *screen;
    const float *norms;       /* (1 - E) |x|^2, a point's share of the lower bound */
    const float *norm_errors; /* 2 E |x|^2, from the lower bound to the upper bound */
    /* The same for the queries, which may be the points themselves. */
    const float *query_screen, *query_errors;
    int64_t n, d;
    int64_t capacity; /* of a row's list */
    ft_sgemm sgemm;
    ft_run *run;
    unsigned char *undecided; /* by query */
} ft_screening;

/* Working memory of a thread. */
typedef struct {
    float *products;     /* FT_BLOCK x FT_TILE */
    float *lower;        /* rows x capacity: lower bound of d^2, without the query's own share */
    int32_t *candidates; /* rows x capacity */
    float *upper;        /* capacity */
} ft_screening_scratch;

/* The rows of a block while the tiles go by. */
typedef struct {
    int64_t first, rows;
    int64_t fewest[FT_BLOCK]; /* number of nearest to find, with the query where it is a point */
    float threshold[FT_BLOCK];
    int64_t count[FT_BLOCK];
} ft_screening_block;

static inline void ft_screening_take(ft_memory *memory, ft_screening_scratch *w, int64_t rows,
                                     int64_t capacity)
{
    w->products = ft_memory_take(memory, FT_BLOCK * FT_TILE, sizeof(float));
    w->lower = ft_memory_take(memory, rows * capacity, sizeof(float));
    w->candidates = ft_memory_take(memory, rows * capacity, sizeof(int32_t));
    w->upper = ft_memory_take(memory, capacity, sizeof(float));
}

/* Shares of the bounds of n points: (1 - E) |x|^2, then 2 E |x|^2. With `undecided`, a point so far
 * out that products could overflow is marked there. */
static inline void ft_screening_norms(const float *screen, int64_t n, int64_t d, float *norms,
                                      unsigned char *undecided)
{
    /* u = 2^-24. A dot product of length d is off by at most d u |x||y| (1 + ...)
     * <= d u (|x|^2 + |y|^2) / 2; the cast of the data to single precision moves d^2 by at most
     * 4 u (|x|^2 + |y|^2); the rest is for the few sums around them. */
    const double error = ((double)d + 32.0) * 0x1p-24 * 1.01;
    const double largest = 0x1p60; /* |x|^2 of a query; those of the points are moderate */
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t c = 0; c < d; c++) sum += (double)screen[i * d + c] * screen[i * d + c];
        if (undecided != NULL && !(sum < largest)) {
            undecided[i] = 1;
            sum = 0.0;
        }
        /* The absolute term covers products that underflow. */
        norms[i] = (float)((1.0 - error) * sum - 0x1p-120);
        norms[n + i] = (float)(2.0 * error * sum + 0x1p-119);
    }
}

/* Products -2 x.y of a block with m columns: a row per query, FT_TILE apart. */
FT_INLINE void ft_screening_products(const ft_screening *s, const float *columns, int64_t m,
                                     int64_t first_row, int64_t rows, float *products)
{
    int width = (int)m, n = (int)rows, k = (int)s->d, ldc = FT_TILE;
    float alpha = -2.0f, beta = 0.0f;
    /* Column-major: products' = -2 tile block', so that a query's row is contiguous. */
    s->sgemm("T", "N", &width, &n, &k, &alpha, (float *)columns, &k,
             (float *)(s->query_screen + first_row * s->d), &k, &beta, products, &ldc);
}

/* The `fewest`-th smallest upper bound, or a little more. */
FT_INLINE float ft_screening_bound(const ft_screening *s, const float *lower,
                                   const int32_t *candidates, int64_t count, int64_t fewest,
                                   float *restrict upper, float query_error)
{
    for (int64_t c = 0; c < count; c++)
        upper[c] = lower[c] + s->norm_errors[candidates[c]] + query_error;
    float bound = ft_bound(upper, NULL, count, fewest, fewest + fewest / 16);
    /* One rounding step up: the bounds themselves were added in single precision. */
    return bound + fabsf(bound) * 1e-6f;
}

/* Drops the candidates that cannot be among the nearest; returns the number left. Lower bounds
 * (without the query's own share) above *threshold need not be kept. */
FT_INLINE int64_t ft_screening_prune(const ft_screening *s, float *lower, int32_t *candidates,
                                     int64_t count, int64_t fewest, float *upper, float query_error,
                                     float *threshold)
{
    if (count <= fewest) return count;
    float bound = ft_screening_bound(s, lower, candidates, count, fewest, upper, query_error);
    if (bound < *threshold) *threshold = bound;
    return ft_keep_within(lower, candidates, count, *threshold);
}

FT_INLINE void ft_screening_row(const ft_screening *s, const ft_screening_scratch *w,
                                ft_screening_block *b, int64_t r, int64_t first, int64_t columns)
{
    const int64_t row = b->first + r;
    const float *restrict product = w->products + r * FT_TILE;
    const float *restrict norm = s->norms + first;
    float *lower = w->lower + r * s->capacity;
    int32_t *candidates = w->candidates + r * s->capacity;
    int64_t count = b->count[r];
    float threshold = b->threshold[r];

    for (int64_t begin = 0; begin < columns; begin += FT_STRIP) {
        int64_t width = ft_least(columns - begin, FT_STRIP);
        if (count + width > s->capacity) {
            count = ft_screening_prune(s, lower, candidates, count, b->fewest[r], w->upper,
                                       s->query_errors[row], &threshold);
            if (count + width > s->capacity) {
                s->undecided[row] = 1;
                return;
            }
        }
        count = ft_append_strip(norm + begin, product + begin, 0.0f, width,
                                (int32_t)(first + begin), threshold, lower, candidates, count);
    }
    b->count[r] = count;
    b->threshold[r] = threshold;
}

/* Fills the candidate lists of a block, which has thresholds and counts of 0. Returns 0 where the
 * run was stopped. */
FT_INLINE int ft_screening_fill(const ft_screening *s, const ft_screening_scratch *w,
                                ft_screening_block *b, int thread)
{
    for (int64_t first = 0; first < s->n; first += FT_TILE) {
        int64_t m = ft_least(s->n - first, FT_TILE);
        ft_screening_products(s, s->screen + first * s->d, m, b->first, b->rows, w->products);
        for (int64_t r = 0; r < b->rows; r++)
            if (!s->undecided[b->first + r]) ft_screening_row(s, w, b, r, first, m);
        if (ft_parallel_stopped(s->run, thread)) return 0;
    }
    return 1;
}

#endif
