/* hilbert.h - the order of points along the Hilbert curve, within the library. See hilbert.c. */
#ifndef FT_HILBERT_H
#define FT_HILBERT_H

#include "fasttsne.h"
#include "memory.h"

#include <float.h>

/* Most chunks in which points are encoded, and buckets of codes with the same top bits. */
#define FT_HILBERT_CHUNKS 64
#define FT_HILBERT_BUCKETS 256

typedef struct {
    float box[6];
    uint32_t counts[FT_HILBERT_BUCKETS]; /* of its points, later the places where they go */
} ft_hilbert_chunk;

/* A code and its point. */
typedef struct {
    uint32_t code;
    int32_t point;
} ft_hilbert_pair;

typedef struct {
    int32_t *order;  /* position on the curve -> point */
    uint32_t *codes; /* by position; from the top, dim bits choose the child at each level */
    ft_hilbert_pair *pairs, *scratch;
    ft_hilbert_chunk *chunks;
    uint32_t buckets[FT_HILBERT_BUCKETS + 1]; /* where they begin */
    int bucket_shift;                         /* bits of a code below those of its bucket */
} ft_hilbert;

/* Takes the arrays for n points from `memory`. */
void ft_hilbert_allocate(OUT ft_hilbert *curve, int64_t n, INOUT ft_memory *memory);

/* Sorts the n points of a map of dim components along the Hilbert curve in their bounding box,
 * unless they coincide, and sets their codes. FT_DIVERGED: a coordinate is not finite, or too large
 * to be squared. */
ft_status ft_hilbert_sort(INOUT ft_hilbert *curve, const float *points, int64_t n, int dim,
                          INOUT ft_run *run);
/* Sorts curve->order[begin .. end] again, in their own bounding box, on this thread alone. */
void ft_hilbert_sort_again(INOUT ft_hilbert *curve, const float *points, int dim, int64_t begin,
                           int64_t end);

/* A box: the least coordinates, then the greatest. */
FT_INLINE void ft_empty_box(float box[6])
{
    for (int axis = 0; axis < 3; axis++) {
        box[axis] = FLT_MAX;
        box[3 + axis] = -FLT_MAX;
    }
}

FT_INLINE void ft_extend_box(float box[6], const float other[6], int dim)
{
    for (int axis = 0; axis < dim; axis++) {
        if (other[axis] < box[axis]) box[axis] = other[axis];
        if (other[3 + axis] > box[3 + axis]) box[3 + axis] = other[3 + axis];
    }
}

#endif
