/* dimensions.h - kernels compiled once for each number of components of the map, 1 to 3, and once
 * for all larger numbers. */
#ifndef FT_DIMENSIONS_H
#define FT_DIMENSIONS_H

#include "port.h"

/* a - b, for points of the map; 0 beyond its components. */
typedef struct {
    float x, y, z;
} ft_way;

FT_INLINE ft_way ft_way_between(int dim, const float *a, const float *b)
{
    return (ft_way){a[0] - b[0], dim > 1 ? a[1] - b[1] : 0.0f, dim > 2 ? a[2] - b[2] : 0.0f};
}

/* to += factor * r */
FT_INLINE void ft_add_way(int dim, float factor, ft_way r, float *to)
{
    to[0] += factor * r.x;
    if (dim > 1) to[1] += factor * r.y;
    if (dim > 2) to[2] += factor * r.z;
}

/* Runs `call` with DIM as a constant, so that compilers unroll the loops over axes. */
#define FT_DIM_CASE(dim, call) \
    {                          \
        enum { DIM = dim };    \
        call;                  \
    }
#define FT_DIM_DISPATCH(dim, call) \
    {                              \
        if ((dim) == 2)            \
            FT_DIM_CASE(2, call)   \
        else if ((dim) == 3)       \
            FT_DIM_CASE(3, call)   \
        else                       \
            FT_DIM_CASE(1, call)   \
    }
/* The same for any number of components; above 3, DIM is a variable. */
#define FT_ANY_DIM_DISPATCH(dim, call) \
    {                                  \
        if ((dim) <= 3)                \
            FT_DIM_DISPATCH(dim, call) \
        else                           \
            FT_DIM_VARIABLE(dim, call) \
    }
#define FT_DIM_VARIABLE(dim, call) \
    {                              \
        const int DIM = dim;       \
        call;                      \
    }

#endif
