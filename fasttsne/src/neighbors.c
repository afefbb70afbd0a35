/* neighbors.c - exact k nearest neighbours by Euclidean distance.
 *
 * Single-precision products find the candidates, exact distances choose among them. For a block
 * of query rows and a tile of columns, BLAS gives s = x.y in one call; then
 *
 *     |x|^2 + |y|^2 - 2 s - E (|x|^2 + |y|^2)  <=  d^2  <=  |x|^2 + |y|^2 - 2 s + E (...)
 *
 * with E a bound on the relative rounding error. A row keeps every column whose lower bound does
 * not exceed the k-th smallest upper bound so far, so that no true neighbour can be lost. A row
 * whose bounds are too wide to choose by (far clusters, an extreme outlier) is set aside and
 * searched by exact distances to all points.
 *
 * Design: the screening loop only counts survivors a strip at a time, which every compiler
 * vectorises; strips with survivors are rare, so those are collected one by one.
 */
#include "candidates.h"

#include <stdlib.h>

#define BLOCK 128            /* query rows of one task */
#define TILE 1024            /* columns of one product: BLOCK x TILE floats stay in the L2 cache */
#define SLACK (4 * FT_STRIP) /* room of a candidate list beyond 2 k */

typedef struct {
    float *products;     /* BLOCK x TILE */
    float *lower;        /* BLOCK x capacity: lower bound of d^2, without the query's own share */
    int32_t *candidates; /* BLOCK x capacity */
    float *upper;        /* capacity */
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    const float *screen;
    const float *norms;       /* (1 - E) |x|^2, the lower bound's share of each point */
    const float *norm_errors; /* 2 E |x|^2, from the lower bound to the upper bound */
    ft_points points;
    int64_t n, d, k, capacity;
    int32_t *indices;
    double *distances;
    ft_sgemm sgemm;
    ft_run *run;
    scratch *scratches;
    unsigned char *undecided; /* rows for the exhaustive search */
    const int32_t *exhaustive_rows;
} search;

/* Drops the candidates that can't be among the k nearest; returns how many are left and sets
 * *threshold, above which a lower bound (without the query's own share) need not be kept. */
FT_INLINE int64_t prune(const search *s, float *lower, int32_t *candidates, int64_t count,
                        float *restrict upper, float query_error, float *threshold)
{
    /* One more than k, because the query itself is among its candidates. */
    int64_t fewest = s->k + 1;
    if (count <= fewest) return count;
    for (int64_t c = 0; c < count; c++)
        upper[c] = lower[c] + s->norm_errors[candidates[c]] + query_error;
    float bound = ft_select_bound(upper, count, fewest, fewest + fewest / 16);
    /* One rounding step up: the bounds themselves were added in single precision. */
    bound += fabsf(bound) * 1e-6f;
    *threshold = bound;
    return ft_keep_within(lower, candidates, count, bound);
}

FT_INLINE void write_row(const search *s, int64_t row, const ft_neighbor *sorted)
{
    for (int64_t c = 0; c < s->k; c++) {
        s->indices[row * s->k + c] = sorted[c].index;
        s->distances[row * s->k + c] = sorted[c].distance;
    }
}

/* Candidate lists of one block while the tiles go by. */
typedef struct {
    float *lower[BLOCK], threshold[BLOCK];
    int32_t *candidates[BLOCK];
    int64_t count[BLOCK];
} block_state;

FT_INLINE void screen_row(const search *s, const scratch *w, block_state *b, int64_t r,
                          int64_t row, int64_t first, int64_t columns)
{
    const float *restrict product = w->products + r * TILE;
    const float *restrict norm = s->norms + first;
    float *lower = b->lower[r];
    int32_t *candidates = b->candidates[r];
    int64_t count = b->count[r];
    float threshold = b->threshold[r];

    for (int64_t begin = 0; begin < columns; begin += FT_STRIP) {
        int64_t width = columns - begin < FT_STRIP ? columns - begin : FT_STRIP;
        if (count + width > s->capacity) {
            count = prune(s, lower, candidates, count, w->upper, s->norm_errors[row], &threshold);
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

FT_INLINE void screened_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const scratch *w = &s->scratches[thread];
    int64_t first_row = chunk * BLOCK;
    int64_t rows = s->n - first_row < BLOCK ? s->n - first_row : BLOCK;
    block_state b;
    for (int64_t r = 0; r < rows; r++) {
        b.lower[r] = w->lower + r * s->capacity;
        b.candidates[r] = w->candidates + r * s->capacity;
        b.count[r] = 0;
        b.threshold[r] = INFINITY;
    }

    for (int64_t first = 0; first < s->n; first += TILE) {
        int m = (int)(s->n - first < TILE ? s->n - first : TILE);
        int n = (int)rows, k = (int)s->d, ldc = TILE;
        float alpha = -2.0f, beta = 0.0f;
        /* Column-major: products' = -2 tile block', so that a query's row is contiguous. */
        s->sgemm("T", "N", &m, &n, &k, &alpha, (float *)(s->screen + first * s->d), &k,
                 (float *)(s->screen + first_row * s->d), &k, &beta, w->products, &ldc);
        for (int64_t r = 0; r < rows; r++) {
            if (!s->undecided[first_row + r])
                screen_row(s, w, &b, r, first_row + r, first, m);
        }
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    for (int64_t r = 0; r < rows; r++) {
        int64_t row = first_row + r;
        if (s->undecided[row]) continue;
        float threshold;
        int64_t found = 0;
        int64_t count = prune(s, b.lower[r], b.candidates[r], b.count[r], w->upper,
                              s->norm_errors[row], &threshold);
        for (int64_t c = 0; c < count; c++) {
            int32_t j = b.candidates[r][c];
            if (j != row)
                w->sorted[found++] =
                    (ft_neighbor){ft_exact_distance(s->points, s->d, row, j), j};
        }
        ft_sort_neighbors(w->sorted, w->sorted + s->capacity, found);
        write_row(s, row, w->sorted);
    }
}
FT_TASK_VARIANTS(screened_search)

/* One row against all points by exact distances. */
FT_INLINE void exhaustive_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    ft_neighbor *list = s->scratches[thread].sorted, *buffer = list + s->capacity;
    int64_t row = s->exhaustive_rows[chunk], count = 0;
    double threshold = INFINITY;
    for (int64_t j = 0; j < s->n; j++) {
        if ((j & 4095) == 0 && ft_parallel_stopped(s->run, thread)) return;
        if (j == row) continue;
        double distance = ft_exact_distance(s->points, s->d, row, j);
        /* A tie with the k-th loses: its index is larger than those of all kept. */
        if (count >= s->k && distance >= threshold) continue;
        list[count++] = (ft_neighbor){distance, (int32_t)j};
        if (count == s->capacity) {
            ft_sort_neighbors(list, buffer, count);
            count = s->k;
            threshold = list[count - 1].distance;
        }
    }
    ft_sort_neighbors(list, buffer, count);
    write_row(s, row, list);
}
FT_TASK_VARIANTS(exhaustive_search)

static ft_status allocate_scratch(search *s, int n_threads)
{
    s->scratches = calloc((size_t)n_threads, sizeof(scratch));
    if (s->scratches == NULL) return FT_NO_MEMORY;
    size_t capacity = (size_t)s->capacity;
    for (int t = 0; t < n_threads; t++) {
        scratch *w = &s->scratches[t];
        w->products = malloc(sizeof(float) * BLOCK * TILE);
        w->lower = malloc(sizeof(float) * BLOCK * capacity);
        w->candidates = malloc(sizeof(int32_t) * BLOCK * capacity);
        w->upper = malloc(sizeof(float) * capacity);
        w->sorted = malloc(sizeof(ft_neighbor) * 2 * capacity);
        if (!w->products || !w->lower || !w->candidates || !w->upper || !w->sorted)
            return FT_NO_MEMORY;
    }
    return FT_OK;
}

static void free_scratch(search *s, int n_threads)
{
    for (int t = 0; s->scratches != NULL && t < n_threads; t++) {
        free(s->scratches[t].products);
        free(s->scratches[t].lower);
        free(s->scratches[t].candidates);
        free(s->scratches[t].upper);
        free(s->scratches[t].sorted);
    }
    free(s->scratches);
}

ft_status ft_neighbors_find(const float *screen, ft_points points, int64_t n, int64_t d, int64_t k,
                            int32_t *indices, double *squared_distances, ft_sgemm sgemm,
                            ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    float *norms = malloc(sizeof(float) * 2 * (size_t)n);
    unsigned char *undecided = calloc((size_t)n, 1);
    int32_t *rows = NULL;
    search s = {screen, norms, norms ? norms + n : NULL, points, n, d, k, 2 * k + SLACK,
                indices, squared_distances, sgemm, run, NULL, undecided, NULL};
    ft_status status = norms && undecided ? allocate_scratch(&s, n_threads) : FT_NO_MEMORY;
    if (status != FT_OK) goto done;

    /* u = 2^-24. A dot product of length d, summed in any order, is off by at most
     * d u |x||y| (1 + ...) <= d u (|x|^2 + |y|^2) / 2; the cast of the data to single precision
     * moves d^2 by at most 4 u (|x|^2 + |y|^2); the rest is for the few sums around them. */
    const double error = ((double)d + 32.0) * 0x1p-24 * 1.01;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t c = 0; c < d; c++) sum += (double)screen[i * d + c] * screen[i * d + c];
        /* The absolute term covers products that underflow. */
        norms[i] = (float)((1.0 - error) * sum - 0x1p-120);
        norms[n + i] = (float)(2.0 * error * sum + 0x1p-119);
    }

    double row_cost = (double)n * (0.05 * (double)d + 0.3);
    status = ft_parallel_run(run, (n + BLOCK - 1) / BLOCK, BLOCK * row_cost,
                             FT_TASK(screened_search), &s);
    if (status != FT_OK) goto done;

    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) left += undecided[i];
    if (left > 0) {
        rows = malloc(sizeof(int32_t) * (size_t)left);
        if (rows == NULL) {
            status = FT_NO_MEMORY;
            goto done;
        }
        left = 0;
        for (int64_t i = 0; i < n; i++)
            if (undecided[i]) rows[left++] = (int32_t)i;
        s.exhaustive_rows = rows;
        status = ft_parallel_run(run, left, 10.0 * row_cost, FT_TASK(exhaustive_search), &s);
    }

done:
    free_scratch(&s, n_threads);
    free(rows);
    free(norms);
    free(undecided);
    return status;
}
