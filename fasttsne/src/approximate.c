/* approximate.c - approximate k nearest neighbours by inverted lists.
 *
 * The points lie in cells (kmeans.c). A query looks through the cells whose centroids are nearest
 * to it, until they hold `budget` points; the points of a cell stand side by side, so that one
 * product of matrices gives the distances from many queries to all of them. The best candidates
 * are put in order by exact distances.
 *
 * How many points it takes depends on the data: a thirtieth of them for digits, a fifth for noise
 * in twenty dimensions. So a few hundred queries, the pilots, are first compared with all points,
 * and the budget is the smallest with which enough of their neighbours are found.
 *
 * Every cell stores its points relative to its centroid, and queries are moved there before the
 * product. Rounding errors then are in proportion to distances within reach of the cell, and not
 * to the extent of the data.
 */
#include "candidates.h"
#include "kmeans.h"

#include <stdlib.h>

#define BLOCK 128         /* queries of one task, all of one cell */
#define TILE 256          /* points of one product */
#define PILOTS 512        /* queries that settle the budget */
#define PILOT_BLOCK 8     /* pilots of one task */
#define RECALL 0.99       /* of the pilots' neighbours that the budget must bring in */
#define REACH 8           /* budgets' worth of cells around a cell that its queries choose from */
#define BUDGETS 128       /* sizes of budget that are tried */
#define UNRESOLVED 0.02   /* share of pilots whose neighbours single precision may not tell apart */
#define RESOLUTION 1e-10f /* (d / |x|)^2 below which it cannot */

typedef struct {
    float *between;        /* n_cells: distance from the block's centroid to every other */
    ft_neighbor *near;     /* n_cells: cells around, nearest first; and a buffer to sort them */
    ft_neighbor *buffer;
    int32_t *sizes;        /* of the cells around */
    float *shifts;         /* n_cells x m: their centroids, relative to the block's */
    float *to_cells;       /* BLOCK x n_cells: queries to centroids */
    float *block;          /* BLOCK x m: the queries, relative to their own centroid */
    float *queries;        /* BLOCK x m: those that look through a cell, relative to its centroid */
    float *products;       /* BLOCK x TILE */
    float *estimates;      /* BLOCK x capacity */
    int32_t *candidates;   /* BLOCK x capacity: places */
    ft_neighbor *sorted;   /* capacity, twice */
} scratch;

typedef struct {
    const float *screen;
    const float *tails;
    ft_points points;
    int64_t n, d, m, k;
    int64_t wanted; /* candidates for exact distances, at least k */
    int64_t capacity, budget;
    ft_cells cells;
    float *residuals;      /* cell by cell m x size: its points relative to its centroid */
    float *norms;          /* by place: |residual|^2 + tail */
    int64_t n_blocks;
    int64_t *block_first;  /* n_blocks + 1 places */
    int32_t *block_cell;
    int32_t *indices;
    double *distances;
    ft_sgemm sgemm;
    ft_run *run;
    scratch *scratches;
    /* pilots */
    float *rows;           /* PILOT_BLOCK x n per thread */
    int64_t *hits;         /* BUDGETS per task */
    int64_t *unresolved;   /* one per task */
    int64_t budgets[BUDGETS];
} search;

/* -2 x.y for each of `rows` queries x and the points y of `cell` from `first` on. The points lie
 * column by column, which BLAS packs faster than row by row. */
static void multiply(const search *s, int64_t cell, int64_t first, int64_t columns,
                     const float *queries, int64_t rows, float *products, int64_t stride)
{
    int64_t begin = s->cells.start[cell], size = s->cells.start[cell + 1] - begin;
    int m = (int)columns, n = (int)rows, k = (int)s->m, lda = (int)size, ldc = (int)stride;
    float alpha = -2.0f, beta = 0.0f;
    s->sgemm("N", "N", &m, &n, &k, &alpha, s->residuals + begin * s->m + (first - begin), &lda,
             (float *)queries, &k, &beta, products, &ldc);
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
    const ft_cells *cells = &s->cells;
    for (int64_t c = 0; c < cells->n_cells; c++)
        s->n_blocks += (cells->start[c + 1] - cells->start[c] + BLOCK - 1) / BLOCK;
    s->block_first = malloc(sizeof(int64_t) * ((size_t)s->n_blocks + 1));
    s->block_cell = malloc(sizeof(int32_t) * (size_t)s->n_blocks);
    if (s->block_first == NULL || s->block_cell == NULL) return FT_NO_MEMORY;
    int64_t b = 0;
    for (int64_t c = 0; c < cells->n_cells; c++) {
        for (int64_t first = cells->start[c]; first < cells->start[c + 1]; first += BLOCK) {
            s->block_cell[b] = (int32_t)c;
            s->block_first[b++] = first;
        }
    }
    s->block_first[b] = s->n;
    return FT_OK;
}

/* The residuals of one block, which lies in one cell. */
FT_INLINE void residuals_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    int64_t home = s->block_cell[chunk], m = s->m;
    int64_t begin = s->cells.start[home], size = s->cells.start[home + 1] - begin;
    const float *centroid = s->cells.centroids + home * m;
    float *residual = s->scratches[thread].queries;
    for (int64_t place = s->block_first[chunk]; place < s->block_first[chunk + 1]; place++) {
        int64_t i = s->cells.order[place];
        s->norms[place] = subtract(s->screen + i * m, centroid, residual, m);
        if (s->tails != NULL) s->norms[place] += s->tails[i];
        for (int64_t j = 0; j < m; j++)
            s->residuals[begin * m + j * size + place - begin] = residual[j];
    }
}
FT_TASK_VARIANTS(residuals)

/* ---- The budget ----------------------------------------------------------------------------- */

/* Distances from a few queries to all points, and which budget finds how many neighbours. */
FT_INLINE void pilot_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_cells *cells = &s->cells;
    const scratch *w = &s->scratches[thread];
    float *rows = s->rows + (int64_t)thread * PILOT_BLOCK * s->n;
    int64_t n_pilots = s->n < PILOTS ? s->n : PILOTS, m = s->m;
    int64_t first = chunk * PILOT_BLOCK;
    int64_t count = n_pilots - first < PILOT_BLOCK ? n_pilots - first : PILOT_BLOCK;
    int64_t places[PILOT_BLOCK];
    float *shares = w->estimates, *origins = w->shifts;
    /* The middle of one of n_pilots equal stretches of places: every region has its pilots. */
    for (int64_t r = 0; r < count; r++) {
        places[r] = (2 * (first + r) + 1) * s->n / (2 * n_pilots);
        memcpy(origins + r * m, s->screen + (int64_t)cells->order[places[r]] * m,
               sizeof(float) * (size_t)m);
    }

    for (int64_t c = 0; c < cells->n_cells; c++) {
        int64_t begin = cells->start[c], size = cells->start[c + 1] - begin;
        for (int64_t r = 0; r < count; r++) {
            shares[r] = subtract(origins + r * m, cells->centroids + c * m, w->queries + r * m, m);
            w->to_cells[r * cells->n_cells + c] = shares[r];
        }
        multiply(s, c, begin, size, w->queries, count, rows + begin, s->n);
        for (int64_t r = 0; r < count; r++) {
            float *restrict row = rows + r * s->n + begin;
            const float *restrict norms = s->norms + begin;
            for (int64_t i = 0; i < size; i++) row[i] += norms[i] + shares[r];
        }
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    int64_t *hits = s->hits + chunk * BUDGETS;
    for (int64_t r = 0; r < count; r++) {
        float *row = rows + r * s->n;
        row[places[r]] = INFINITY;
        float bound = ft_select_bound(row, s->n, s->k, s->k);
        int64_t last = -1;
        for (int64_t i = 0; i < s->n; i++)
            if (row[i] <= bound && (last < 0 || row[i] > row[last])) last = i;
        int64_t point = cells->order[places[r]];
        float tail = s->tails != NULL ? s->tails[point] : 0.0f, extent = 0.0f;
        for (int64_t j = 0; j < m; j++) extent += origins[r * m + j] * origins[r * m + j];
        if (bound + tail <= RESOLUTION * extent &&
            ft_exact_distance(s->points, point, s->points, cells->order[last], s->d) > 0.0)
            s->unresolved[chunk]++;

        for (int64_t c = 0; c < cells->n_cells; c++)
            w->near[c] = (ft_neighbor){w->to_cells[r * cells->n_cells + c], (int32_t)c};
        ft_sort_neighbors(w->near, w->buffer, cells->n_cells);
        int64_t looked_at = 0, found = 0, b = 0;
        for (int64_t c = 0; c < cells->n_cells; c++) {
            for (; b < BUDGETS && s->budgets[b] <= looked_at; b++) hits[b] += found;
            int64_t begin = cells->start[w->near[c].index];
            int64_t end = cells->start[w->near[c].index + 1];
            int32_t within = 0;
            for (int64_t i = begin; i < end; i++) within += row[i] <= bound;
            found = found + within < s->k ? found + within : s->k;
            looked_at += end - begin;
        }
        for (; b < BUDGETS; b++) hits[b] += found;
    }
}
FT_TASK_VARIANTS(pilot)

static ft_status settle_budget(search *s, int n_threads, int *resolved)
{
    int64_t n_pilots = s->n < PILOTS ? s->n : PILOTS;
    int64_t n_tasks = (n_pilots + PILOT_BLOCK - 1) / PILOT_BLOCK;
    s->rows = malloc(sizeof(float) * PILOT_BLOCK * (size_t)s->n * (size_t)n_threads);
    s->hits = calloc((size_t)n_tasks * BUDGETS, sizeof(int64_t));
    s->unresolved = calloc((size_t)n_tasks, sizeof(int64_t));
    if (!s->rows || !s->hits || !s->unresolved) return FT_NO_MEMORY;

    /* From twice the candidates to all points, in equal ratios. */
    double smallest = 2.0 * (double)s->wanted + 2.0;
    if (smallest > (double)s->n) smallest = (double)s->n;
    for (int b = 0; b < BUDGETS; b++) {
        double ratio = pow((double)s->n / smallest, (double)b / (BUDGETS - 1));
        s->budgets[b] = b < BUDGETS - 1 ? (int64_t)(smallest * ratio) : s->n;
    }
    double cost = PILOT_BLOCK * (double)s->n * (0.05 * (double)s->m + 2.0);
    ft_status status = ft_parallel_run(s->run, n_tasks, cost, FT_TASK(pilot), s);
    if (status != FT_OK) return status;

    int64_t unresolved = 0;
    for (int64_t t = 0; t < n_tasks; t++) unresolved += s->unresolved[t];
    *resolved = (double)unresolved <= UNRESOLVED * (double)n_pilots;
    int b = 0;
    for (; b < BUDGETS - 1; b++) {
        int64_t hits = 0;
        for (int64_t t = 0; t < n_tasks; t++) hits += s->hits[t * BUDGETS + b];
        if ((double)hits >= RECALL * (double)(n_pilots * s->k)) break;
    }
    s->budget = s->budgets[b];
    free(s->rows);
    s->rows = NULL;
    return FT_OK;
}

/* ---- The search ----------------------------------------------------------------------------- */

/* The cells around a cell that hold REACH budgets of points, nearest first; returns how many. */
FT_INLINE int64_t cells_around(const search *s, const scratch *w, int64_t home)
{
    const ft_cells *cells = &s->cells;
    int64_t m = s->m, around = 0, below;
    const float *centre = cells->centroids + home * m;
    for (int64_t c = 0; c < cells->n_cells; c++) {
        w->between[c] = subtract(cells->centroids + c * m, centre, w->queries, m);
        w->sizes[c] = (int32_t)(cells->start[c + 1] - cells->start[c]);
    }
    int64_t reach = REACH * s->budget < s->n ? REACH * s->budget : s->n;
    float bound = ft_bound_by_weight(w->between, w->sizes, cells->n_cells, reach, &below);
    for (int64_t c = 0; c < cells->n_cells; c++) {
        if (w->between[c] < bound || (w->between[c] == bound && below < reach)) {
            if (w->between[c] == bound) below += w->sizes[c];
            w->near[around++] = (ft_neighbor){w->between[c], (int32_t)c};
        }
    }
    ft_sort_neighbors(w->near, w->buffer, around);
    for (int64_t a = 0; a < around; a++) {
        int64_t c = w->near[a].index;
        w->between[a] = subtract(cells->centroids + c * m, centre, w->shifts + a * m, m);
        w->sizes[a] = (int32_t)(cells->start[c + 1] - cells->start[c]);
    }
    return around;
}

FT_INLINE void write_neighbors(const search *s, const scratch *w, int64_t place,
                               const int32_t *candidates, int64_t count)
{
    int64_t row = s->cells.order[place], found = 0;
    for (int64_t c = 0; c < count; c++) {
        if (c + FT_AHEAD < count)
            ft_prefetch_point(s->points, s->d, s->cells.order[candidates[c + FT_AHEAD]]);
        if (candidates[c] == place) continue;
        int32_t j = s->cells.order[candidates[c]];
        w->sorted[found++] =
            (ft_neighbor){ft_exact_distance(s->points, row, s->points, j, s->d), j};
    }
    ft_sort_neighbors(w->sorted, w->sorted + s->capacity, found);
    for (int64_t c = 0; c < s->k; c++) {
        s->indices[row * s->k + c] = w->sorted[c].index;
        s->distances[row * s->k + c] = w->sorted[c].distance;
    }
}

FT_INLINE void probe_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_cells *cells = &s->cells;
    const scratch *w = &s->scratches[thread];
    int64_t m = s->m, first = s->block_first[chunk], rows = s->block_first[chunk + 1] - first;
    /* The query itself is among its candidates. */
    int64_t fewest = s->wanted + 1, most = fewest + fewest / 8;
    float bounds[BLOCK], thresholds[BLOCK], shares[BLOCK];
    int64_t left[BLOCK], counts[BLOCK];

    int64_t home = s->block_cell[chunk];
    for (int64_t r = 0; r < rows; r++)
        subtract(s->screen + cells->order[first + r] * m, cells->centroids + home * m,
                 w->block + r * m, m);
    int64_t around = cells_around(s, w, home);
    int n_cells = (int)around, n_rows = (int)rows, length = (int)m;
    float alpha = -2.0f, beta = 0.0f;
    s->sgemm("T", "N", &n_cells, &n_rows, &length, &alpha, w->shifts, &length, w->block, &length,
             &beta, w->to_cells, &n_cells);
    for (int64_t r = 0; r < rows; r++) {
        float *restrict row = w->to_cells + r * around;
        for (int64_t a = 0; a < around; a++) row[a] += w->between[a];
        int64_t below;
        bounds[r] = ft_bound_by_weight(row, w->sizes, around, s->budget, &below);
        left[r] = s->budget - below;
        thresholds[r] = INFINITY;
        counts[r] = 0;
    }

    for (int64_t a = 0; a < around; a++) {
        int64_t chosen[BLOCK], n_chosen = 0;
        for (int64_t r = 0; r < rows; r++) {
            float distance = w->to_cells[r * around + a];
            if (distance > bounds[r]) continue;
            if (distance == bounds[r]) { /* of centroids equally far only as many as it takes */
                if (left[r] <= 0) continue;
                left[r] -= w->sizes[a];
            }
            shares[n_chosen] = subtract(w->block + r * m, w->shifts + a * m,
                                        w->queries + n_chosen * m, m);
            chosen[n_chosen++] = r;
        }
        if (n_chosen == 0) continue;
        int64_t begin = cells->start[w->near[a].index], end = begin + w->sizes[a];
        for (int64_t tile = begin; tile < end; tile += TILE) {
            int64_t columns = end - tile < TILE ? end - tile : TILE;
            multiply(s, w->near[a].index, tile, columns, w->queries, n_chosen, w->products, TILE);
            for (int64_t q = 0; q < n_chosen; q++) {
                int64_t r = chosen[q], count = counts[r];
                float *estimates = w->estimates + r * s->capacity, threshold = thresholds[r];
                int32_t *candidates = w->candidates + r * s->capacity;
                for (int64_t strip = 0; strip < columns; strip += FT_STRIP) {
                    int64_t width = columns - strip < FT_STRIP ? columns - strip : FT_STRIP;
                    if (count + width > s->capacity) {
                        threshold = ft_select_bound(estimates, count, fewest, most);
                        count = ft_keep_within(estimates, candidates, count, threshold);
                        /* Too many at the bound: the first of them are as good as the rest. */
                        if (count > most) count = most;
                    }
                    count = ft_append_strip(s->norms + tile + strip, w->products + q * TILE + strip,
                                            shares[q], width, (int32_t)(tile + strip), threshold,
                                            estimates, candidates, count);
                }
                counts[r] = count;
                thresholds[r] = threshold;
            }
        }
        if (ft_parallel_stopped(s->run, thread)) return;
    }

    for (int64_t r = 0; r < rows; r++) {
        float *estimates = w->estimates + r * s->capacity;
        int32_t *candidates = w->candidates + r * s->capacity;
        int64_t count = counts[r];
        if (count > most) {
            float bound = ft_select_bound(estimates, count, fewest, most);
            count = ft_keep_within(estimates, candidates, count, bound);
        }
        write_neighbors(s, w, first + r, candidates, count);
    }
}
FT_TASK_VARIANTS(probe)

static ft_status allocate_scratch(search *s, int n_threads)
{
    s->scratches = calloc((size_t)n_threads, sizeof(scratch));
    if (s->scratches == NULL) return FT_NO_MEMORY;
    size_t capacity = (size_t)s->capacity, n_cells = (size_t)s->cells.n_cells, m = (size_t)s->m;
    size_t shifts = n_cells > PILOT_BLOCK ? n_cells : PILOT_BLOCK;
    for (int t = 0; t < n_threads; t++) {
        scratch *w = &s->scratches[t];
        w->between = malloc(sizeof(float) * n_cells);
        w->near = malloc(sizeof(ft_neighbor) * n_cells);
        w->buffer = malloc(sizeof(ft_neighbor) * n_cells);
        w->sizes = malloc(sizeof(int32_t) * n_cells);
        w->shifts = malloc(sizeof(float) * shifts * m);
        w->to_cells = malloc(sizeof(float) * BLOCK * n_cells);
        w->block = malloc(sizeof(float) * BLOCK * m);
        w->queries = malloc(sizeof(float) * BLOCK * m);
        w->products = malloc(sizeof(float) * BLOCK * TILE);
        w->estimates = malloc(sizeof(float) * BLOCK * capacity);
        w->candidates = malloc(sizeof(int32_t) * BLOCK * capacity);
        w->sorted = malloc(sizeof(ft_neighbor) * 2 * capacity);
        if (!w->between || !w->near || !w->buffer || !w->sizes || !w->shifts || !w->to_cells ||
            !w->block || !w->queries || !w->products || !w->estimates || !w->candidates || !w->sorted)
            return FT_NO_MEMORY;
    }
    return FT_OK;
}

static void free_scratch(search *s, int n_threads)
{
    for (int t = 0; s->scratches != NULL && t < n_threads; t++) {
        scratch *w = &s->scratches[t];
        free(w->between);
        free(w->near);
        free(w->buffer);
        free(w->sizes);
        free(w->shifts);
        free(w->to_cells);
        free(w->block);
        free(w->queries);
        free(w->products);
        free(w->estimates);
        free(w->candidates);
        free(w->sorted);
    }
    free(s->scratches);
}

/* Cells, residuals and the budget. */
static ft_status prepare(search *s, int64_t n_cells, int *resolved)
{
    int n_threads = ft_parallel_threads(s->run);
    s->capacity = 2 * s->wanted + 4 * FT_STRIP;
    s->residuals = malloc(sizeof(float) * (size_t)(s->n * s->m));
    s->norms = malloc(sizeof(float) * (size_t)s->n);
    ft_status status = s->residuals && s->norms ? FT_OK : FT_NO_MEMORY;
    if (status == FT_OK)
        status = ft_cells_build(&s->cells, s->screen, s->n, s->m, n_cells, s->sgemm, s->run);
    if (status == FT_OK) status = cut_blocks(s);
    if (status == FT_OK) status = allocate_scratch(s, n_threads);
    if (status == FT_OK)
        status = ft_parallel_run(s->run, s->n_blocks, BLOCK * (1.0 * (double)s->m + 20.0),
                                 FT_TASK(residuals), s);
    if (status == FT_OK) status = settle_budget(s, n_threads, resolved);
    return status;
}

static void finish(search *s)
{
    free_scratch(s, ft_parallel_threads(s->run));
    ft_cells_free(&s->cells);
    free(s->residuals);
    free(s->norms);
    free(s->block_first);
    free(s->block_cell);
    free(s->rows);
    free(s->hits);
    free(s->unresolved);
}

ft_status ft_inverted_find(const float *screen, const float *tails, int64_t m, ft_points points,
                           int64_t n, int64_t d, int64_t k, int64_t n_candidates, int64_t n_cells,
                           int32_t *indices, double *squared_distances, int *resolved,
                           ft_sgemm sgemm, ft_run *run)
{
    search s = {.screen = screen, .tails = tails, .points = points, .n = n, .d = d, .m = m,
                .k = k, .wanted = n_candidates, .indices = indices,
                .distances = squared_distances, .sgemm = sgemm, .run = run};
    ft_status status = prepare(&s, n_cells, resolved);
    if (status == FT_OK && *resolved) {
        double row_cost = (double)s.budget * (0.05 * (double)m + 1.0) + 10.0 * (double)d;
        status = ft_parallel_run(run, s.n_blocks, BLOCK * row_cost, FT_TASK(probe), &s);
    }
    finish(&s);
    return status;
}

ft_status ft_inverted_prepare(const float *screen, const float *tails, int64_t m, ft_points points,
                              int64_t n, int64_t d, int64_t k, int64_t n_candidates,
                              int64_t *n_cells, int64_t *start, int32_t *order, float *centroids,
                              int64_t *budget, int *resolved, ft_sgemm sgemm, ft_run *run)
{
    search s = {.screen = screen, .tails = tails, .points = points, .n = n, .d = d, .m = m,
                .k = k, .wanted = n_candidates, .sgemm = sgemm, .run = run};
    ft_status status = prepare(&s, *n_cells, resolved);
    if (status == FT_OK) {
        const size_t found = (size_t)s.cells.n_cells;
        *n_cells = s.cells.n_cells;
        *budget = s.budget;
        memcpy(start, s.cells.start, sizeof(int64_t) * (found + 1));
        memcpy(order, s.cells.order, sizeof(int32_t) * (size_t)n);
        memcpy(centroids, s.cells.centroids, sizeof(float) * found * (size_t)m);
    }
    finish(&s);
    return status;
}
