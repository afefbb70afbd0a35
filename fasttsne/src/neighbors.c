/* neighbors.c - exact k nearest neighbours by Euclidean distance.
 *
 * Single-precision products find the candidates, exact distances choose among them. For a block
 * of query rows and a tile of columns, BLAS gives s = x.y in one call; then
 *
 *     |x|^2 + |y|^2 - 2 s - E (|x|^2 + |y|^2)  <=  d^2  <=  |x|^2 + |y|^2 - 2 s + E (...)
 *
 * with E a bound on the relative rounding error. A row keeps every column whose lower bound does
 * not exceed the k-th smallest upper bound so far, so no true neighbour is lost. A row whose bounds
 * are too wide (an extreme outlier) is searched later by exact distances to all points.
 *
 * The screening loop only counts survivors per strip, which vectorises; strips with survivors are
 * rare, and their survivors are collected one by one. */
#include "candidates.h"
#include "memory.h"

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
    const float *norms;       /* (1 - E) |x|^2, a point's share of the lower bound */
    const float *norm_errors; /* 2 E |x|^2, from the lower bound to the upper bound */
    ft_points points;
    /* The same for the queries, which may be the points themselves. */
    const float *query_screen, *query_errors;
    ft_points queries;
    int64_t n_queries;
    int64_t n, d, k, capacity;
    int among_themselves; /* a query is not its own neighbour */
    int32_t *indices;
    double *distances;
    ft_sgemm sgemm;
    ft_run *run;
    ft_memory memory;
    scratch *scratches;
    unsigned char *undecided; /* rows for the exhaustive search */
    const int32_t *exhaustive_rows;
} search;

/* Drops the candidates that cannot be among the k nearest; returns the number left. Lower bounds
 * (without the query's own share) above *threshold need not be kept. */
FT_INLINE int64_t prune(const search *s, float *lower, int32_t *candidates, int64_t count,
                        float *restrict upper, float query_error, float *threshold)
{
    /* One more than k where the query itself is among its candidates. */
    int64_t fewest = s->k + s->among_themselves;
    if (count <= fewest) return count;
    for (int64_t c = 0; c < count; c++)
        upper[c] = lower[c] + s->norm_errors[candidates[c]] + query_error;
    float bound = ft_bound(upper, NULL, count, fewest, fewest + fewest / 16);
    /* One rounding step up: the bounds themselves were added in single precision. */
    bound += fabsf(bound) * 1e-6f;
    *threshold = bound;
    return ft_keep_within(lower, candidates, count, bound);
}

/* Candidate lists of one block while the tiles go by. */
typedef struct {
    float threshold[BLOCK];
    int64_t count[BLOCK];
} block_state;

FT_INLINE void screen_row(const search *s, const scratch *w, block_state *b, int64_t r, int64_t row,
                          int64_t first, int64_t columns)
{
    const float *restrict product = w->products + r * TILE;
    const float *restrict norm = s->norms + first;
    float *lower = w->lower + r * s->capacity;
    int32_t *candidates = w->candidates + r * s->capacity;
    int64_t count = b->count[r];
    float threshold = b->threshold[r];

    for (int64_t begin = 0; begin < columns; begin += FT_STRIP) {
        int64_t width = ft_least(columns - begin, FT_STRIP);
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
    int64_t rows = ft_least(s->n_queries - first_row, BLOCK);
    block_state b;
    for (int64_t r = 0; r < rows; r++) {
        b.count[r] = 0;
        b.threshold[r] = INFINITY;
    }

    for (int64_t first = 0; first < s->n; first += TILE) {
        int m = (int)ft_least(s->n - first, TILE);
        int n = (int)rows, k = (int)s->d, ldc = TILE;
        float alpha = -2.0f, beta = 0.0f;
        /* Column-major: products' = -2 tile block', so that a query's row is contiguous. */
        s->sgemm("T", "N", &m, &n, &k, &alpha, (float *)(s->screen + first * s->d), &k,
                 (float *)(s->query_screen + first_row * s->d), &k, &beta, w->products, &ldc);
        for (int64_t r = 0; r < rows; r++)
            if (!s->undecided[first_row + r]) screen_row(s, w, &b, r, first_row + r, first, m);
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    for (int64_t r = 0; r < rows; r++) {
        int64_t row = first_row + r;
        if (s->undecided[row]) continue;
        float threshold, *lower = w->lower + r * s->capacity;
        int32_t *candidates = w->candidates + r * s->capacity;
        int64_t found = 0, count = prune(s, lower, candidates, b.count[r], w->upper,
                                         s->query_errors[row], &threshold);
        for (int64_t c = 0; c < count; c++) {
            int32_t j = candidates[c];
            if (j != row || !s->among_themselves)
                w->sorted[found++] =
                    (ft_neighbor){ft_exact_distance(s->queries, row, s->points, j, s->d), j};
        }
        ft_write_nearest(w->sorted, w->sorted + s->capacity, found, s->k, s->indices + row * s->k,
                         s->distances + row * s->k);
    }
}
FT_TASK_VARIANTS(screened_search)

/* One row against all points by exact distances. */
FT_INLINE void exhaustive_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    ft_neighbor *list = s->scratches[thread].sorted, *buffer = list + s->capacity;
    ft_nearest nearest = {list, buffer, 0, s->capacity, s->k, INFINITY};
    int64_t row = s->exhaustive_rows[chunk];
    for (int64_t j = 0; j < s->n; j++) {
        if ((j & 4095) == 0 && ft_parallel_stopped(s->run, thread)) return;
        if (j == row && s->among_themselves) continue;
        ft_nearest_add(&nearest, ft_exact_distance(s->queries, row, s->points, j, s->d), j);
    }
    ft_write_nearest(list, buffer, nearest.count, s->k, s->indices + row * s->k,
                     s->distances + row * s->k);
}
FT_TASK_VARIANTS(exhaustive_search)

static void allocate_scratch(search *s, int n_threads)
{
    ft_memory *memory = &s->memory;
    const int64_t capacity = s->capacity;
    s->scratches = ft_memory_take(memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !memory->failed; t++) {
        scratch *w = &s->scratches[t];
        w->products = ft_memory_take(memory, BLOCK * TILE, sizeof(float));
        w->lower = ft_memory_take(memory, BLOCK * capacity, sizeof(float));
        w->candidates = ft_memory_take(memory, BLOCK * capacity, sizeof(int32_t));
        w->upper = ft_memory_take(memory, capacity, sizeof(float));
        w->sorted = ft_memory_take(memory, 2 * capacity, sizeof(ft_neighbor));
    }
}

/* Shares of the bounds of n points: (1 - E) |x|^2, then 2 E |x|^2. With `undecided`, a point so far
 * out that products could overflow is marked there. */
static void fill_norms(const float *screen, int64_t n, int64_t d, float *norms,
                       unsigned char *undecided)
{
    /* u = 2^-24. A dot product of length d is off by at most d u |x||y| (1 + ...)
     * <= d u (|x|^2 + |y|^2) / 2; the cast of the data to single precision moves d^2 by at most
     * 4 u (|x|^2 + |y|^2); the rest is for the few sums around them. */
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
    double row_cost = (double)s->n * (0.05 * (double)s->d + 0.3);
    ft_status status = FT_OK;
    allocate_scratch(s, n_threads);
    int32_t *rows = ft_memory_take(&s->memory, s->n_queries, sizeof(int32_t));
    if (s->memory.failed) return FT_NO_MEMORY;
    if (s->screen != NULL)
        status = ft_parallel_run(s->run, (s->n_queries + BLOCK - 1) / BLOCK, BLOCK * row_cost,
                                 FT_TASK(screened_search), s);
    if (status != FT_OK) return status;
    int64_t left = 0;
    for (int64_t i = 0; i < s->n_queries; i++)
        if (s->undecided[i]) rows[left++] = (int32_t)i;
    s->exhaustive_rows = rows;
    return ft_parallel_run(s->run, left, 10.0 * row_cost, FT_TASK(exhaustive_search), s);
}

ft_status ft_neighbors_find(const float *query_screen, ft_points queries, int64_t n_queries,
                            const float *screen, ft_points points, int64_t n, int64_t d, int64_t k,
                            int among_themselves, int32_t *indices, double *squared_distances,
                            ft_sgemm sgemm, ft_run *run)
{
    search s = {.query_screen = query_screen, .queries = queries, .n_queries = n_queries};
    s.screen = screen, s.points = points, s.n = n, s.d = d, s.k = k;
    s.among_themselves = among_themselves, s.capacity = 2 * k + SLACK;
    s.indices = indices, s.distances = squared_distances, s.sgemm = sgemm, s.run = run;
    float *norms = ft_memory_take(&s.memory, 2 * n, sizeof(float));
    float *query_norms =
        among_themselves ? norms : ft_memory_take(&s.memory, 2 * n_queries, sizeof(float));
    s.undecided = ft_memory_take(&s.memory, n_queries, 1);
    ft_status status = FT_NO_MEMORY;
    if (!s.memory.failed) {
        memset(s.undecided, screen == NULL, (size_t)n_queries);
        if (screen != NULL) {
            fill_norms(screen, n, d, norms, NULL);
            if (!among_themselves) fill_norms(query_screen, n_queries, d, query_norms, s.undecided);
        }
        s.norms = norms, s.norm_errors = norms + n, s.query_errors = query_norms + n_queries;
        status = search_all(&s);
    }
    ft_memory_free(&s.memory);
    return status;
}
