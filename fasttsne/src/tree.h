/* tree.h - the tree as tree.c builds it and repulsion.c walks it. */
#ifndef FT_TREE_H
#define FT_TREE_H

#include "fasttsne.h"

#define FT_LEAF 64 /* points in a leaf, and in a group, at the most */
#define FT_MOMENTS 6

/* A cell, 64 bytes. Nodes stand in pre-order: a node's first child follows it, its subtree ends
 * before `skip`. A leaf has skip = its own place + 1. */
typedef struct {
    float center[3]; /* of mass */
    float mass;      /* number of points */
    float width2;    /* square of the longest side of the points' own bounding box */
    int32_t skip;
    int32_t begin, end;        /* its points on the Morton curve */
    float moments[FT_MOMENTS]; /* sum of (y - center)(y - center)': xx, xy, yy, xz, yz, zz */
    float trace;
    float unused;
} ft_node;

/* Consecutive points that walk the tree together. */
typedef struct {
    int32_t begin, end;
    int32_t leaf; /* the node they lie in */
} ft_group;

/* Interaction lists of one thread (repulsion.c). */
typedef struct ft_lists ft_lists;

struct ft_tree {
    int64_t n;
    int dim;
    int32_t *order; /* position on the Morton curve -> point */
    uint32_t *codes;
    int32_t *order_scratch;
    uint32_t *codes_scratch;
    float *coordinates[3]; /* Morton-ordered, one array an axis */
    ft_node *nodes;
    float (*boxes)[6]; /* min and max of each axis, per node */
    int64_t n_nodes;
    ft_group *groups;
    int64_t n_groups;
    double *partial; /* one a group */
    ft_lists *lists; /* one a thread */
    int n_lists;
};

ft_lists *ft_lists_create(int n_threads);
void ft_lists_destroy(ft_lists *lists);

#endif
