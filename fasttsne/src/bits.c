/* bits.c - exact k nearest neighbours of points of bits.
 *
 * All distances follow from the number of bits that two points have in common, c, and the numbers
 * a and b of their own:
 *
 *     Jaccard  (a + b - 2 c) / (a + b - c)        Hamming  1 - c / n_features
 *
 * for Hamming with one bit for "is 1" and one for "is 0" for each feature. Distances are quotients
 * of integers, rounded once, so that equal ones are equal in double precision. */
#include "candidates.h"
#include "memory.h"

#define TOGETHER 16 /* queries of one task, which share what is read of the points */

typedef struct {
    ft_neighbor *lists;  /* TOGETHER x capacity */
    ft_neighbor *buffer; /* capacity */
} scratch;

typedef struct {
    ft_bits queries, points;
    int64_t n_words, n_features, k, capacity;
    int among_themselves;
    int32_t *indices;
    double *distances;
    ft_run *run;
    scratch *scratches;
} search;

FT_INLINE int32_t n_common(const uint64_t *restrict a, const uint64_t *restrict b, int64_t n_words)
{
    int32_t count = 0;
    for (int64_t w = 0; w < n_words; w++) count += ft_count_bits(a[w] & b[w]);
    return count;
}

/* Distances of query `row` to `width` points from `first` on; returns how many are below the
 * threshold. */
FT_INLINE int strip_distances(const search *s, int64_t row, int64_t first, int64_t width,
                              double threshold, double *restrict distances)
{
    const uint64_t *query = s->queries.words + row * s->n_words;
    const int32_t *counts = s->points.counts + first, own = s->queries.counts[row];
    int32_t common[FT_STRIP];
    int survivors = 0;
    for (int64_t c = 0; c < width; c++)
        common[c] = n_common(query, s->points.words + (first + c) * s->n_words, s->n_words);
    for (int64_t c = 0; c < width; c++) {
        const int32_t either = own + counts[c] - common[c];
        const int32_t all = s->n_features > 0 ? (int32_t)s->n_features : either;
        distances[c] = (double)(all - common[c]) / (double)(all > 0 ? all : 1);
        survivors += distances[c] < threshold;
    }
    return survivors;
}

FT_INLINE void answer_body(FT_TASK_ARGUMENTS)
{
    const search *s = context;
    const scratch *w = &s->scratches[thread];
    const int64_t begin = chunk * TOGETHER;
    const int64_t rows = ft_least(TOGETHER, s->queries.n - begin);
    ft_nearest nearest[TOGETHER];
    double distances[FT_STRIP];
    for (int64_t r = 0; r < rows; r++)
        nearest[r] =
            (ft_nearest){w->lists + r * s->capacity, w->buffer, 0, s->capacity, s->k, INFINITY};
    for (int64_t first = 0; first < s->points.n; first += FT_STRIP) {
        const int64_t width = ft_least(s->points.n - first, FT_STRIP);
        for (int64_t r = 0; r < rows; r++) {
            if (strip_distances(s, begin + r, first, width, nearest[r].threshold, distances) == 0)
                continue;
            for (int64_t c = 0; c < width; c++)
                if (first + c != begin + r || !s->among_themselves)
                    ft_nearest_add(&nearest[r], distances[c], first + c);
        }
        if (ft_parallel_stopped(s->run, thread)) return;
    }
    for (int64_t r = 0; r < rows; r++)
        ft_write_nearest(nearest[r].list, w->buffer, nearest[r].count, s->k,
                         s->indices + (begin + r) * s->k, s->distances + (begin + r) * s->k);
}
FT_TASK_VARIANTS(answer)

ft_status ft_bits_find(ft_bits queries, ft_bits points, int64_t n_words, int64_t n_features,
                       int64_t k, int among_themselves, int32_t *indices, double *distances,
                       ft_run *run)
{
    const int n_threads = ft_parallel_threads(run);
    search s = {.queries = queries, .points = points, .n_words = n_words};
    s.n_features = n_features, s.k = k, s.capacity = ft_nearest_capacity(k);
    s.among_themselves = among_themselves;
    s.indices = indices, s.distances = distances, s.run = run;
    ft_memory memory = {0};
    s.scratches = ft_memory_take(&memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !memory.failed; t++) {
        s.scratches[t].lists = ft_memory_take(&memory, TOGETHER * s.capacity, sizeof(ft_neighbor));
        s.scratches[t].buffer = ft_memory_take(&memory, s.capacity, sizeof(ft_neighbor));
    }
    ft_status status = memory.failed ? FT_NO_MEMORY : FT_OK;
    if (status == FT_OK)
        status = ft_parallel_run(run, (queries.n + TOGETHER - 1) / TOGETHER,
                                 TOGETHER * (double)points.n * (1.0 + (double)n_words),
                                 FT_TASK(answer), &s);
    ft_memory_free(&memory);
    return status;
}
