/* queries.c - approximate nearest neighbours of points that come later.
 *
 * A query looks through the cells whose centroids are nearest to it, until they hold `budget`
 * points, as in approximate.c. But there blocks of queries meet blocks of points in products of BLAS,
 * whose last bits depend on the size of the block; here a query is compared by itself, with
 * vectors over the points of a cell, so that it gets the same neighbours whatever else is asked.
 * Differences are squared as they are, so that nothing need be moved near the origin.
 *
 * Queries are taken in the order of the cells that they lie in, which keeps those in the cache.
 */
#include "candidates.h"

#include <stdlib.h>

#define TOGETHER 16 /* queries of one task */

typedef struct {
    float *to_cells;     /* padded n_cells */
    ft_neighbor *near;   /* n_cells, twice: the cells to look through */
    float *estimates;    /* capacity */
    int32_t *candidates; /* capacity: places */
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    const ft_lists *lists;
    const float *screen;
    ft_points queries, points;
    int64_t n_queries, d, k, wanted, capacity;
    int32_t *sizes; /* of the cells */
    int64_t *offsets; /* where their residents begin, in points */
    int32_t *home;  /* the cell that a query lies in */
    int32_t *turn;  /* queries in their order */
    int32_t *indices;
    double *distances;
    ft_run *run;
    scratch *scratches;
} search;

/* Squared distances from a query to `lanes` points, a constant, given as m rows of coordinates
 * that are `stride` apart. */
FT_INLINE void lane_distances(int lanes, const float *restrict query,
                              const float *restrict coordinates, int64_t m, int64_t stride,
                              float *restrict squared)
{
    float sums[FT_STRIP] = {0};
    for (int64_t j = 0; j < m; j++, coordinates += stride) {
        FT_NO_JAM
        const float x = query[j];
#pragma omp simd
        for (int l = 0; l < lanes; l++) {
            float difference = x - coordinates[l];
            sums[l] += difference * difference;
        }
    }
    for (int l = 0; l < lanes; l++) squared[l] = sums[l];
}

/* The same to `width` points, FT_STRIP or a multiple of FT_LANES below it. */
FT_INLINE void strip_distances(const float *query, const float *coordinates, int64_t m,
                               int64_t stride, int64_t width, float *squared)
{
    if (width == FT_STRIP) {
        lane_distances(FT_STRIP, query, coordinates, m, stride, squared);
    } else {
        for (int64_t first = 0; first < width; first += FT_LANES)
            lane_distances(FT_LANES, query, coordinates + first, m, stride, squared + first);
    }
}

FT_INLINE void distances_to_cells(const search *s, const float *query, float *to_cells)
{
    const int64_t padded = FT_PAD(s->lists->n_cells);
    for (int64_t first = 0; first < padded; first += FT_STRIP) {
        int64_t width = padded - first < FT_STRIP ? padded - first : FT_STRIP;
        strip_distances(query, s->lists->centroids + first, s->lists->m, padded, width,
                        to_cells + first);
    }
}

FT_INLINE void home_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_lists *lists = s->lists;
    float *to_cells = s->scratches[thread].to_cells;
    int64_t begin = chunk * TOGETHER;
    int64_t end = begin + TOGETHER < s->n_queries ? begin + TOGETHER : s->n_queries;
    for (int64_t row = begin; row < end; row++) {
        int32_t nearest = 0;
        distances_to_cells(s, s->screen + row * lists->m, to_cells);
        for (int64_t c = 1; c < lists->n_cells; c++)
            nearest = to_cells[c] < to_cells[nearest] ? (int32_t)c : nearest;
        s->home[row] = nearest;
    }
}
FT_TASK_VARIANTS(home)

/* The cells to look through, nearest first; returns how many. */
FT_INLINE int64_t choose_cells(const search *s, const scratch *w)
{
    const int64_t n_cells = s->lists->n_cells;
    int64_t below, chosen = 0;
    float bound = ft_bound_by_weight(w->to_cells, s->sizes, n_cells, s->lists->budget, &below);
    int64_t left = s->lists->budget - below;
    for (int64_t c = 0; c < n_cells; c++) {
        if (w->to_cells[c] > bound) continue;
        if (w->to_cells[c] == bound) { /* of centroids equally far only as many as it takes */
            if (left <= 0) continue;
            left -= s->sizes[c];
        }
        w->near[chosen++] = (ft_neighbor){(double)w->to_cells[c], (int32_t)c};
    }
    ft_sort_neighbors(w->near, w->near + n_cells, chosen);
    return chosen;
}

FT_INLINE void answer(const search *s, const scratch *w, int64_t row)
{
    const ft_lists *lists = s->lists;
    const float *query = s->screen + row * lists->m;
    const int64_t fewest = s->wanted, most = fewest + fewest / 8;
    float threshold = INFINITY, *estimates = w->estimates;
    int64_t count = 0;
    distances_to_cells(s, query, w->to_cells);
    int64_t chosen = choose_cells(s, w);
    for (int64_t a = 0; a < chosen; a++) {
        const int32_t cell = w->near[a].index;
        const int64_t begin = lists->start[cell], size = s->sizes[cell], padded = FT_PAD(size);
        const float *residents = lists->residents + s->offsets[cell] * lists->m;
        for (int64_t strip = 0; strip < size; strip += FT_STRIP) {
            int64_t width = size - strip < FT_STRIP ? size - strip : FT_STRIP;
            float squared[FT_STRIP];
            strip_distances(query, residents + strip, lists->m, padded, FT_PAD(width), squared);
            if (count + width > s->capacity) {
                threshold = ft_select_bound(estimates, count, fewest, most);
                count = ft_keep_within(estimates, w->candidates, count, threshold);
                /* Too many at the bound: the first of them are as good as the rest. */
                if (count > most) count = most;
            }
            count = ft_append_strip(lists->tails + begin + strip, squared, 0.0f, width,
                                    (int32_t)(begin + strip), threshold, estimates,
                                    w->candidates, count);
        }
    }
    if (count > most) {
        float bound = ft_select_bound(estimates, count, fewest, most);
        count = ft_keep_within(estimates, w->candidates, count, bound);
    }
    for (int64_t c = 0; c < count; c++) {
        if (c + FT_AHEAD < count)
            ft_prefetch_point(s->points, s->d, lists->order[w->candidates[c + FT_AHEAD]]);
        int32_t j = lists->order[w->candidates[c]];
        w->sorted[c] = (ft_neighbor){ft_exact_distance(s->queries, row, s->points, j, s->d), j};
    }
    ft_sort_neighbors(w->sorted, w->sorted + s->capacity, count);
    for (int64_t c = 0; c < s->k; c++) {
        s->indices[row * s->k + c] = w->sorted[c].index;
        s->distances[row * s->k + c] = w->sorted[c].distance;
    }
}

FT_INLINE void answer_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    int64_t begin = chunk * TOGETHER;
    int64_t end = begin + TOGETHER < s->n_queries ? begin + TOGETHER : s->n_queries;
    for (int64_t turn = begin; turn < end; turn++)
        answer(s, &s->scratches[thread], s->turn[turn]);
}
FT_TASK_VARIANTS(answer)

/* Puts the queries into the order of their cells. */
static ft_status take_turns(search *s)
{
    int64_t *next = calloc((size_t)s->lists->n_cells + 1, sizeof(int64_t));
    if (next == NULL) return FT_NO_MEMORY;
    for (int64_t q = 0; q < s->n_queries; q++) next[s->home[q] + 1]++;
    for (int64_t c = 0; c < s->lists->n_cells; c++) next[c + 1] += next[c];
    for (int64_t q = 0; q < s->n_queries; q++) s->turn[next[s->home[q]]++] = (int32_t)q;
    free(next);
    return FT_OK;
}

static ft_status allocate(search *s, int n_threads)
{
    const size_t n_cells = (size_t)s->lists->n_cells, capacity = (size_t)s->capacity;
    s->sizes = malloc(sizeof(int32_t) * n_cells);
    s->offsets = malloc(sizeof(int64_t) * n_cells);
    s->home = malloc(sizeof(int32_t) * (size_t)s->n_queries);
    s->turn = malloc(sizeof(int32_t) * (size_t)s->n_queries);
    s->scratches = calloc((size_t)n_threads, sizeof(scratch));
    if (!s->sizes || !s->offsets || !s->home || !s->turn || !s->scratches) return FT_NO_MEMORY;
    for (int t = 0; t < n_threads; t++) {
        scratch *w = &s->scratches[t];
        w->to_cells = malloc(sizeof(float) * (size_t)FT_PAD(s->lists->n_cells));
        w->near = malloc(sizeof(ft_neighbor) * 2 * n_cells);
        w->estimates = malloc(sizeof(float) * capacity);
        w->candidates = malloc(sizeof(int32_t) * capacity);
        w->sorted = malloc(sizeof(ft_neighbor) * 2 * capacity);
        if (!w->to_cells || !w->near || !w->estimates || !w->candidates || !w->sorted)
            return FT_NO_MEMORY;
    }
    int64_t offset = 0;
    for (int64_t c = 0; c < s->lists->n_cells; c++) {
        s->sizes[c] = (int32_t)(s->lists->start[c + 1] - s->lists->start[c]);
        s->offsets[c] = offset;
        offset += FT_PAD(s->sizes[c]);
    }
    return FT_OK;
}

ft_status ft_queries_find(const ft_lists *lists, const float *query_screen, ft_points queries,
                          int64_t n_queries, ft_points points, int64_t d, int64_t k,
                          int64_t n_candidates, int32_t *indices, double *squared_distances,
                          ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    search s = {.lists = lists, .screen = query_screen, .queries = queries, .points = points,
                .n_queries = n_queries, .d = d, .k = k, .wanted = n_candidates,
                .capacity = 2 * n_candidates + 4 * FT_STRIP, .indices = indices,
                .distances = squared_distances, .run = run};
    const int64_t n_chunks = (n_queries + TOGETHER - 1) / TOGETHER;
    const double m = (double)lists->m, n_cells = (double)lists->n_cells;
    const double row_cost = 0.05 * m * ((double)lists->budget + n_cells) + 10.0 * (double)d;
    ft_status status = allocate(&s, n_threads);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, TOGETHER * 0.05 * m * n_cells, FT_TASK(home), &s);
    if (status == FT_OK) status = take_turns(&s);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, TOGETHER * row_cost, FT_TASK(answer), &s);
    for (int t = 0; s.scratches != NULL && t < n_threads; t++) {
        free(s.scratches[t].to_cells);
        free(s.scratches[t].near);
        free(s.scratches[t].estimates);
        free(s.scratches[t].candidates);
        free(s.scratches[t].sorted);
    }
    free(s.scratches);
    free(s.sizes);
    free(s.offsets);
    free(s.home);
    free(s.turn);
    return status;
}

/* ---- Projection --------------------------------------------------------------------------------- */

typedef struct {
    const float *rows, *matrix, *shift;
    int64_t n, d, m;
    float *products;
} projection;

FT_INLINE void project_body(FT_TASK_ARGUMENTS)
{
    const projection *p = context;
    (void)thread;
    int64_t begin = chunk * TOGETHER, end = begin + TOGETHER < p->n ? begin + TOGETHER : p->n;
    for (int64_t row = begin; row < end; row++) {
        float *restrict product = p->products + row * p->m;
        for (int64_t a = 0; a < p->m; a++) product[a] = -p->shift[a];
        for (int64_t j = 0; j < p->d; j++) {
            const float *restrict axes = p->matrix + j * p->m;
            const float x = p->rows[row * p->d + j];
#pragma omp simd
            for (int64_t a = 0; a < p->m; a++) product[a] += x * axes[a];
        }
    }
}
FT_TASK_VARIANTS(project)

ft_status ft_queries_project(const float *rows, int64_t n, int64_t d, const float *matrix,
                             int64_t m, const float *shift, float *products, ft_run *run)
{
    projection p = {rows, matrix, shift, n, d, m, products};
    return ft_parallel_run(run, (n + TOGETHER - 1) / TOGETHER,
                           TOGETHER * 0.1 * (double)d * (double)m, FT_TASK(project), &p);
}
