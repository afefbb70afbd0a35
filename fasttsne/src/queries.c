/* queries.c - approximate nearest neighbours of new points.
 *
 * As in approximate.c, but BLAS does not multiply queries with centroids, because its last bits
 * depend on the size of the block. Each query is compared by itself, with vectors over the centroids
 * and then over the points of a list, so its neighbours do not depend on the other queries.
 * Differences are squared directly, so points need not be moved near the origin. Queries are
 * processed in the order of their nearest lists, which stay cached. */
#include "candidates.h"
#include "memory.h"

#define TOGETHER 16 /* queries of one task */

/* Every row of coordinates is padded with zeros to a multiple of FT_LANES. */
struct ft_lists {
    ft_memory memory;
    int64_t n, n_lists, m, budget;
    int64_t *start;   /* n_lists: the first place of a list */
    int64_t *offsets; /* n_lists: where the residents of a list begin, in points */
    int32_t *sizes;   /* n_lists */
    int32_t *order;   /* n: place -> point */
    float *centroids; /* m x padded n_lists */
    float *residents; /* list by list m x padded size */
    float *tails;     /* n, by place; 0 where coordinates preserve distances */
};

typedef struct {
    float *to_lists;     /* padded n_lists */
    ft_neighbor *near;   /* n_lists, twice: the lists to look through */
    float *estimates;    /* capacity */
    int32_t *candidates; /* capacity: places */
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    const ft_lists *lists;
    const float *screen;
    ft_points queries, points;
    int64_t n_queries, d, k, wanted, capacity;
    int32_t *home; /* the list nearest to a query */
    int32_t *turn; /* queries in the order of their lists */
    int32_t *indices;
    double *distances;
    scratch *scratches;
} search;

ft_lists *ft_queries_create(const int64_t *start, const int32_t *order, const float *centroids,
                            int64_t n_lists, int64_t budget, const float *coordinates,
                            const float *tails, int64_t n, int64_t m)
{
    ft_lists *lists = calloc(1, sizeof *lists);
    if (lists == NULL) return NULL;
    ft_memory *memory = &lists->memory;
    lists->n = n, lists->n_lists = n_lists, lists->m = m, lists->budget = budget;
    lists->start = ft_memory_take(memory, n_lists, sizeof(int64_t));
    lists->offsets = ft_memory_take(memory, n_lists, sizeof(int64_t));
    lists->sizes = ft_memory_take(memory, n_lists, sizeof(int32_t));
    lists->order = ft_memory_take(memory, n, sizeof(int32_t));
    lists->tails = ft_memory_take_zeros(memory, n, sizeof(float));
    lists->centroids = ft_memory_take_zeros(memory, FT_PAD(n_lists) * m, sizeof(float));
    int64_t padded = 0;
    for (int64_t c = 0; c < n_lists; c++) padded += FT_PAD(start[c + 1] - start[c]);
    lists->residents = ft_memory_take_zeros(memory, padded * m, sizeof(float));
    if (memory->failed) {
        ft_queries_destroy(lists);
        return NULL;
    }
    memcpy(lists->order, order, sizeof(int32_t) * (size_t)n);
    for (int64_t place = 0; tails != NULL && place < n; place++)
        lists->tails[place] = tails[order[place]];
    int64_t offset = 0;
    for (int64_t c = 0; c < n_lists; c++) {
        const int64_t size = start[c + 1] - start[c], width = FT_PAD(size);
        float *residents = lists->residents + offset * m;
        for (int64_t j = 0; j < m; j++)
            lists->centroids[j * FT_PAD(n_lists) + c] = centroids[c * m + j];
        for (int64_t i = 0; i < size; i++)
            for (int64_t j = 0; j < m; j++)
                residents[j * width + i] = coordinates[order[start[c] + i] * m + j];
        lists->start[c] = start[c];
        lists->sizes[c] = (int32_t)size;
        lists->offsets[c] = offset;
        offset += width;
    }
    return lists;
}

void ft_queries_destroy(ft_lists *lists)
{
    if (lists != NULL) ft_memory_free(&lists->memory);
    free(lists);
}

void ft_queries_unpack(const ft_lists *lists, float *coordinates, float *tails)
{
    const int64_t m = lists->m;
    for (int64_t c = 0; c < lists->n_lists; c++) {
        const float *residents = lists->residents + lists->offsets[c] * m;
        for (int64_t i = 0; i < lists->sizes[c]; i++) {
            const int64_t place = lists->start[c] + i, point = lists->order[place];
            tails[point] = lists->tails[place];
            for (int64_t j = 0; j < m; j++)
                coordinates[point * m + j] = residents[j * FT_PAD(lists->sizes[c]) + i];
        }
    }
}

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
        return;
    }
    for (int64_t first = 0; first < width; first += FT_LANES)
        lane_distances(FT_LANES, query, coordinates + first, m, stride, squared + first);
}

FT_INLINE void distances_to_lists(const search *s, const float *query, float *to_lists)
{
    const int64_t padded = FT_PAD(s->lists->n_lists);
    for (int64_t first = 0; first < padded; first += FT_STRIP) {
        int64_t width = ft_least(padded - first, FT_STRIP);
        strip_distances(query, s->lists->centroids + first, s->lists->m, padded, width,
                        to_lists + first);
    }
}

FT_INLINE void home_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const ft_lists *lists = s->lists;
    float *to_lists = s->scratches[thread].to_lists;
    int64_t begin = chunk * TOGETHER, end = ft_least(begin + TOGETHER, s->n_queries);
    for (int64_t row = begin; row < end; row++) {
        int32_t nearest = 0;
        distances_to_lists(s, s->screen + row * lists->m, to_lists);
        for (int64_t c = 1; c < lists->n_lists; c++)
            nearest = to_lists[c] < to_lists[nearest] ? (int32_t)c : nearest;
        s->home[row] = nearest;
    }
}
FT_TASK_VARIANTS(home)

/* The lists to search, nearest first; returns their number. */
FT_INLINE int64_t choose_lists(const search *s, const scratch *w)
{
    const int64_t n_lists = s->lists->n_lists, budget = s->lists->budget;
    int64_t below, chosen = 0;
    float bound = ft_bound_by_weight(w->to_lists, s->lists->sizes, n_lists, budget, &below);
    int64_t left = budget - below;
    for (int64_t c = 0; c < n_lists; c++) {
        if (w->to_lists[c] > bound) continue;
        if (w->to_lists[c] == bound) { /* of equally far centroids only as many as needed */
            if (left <= 0) continue;
            left -= s->lists->sizes[c];
        }
        w->near[chosen++] = (ft_neighbor){(double)w->to_lists[c], (int32_t)c};
    }
    ft_sort_neighbors(w->near, w->near + n_lists, chosen);
    return chosen;
}

FT_INLINE void answer(const search *s, const scratch *w, int64_t row)
{
    const ft_lists *lists = s->lists;
    const float *query = s->screen + row * lists->m;
    const int64_t fewest = s->wanted, most = fewest + fewest / 8;
    ft_candidates found = {w->estimates, w->candidates, 0, s->capacity, fewest, most, INFINITY};

    distances_to_lists(s, query, w->to_lists);
    int64_t chosen = choose_lists(s, w);
    for (int64_t a = 0; a < chosen; a++) {
        const int32_t list = w->near[a].index;
        const int64_t begin = lists->start[list], size = lists->sizes[list], padded = FT_PAD(size);
        const float *residents = lists->residents + lists->offsets[list] * lists->m;
        for (int64_t strip = 0; strip < size; strip += FT_STRIP) {
            int64_t width = ft_least(size - strip, FT_STRIP);
            float squared[FT_STRIP];
            strip_distances(query, residents + strip, lists->m, padded, FT_PAD(width), squared);
            ft_candidates_add(&found, lists->tails + begin + strip, squared, 0.0f, width,
                              (int32_t)(begin + strip));
        }
    }
    if (found.count > most) ft_candidates_prune(&found);
    const int64_t count = found.count;
    for (int64_t c = 0; c < count; c++) {
        if (c + FT_AHEAD < count)
            ft_prefetch_point(s->points, s->d, lists->order[w->candidates[c + FT_AHEAD]]);
        int32_t j = lists->order[w->candidates[c]];
        w->sorted[c] = (ft_neighbor){ft_exact_distance(s->queries, row, s->points, j, s->d), j};
    }
    ft_write_nearest(w->sorted, w->sorted + s->capacity, count, s->k, s->indices + row * s->k,
                     s->distances + row * s->k);
}

FT_INLINE void answer_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    int64_t begin = chunk * TOGETHER, end = ft_least(begin + TOGETHER, s->n_queries);
    for (int64_t turn = begin; turn < end; turn++) answer(s, &s->scratches[thread], s->turn[turn]);
}
FT_TASK_VARIANTS(answer)

/* Puts the queries into the order of their lists. */
static ft_status sort_queries(search *s)
{
    int64_t *next = calloc((size_t)s->lists->n_lists + 1, sizeof(int64_t));
    if (next == NULL) return FT_NO_MEMORY;
    for (int64_t q = 0; q < s->n_queries; q++) next[s->home[q] + 1]++;
    for (int64_t c = 0; c < s->lists->n_lists; c++) next[c + 1] += next[c];
    for (int64_t q = 0; q < s->n_queries; q++) s->turn[next[s->home[q]]++] = (int32_t)q;
    free(next);
    return FT_OK;
}

static void allocate(search *s, int n_threads, ft_memory *memory)
{
    const int64_t n_lists = s->lists->n_lists, capacity = s->capacity;
    s->home = ft_memory_take(memory, s->n_queries, sizeof(int32_t));
    s->turn = ft_memory_take(memory, s->n_queries, sizeof(int32_t));
    s->scratches = ft_memory_take(memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !memory->failed; t++) {
        scratch *w = &s->scratches[t];
        w->to_lists = ft_memory_take(memory, FT_PAD(n_lists), sizeof(float));
        w->near = ft_memory_take(memory, 2 * n_lists, sizeof(ft_neighbor));
        w->estimates = ft_memory_take(memory, capacity, sizeof(float));
        w->candidates = ft_memory_take(memory, capacity, sizeof(int32_t));
        w->sorted = ft_memory_take(memory, 2 * capacity, sizeof(ft_neighbor));
    }
}

ft_status ft_queries_find(const ft_lists *lists, const float *query_screen, ft_points queries,
                          int64_t n_queries, ft_points points, int64_t d, int64_t k,
                          int64_t n_candidates, int32_t *indices, double *squared_distances,
                          ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    search s = {.lists = lists, .screen = query_screen, .queries = queries, .points = points};
    s.n_queries = n_queries, s.d = d, s.k = k, s.wanted = n_candidates;
    s.capacity = 2 * n_candidates + 4 * FT_STRIP;
    s.indices = indices, s.distances = squared_distances;
    const int64_t n_chunks = (n_queries + TOGETHER - 1) / TOGETHER;
    const double m = (double)lists->m, n_lists = (double)lists->n_lists;
    const double row_cost = 0.05 * m * ((double)lists->budget + n_lists) + 10.0 * (double)d;
    ft_memory memory = {0};
    allocate(&s, n_threads, &memory);
    ft_status status = memory.failed ? FT_NO_MEMORY : FT_OK;
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, TOGETHER * 0.05 * m * n_lists, FT_TASK(home), &s);
    if (status == FT_OK) status = sort_queries(&s);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, TOGETHER * row_cost, FT_TASK(answer), &s);
    ft_memory_free(&memory);
    return status;
}

typedef struct {
    const float *rows, *matrix, *shift;
    int64_t n, d, m;
    float *products;
} projection;

FT_INLINE void project_body(FT_TASK_ARGUMENTS)
{
    const projection *p = context;
    int64_t begin = chunk * TOGETHER, end = ft_least(begin + TOGETHER, p->n);
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
