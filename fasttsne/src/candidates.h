/* candidates.h - the candidates of a query, shared by the neighbour searches.
 *
 * A candidate is an index and a single-precision estimate of the squared distance. The few
 * candidates left at the end are sorted by exact distances, ties to the smaller index. */
#ifndef FT_CANDIDATES_H
#define FT_CANDIDATES_H

#include "fasttsne.h"

#include <math.h>
#include <string.h>

#define FT_STRIP 64 /* estimates tested at once for any survivor */

typedef struct {
    double distance;
    int32_t index;
} ft_neighbor;

FT_INLINE double ft_exact_distance_of(const ft_points from, int64_t a, const ft_points to,
                                      int64_t b, int64_t d)
{
    double partial[FT_LANES] = {0}, rest = 0.0;
    int64_t c = 0;
    for (; c + FT_LANES <= d; c += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) {
            double difference = ft_points_at(from, a + c + l) - ft_points_at(to, b + c + l);
            partial[l] += difference * difference;
        }
    }
    for (; c < d; c++) {
        double difference = ft_points_at(from, a + c) - ft_points_at(to, b + c);
        rest += difference * difference;
    }
    for (int half = FT_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) partial[l] += partial[l + half];
    return partial[0] + rest;
}

/* Of point i of one set to point j of another, of the same type: compiled once for each type. */
FT_INLINE double ft_exact_distance(ft_points from, int64_t i, ft_points to, int64_t j, int64_t d)
{
    if (to.is_double)
        return ft_exact_distance_of((ft_points){from.values, 1}, i * d, (ft_points){to.values, 1},
                                    j * d, d);
    return ft_exact_distance_of((ft_points){from.values, 0}, i * d, (ft_points){to.values, 0},
                                j * d, d);
}

/* Points are scattered in memory: each is fetched this many candidates before it is needed. */
#define FT_AHEAD 8

FT_INLINE void ft_prefetch_point(ft_points points, int64_t d, int64_t i)
{
    int64_t bytes = d * (points.is_double ? 8 : 4);
    const char *point = (const char *)points.values + i * bytes;
    for (int64_t b = 0; b < bytes; b += 64) FT_PREFETCH(point + b);
}

/* Floats to integers of the same order, and back. */
FT_INLINE int32_t ft_key_of(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

FT_INLINE float ft_value_of(int32_t key)
{
    float value;
    key ^= (int32_t)((uint32_t)(key >> 31) >> 1);
    memcpy(&value, &key, sizeof value);
    return value;
}

/* The smallest and the largest of v as keys. */
FT_INLINE void ft_key_range(const float *restrict v, int64_t count, int32_t *low, int32_t *high)
{
    float smallest = v[0], largest = v[0];
#pragma omp simd reduction(min : smallest) reduction(max : largest)
    for (int64_t c = 0; c < count; c++) {
        smallest = v[c] < smallest ? v[c] : smallest;
        largest = v[c] > largest ? v[c] : largest;
    }
    *low = ft_key_of(smallest);
    *high = ft_key_of(largest);
}

/* A bound which at least `fewest` of v do not exceed, and at most `most` unless there are ties at
 * it. v[c] counts sizes[c] times, or once if that is NULL. By bisection: counting vectorises. */
FT_INLINE float ft_bound(const float *restrict v, const int32_t *restrict sizes, int64_t count,
                         int64_t fewest, int64_t most)
{
    int32_t low, high;
    ft_key_range(v, count, &low, &high);
    /* The result is in [low, high]: all of v are at most high. */
    while (low < high) {
        int32_t middle = (int32_t)(((int64_t)low + high) >> 1);
        float bound = ft_value_of(middle);
        int32_t within = 0; /* n < 2^31 */
        for (int64_t c = 0; c < count; c++)
            within += v[c] <= bound ? (sizes != NULL ? sizes[c] : 1) : 0;
        if (within < fewest) {
            low = middle + 1;
        } else {
            high = middle;
            if (within <= most) break;
        }
    }
    return ft_value_of(high);
}

/* The smallest bound within which lists hold at least `weight` points; *below is the number of
 * points in lists that are strictly nearer. All lists together hold at least `weight`. */
FT_INLINE float ft_bound_by_weight(const float *restrict distances, const int32_t *restrict sizes,
                                   int64_t count, int64_t weight, int64_t *below)
{
    float bound = ft_bound(distances, sizes, count, weight, -1);
    int32_t nearer = 0;
    for (int64_t c = 0; c < count; c++) nearer += distances[c] < bound ? sizes[c] : 0;
    *below = nearer;
    return bound;
}

/* Keeps the candidates whose estimate does not exceed the bound, in their order. */
FT_INLINE int64_t ft_keep_within(float *estimates, int32_t *indices, int64_t count, float bound)
{
    int64_t kept = 0;
    for (int64_t c = 0; c < count; c++) {
        float estimate = estimates[c];
        int32_t index = indices[c];
        estimates[kept] = estimate;
        indices[kept] = index;
        kept += estimate <= bound;
    }
    return kept;
}

/* Appends the first `width` columns whose estimate norm + product + share does not exceed the
 * threshold; there must be room for all of them. */
FT_INLINE int64_t ft_append_strip(const float *restrict norms, const float *restrict products,
                                  float share, int64_t width, int32_t first, float threshold,
                                  float *restrict estimates, int32_t *restrict indices,
                                  int64_t count)
{
    if (width == FT_STRIP) {
        int32_t survivors = 0;
        for (int c = 0; c < FT_STRIP; c++) survivors += norms[c] + products[c] + share <= threshold;
        if (survivors == 0) return count;
    }
    for (int64_t c = 0; c < width; c++) {
        float estimate = norms[c] + products[c] + share;
        estimates[count] = estimate;
        indices[count] = first + (int32_t)c;
        count += estimate <= threshold;
    }
    return count;
}

/* The best candidates of a query while points go by. */
typedef struct {
    float *estimates;
    int32_t *indices;
    int64_t count, capacity;
    int64_t fewest, most; /* to keep when the list is full, and at the end */
    float threshold;      /* above which an estimate need not be kept */
} ft_candidates;

FT_INLINE void ft_candidates_prune(ft_candidates *list)
{
    list->threshold = ft_bound(list->estimates, NULL, list->count, list->fewest, list->most);
    list->count = ft_keep_within(list->estimates, list->indices, list->count, list->threshold);
}

/* Adds at most FT_STRIP columns; see ft_append_strip. */
FT_INLINE void ft_candidates_add(ft_candidates *list, const float *norms, const float *products,
                                 float share, int64_t width, int32_t first)
{
    if (list->count + width > list->capacity) {
        ft_candidates_prune(list);
        /* Too many at the bound: the first of them are as good as the rest. */
        list->count = ft_least(list->count, list->most);
    }
    list->count = ft_append_strip(norms, products, share, width, first, list->threshold,
                                  list->estimates, list->indices, list->count);
}

FT_INLINE int ft_nearer(const ft_neighbor *a, const ft_neighbor *b)
{
    return (a->distance < b->distance) | ((a->distance == b->distance) & (a->index < b->index));
}

/* Sorts by distance, ties by index: insertion in short runs, then merging without branches.
 * buffer: as long as the list. */
FT_INLINE void ft_sort_neighbors(ft_neighbor *list, ft_neighbor *buffer, int64_t count)
{
    enum { RUN = 8 };
    for (int64_t first = 0; first < count; first += RUN) {
        int64_t last = first + RUN < count ? first + RUN : count;
        for (int64_t i = first + 1; i < last; i++) {
            ft_neighbor item = list[i];
            int64_t j = i;
            for (; j > first && ft_nearer(&item, &list[j - 1]); j--) list[j] = list[j - 1];
            list[j] = item;
        }
    }
    ft_neighbor *from = list, *to = buffer;
    for (int64_t run = RUN; run < count; run *= 2) {
        for (int64_t first = 0; first < count; first += 2 * run) {
            int64_t middle = first + run < count ? first + run : count;
            int64_t last = first + 2 * run < count ? first + 2 * run : count;
            int64_t a = first, b = middle, out = first;
            while (a < middle && b < last) {
                int second = ft_nearer(&from[b], &from[a]);
                to[out++] = from[second ? b : a];
                a += !second;
                b += second;
            }
            while (a < middle) to[out++] = from[a++];
            while (b < last) to[out++] = from[b++];
        }
        ft_neighbor *swap = from;
        from = to;
        to = swap;
    }
    if (from != list) memcpy(list, from, sizeof(ft_neighbor) * (size_t)count);
}

/* Sorts `count` neighbours and writes the k nearest; buffer as above. */
FT_INLINE void ft_write_nearest(ft_neighbor *list, ft_neighbor *buffer, int64_t count, int64_t k,
                                int32_t *indices, double *distances)
{
    ft_sort_neighbors(list, buffer, count);
    for (int64_t c = 0; c < k; c++) {
        indices[c] = list[c].index;
        distances[c] = list[c].distance;
    }
}

/* The k nearest while points go by in the order of their indices: a tie with the k-th is farther. */
typedef struct {
    ft_neighbor *list, *buffer; /* capacity each, more than k */
    int64_t count, capacity, k;
    double threshold; /* a point at this distance or beyond is not among the nearest */
} ft_nearest;

FT_INLINE void ft_nearest_add(ft_nearest *nearest, double distance, int64_t index)
{
    if (distance >= nearest->threshold) return;
    nearest->list[nearest->count++] = (ft_neighbor){distance, (int32_t)index};
    if (nearest->count == nearest->capacity) {
        ft_sort_neighbors(nearest->list, nearest->buffer, nearest->count);
        nearest->count = nearest->k;
        nearest->threshold = nearest->list[nearest->k - 1].distance;
    }
}

/* Capacity of a list that is rarely sorted. */
FT_INLINE int64_t ft_nearest_capacity(int64_t k) { return 4 * k + 8 * FT_STRIP; }

#endif
