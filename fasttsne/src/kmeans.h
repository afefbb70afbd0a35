/* kmeans.h - a partition of the points into lists, within the library. See kmeans.c. */
#ifndef FT_KMEANS_H
#define FT_KMEANS_H

#include "fasttsne.h"
#include "memory.h"

typedef struct {
    int64_t n_lists;
    int64_t *start;   /* n_lists + 1: list c holds the places start[c] .. start[c + 1] - 1 */
    int32_t *order;   /* place -> point, ascending within a list */
    float *centroids; /* n_lists x d */
} ft_kmeans;

/* About n_lists lists of the n x d points, in arrays from `memory`. */
ft_status ft_kmeans_build(OUT ft_kmeans *lists, const float *points, int64_t n, int64_t d,
                          int64_t n_lists, INOUT ft_memory *memory, ft_sgemm sgemm,
                          INOUT ft_run *run);

#endif
