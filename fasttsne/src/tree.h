/* tree.h - the tree as tree.c builds it and repulsion.c walks it. */
#ifndef FT_TREE_H
#define FT_TREE_H

#include "fasttsne.h"

#define FT_LEAF 32  /* points in a leaf, at the most, unless they coincide */
#define FT_GROUP 32 /* points of a group, at the most */
#define FT_MOMENTS 6

/* A cell, 64 bytes. Nodes stand in pre-order: a node's first child follows it, its subtree ends
 * before `skip`. A leaf has skip = its own place + 1. */
typedef struct {
    float center[3]; /* of mass */
    float mass;      /* number of points */
    float width2;    /* square of the cell's width; see finish_node in tree.c */
    int32_t skip;
    int32_t begin, end;        /* its points on the Morton curve */
    float moments[FT_MOMENTS]; /* sum of (y - center)(y - center)': xx, xy, yy, xz, yz, zz */
    float trace;
    float unused;
} ft_node;

/* Points of a subtree that one thread summarises. */
#define FT_BRANCH 1024
typedef struct {
    int32_t root;
    int32_t sound; /* whether all coordinates are finite and small enough to be squared */
} ft_branch;

/* Consecutive points on the Morton curve on which the same cells act. */
typedef struct {
    int32_t begin, end;
    int32_t coincide; /* whether they are part of a leaf of more than FT_LEAF points */
} ft_group;

struct ft_tree {
    int64_t n;
    int dim;
    int32_t *order; /* position on the Morton curve -> point */
    uint32_t *codes;
    int32_t *order_scratch;
    uint32_t *codes_scratch;
    int64_t *counts;       /* of digits, for sorting, a table a chunk */
    float (*chunk_boxes)[6];
    float *coordinates[3]; /* Morton-ordered, one array an axis */
    ft_node *nodes;
    float (*boxes)[6]; /* min and max of each axis, per node */
    int64_t n_nodes;
    ft_branch *branches; /* the largest subtrees of at most FT_BRANCH points, or leaves */
    int64_t n_branches;
    int32_t *crown; /* nodes above the branches, parents first */
    int64_t n_crown;
    ft_group *groups;
    int64_t n_groups;
    double *partial; /* one a group */
};

#endif
