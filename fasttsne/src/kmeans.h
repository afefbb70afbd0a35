/* kmeans.h - a partition of the points into cells, within the library. See kmeans.c. */
#ifndef FT_CELLS_H
#define FT_CELLS_H

#include "fasttsne.h"

typedef struct {
    int64_t n_cells;
    int64_t largest;  /* points of the largest cell */
    int64_t *start;   /* n_cells + 1: cell c holds the places start[c] .. start[c + 1] - 1 */
    int32_t *order;   /* place -> point, ascending within a cell */
    float *centroids; /* n_cells x d */
} ft_cells;

/* About n_cells cells of the n x d points. Free with ft_cells_free, also after a failure. */
ft_status ft_cells_build(OUT ft_cells *cells, IN const float *points, int64_t n, int64_t d,
                         int64_t n_cells, ft_sgemm sgemm, INOUT ft_run *run);
void ft_cells_free(INOUT ft_cells *cells);

#endif
