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
 * Design: the screening loop only counts survivors in FT_LANES-wide steps, which every compiler
 * vectorises; survivors are rare, so they are collected one by one.
 */
#include "fasttsne.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 128  /* query rows of one task */
#define TILE 1024  /* columns of one product: BLOCK x TILE floats stay in the L2 cache */
#define STRIP 64   /* columns tested at once for any survivor */
#define SLACK 256  /* room of a candidate list beyond 2 k */

typedef struct {
    double distance;
    int32_t index;
} neighbor;

typedef struct {
    float *products;     /* BLOCK x TILE */
    float *lower;        /* BLOCK x capacity: lower bound of d^2, without the query's own share */
    int32_t *candidates; /* BLOCK x capacity */
    float *upper;        /* capacity */
    neighbor *sorted;    /* capacity */
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

static int by_distance(const void *a, const void *b)
{
    const neighbor *p = a, *q = b;
    if (p->distance != q->distance) return p->distance < q->distance ? -1 : 1;
    return (p->index > q->index) - (p->index < q->index);
}

#define EXACT_DISTANCE(name, type)                                          \
    FT_INLINE double name(const type *restrict a, const type *restrict b, int64_t d) \
    {                                                                       \
        double partial[8] = {0};                                            \
        int64_t c = 0;                                                      \
        for (; c + 8 <= d; c += 8) {                                        \
            for (int l = 0; l < 8; l++) {                                   \
                double difference = (double)a[c + l] - (double)b[c + l];    \
                partial[l] += difference * difference;                      \
            }                                                               \
        }                                                                   \
        for (int l = 0; c < d; c++, l++) {                                  \
            double difference = (double)a[c] - (double)b[c];                \
            partial[l] += difference * difference;                          \
        }                                                                   \
        return ((partial[0] + partial[4]) + (partial[1] + partial[5])) +    \
               ((partial[2] + partial[6]) + (partial[3] + partial[7]));     \
    }
EXACT_DISTANCE(exact_distance_float, float)
EXACT_DISTANCE(exact_distance_double, double)

FT_INLINE double exact_distance(const search *s, int64_t i, int64_t j)
{
    if (s->points.is_double) {
        const double *x = s->points.values;
        return exact_distance_double(x + i * s->d, x + j * s->d, s->d);
    }
    const float *x = s->points.values;
    return exact_distance_float(x + i * s->d, x + j * s->d, s->d);
}

/* The value that stands at `rank` (from 0) when v is sorted; reorders v. */
static float select_rank(float *v, int64_t count, int64_t rank)
{
    int64_t low = 0, high = count - 1;
    while (low < high) {
        float pivot = v[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) {
                float swap = v[i];
                v[i++] = v[j];
                v[j--] = swap;
            }
        }
        if (rank <= j)
            high = j;
        else if (rank >= i)
            low = i;
        else
            break;
    }
    return v[rank];
}

/* Drops the candidates that can't be among the k nearest; returns how many are left and sets
 * *threshold, above which a lower bound (without the query's own share) need not be kept. */
static int64_t prune(const search *s, float *lower, int32_t *candidates, int64_t count,
                     float *upper, float query_error, float *threshold)
{
    if (count < s->k) return count;
    for (int64_t c = 0; c < count; c++)
        upper[c] = lower[c] + s->norm_errors[candidates[c]] + query_error;
    float bound = select_rank(upper, count, s->k - 1);
    /* One rounding step up: the bounds themselves were added in single precision. */
    bound += fabsf(bound) * 1e-6f;
    int64_t kept = 0;
    for (int64_t c = 0; c < count; c++) {
        if (lower[c] <= bound) {
            lower[kept] = lower[c];
            candidates[kept++] = candidates[c];
        }
    }
    *threshold = bound;
    return kept;
}

static void write_row(const search *s, int64_t row, const neighbor *sorted)
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

    for (int64_t begin = 0; begin < columns; begin += STRIP) {
        int64_t width = columns - begin < STRIP ? columns - begin : STRIP;
        if (width == STRIP) {
            int survivors = 0;
            for (int64_t c = 0; c < STRIP; c++)
                survivors += norm[begin + c] + product[begin + c] <= threshold;
            if (survivors == 0) continue;
        }
        if (count + width > s->capacity) {
            count = prune(s, lower, candidates, count, w->upper, s->norm_errors[row], &threshold);
            if (count + width > s->capacity) {
                s->undecided[row] = 1;
                return;
            }
        }
        for (int64_t c = begin; c < begin + width; c++) {
            float bound = norm[c] + product[c];
            if (bound <= threshold && first + c != row) {
                lower[count] = bound;
                candidates[count++] = (int32_t)(first + c);
            }
        }
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
        int64_t count = prune(s, b.lower[r], b.candidates[r], b.count[r], w->upper,
                              s->norm_errors[row], &threshold);
        for (int64_t c = 0; c < count; c++) {
            int32_t j = b.candidates[r][c];
            w->sorted[c] = (neighbor){exact_distance(s, row, j), j};
        }
        qsort(w->sorted, (size_t)count, sizeof(neighbor), by_distance);
        write_row(s, row, w->sorted);
    }
}
FT_TASK_VARIANTS(screened_search)

/* One row against all points by exact distances. */
FT_INLINE void exhaustive_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    neighbor *list = s->scratches[thread].sorted;
    int64_t row = s->exhaustive_rows[chunk], count = 0;
    double threshold = INFINITY;
    for (int64_t j = 0; j < s->n; j++) {
        if ((j & 4095) == 0 && ft_parallel_stopped(s->run, thread)) return;
        if (j == row) continue;
        double distance = exact_distance(s, row, j);
        /* A tie with the k-th loses: its index is larger than those of all kept. */
        if (count >= s->k && distance >= threshold) continue;
        list[count++] = (neighbor){distance, (int32_t)j};
        if (count == s->capacity) {
            qsort(list, (size_t)count, sizeof(neighbor), by_distance);
            count = s->k;
            threshold = list[count - 1].distance;
        }
    }
    qsort(list, (size_t)count, sizeof(neighbor), by_distance);
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
        w->sorted = malloc(sizeof(neighbor) * capacity);
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
