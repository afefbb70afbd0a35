/* ranks.c - where all points stand as seen from a few anchors: distances, the nearest, ranks.
 *
 * The rank of a point is 1 and one more for every other point that is nearer to the anchor; of
 * points at equal distances the smaller index is nearer. An anchor has no rank among its own.
 *
 * Distances are doubles, from differences in double precision: a common offset of the data cancels
 * before anything is rounded. The others work on rows of distances, whatever these measure.
 */
#include "candidates.h"

#include <stdlib.h>

/* ---- Distances ----------------------------------------------------------------------------------- */

#define TILE 32     /* columns whose sums stay in registers */
#define PANEL 64    /* coordinates of a tile that stay in the L1 cache */
#define COLUMNS 512 /* of one task */

typedef struct {
    ft_points points;
    int64_t n, d;
    const int32_t *anchors;
    int64_t n_anchors;
    double *distances;
} measurement;

FT_INLINE double coordinate(ft_points points, int64_t place)
{
    return points.is_double ? ((const double *)points.values)[place]
                            : (double)((const float *)points.values)[place];
}

/* Adds (own - other)^2 of a panel of coordinates to the sums of a tile, in the coordinates' order. */
FT_INLINE void add_panel(const double *restrict own, const double *restrict panel, int64_t count,
                         double *restrict sums)
{
    int64_t c = 0;
    for (; c + 4 <= count; c += 4) {
        const double *restrict p = panel + c * TILE;
        const double o0 = own[c], o1 = own[c + 1], o2 = own[c + 2], o3 = own[c + 3];
        for (int l = 0; l < TILE; l++) {
            double d0 = o0 - p[l], d1 = o1 - p[TILE + l];
            double d2 = o2 - p[2 * TILE + l], d3 = o3 - p[3 * TILE + l];
            double sum = sums[l] + d0 * d0;
            sum += d1 * d1;
            sum += d2 * d2;
            sums[l] = sum + d3 * d3;
        }
    }
    for (; c < count; c++) {
        for (int l = 0; l < TILE; l++) {
            double difference = own[c] - panel[c * TILE + l];
            sums[l] += difference * difference;
        }
    }
}

/* The coordinates [begin, begin + count) of a tile: of the points from first on, or of those listed
 * in queries. Where there are fewer than TILE, the last stands in for the rest. */
FT_INLINE void fill_panel(ft_points points, int64_t d, int64_t begin, int64_t count, int64_t first,
                          const int32_t *queries, int64_t width, double *restrict panel)
{
    for (int64_t l = 0; l < TILE; l++) {
        int64_t place = l < width ? l : width - 1;
        int64_t column = queries != NULL ? queries[place] : first + place;
        for (int64_t c = 0; c < count; c++)
            panel[c * TILE + l] = coordinate(points, column * d + begin + c);
    }
}

/* Some anchors against a tile of `width` points; row a of the results starts at distances[a * n]. */
FT_INLINE void measure_tile(ft_points points, int64_t d, const int32_t *anchors, int64_t n_anchors,
                            int64_t first, const int32_t *queries, int64_t width, int64_t n,
                            double *distances)
{
    double panel[PANEL * TILE], own[PANEL], sums[TILE];
    for (int64_t begin = 0; begin < d; begin += PANEL) {
        int64_t count = d - begin < PANEL ? d - begin : PANEL;
        fill_panel(points, d, begin, count, first, queries, width, panel);
        for (int64_t a = 0; a < n_anchors; a++) {
            double *row = distances + a * n;
            for (int64_t c = 0; c < count; c++)
                own[c] = coordinate(points, anchors[a] * d + begin + c);
            for (int64_t l = 0; l < TILE; l++) sums[l] = begin > 0 && l < width ? row[l] : 0.0;
            add_panel(own, panel, count, sums);
            for (int64_t l = 0; l < width; l++) row[l] = sums[l];
        }
    }
}

FT_INLINE void measure_body(FT_TASK_ARGUMENTS)
{
    const measurement *s = context;
    int64_t end = (chunk + 1) * COLUMNS < s->n ? (chunk + 1) * COLUMNS : s->n;
    (void)thread;
    for (int64_t first = chunk * COLUMNS; first < end; first += TILE)
        measure_tile(s->points, s->d, s->anchors, s->n_anchors, first, NULL,
                     end - first < TILE ? end - first : TILE, s->n, s->distances + first);
}
FT_TASK_VARIANTS(measure)

ft_status ft_ranks_distances(ft_points points, int64_t n, int64_t d, const int32_t *anchors,
                             int64_t n_anchors, double *squared_distances, ft_run *run)
{
    measurement s = {points, n, d, anchors, n_anchors, squared_distances};
    double cost = COLUMNS * (double)n_anchors * (0.05 * (double)d + 0.5);
    return ft_parallel_run(run, (n + COLUMNS - 1) / COLUMNS, cost, FT_TASK(measure), &s);
}

/* ---- Distances to a few ------------------------------------------------------------------------- */

typedef struct {
    ft_points points;
    int64_t d, k;
    const int32_t *anchors, *queries;
    double *distances;
} few;

FT_INLINE void measure_few_body(FT_TASK_ARGUMENTS)
{
    const few *s = context;
    (void)thread;
    for (int64_t first = 0; first < s->k; first += TILE) {
        int64_t place = chunk * s->k + first;
        measure_tile(s->points, s->d, s->anchors + chunk, 1, 0, s->queries + place,
                     s->k - first < TILE ? s->k - first : TILE, s->k, s->distances + place);
    }
}
FT_TASK_VARIANTS(measure_few)

ft_status ft_ranks_distances_to(ft_points points, int64_t d, const int32_t *anchors,
                                int64_t n_anchors, const int32_t *queries, int64_t k,
                                double *squared_distances, ft_run *run)
{
    few s = {points, d, k, anchors, queries, squared_distances};
    double cost = (double)(k + TILE) * (1.0 + (double)d);
    return ft_parallel_run(run, n_anchors, cost, FT_TASK(measure_few), &s);
}

/* ---- The nearest --------------------------------------------------------------------------------- */

#define SLACK (4 * FT_STRIP) /* room of the list beyond 2 k */

typedef struct {
    const double *distances;
    int64_t n, k, capacity;
    const int32_t *anchors;
    int32_t *indices;
    ft_neighbor *lists; /* 2 x capacity a thread */
} selection;

FT_INLINE void select_body(FT_TASK_ARGUMENTS)
{
    const selection *s = context;
    const double *restrict distances = s->distances + chunk * s->n;
    ft_neighbor *list = s->lists + 2 * s->capacity * thread, *buffer = list + s->capacity;
    int64_t own = s->anchors[chunk], count = 0;
    double threshold = INFINITY;
    for (int64_t begin = 0; begin < s->n; begin += FT_STRIP) {
        int64_t width = s->n - begin < FT_STRIP ? s->n - begin : FT_STRIP;
        if (width == FT_STRIP && count >= s->k) {
            int64_t survivors = 0;
            for (int c = 0; c < FT_STRIP; c++) survivors += distances[begin + c] < threshold;
            if (survivors == 0) continue;
        }
        if (count + width > s->capacity) {
            ft_sort_neighbors(list, buffer, count);
            count = s->k;
            threshold = list[count - 1].distance;
        }
        for (int64_t j = begin; j < begin + width; j++) {
            /* A tie with the k-th loses: its index is larger than those of all kept. */
            if (j == own || (count >= s->k && distances[j] >= threshold)) continue;
            list[count++] = (ft_neighbor){distances[j], (int32_t)j};
        }
    }
    ft_sort_neighbors(list, buffer, count);
    for (int64_t c = 0; c < s->k; c++) s->indices[chunk * s->k + c] = list[c].index;
}
FT_TASK_VARIANTS(select)

ft_status ft_ranks_nearest(const double *distances, int64_t n, const int32_t *anchors,
                           int64_t n_anchors, int64_t k, int32_t *indices, ft_run *run)
{
    selection s = {distances, n, k, 2 * k + SLACK, anchors, indices, NULL};
    size_t n_threads = (size_t)ft_parallel_threads(run);
    s.lists = malloc(sizeof(ft_neighbor) * 2 * (size_t)s.capacity * n_threads);
    if (s.lists == NULL) return FT_NO_MEMORY;
    double cost = 0.5 * (double)n + 100.0 * (double)k;
    ft_status status = ft_parallel_run(run, n_anchors, cost, FT_TASK(select), &s);
    free(s.lists);
    return status;
}

/* ---- Ranks of a few ------------------------------------------------------------------------------ */

#define COUNTED 4096 /* distances that stay in the L1 cache while all queries look at them */

typedef struct {
    const double *distances;
    int64_t n, k;
    const int32_t *anchors, *queries;
    int32_t *ranks;
} counting;

FT_INLINE void count_body(FT_TASK_ARGUMENTS)
{
    const counting *s = context;
    const double *restrict distances = s->distances + chunk * s->n;
    const int32_t *queries = s->queries + chunk * s->k;
    int32_t *ranks = s->ranks + chunk * s->k;
    int64_t own = s->anchors[chunk];
    (void)thread;
    for (int64_t q = 0; q < s->k; q++) {
        double bound = distances[queries[q]];
        int own_counts = own < queries[q] ? distances[own] <= bound : distances[own] < bound;
        ranks[q] = 1 - own_counts;
    }
    for (int64_t begin = 0; begin < s->n; begin += COUNTED) {
        int64_t end = begin + COUNTED < s->n ? begin + COUNTED : s->n;
        for (int64_t q = 0; q < s->k; q++) {
            double bound = distances[queries[q]];
            int64_t split = queries[q] < begin ? begin : queries[q] < end ? queries[q] : end;
            int64_t nearer = 0;
            for (int64_t j = begin; j < split; j++) nearer += distances[j] <= bound;
            for (int64_t j = split; j < end; j++) nearer += distances[j] < bound;
            ranks[q] += (int32_t)nearer;
        }
    }
}
FT_TASK_VARIANTS(count)

ft_status ft_ranks_count(const double *distances, int64_t n, const int32_t *anchors,
                         int64_t n_anchors, const int32_t *queries, int64_t k, int32_t *ranks,
                         ft_run *run)
{
    counting s = {distances, n, k, anchors, queries, ranks};
    double cost = 0.3 * (double)n * (double)k;
    return ft_parallel_run(run, n_anchors, cost, FT_TASK(count), &s);
}

/* ---- Ranks of all --------------------------------------------------------------------------------
 *
 * A radix sort by the leading bits of the distances in single precision, whose bits are in the
 * order of their values; then runs of equal keys are put in order by the distances themselves.
 * The sort is stable, so that ties are in the order of their indices from the start. */

#define DIGIT_BITS 12 /* of each of two passes */
#define DIGITS (1 << DIGIT_BITS)

typedef struct {
    uint64_t *items, *sorted; /* key << 32 | index, n each */
    ft_neighbor *run;         /* 2 x n */
} sorting_scratch;

typedef struct {
    const double *distances;
    int64_t n;
    const int32_t *anchors;
    int32_t *ranks;
    sorting_scratch *scratches;
} sorting;

FT_INLINE uint32_t key_of(double distance)
{
    float rounded = (float)distance;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return bits & 0x7fffffffu; /* -0.0 is 0.0 */
}

/* Fills items with the keys of all but the anchor's own; returns how many. */
FT_INLINE int64_t fill_items(const double *restrict distances, int64_t n, int64_t own,
                             uint64_t *restrict items)
{
    uint32_t low = UINT32_MAX, high = 0;
    for (int64_t j = 0; j < n; j++) {
        uint32_t key = j == own ? key_of(distances[own == 0 ? n - 1 : 0]) : key_of(distances[j]);
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    int shift = 0;
    while (((high - low) >> shift) >> (2 * DIGIT_BITS)) shift++;
    int64_t count = 0;
    for (int64_t j = 0; j < n; j++) {
        items[count] = (uint64_t)((key_of(distances[j]) - low) >> shift) << 32 | (uint64_t)j;
        count += j != own;
    }
    return count;
}

FT_INLINE void radix_pass(const uint64_t *restrict from, uint64_t *restrict to, int64_t count,
                          int shift)
{
    int32_t places[DIGITS] = {0};
    for (int64_t i = 0; i < count; i++) places[from[i] >> shift & (DIGITS - 1)]++;
    int32_t place = 0;
    for (int digit = 0; digit < DIGITS; digit++) {
        int32_t size = places[digit];
        places[digit] = place;
        place += size;
    }
    for (int64_t i = 0; i < count; i++) to[places[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

/* Puts items of equal keys in the order of their distances. */
FT_INLINE void sort_run(const double *restrict distances, uint64_t *items, int64_t count,
                        ft_neighbor *list)
{
    int in_order = 1;
    for (int64_t i = 0; i < count; i++) {
        int32_t index = (int32_t)(items[i] & UINT32_MAX);
        list[i] = (ft_neighbor){distances[index], index};
        in_order &= i == 0 || ft_nearer(&list[i - 1], &list[i]);
    }
    if (in_order) return;
    ft_sort_neighbors(list, list + count, count);
    for (int64_t i = 0; i < count; i++) items[i] = (uint64_t)list[i].index;
}

FT_INLINE void sort_body(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    const sorting_scratch *w = &s->scratches[thread];
    const double *distances = s->distances + chunk * s->n;
    int32_t *ranks = s->ranks + chunk * s->n;
    int64_t own = s->anchors[chunk];
    int64_t count = fill_items(distances, s->n, own, w->items);
    radix_pass(w->items, w->sorted, count, 32);
    radix_pass(w->sorted, w->items, count, 32 + DIGIT_BITS);
    for (int64_t first = 0, last; first < count; first = last) {
        uint64_t key = w->items[first] >> 32;
        for (last = first + 1; last < count && w->items[last] >> 32 == key;) last++;
        if (last - first > 1) sort_run(distances, w->items + first, last - first, w->run);
    }
    for (int64_t i = 0; i < count; i++) ranks[w->items[i] & UINT32_MAX] = (int32_t)i + 1;
    ranks[own] = 0;
}
FT_TASK_VARIANTS(sort)

ft_status ft_ranks_sort(const double *distances, int64_t n, const int32_t *anchors,
                        int64_t n_anchors, int32_t *ranks, ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    sorting s = {distances, n, anchors, ranks, NULL};
    ft_status status = FT_OK;
    s.scratches = calloc((size_t)n_threads, sizeof(sorting_scratch));
    if (s.scratches == NULL) return FT_NO_MEMORY;
    for (int t = 0; t < n_threads; t++) {
        sorting_scratch *w = &s.scratches[t];
        w->items = malloc(sizeof(uint64_t) * (size_t)n);
        w->sorted = malloc(sizeof(uint64_t) * (size_t)n);
        w->run = malloc(sizeof(ft_neighbor) * 2 * (size_t)n);
        if (!w->items || !w->sorted || !w->run) status = FT_NO_MEMORY;
    }
    if (status == FT_OK)
        status = ft_parallel_run(run, n_anchors, 8.0 * (double)n, FT_TASK(sort), &s);
    for (int t = 0; t < n_threads; t++) {
        free(s.scratches[t].items);
        free(s.scratches[t].sorted);
        free(s.scratches[t].run);
    }
    free(s.scratches);
    return status;
}

/* ---- Two rankings compared ----------------------------------------------------------------------- */

typedef struct {
    const int32_t *a, *b;
    int64_t n;
    int64_t *counts; /* n a thread */
} comparison;

FT_INLINE void compare_body(FT_TASK_ARGUMENTS)
{
    const comparison *s = context;
    const int32_t *restrict a = s->a + chunk * s->n;
    const int32_t *restrict b = s->b + chunk * s->n;
    int64_t *restrict counts = s->counts + thread * s->n;
    for (int64_t j = 0; j < s->n; j++) counts[a[j] > b[j] ? a[j] : b[j]]++;
}
FT_TASK_VARIANTS(compare)

ft_status ft_ranks_compare(const int32_t *a, const int32_t *b, int64_t n, int64_t n_anchors,
                           int64_t *counts, ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    comparison s = {a, b, n, calloc((size_t)n_threads * (size_t)n, sizeof(int64_t))};
    if (s.counts == NULL) return FT_NO_MEMORY;
    ft_status status = ft_parallel_run(run, n_anchors, 2.0 * (double)n, FT_TASK(compare), &s);
    /* Whole numbers: their sum does not depend on who counted what. */
    for (int t = 0; t < n_threads; t++)
        for (int64_t j = 0; j < n; j++) counts[j] += s.counts[t * n + j];
    free(s.counts);
    return status;
}
