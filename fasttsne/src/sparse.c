/* sparse.c - exact k nearest neighbours of sparse points by Euclidean distance.
 *
 *     d^2 = |x|^2 + |y|^2 - 2 x.y
 *
 * The columns of a query's entries give its products with all points at once: most pairs have few
 * columns in common, and the work is one step for each of these. Where d^2 is a small part of the
 * norms, cancellation would leave few digits, and the two rows are compared entry by entry. Either
 * way a pair has one distance, whatever is searched. */
#include "candidates.h"
#include "memory.h"

#define TOGETHER 16  /* queries of one task */
#define NEAR 0x1p-10 /* d^2 / (|x|^2 + |y|^2), below which rows are compared */

typedef struct {
    double *products;    /* n: -2 x.y */
    ft_neighbor *sorted; /* capacity, twice */
} scratch;

typedef struct {
    ft_sparse queries, points, columns;
    const double *query_norms, *norms;
    int64_t n_queries, n, d, k, capacity;
    double error; /* of d^2 by products, relative to the norms */
    int among_themselves;
    int32_t *indices;
    double *distances;
    ft_run *run;
    scratch *scratches;
} search;

/* Row i of a and row j of b, entry by entry. */
FT_INLINE double compared(ft_sparse a, int64_t i, ft_sparse b, int64_t j)
{
    int64_t p = a.indptr[i], q = b.indptr[j];
    const int64_t p_end = a.indptr[i + 1], q_end = b.indptr[j + 1];
    double sum = 0.0;
    while (p < p_end && q < q_end) {
        const int first = a.indices[p] <= b.indices[q], second = b.indices[q] <= a.indices[p];
        const double difference = (first ? a.data[p] : 0.0) - (second ? b.data[q] : 0.0);
        sum += difference * difference;
        p += first;
        q += second;
    }
    for (; p < p_end; p++) sum += a.data[p] * a.data[p];
    for (; q < q_end; q++) sum += b.data[q] * b.data[q];
    return sum;
}

FT_INLINE void multiply(const search *s, int64_t row, double *restrict products)
{
    memset(products, 0, sizeof(double) * (size_t)s->n);
    for (int64_t e = s->queries.indptr[row]; e < s->queries.indptr[row + 1]; e++) {
        const int64_t column = s->queries.indices[e];
        if (column >= s->d) continue;
        const double factor = -2.0 * s->queries.data[e];
        for (int64_t p = s->columns.indptr[column]; p < s->columns.indptr[column + 1]; p++)
            products[s->columns.indices[p]] += factor * s->columns.data[p];
    }
}

FT_INLINE void answer(const search *s, const scratch *w, int64_t row)
{
    const double norm = s->query_norms[row], share = 1.0 - s->error;
    ft_nearest nearest = {w->sorted, w->sorted + s->capacity, 0, s->capacity, s->k, INFINITY};
    multiply(s, row, w->products);
    for (int64_t first = 0; first < s->n; first += FT_STRIP) {
        const double *restrict norms = s->norms + first, *restrict products = w->products + first;
        const int64_t width = ft_least(s->n - first, FT_STRIP);
        const double threshold = nearest.threshold;
        int survivors = 0;
        for (int64_t c = 0; c < width; c++)
            survivors += share * (norm + norms[c]) + products[c] < threshold;
        if (survivors == 0) continue;
        for (int64_t c = 0; c < width; c++) {
            const double both = norm + norms[c], distance = both + products[c];
            if (share * both + products[c] >= nearest.threshold) continue;
            if (first + c == row && s->among_themselves) continue;
            ft_nearest_add(&nearest,
                           distance < NEAR * both ? compared(s->queries, row, s->points, first + c)
                                                  : distance,
                           first + c);
        }
    }
    ft_write_nearest(nearest.list, nearest.buffer, nearest.count, s->k, s->indices + row * s->k,
                     s->distances + row * s->k);
}

FT_INLINE void answer_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const int64_t begin = chunk * TOGETHER, end = ft_least(begin + TOGETHER, s->n_queries);
    for (int64_t row = begin; row < end; row++) {
        answer(s, &s->scratches[thread], row);
        if (ft_parallel_stopped(s->run, thread)) return;
    }
}
FT_TASK_VARIANTS(answer)

ft_status ft_sparse_find(ft_sparse queries, const double *query_norms, int64_t n_queries,
                         ft_sparse points, ft_sparse columns, const double *norms, int64_t n,
                         int64_t d, int64_t longest, int64_t k, int among_themselves,
                         int32_t *indices, double *squared_distances, ft_run *run)
{
    const int n_threads = ft_parallel_threads(run);
    search s = {.queries = queries, .points = points, .columns = columns};
    s.query_norms = query_norms, s.norms = norms;
    s.n_queries = n_queries, s.n = n, s.d = d, s.k = k, s.capacity = ft_nearest_capacity(k);
    /* Products and norms are sums of at most `longest` terms, each of which is rounded twice. */
    s.error = (double)(longest + 8) * 0x1p-51;
    s.among_themselves = among_themselves;
    s.indices = indices, s.distances = squared_distances, s.run = run;
    ft_memory memory = {0};
    s.scratches = ft_memory_take(&memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !memory.failed; t++) {
        s.scratches[t].products = ft_memory_take(&memory, n, sizeof(double));
        s.scratches[t].sorted = ft_memory_take(&memory, 2 * s.capacity, sizeof(ft_neighbor));
    }
    ft_status status = memory.failed ? FT_NO_MEMORY : FT_OK;
    if (status == FT_OK)
        status = ft_parallel_run(run, (n_queries + TOGETHER - 1) / TOGETHER,
                                 TOGETHER * 2.0 * (double)n, FT_TASK(answer), &s);
    ft_memory_free(&memory);
    return status;
}
