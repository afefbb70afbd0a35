/* tree.h - the tree as tree.c builds it and repulsion.c and transform.c walk it. */
#ifndef FT_TREE_H
#define FT_TREE_H

#include "hilbert.h"

#include <stdatomic.h>

#define FT_LEAF 32  /* most points in a leaf, unless they coincide */
#define FT_GROUP 32 /* most points of a group */
#define FT_MOMENTS 6
#define FT_THIRDS 10

/* A cell, 64 bytes. Nodes are in pre-order: a node's first child follows it, and its subtree ends
 * before `skip`. A leaf has skip = its place + 1. */
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

/* What is known of a node before the places of all are: `skip` is relative to its branch. */
typedef struct {
    int32_t begin, end;
    int32_t skip;
} ft_cell;

/* A subtree that one thread builds: a child of the crown of at most FT_BRANCH points, or a leaf. */
#define FT_BRANCH 512
typedef struct {
    int32_t begin, end; /* its points */
    int32_t parent;     /* in the crown, or -1 */
    int32_t n_above;    /* nodes of the crown that come before it */
    int32_t n_nodes;
    int32_t root;     /* its place among the nodes */
    int32_t coincide; /* whether there is a leaf of more than FT_LEAF points */
} ft_branch;

/* A node of the crown, the nodes above the branches. */
typedef struct {
    int32_t begin, end;
    int32_t parent;                    /* in the crown, or -1 */
    int32_t first_branch, last_branch; /* below it, and the one after these */
    int32_t last;                      /* the node of the crown after those below it */
    int32_t place;                     /* among the nodes */
    _Atomic int32_t n_open;            /* children not yet summarised */
} ft_crown_node;

/* Consecutive points on the Hilbert curve on which the same cells act. */
typedef struct {
    int32_t begin, end;
    int32_t coincide; /* whether they are in a leaf of more than FT_LEAF points */
} ft_group;

struct ft_tree {
    int64_t n;
    int dim;
    ft_memory memory; /* of all arrays, the caller's masses apart */
    ft_hilbert curve;
    const float *embedding;    /* the caller's, during a build */
    float *coordinates[3];     /* in the order of the curve, one array per axis */
    const float *point_masses; /* the caller's, by point; NULL if all are 1 */
    float *masses;             /* the same in the order of the curve, or NULL */
    ft_node *nodes;
    float (*boxes)[6];          /* min and max of each axis, per node */
    float (*thirds)[FT_THIRDS]; /* third moments, per node */
    int32_t n_nodes;
    ft_cell *cells;      /* those of a branch from twice its first point on */
    ft_branch *branches; /* and one that begins where the last one ends */
    int32_t n_branches;
    ft_crown_node *crown; /* in pre-order */
    int32_t n_crown;
    ft_group *groups;
    int64_t n_groups;
    double *partial; /* one per group */
};

#endif
