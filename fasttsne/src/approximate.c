/* approximate.c - approximate k nearest neighbours by inverted lists.
 *
 * The points are in lists around centroids (kmeans.c). A query is compared with the lists whose
 * centroids are nearest, until they hold `budget` points, several queries at once with a panel of
 * points. The best candidates are sorted by exact distances.
 *
 * The budget depends on the data: a thirtieth of the points for digits, a fifth for noise in twenty
 * dimensions. So PILOTS queries are first compared with all points, and the budget is the smallest
 * that finds enough of their neighbours.
 *
 * Points of a list, and the queries compared with it, are stored relative to its centroid: rounding
 * errors are then proportional to distances near the list and not to the extent of the data. */
#include "candidates.h"
#include "kmeans.h"
#include "memory.h"

#define BLOCK 128       /* queries of one task, all of one list */
#define PANEL 32        /* points of a list that lie side by side in memory; see residuals */
#define MOST_TOGETHER 8 /* queries that are multiplied with a panel at once */
#define PILOTS 512      /* queries that determine the budget */
#define PILOT_BLOCK 8   /* pilots of one task */
#define REACH 8     /* budgets of points in the lists around a list that its queries choose from */
#define BUDGETS 128 /* budgets that are tried */
#define UNRESOLVED 0.02   /* largest share of pilots with unresolved neighbours */
#define RESOLUTION 1e-10f /* (d / |x|)^2 that single precision resolves */

typedef struct {
    float *between;    /* n_lists: from the block's centroid to every other */
    ft_neighbor *near; /* n_lists: lists around, nearest first; and a buffer to sort them */
    ft_neighbor *buffer;
    int32_t *sizes;      /* of the lists around */
    float *shifts;       /* n_lists x m: their centroids, relative to the block's */
    float *to_lists;     /* BLOCK x n_lists: queries to centroids */
    float *block;        /* BLOCK x m: the queries, relative to their own centroid */
    float *queries;      /* BLOCK x m: those compared with a list, relative to its centroid */
    float *estimates;    /* BLOCK x capacity */
    int32_t *candidates; /* BLOCK x capacity: places */
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    const float *screen;
    const float *tails;
    ft_points points;
    int64_t n, d, m, k;
    int64_t wanted; /* candidates for exact distances, at least k */
    double recall;  /* share of the pilots' neighbours that the budget must find */
    int64_t capacity, budget;
    ft_memory memory; /* of all arrays here and in the lists */
    ft_kmeans lists;
    /* The points of each list relative to its centroid, in panels of m x PANEL: a register holds one
     * coordinate of several points. A panel that the list does not fill ends with zeros. */
    float *residuals;
    int64_t *panels; /* n_lists + 1: the first panel of each list */
    float *norms;    /* by place: |residual|^2 + tail */
    int64_t n_blocks;
    int64_t *block_first; /* n_blocks + 1 places */
    int32_t *block_list;
    int32_t *indices;
    double *distances;
    ft_sgemm sgemm;
    ft_run *run;
    scratch *scratches;
    /* pilots */
    float *rows;         /* PILOT_BLOCK x n per thread */
    int64_t *hits;       /* BUDGETS per task */
    int64_t *unresolved; /* one per task */
    int64_t budgets[BUDGETS];
} search;

/* -2 x.y for `n_queries` queries x, of which their number and `points` are constants, and as many
 * points y of a panel. The sums stay in registers. */
FT_INLINE void multiply_tile(int n_queries, int points, const float *restrict queries,
                             const float *restrict panel, int64_t m, float *restrict products,
                             int64_t stride)
{
    float sums[MOST_TOGETHER][PANEL];
    for (int q = 0; q < n_queries; q++)
        for (int l = 0; l < points; l++) sums[q][l] = 0.0f;
    for (int64_t j = 0; j < m; j++) {
        FT_UNROLL
        for (int q = 0; q < n_queries; q++) {
            const float x = queries[q * m + j];
#pragma omp simd
            for (int l = 0; l < points; l++) sums[q][l] += x * panel[j * PANEL + l];
        }
    }
    FT_UNROLL
    for (int q = 0; q < n_queries; q++)
#pragma omp simd
        for (int l = 0; l < points; l++) products[q * stride + l] = -2.0f * sums[q][l];
}

/* The most queries whose sums with two registers of points, `width` floats each, fit in registers. */
FT_INLINE int queries_together(int width) { return width == 16 ? 8 : width == 8 ? 6 : 4; }

/* -2 x.y for queries x, as many as `queries_together`, and the points y of `n_panels` panels. */
FT_INLINE void multiply(int width, const search *s, const float *panels, int64_t n_panels,
                        const float *queries, float *products, int64_t stride)
{
    for (int64_t p = 0; p < n_panels; p++)
        for (int l = 0; l < PANEL; l += 2 * width)
            multiply_tile(queries_together(width), 2 * width, queries,
                          panels + p * PANEL * s->m + l, s->m, products + p * PANEL + l, stride);
}

/* out = a - b; returns |out|^2. */
FT_INLINE float subtract(const float *restrict a, const float *restrict b, float *restrict out,
                         int64_t m)
{
    float partial[FT_LANES] = {0};
    int64_t j = 0;
    for (; j + FT_LANES <= m; j += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) {
            float difference = a[j + l] - b[j + l];
            out[j + l] = difference;
            partial[l] += difference * difference;
        }
    }
    for (int l = 0; j < m; j++, l++) {
        float difference = a[j] - b[j];
        out[j] = difference;
        partial[l] += difference * difference;
    }
    for (int half = FT_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) partial[l] += partial[l + half];
    return partial[0];
}

/* ---- Preparation ---------------------------------------------------------------------------- */

static ft_status cut_blocks(search *s)
{
    const ft_kmeans *lists = &s->lists;
    for (int64_t c = 0; c < lists->n_lists; c++)
        s->n_blocks += (lists->start[c + 1] - lists->start[c] + BLOCK - 1) / BLOCK;
    s->block_first = ft_memory_take(&s->memory, s->n_blocks + 1, sizeof(int64_t));
    s->block_list = ft_memory_take(&s->memory, s->n_blocks, sizeof(int32_t));
    s->panels = ft_memory_take(&s->memory, lists->n_lists + 1, sizeof(int64_t));
    if (s->memory.failed) return FT_NO_MEMORY;
    int64_t b = 0;
    s->panels[0] = 0;
    for (int64_t c = 0; c < lists->n_lists; c++) {
        const int64_t size = lists->start[c + 1] - lists->start[c];
        s->panels[c + 1] = s->panels[c] + (size + PANEL - 1) / PANEL;
        for (int64_t first = lists->start[c]; first < lists->start[c + 1]; first += BLOCK) {
            s->block_list[b] = (int32_t)c;
            s->block_first[b++] = first;
        }
    }
    s->block_first[b] = s->n;
    s->residuals =
        ft_memory_take(&s->memory, s->panels[lists->n_lists] * PANEL * s->m, sizeof(float));
    return s->memory.failed ? FT_NO_MEMORY : FT_OK;
}

/* The residuals of one block, which lies in one list. */
FT_INLINE void residuals_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    int64_t home = s->block_list[chunk], m = s->m;
    const int64_t begin = s->block_first[chunk], end = s->block_first[chunk + 1];
    const float *centroid = s->lists.centroids + home * m;
    float *residual = s->scratches[thread].queries;
    /* A block begins with a panel. */
    float *panels =
        s->residuals + (s->panels[home] + (begin - s->lists.start[home]) / PANEL) * PANEL * m;
    for (int64_t r = 0; r < (end - begin + PANEL - 1) / PANEL * PANEL; r++) {
        float *at = panels + r / PANEL * PANEL * m + r % PANEL;
        if (begin + r < end) {
            const int64_t i = s->lists.order[begin + r];
            s->norms[begin + r] = subtract(s->screen + i * m, centroid, residual, m);
            if (s->tails != NULL) s->norms[begin + r] += s->tails[i];
        } else {
            memset(residual, 0, sizeof(float) * (size_t)m);
        }
        for (int64_t j = 0; j < m; j++) at[j * PANEL] = residual[j];
    }
}
FT_TASK_VARIANTS(residuals)

/* ---- The budget ----------------------------------------------------------------------------- */

/* Distances from a few queries to all points, and the number of neighbours each budget finds. */
FT_INLINE void pilot_body(int width, FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_kmeans *lists = &s->lists;
    const scratch *w = &s->scratches[thread];
    float *rows = s->rows + (int64_t)thread * PILOT_BLOCK * s->n;
    int64_t n_pilots = ft_least(s->n, PILOTS), m = s->m, first = chunk * PILOT_BLOCK;
    int64_t count = ft_least(n_pilots - first, PILOT_BLOCK);
    int64_t places[PILOT_BLOCK];
    float *shares = w->estimates, *origins = w->shifts;
    /* The middle of each of n_pilots equal stretches of places, to sample every region. */
    for (int64_t r = 0; r < count; r++) {
        places[r] = (2 * (first + r) + 1) * s->n / (2 * n_pilots);
        memcpy(origins + r * m, s->screen + (int64_t)lists->order[places[r]] * m,
               sizeof(float) * (size_t)m);
    }

    for (int64_t c = 0; c < lists->n_lists; c++) {
        int64_t begin = lists->start[c], size = lists->start[c + 1] - begin;
        for (int64_t r = 0; r < count; r++) {
            shares[r] = subtract(origins + r * m, lists->centroids + c * m, w->queries + r * m, m);
            w->to_lists[r * lists->n_lists + c] = shares[r];
        }
        for (int64_t first_query = 0; first_query < count; first_query += queries_together(width))
            for (int64_t i = 0; i < size; i += PANEL) {
                float products[MOST_TOGETHER * PANEL];
                multiply(width, s, s->residuals + (s->panels[c] + i / PANEL) * PANEL * m, 1,
                         w->queries + first_query * m, products, PANEL);
                const int64_t points = ft_least(size - i, PANEL);
                const float *restrict norms = s->norms + begin + i;
                for (int64_t r = first_query;
                     r < ft_least(first_query + queries_together(width), count); r++)
                    for (int64_t l = 0; l < points; l++)
                        rows[r * s->n + begin + i + l] =
                            norms[l] + (products[(r - first_query) * PANEL + l] + shares[r]);
            }
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    int64_t *hits = s->hits + chunk * BUDGETS;
    for (int64_t r = 0; r < count; r++) {
        float *row = rows + r * s->n;
        row[places[r]] = INFINITY;
        float bound = ft_bound(row, NULL, s->n, s->k, s->k);
        int64_t last = -1;
        for (int64_t i = 0; i < s->n; i++)
            if (row[i] <= bound && (last < 0 || row[i] > row[last])) last = i;
        int64_t point = lists->order[places[r]];
        float tail = s->tails != NULL ? s->tails[point] : 0.0f, extent = 0.0f;
        for (int64_t j = 0; j < m; j++) extent += origins[r * m + j] * origins[r * m + j];
        if (bound + tail <= RESOLUTION * extent &&
            ft_exact_distance(s->points, point, s->points, lists->order[last], s->d) > 0.0)
            s->unresolved[chunk]++;

        for (int64_t c = 0; c < lists->n_lists; c++)
            w->near[c] = (ft_neighbor){w->to_lists[r * lists->n_lists + c], (int32_t)c};
        ft_sort_neighbors(w->near, w->buffer, lists->n_lists);
        int64_t looked_at = 0, found = 0, b = 0;
        for (int64_t c = 0; c < lists->n_lists; c++) {
            for (; b < BUDGETS && s->budgets[b] <= looked_at; b++) hits[b] += found;
            int64_t begin = lists->start[w->near[c].index];
            int64_t end = lists->start[w->near[c].index + 1];
            int32_t within = 0;
            for (int64_t i = begin; i < end; i++) within += row[i] <= bound;
            found = ft_least(found + within, s->k);
            looked_at += end - begin;
        }
        for (; b < BUDGETS; b++) hits[b] += found;
    }
}
FT_WIDTH_TASK_VARIANTS(pilot)

static ft_status find_budget(search *s, int n_threads, int *resolved)
{
    int64_t n_pilots = ft_least(s->n, PILOTS);
    int64_t n_tasks = (n_pilots + PILOT_BLOCK - 1) / PILOT_BLOCK;
    s->hits = ft_memory_take_zeros(&s->memory, n_tasks * BUDGETS, sizeof(int64_t));
    s->unresolved = ft_memory_take_zeros(&s->memory, n_tasks, sizeof(int64_t));
    if (s->memory.failed) return FT_NO_MEMORY;
    s->rows = malloc(sizeof(float) * PILOT_BLOCK * (size_t)s->n * (size_t)n_threads);
    if (s->rows == NULL) return FT_NO_MEMORY;

    /* From twice the candidates to all points, in equal ratios. */
    double smallest = (double)ft_least(2 * s->wanted + 2, s->n);
    for (int b = 0; b < BUDGETS; b++) {
        double ratio = pow((double)s->n / smallest, (double)b / (BUDGETS - 1));
        s->budgets[b] = b < BUDGETS - 1 ? (int64_t)(smallest * ratio) : s->n;
    }
    double cost = PILOT_BLOCK * (double)s->n * (0.05 * (double)s->m + 2.0);
    ft_status status = ft_parallel_run(s->run, n_tasks, cost, FT_TASK(pilot), s);
    free(s->rows);
    if (status != FT_OK) return status;

    int64_t unresolved = 0;
    for (int64_t t = 0; t < n_tasks; t++) unresolved += s->unresolved[t];
    *resolved = (double)unresolved <= UNRESOLVED * (double)n_pilots;
    int b = 0;
    for (; b < BUDGETS - 1; b++) {
        int64_t hits = 0;
        for (int64_t t = 0; t < n_tasks; t++) hits += s->hits[t * BUDGETS + b];
        if ((double)hits >= s->recall * (double)(n_pilots * s->k)) break;
    }
    s->budget = s->budgets[b];
    return FT_OK;
}

/* ---- The search ----------------------------------------------------------------------------- */

/* The lists around a list that hold REACH budgets of points, nearest first; returns how many. */
FT_INLINE int64_t lists_around(const search *s, const scratch *w, int64_t home)
{
    const ft_kmeans *lists = &s->lists;
    int64_t m = s->m, around = 0, below;
    const float *centre = lists->centroids + home * m;
    for (int64_t c = 0; c < lists->n_lists; c++) {
        w->between[c] = subtract(lists->centroids + c * m, centre, w->queries, m);
        w->sizes[c] = (int32_t)(lists->start[c + 1] - lists->start[c]);
    }
    int64_t reach = ft_least(REACH * s->budget, s->n);
    float bound = ft_bound_by_weight(w->between, w->sizes, lists->n_lists, reach, &below);
    for (int64_t c = 0; c < lists->n_lists; c++) {
        if (w->between[c] < bound || (w->between[c] == bound && below < reach)) {
            if (w->between[c] == bound) below += w->sizes[c];
            w->near[around++] = (ft_neighbor){w->between[c], (int32_t)c};
        }
    }
    ft_sort_neighbors(w->near, w->buffer, around);
    for (int64_t a = 0; a < around; a++) {
        int64_t c = w->near[a].index;
        w->between[a] = subtract(lists->centroids + c * m, centre, w->shifts + a * m, m);
        w->sizes[a] = (int32_t)(lists->start[c + 1] - lists->start[c]);
    }
    return around;
}

FT_INLINE void write_neighbors(const search *s, const scratch *w, int64_t place,
                               const int32_t *candidates, int64_t count)
{
    int64_t row = s->lists.order[place], found = 0;
    for (int64_t c = 0; c < count; c++) {
        if (c + FT_AHEAD < count)
            ft_prefetch_point(s->points, s->d, s->lists.order[candidates[c + FT_AHEAD]]);
        if (candidates[c] == place) continue;
        int32_t j = s->lists.order[candidates[c]];
        w->sorted[found++] =
            (ft_neighbor){ft_exact_distance(s->points, row, s->points, j, s->d), j};
    }
    ft_write_nearest(w->sorted, w->sorted + s->capacity, found, s->k, s->indices + row * s->k,
                     s->distances + row * s->k);
}

FT_INLINE void probe_body(int width, FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_kmeans *lists = &s->lists;
    const scratch *w = &s->scratches[thread];
    int64_t m = s->m, first = s->block_first[chunk], rows = s->block_first[chunk + 1] - first;
    /* The query itself is among its candidates. */
    int64_t fewest = s->wanted + 1, most = fewest + fewest / 8;
    float bounds[BLOCK], shares[BLOCK];
    int64_t left[BLOCK];
    ft_candidates candidates[BLOCK];

    int64_t home = s->block_list[chunk];
    for (int64_t r = 0; r < rows; r++)
        subtract(s->screen + lists->order[first + r] * m, lists->centroids + home * m,
                 w->block + r * m, m);
    int64_t around = lists_around(s, w, home);
    int n_lists = (int)around, n_rows = (int)rows, length = (int)m;
    float alpha = -2.0f, beta = 0.0f;
    s->sgemm("T", "N", &n_lists, &n_rows, &length, &alpha, w->shifts, &length, w->block, &length,
             &beta, w->to_lists, &n_lists);
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = w->to_lists + r * around;
        for (int64_t a = 0; a < around; a++) row[a] += w->between[a];
        int64_t below;
        bounds[r] = ft_bound_by_weight(row, w->sizes, around, s->budget, &below);
        left[r] = s->budget - below;
        int64_t room = r * s->capacity;
        ft_candidates none = {
            w->estimates + room, w->candidates + room, 0, s->capacity, fewest, most, INFINITY};
        candidates[r] = none;
    }

    for (int64_t a = 0; a < around; a++) {
        int64_t chosen[BLOCK], n_chosen = 0;
        for (int64_t r = 0; r < rows; r++) {
            float distance = w->to_lists[r * around + a];
            if (distance > bounds[r]) continue;
            if (distance == bounds[r]) { /* of equally far centroids only as many as needed */
                if (left[r] <= 0) continue;
                left[r] -= w->sizes[a];
            }
            shares[n_chosen] =
                subtract(w->block + r * m, w->shifts + a * m, w->queries + n_chosen * m, m);
            chosen[n_chosen++] = r;
        }
        if (n_chosen == 0) continue;
        const int64_t list = w->near[a].index, begin = lists->start[list], size = w->sizes[a];
        const int together = queries_together(width);
        for (int64_t at = 0; at < size; at += FT_STRIP) {
            const int64_t points = ft_least(size - at, FT_STRIP);
            const float *panels = s->residuals + (s->panels[list] + at / PANEL) * PANEL * m;
            for (int64_t first_query = 0; first_query < n_chosen; first_query += together) {
                float products[MOST_TOGETHER * FT_STRIP];
                multiply(width, s, panels, (points + PANEL - 1) / PANEL,
                         w->queries + first_query * m, products, FT_STRIP);
                for (int64_t q = first_query; q < ft_least(first_query + together, n_chosen); q++)
                    ft_candidates_add(&candidates[chosen[q]], s->norms + begin + at,
                                      products + (q - first_query) * FT_STRIP, shares[q], points,
                                      (int32_t)(begin + at));
            }
        }
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    for (int64_t r = 0; r < rows; r++) {
        if (candidates[r].count > most) ft_candidates_prune(&candidates[r]);
        write_neighbors(s, w, first + r, candidates[r].indices, candidates[r].count);
    }
}
FT_WIDTH_TASK_VARIANTS(probe)

static void allocate_scratch(search *s, int n_threads)
{
    ft_memory *memory = &s->memory;
    const int64_t capacity = s->capacity, n_lists = s->lists.n_lists, m = s->m;
    const int64_t n_shifts = n_lists > PILOT_BLOCK ? n_lists : PILOT_BLOCK;
    s->scratches = ft_memory_take(memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !memory->failed; t++) {
        scratch *w = &s->scratches[t];
        w->between = ft_memory_take(memory, n_lists, sizeof(float));
        w->near = ft_memory_take(memory, n_lists, sizeof(ft_neighbor));
        w->buffer = ft_memory_take(memory, n_lists, sizeof(ft_neighbor));
        w->sizes = ft_memory_take(memory, n_lists, sizeof(int32_t));
        w->shifts = ft_memory_take(memory, n_shifts * m, sizeof(float));
        w->to_lists = ft_memory_take(memory, BLOCK * n_lists, sizeof(float));
        w->block = ft_memory_take(memory, BLOCK * m, sizeof(float));
        /* The last few are multiplied with those that follow them. */
        w->queries = ft_memory_take_zeros(memory, (BLOCK + MOST_TOGETHER) * m, sizeof(float));
        w->estimates = ft_memory_take(memory, BLOCK * capacity, sizeof(float));
        w->candidates = ft_memory_take(memory, BLOCK * capacity, sizeof(int32_t));
        w->sorted = ft_memory_take(memory, 2 * capacity, sizeof(ft_neighbor));
    }
}

/* Lists, residuals and the budget. */
static ft_status prepare(search *s, int64_t n_lists, int *resolved)
{
    int n_threads = ft_parallel_threads(s->run);
    s->capacity = 2 * s->wanted + 4 * FT_STRIP;
    s->norms = ft_memory_take(&s->memory, s->n, sizeof(float));
    ft_status status =
        ft_kmeans_build(&s->lists, s->screen, s->n, s->m, n_lists, &s->memory, s->sgemm, s->run);
    if (status == FT_OK) status = cut_blocks(s);
    if (status == FT_OK) allocate_scratch(s, n_threads);
    if (s->memory.failed) status = FT_NO_MEMORY;
    if (status == FT_OK)
        status = ft_parallel_run(s->run, s->n_blocks, BLOCK * (1.0 * (double)s->m + 20.0),
                                 FT_TASK(residuals), s);
    if (status == FT_OK) status = find_budget(s, n_threads, resolved);
    return status;
}

ft_status ft_approximate_find(const float *screen, const float *tails, int64_t m, ft_points points,
                              int64_t n, int64_t d, int64_t k, int64_t n_candidates,
                              int64_t n_lists, double recall, int32_t *indices,
                              double *squared_distances, int *resolved, ft_sgemm sgemm, ft_run *run)
{
    search s = {.screen = screen, .tails = tails, .points = points, .n = n, .d = d, .m = m, .k = k};
    s.wanted = n_candidates, s.recall = recall, s.sgemm = sgemm, s.run = run;
    s.indices = indices, s.distances = squared_distances;
    ft_status status = prepare(&s, n_lists, resolved);
    if (status == FT_OK && *resolved) {
        double row_cost = (double)s.budget * (0.05 * (double)m + 1.0) + 10.0 * (double)d;
        status = ft_parallel_run(run, s.n_blocks, BLOCK * row_cost, FT_TASK(probe), &s);
    }
    ft_memory_free(&s.memory);
    return status;
}

ft_status ft_approximate_prepare(const float *screen, const float *tails, int64_t m,
                                 ft_points points, int64_t n, int64_t d, int64_t k,
                                 int64_t n_candidates, int64_t *n_lists, double recall,
                                 int64_t *start, int32_t *order, float *centroids, int64_t *budget,
                                 int *resolved, ft_sgemm sgemm, ft_run *run)
{
    search s = {.screen = screen, .tails = tails, .points = points, .n = n, .d = d, .m = m, .k = k};
    s.wanted = n_candidates, s.recall = recall, s.sgemm = sgemm, s.run = run;
    ft_status status = prepare(&s, *n_lists, resolved);
    if (status == FT_OK) {
        const size_t found = (size_t)s.lists.n_lists;
        *n_lists = s.lists.n_lists;
        *budget = s.budget;
        memcpy(start, s.lists.start, sizeof(int64_t) * (found + 1));
        memcpy(order, s.lists.order, sizeof(int32_t) * (size_t)n);
        memcpy(centroids, s.lists.centroids, sizeof(float) * found * (size_t)m);
    }
    ft_memory_free(&s.memory);
    return status;
}
