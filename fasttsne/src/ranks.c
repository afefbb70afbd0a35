/* ranks.c - distances from a few anchors to all points, the nearest points, and ranks.
 *
 * The rank of a point is 1 plus the number of points nearer to the anchor; of points at equal
 * distances the smaller index is nearer. An anchor has no rank in its own row. Distances are
 * doubles, from differences in double precision: a common offset of the data cancels before
 * rounding. */
#include "candidates.h"
#include "memory.h"

/* ---- Distances ----------------------------------------------------------------------------------- */

#define TILE 32     /* columns whose sums stay in registers */
#define PANEL 64    /* coordinates of a tile that stay in the L1 cache */
#define COLUMNS 512 /* of one task */

typedef struct {
    ft_points points;
    int64_t n, d, n_anchors;
    int64_t k; /* of the queries of an anchor */
    const int32_t *anchors, *queries;
    double *distances;
} measurement;

/* Adds (own - other)^2 of a panel of coordinates, in their order, to the sums of a tile. */
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

/* The coordinates [begin, begin + count) of a tile: of the points from `first` on, or of `queries`
 * unless NULL. The last point is repeated up to TILE. */
FT_INLINE void fill_panel(ft_points points, int64_t d, int64_t begin, int64_t count, int64_t first,
                          const int32_t *queries, int64_t width, double *restrict panel)
{
    for (int64_t l = 0; l < TILE; l++) {
        int64_t place = l < width ? l : width - 1;
        int64_t column = queries != NULL ? queries[place] : first + place;
        for (int64_t c = 0; c < count; c++)
            panel[c * TILE + l] = ft_points_at(points, column * d + begin + c);
    }
}

/* Some anchors against a tile of `width` points; row a of the result is at distances[a * n]. */
FT_INLINE void measure_tile(ft_points points, int64_t d, const int32_t *anchors, int64_t n_anchors,
                            int64_t first, const int32_t *queries, int64_t width, int64_t n,
                            double *distances)
{
    double panel[PANEL * TILE], own[PANEL], sums[TILE];
    for (int64_t begin = 0; begin < d; begin += PANEL) {
        int64_t count = ft_least(d - begin, PANEL);
        fill_panel(points, d, begin, count, first, queries, width, panel);
        for (int64_t a = 0; a < n_anchors; a++) {
            double *row = distances + a * n;
            for (int64_t c = 0; c < count; c++)
                own[c] = ft_points_at(points, anchors[a] * d + begin + c);
            for (int64_t l = 0; l < TILE; l++) sums[l] = begin > 0 && l < width ? row[l] : 0.0;
            add_panel(own, panel, count, sums);
            for (int64_t l = 0; l < width; l++) row[l] = sums[l];
        }
    }
}

FT_INLINE void measure_body(FT_TASK_ARGUMENTS)
{
    const measurement *s = context;
    int64_t end = ft_least((chunk + 1) * COLUMNS, s->n);
    for (int64_t first = chunk * COLUMNS; first < end; first += TILE)
        measure_tile(s->points, s->d, s->anchors, s->n_anchors, first, NULL,
                     ft_least(end - first, TILE), s->n, s->distances + first);
}
FT_TASK_VARIANTS(measure)

ft_status ft_ranks_distances(ft_points points, int64_t n, int64_t d, const int32_t *anchors,
                             int64_t n_anchors, double *squared_distances, ft_run *run)
{
    measurement s = {.points = points, .n = n, .d = d, .n_anchors = n_anchors};
    s.anchors = anchors, s.distances = squared_distances;
    double cost = COLUMNS * (double)n_anchors * (0.05 * (double)d + 0.5);
    return ft_parallel_run(run, (n + COLUMNS - 1) / COLUMNS, cost, FT_TASK(measure), &s);
}

FT_INLINE void measure_few_body(FT_TASK_ARGUMENTS)
{
    const measurement *s = context;
    for (int64_t first = 0; first < s->k; first += TILE) {
        int64_t place = chunk * s->k + first;
        measure_tile(s->points, s->d, s->anchors + chunk, 1, 0, s->queries + place,
                     ft_least(s->k - first, TILE), s->k, s->distances + place);
    }
}
FT_TASK_VARIANTS(measure_few)

ft_status ft_ranks_distances_to(ft_points points, int64_t d, const int32_t *anchors,
                                int64_t n_anchors, const int32_t *queries, int64_t k,
                                double *squared_distances, ft_run *run)
{
    measurement s = {.points = points, .d = d, .k = k, .anchors = anchors, .queries = queries};
    s.distances = squared_distances;
    double cost = (double)(k + TILE) * (1.0 + (double)d);
    return ft_parallel_run(run, n_anchors, cost, FT_TASK(measure_few), &s);
}

typedef struct {
    const ft_ranks_rows *rows;
    const int32_t *queries;
    int64_t k;
    int32_t *results;
    int64_t capacity;   /* of a list */
    ft_neighbor *lists; /* two a thread */
    uint64_t *items;    /* two lists of n a thread: key << 32 | index */
} ranking;

/* ---- The nearest --------------------------------------------------------------------------------- */

#define SLACK (4 * FT_STRIP) /* room of the list beyond 2 k */

FT_INLINE void select_body(FT_TASK_ARGUMENTS)
{
    const ranking *s = context;
    const int64_t n = s->rows->n, own = s->rows->anchors[chunk];
    const double *restrict distances = s->rows->distances + chunk * n;
    ft_neighbor *list = s->lists + 2 * s->capacity * thread, *buffer = list + s->capacity;
    int64_t count = 0;
    double threshold = INFINITY;
    for (int64_t begin = 0; begin < n; begin += FT_STRIP) {
        int64_t width = ft_least(n - begin, FT_STRIP);
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
            /* A tie with the k-th loses: its index is larger. */
            if (j == own || (count >= s->k && distances[j] >= threshold)) continue;
            list[count++] = (ft_neighbor){distances[j], (int32_t)j};
        }
    }
    ft_sort_neighbors(list, buffer, count);
    for (int64_t c = 0; c < s->k; c++) s->results[chunk * s->k + c] = list[c].index;
}
FT_TASK_VARIANTS(select)

ft_status ft_ranks_nearest(const ft_ranks_rows *rows, int64_t k, int32_t *indices, ft_run *run)
{
    ft_memory memory = {0};
    ranking s = {.rows = rows, .k = k, .results = indices, .capacity = 2 * k + SLACK};
    const int64_t room = 2 * s.capacity * ft_parallel_threads(run);
    s.lists = ft_memory_take(&memory, room, sizeof(ft_neighbor));
    if (memory.failed) return FT_NO_MEMORY;
    double cost = 0.5 * (double)rows->n + 100.0 * (double)k;
    ft_status status = ft_parallel_run(run, rows->n_anchors, cost, FT_TASK(select), &s);
    ft_memory_free(&memory);
    return status;
}

#define COUNTED 4096 /* distances that stay in the L1 cache while all queries read them */

FT_INLINE void count_body(FT_TASK_ARGUMENTS)
{
    const ranking *s = context;
    const int64_t n = s->rows->n, own = s->rows->anchors[chunk];
    const double *restrict distances = s->rows->distances + chunk * n;
    const int32_t *queries = s->queries + chunk * s->k;
    int32_t *ranks = s->results + chunk * s->k;
    for (int64_t q = 0; q < s->k; q++) {
        double bound = distances[queries[q]];
        int own_counts = own < queries[q] ? distances[own] <= bound : distances[own] < bound;
        ranks[q] = 1 - own_counts;
    }
    for (int64_t begin = 0; begin < n; begin += COUNTED) {
        int64_t end = ft_least(begin + COUNTED, n);
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

ft_status ft_ranks_count(const ft_ranks_rows *rows, const int32_t *queries, int64_t k,
                         int32_t *ranks, ft_run *run)
{
    ranking s = {.rows = rows, .queries = queries, .k = k, .results = ranks};
    double cost = 0.3 * (double)rows->n * (double)k;
    return ft_parallel_run(run, rows->n_anchors, cost, FT_TASK(count), &s);
}

/* ---- Ranks of all --------------------------------------------------------------------------------
 *
 * A stable radix sort by the leading bits of the distances in single precision, whose bits are in
 * the order of their values; then runs of equal keys are sorted by the distances themselves. */

#define DIGIT_BITS 12 /* of each of two passes */
#define DIGITS (1 << DIGIT_BITS)

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
    const ranking *s = context;
    const int64_t n = s->rows->n, own = s->rows->anchors[chunk];
    const double *distances = s->rows->distances + chunk * n;
    int32_t *ranks = s->results + chunk * n;
    uint64_t *items = s->items + 2 * n * thread, *sorted = items + n;
    int64_t count = fill_items(distances, n, own, items);
    radix_pass(items, sorted, count, 32);
    radix_pass(sorted, items, count, 32 + DIGIT_BITS);
    for (int64_t first = 0, last; first < count; first = last) {
        uint64_t key = items[first] >> 32;
        for (last = first + 1; last < count && items[last] >> 32 == key;) last++;
        if (last - first > 1)
            sort_run(distances, items + first, last - first, s->lists + 2 * n * thread);
    }
    for (int64_t i = 0; i < count; i++) ranks[items[i] & UINT32_MAX] = (int32_t)i + 1;
    ranks[own] = 0;
}
FT_TASK_VARIANTS(sort)

ft_status ft_ranks_sort(const ft_ranks_rows *rows, int32_t *ranks, ft_run *run)
{
    ft_memory memory = {0};
    ranking s = {.rows = rows, .results = ranks};
    const int64_t room = 2 * rows->n * ft_parallel_threads(run);
    s.items = ft_memory_take(&memory, room, sizeof(uint64_t));
    s.lists = ft_memory_take(&memory, room, sizeof(ft_neighbor));
    ft_status status = FT_NO_MEMORY;
    if (!memory.failed)
        status = ft_parallel_run(run, rows->n_anchors, 8.0 * (double)rows->n, FT_TASK(sort), &s);
    ft_memory_free(&memory);
    return status;
}

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
    /* Sums of integers do not depend on the threads. */
    for (int t = 0; t < n_threads; t++)
        for (int64_t j = 0; j < n; j++) counts[j] += s.counts[t * n + j];
    free(s.counts);
    return status;
}
