/* neighbors.c - exact k nearest neighbours by Euclidean distance.
 *
 * Single-precision products find the candidates (screening.h), exact distances choose among them.
 * A row that is undecided is searched later by exact distances to all points. */
#include "screening.h"

typedef struct {
    ft_screening_scratch screening;
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    ft_screening screening;
    ft_points points, queries;
    int64_t n_queries, k;
    int among_themselves; /* a query is not its own neighbour */
    int32_t *indices;
    double *distances;
    ft_memory memory;
    scratch *scratches;
    const int32_t *exhaustive_rows;
} search;

FT_INLINE void screened_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_screening *screening = &s->screening;
    const scratch *w = &s->scratches[thread];
    const int64_t first_row = chunk * FT_BLOCK, capacity = screening->capacity;
    ft_screening_block b = {.first = first_row,
                            .rows = ft_least(s->n_queries - first_row, FT_BLOCK)};
    for (int64_t r = 0; r < b.rows; r++) {
        b.fewest[r] = s->k + s->among_themselves;
        b.count[r] = 0;
        b.threshold[r] = INFINITY;
    }
    if (!ft_screening_fill(screening, &w->screening, &b, thread)) return;

    for (int64_t r = 0; r < b.rows; r++) {
        int64_t row = first_row + r;
        if (screening->undecided[row]) continue;
        float *lower = w->screening.lower + r * capacity;
        int32_t *candidates = w->screening.candidates + r * capacity;
        int64_t found = 0, count = ft_screening_prune(
                               screening, lower, candidates, b.count[r], b.fewest[r],
                               w->screening.upper, screening->query_errors[row], &b.threshold[r]);
        for (int64_t c = 0; c < count; c++) {
            int32_t j = candidates[c];
            if (j != row || !s->among_themselves)
                w->sorted[found++] = (ft_neighbor){
                    ft_exact_distance(s->queries, row, s->points, j, screening->d), j};
        }
        ft_write_nearest(w->sorted, w->sorted + capacity, found, s->k, s->indices + row * s->k,
                         s->distances + row * s->k);
    }
}
FT_TASK_VARIANTS(screened_search)

/* One row against all points by exact distances. */
FT_INLINE void exhaustive_search_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_screening *screening = &s->screening;
    ft_neighbor *list = s->scratches[thread].sorted, *buffer = list + screening->capacity;
    ft_nearest nearest = {list, buffer, 0, screening->capacity, s->k, INFINITY};
    int64_t row = s->exhaustive_rows[chunk];
    for (int64_t j = 0; j < screening->n; j++) {
        if ((j & 4095) == 0 && ft_parallel_stopped(screening->run, thread)) return;
        if (j == row && s->among_themselves) continue;
        ft_nearest_add(&nearest, ft_exact_distance(s->queries, row, s->points, j, screening->d), j);
    }
    ft_write_nearest(list, buffer, nearest.count, s->k, s->indices + row * s->k,
                     s->distances + row * s->k);
}
FT_TASK_VARIANTS(exhaustive_search)

/* Screens all queries, and compares those that are undecided with all points. */
static ft_status search_all(search *s)
{
    const ft_screening *screening = &s->screening;
    int n_threads = ft_parallel_threads(screening->run);
    double row_cost = (double)screening->n * (0.05 * (double)screening->d + 0.3);
    ft_status status = FT_OK;
    s->scratches = ft_memory_take(&s->memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !s->memory.failed; t++) {
        ft_screening_take(&s->memory, &s->scratches[t].screening, FT_BLOCK, screening->capacity);
        s->scratches[t].sorted =
            ft_memory_take(&s->memory, 2 * screening->capacity, sizeof(ft_neighbor));
    }
    int32_t *rows = ft_memory_take(&s->memory, s->n_queries, sizeof(int32_t));
    if (s->memory.failed) return FT_NO_MEMORY;
    if (screening->screen != NULL)
        status = ft_parallel_run(screening->run, (s->n_queries + FT_BLOCK - 1) / FT_BLOCK,
                                 FT_BLOCK * row_cost, FT_TASK(screened_search), s);
    if (status != FT_OK) return status;
    int64_t left = 0;
    for (int64_t i = 0; i < s->n_queries; i++)
        if (screening->undecided[i]) rows[left++] = (int32_t)i;
    s->exhaustive_rows = rows;
    return ft_parallel_run(screening->run, left, 10.0 * row_cost, FT_TASK(exhaustive_search), s);
}

ft_status ft_neighbors_find(const float *query_screen, ft_points queries, int64_t n_queries,
                            const float *screen, ft_points points, int64_t n, int64_t d, int64_t k,
                            int among_themselves, int32_t *indices, double *squared_distances,
                            ft_sgemm sgemm, ft_run *run)
{
    search s = {.queries = queries, .n_queries = n_queries, .points = points, .k = k};
    s.among_themselves = among_themselves, s.indices = indices, s.distances = squared_distances;
    s.screening = (ft_screening){.query_screen = query_screen, .screen = screen, .n = n, .d = d};
    s.screening.capacity = 2 * k + FT_SLACK, s.screening.sgemm = sgemm, s.screening.run = run;
    float *norms = ft_memory_take(&s.memory, 2 * n, sizeof(float));
    float *query_norms =
        among_themselves ? norms : ft_memory_take(&s.memory, 2 * n_queries, sizeof(float));
    unsigned char *undecided = ft_memory_take(&s.memory, n_queries, 1);
    ft_status status = FT_NO_MEMORY;
    if (!s.memory.failed) {
        memset(undecided, screen == NULL, (size_t)n_queries);
        if (screen != NULL) {
            ft_screening_norms(screen, n, d, norms, NULL);
            if (!among_themselves)
                ft_screening_norms(query_screen, n_queries, d, query_norms, undecided);
        }
        s.screening.norms = norms, s.screening.norm_errors = norms + n;
        s.screening.query_errors = query_norms + n_queries;
        s.screening.undecided = undecided;
        status = search_all(&s);
    }
    ft_memory_free(&s.memory);
    return status;
}
