/* edges.h - the edges of a row of P, some at a time, in more than three components.
 *
 * Vector lanes hold components where points are read, and edges where their strengths are computed:
 * to gather single components of many points takes several times as long. */
#ifndef FT_EDGES_H
#define FT_EDGES_H

#include "fasttsne.h"
#include "port.h"

typedef struct {
    int64_t count;           /* FT_LANES but at the end of a row */
    float p[FT_LANES];       /* 0 beyond count */
    float squared[FT_LANES]; /* d^2, 0 beyond count */
    float ways[FT_LANES * FT_MOST_COMPONENTS];
} ft_edges;

/* The edges from e on of a row that ends at `end`: the vectors from their ends to the point. */
FT_INLINE void ft_edges_take(int dim, const float *y, int64_t row, const int32_t *indices,
                             const float *data, int64_t e, int64_t end, ft_edges *edges)
{
    const float *restrict from = y + row * dim;
    edges->count = ft_least(end - e, FT_LANES);
    for (int l = 0; l < FT_LANES; l++) edges->p[l] = edges->squared[l] = 0.0f;
    for (int64_t l = 0; l < edges->count; l++) {
        const float *restrict to = y + (int64_t)indices[e + l] * dim;
        float *restrict ways = edges->ways + l * dim;
        float squared = 0.0f;
#pragma omp simd reduction(+ : squared)
        for (int axis = 0; axis < dim; axis++) {
            ways[axis] = from[axis] - to[axis];
            squared += ways[axis] * ways[axis];
        }
        edges->p[l] = data[e + l];
        edges->squared[l] = squared;
    }
}

/* sums += strength * way, for every component. */
FT_INLINE void ft_edges_add(int dim, const ft_edges *edges, const float *strengths,
                            float *restrict sums)
{
    for (int64_t l = 0; l < edges->count; l++) {
        const float strength = strengths[l];
        const float *restrict ways = edges->ways + l * dim;
#pragma omp simd
        for (int axis = 0; axis < dim; axis++) sums[axis] += strength * ways[axis];
    }
}

#endif
