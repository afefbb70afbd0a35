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
#define LARGEST_NORM 0x1p60  /* |x|^2 of a query; those of the points are moderate */

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
    /* The same of the queries, which may be the points themselves. */
    const float *query_screen, *query_errors;
    ft_points queries;
    int64_t n_queries;
    int64_t n, d, k, capacity;
    int among_themselves; /* a query is not its own neighbour */
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
    /* One more than k where the query itself is among its candidates. */
    int64_t fewest = s->k + s->among_themselves;
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
            count = prune(s, lower, candidates, count, w->upper, s->query_errors[row], &threshold);
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
    int64_t rows = s->n_queries - first_row < BLOCK ? s->n_queries - first_row : BLOCK;
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
                 (float *)(s->query_screen + first_row * s->d), &k, &beta, w->products, &ldc);
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
                              s->query_errors[row], &threshold);
        for (int64_t c = 0; c < count; c++) {
            int32_t j = b.candidates[r][c];
            if (j != row || !s->among_themselves)
                w->sorted[found++] =
                    (ft_neighbor){ft_exact_distance(s->queries, row, s->points, j, s->d), j};
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
        if (j == row && s->among_themselves) continue;
        double distance = ft_exact_distance(s->queries, row, s->points, j, s->d);
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

/* Shares of the bounds of n points: (1 - E) |x|^2 and, n further on, 2 E |x|^2. A point so far
 * out that products could overflow is marked as undecided, where that is asked for. */
static void fill_norms(const float *screen, int64_t n, int64_t d, float *norms,
                       unsigned char *undecided)
{
    /* u = 2^-24. A dot product of length d, summed in any order, is off by at most
     * d u |x||y| (1 + ...) <= d u (|x|^2 + |y|^2) / 2; the cast of the data to single precision
     * moves d^2 by at most 4 u (|x|^2 + |y|^2); the rest is for the few sums around them. */
    const double error = ((double)d + 32.0) * 0x1p-24 * 1.01;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t c = 0; c < d; c++) sum += (double)screen[i * d + c] * screen[i * d + c];
        if (undecided != NULL && !(sum < LARGEST_NORM)) {
            undecided[i] = 1;
            sum = 0.0;
        }
        /* The absolute term covers products that underflow. */
        norms[i] = (float)((1.0 - error) * sum - 0x1p-120);
        norms[n + i] = (float)(2.0 * error * sum + 0x1p-119);
    }
}

/* Screens all queries, and compares those that are undecided with all points. */
static ft_status search_all(search *s)
{
    int n_threads = ft_parallel_threads(s->run);
    int32_t *rows = NULL;
    double row_cost = (double)s->n * (0.05 * (double)s->d + 0.3);
    ft_status status = allocate_scratch(s, n_threads);
    if (status == FT_OK && s->screen != NULL)
        status = ft_parallel_run(s->run, (s->n_queries + BLOCK - 1) / BLOCK, BLOCK * row_cost,
                                 FT_TASK(screened_search), s);
    int64_t left = 0;
    for (int64_t i = 0; i < s->n_queries; i++) left += s->undecided[i];
    if (status == FT_OK && left > 0) {
        rows = malloc(sizeof(int32_t) * (size_t)left);
        status = rows != NULL ? FT_OK : FT_NO_MEMORY;
    }
    if (status == FT_OK && left > 0) {
        left = 0;
        for (int64_t i = 0; i < s->n_queries; i++)
            if (s->undecided[i]) rows[left++] = (int32_t)i;
        s->exhaustive_rows = rows;
        status = ft_parallel_run(s->run, left, 10.0 * row_cost, FT_TASK(exhaustive_search), s);
    }
    free_scratch(s, n_threads);
    free(rows);
    return status;
}

ft_status ft_neighbors_find(const float *screen, ft_points points, int64_t n, int64_t d, int64_t k,
                            int32_t *indices, double *squared_distances, ft_sgemm sgemm,
                            ft_run *run)
{
    float *norms = malloc(sizeof(float) * 2 * (size_t)n);
    search s = {.screen = screen, .norms = norms, .norm_errors = norms ? norms + n : NULL, .points = points,
                .query_screen = screen, .query_errors = norms ? norms + n : NULL, .queries = points,
                .n_queries = n, .n = n, .d = d, .k = k, .capacity = 2 * k + SLACK,
                .among_themselves = 1, .indices = indices, .distances = squared_distances,
                .sgemm = sgemm, .run = run, .undecided = calloc((size_t)n, 1)};
    ft_status status = FT_NO_MEMORY;
    if (norms != NULL && s.undecided != NULL) {
        fill_norms(screen, n, d, norms, NULL);
        status = search_all(&s);
    }
    free(norms);
    free(s.undecided);
    return status;
}

ft_status ft_neighbors_among(const float *query_screen, ft_points queries, int64_t n_queries,
                             const float *screen, ft_points points, int64_t n, int64_t d,
                             int64_t k, int32_t *indices, double *squared_distances,
                             ft_sgemm sgemm, ft_run *run)
{
    float *norms = malloc(sizeof(float) * 2 * (size_t)n);
    float *query_norms = malloc(sizeof(float) * 2 * (size_t)n_queries);
    search s = {.screen = screen, .norms = norms, .norm_errors = norms ? norms + n : NULL,
                .points = points, .query_screen = query_screen,
                .query_errors = query_norms ? query_norms + n_queries : NULL, .queries = queries,
                .n_queries = n_queries, .n = n, .d = d, .k = k,
                .capacity = 2 * k + SLACK, .indices = indices, .distances = squared_distances,
                .sgemm = sgemm, .run = run, .undecided = malloc((size_t)n_queries)};
    ft_status status = FT_NO_MEMORY;
    if (norms != NULL && query_norms != NULL && s.undecided != NULL) {
        memset(s.undecided, screen == NULL, (size_t)n_queries);
        if (screen != NULL) {
            fill_norms(screen, n, d, norms, NULL);
            fill_norms(query_screen, n_queries, d, query_norms, s.undecided);
        }
        status = search_all(&s);
    }
    free(norms);
    free(query_norms);
    free(s.undecided);
    return status;
}
