/* edges.h - the edges of a row of P, FT_LANES at a time, for any number of components.
 *
 * Vector lanes hold edges, and arrays have a row of lanes for every component. */
#ifndef FT_EDGES_H
#define FT_EDGES_H

#include "fasttsne.h"
#include "port.h"

typedef struct {
    float p[FT_LANES]; /* 0 beyond the end of the row */
    int32_t to[FT_LANES];
    float squared[FT_LANES]; /* d^2 */
    float ways[FT_MOST_COMPONENTS * FT_LANES];
} ft_edges;

/* The edges from e on, which end at `end`, and the vectors from their ends to the point `row`. */
FT_INLINE void ft_edges_take(int dim, const float *y, int64_t row, const int32_t *indices,
                             const float *data, int64_t e, int64_t end, ft_edges *edges)
{
    float *restrict p = edges->p, *restrict squared = edges->squared;
    int32_t *restrict to = edges->to;
    const int64_t count = ft_least(end - e, FT_LANES);
    for (int64_t l = 0; l < count; l++) {
        p[l] = data[e + l];
        to[l] = indices[e + l];
    }
    for (int64_t l = count; l < FT_LANES; l++) {
        p[l] = 0.0f;
        to[l] = (int32_t)row;
    }
    for (int l = 0; l < FT_LANES; l++) squared[l] = 0.0f;
    for (int axis = 0; axis < dim; axis++) {
        float *restrict ways = edges->ways + axis * FT_LANES;
        const float x = y[row * dim + axis];
#pragma omp simd
        for (int l = 0; l < FT_LANES; l++) {
            ways[l] = x - y[(int64_t)to[l] * dim + axis];
            squared[l] += ways[l] * ways[l];
        }
    }
}

/* sums += strength * way, for every component and lane. */
FT_INLINE void ft_edges_add(int dim, const ft_edges *edges, const float *restrict strengths,
                            float *restrict sums)
{
    for (int axis = 0; axis < dim; axis++) {
#pragma omp simd
        for (int l = 0; l < FT_LANES; l++)
            sums[axis * FT_LANES + l] += strengths[l] * edges->ways[axis * FT_LANES + l];
    }
}

/* The sum over lanes, in an order that no instruction set changes. */
FT_INLINE float ft_sum_of_lanes(const float *lanes)
{
    float partial[FT_LANES];
    for (int l = 0; l < FT_LANES; l++) partial[l] = lanes[l];
    for (int half = FT_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) partial[l] += partial[l + half];
    return partial[0];
}

#endif
