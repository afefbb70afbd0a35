/* tree.h - the tree as hilbert.c and tree.c build it and repulsion.c walks it. */
#ifndef FT_TREE_H
#define FT_TREE_H

#include "fasttsne.h"

#include <float.h>

#define FT_LEAF 32  /* points in a leaf, at the most, unless they coincide */
#define FT_GROUP 32 /* points of a group, at the most */
#define FT_MOMENTS 6
#define FT_THIRDS 10

/* A cell, 64 bytes. Nodes stand in pre-order: a node's first child follows it, its subtree ends
 * before `skip`. A leaf has skip = its own place + 1. */
typedef struct {
    float center[3]; /* of mass */
    float mass;      /* number of points, or the sum of their masses */
    float width2;    /* square of the cell's width; see squared_width in tree.c */
    int32_t skip;
    int32_t begin, end;        /* its points on the Hilbert curve */
    float moments[FT_MOMENTS]; /* sum of (y - center)(y - center)': xx, xy, yy, xz, yz, zz */
    float trace;
    float unused;
} ft_node;

/* Points of a chunk where points are sorted, and digits of a code. */
#define FT_CURVE_CHUNK 16384
#define FT_CURVE_CHUNKS(points) (((points) + FT_CURVE_CHUNK - 1) / FT_CURVE_CHUNK)
#define FT_CURVE_RADIX 2048

/* Points of a subtree that one thread summarises. */
#define FT_BRANCH 1024
typedef struct {
    int32_t root;
    int32_t sound; /* whether all coordinates are finite and small enough to be squared */
} ft_branch;

/* Consecutive points on the Hilbert curve on which the same cells act. */
typedef struct {
    int32_t begin, end;
    int32_t coincide; /* whether they are part of a leaf of more than FT_LEAF points */
} ft_group;

struct ft_tree {
    int64_t n;
    int dim;
    int32_t *order; /* position on the Hilbert curve -> point */
    uint32_t *codes;
    int32_t *order_scratch;
    uint32_t *codes_scratch;
    int64_t (*counts)[FT_CURVE_RADIX]; /* of digits, for sorting, one a chunk */
    float (*chunk_boxes)[6];
    float *coordinates[3]; /* in that order, one array an axis */
    const float *point_masses; /* the caller's, a point each; NULL where all are 1 */
    float *masses;             /* the same in the order on the curve, or NULL */
    ft_node *nodes;
    float (*boxes)[6]; /* min and max of each axis, per node */
    float (*thirds)[FT_THIRDS]; /* third moments, per node */
    int64_t n_nodes;
    ft_branch *branches; /* the largest subtrees of at most FT_BRANCH points, or leaves */
    int64_t n_branches;
    int32_t *crown; /* nodes above the branches, parents first */
    int64_t n_crown;
    ft_group *groups;
    int64_t n_groups;
    double *partial; /* one a group */
};

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

/* Sorts order[begin .. end] along the Hilbert curve in the points' own bounding box, except where
 * they coincide, and leaves their codes: from the top, dim bits tell the child at each level. */
ft_status ft_curve_sort(ft_tree *tree, const float *embedding, int64_t begin, int64_t end,
                        ft_run *run);

#endif
