/* tree.c - a linear tree over points sorted along the Morton curve.
 *
 * Build: coordinates -> Morton codes -> radix sort -> cells, top down, by the highest bit in
 * which their codes differ (so there are no chains of single children) -> masses, centres and
 * second moments, bottom up. A cell whose points share one code, because a far outlier stretched
 * the grid, is gridded anew in its own bounding box; a cell whose points coincide stays a leaf.
 */
#include "tree.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RADIX_BITS 11
#define RADIX (1 << RADIX_BITS)
#define RADIX_PASSES 3

static int bits_per_axis(int dim) { return dim == 2 ? 16 : dim == 3 ? 10 : 30; }

ft_tree *ft_tree_create(int64_t n, int dim, int n_threads)
{
    ft_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) return NULL;
    size_t points = (size_t)n;
    tree->n = n;
    tree->dim = dim;
    tree->order = malloc(sizeof(int32_t) * points);
    tree->codes = malloc(sizeof(uint32_t) * points);
    tree->order_scratch = malloc(sizeof(int32_t) * points);
    tree->codes_scratch = malloc(sizeof(uint32_t) * points);
    int complete = tree->order && tree->codes && tree->order_scratch && tree->codes_scratch;
    for (int axis = 0; axis < dim; axis++) {
        tree->coordinates[axis] = malloc(sizeof(float) * points);
        complete = complete && tree->coordinates[axis];
    }
    /* Every inner node has two children or more, so 2n nodes are always enough. Memory that is
     * never touched costs nothing. */
    tree->nodes = malloc(sizeof(ft_node) * (2 * points + 1));
    tree->boxes = malloc(sizeof(*tree->boxes) * (2 * points + 1));
    tree->groups = malloc(sizeof(ft_group) * (points + 1));
    tree->partial = malloc(sizeof(double) * (points + 1));
    tree->lists = ft_lists_create(n_threads);
    tree->n_lists = n_threads;
    if (!complete || !tree->nodes || !tree->boxes || !tree->groups || !tree->partial ||
        !tree->lists) {
        ft_tree_destroy(tree);
        return NULL;
    }
    return tree;
}

void ft_tree_destroy(ft_tree *tree)
{
    if (tree == NULL) return;
    free(tree->order);
    free(tree->codes);
    free(tree->order_scratch);
    free(tree->codes_scratch);
    for (int axis = 0; axis < 3; axis++) free(tree->coordinates[axis]);
    free(tree->nodes);
    free(tree->boxes);
    free(tree->groups);
    free(tree->partial);
    ft_lists_destroy(tree->lists);
    free(tree);
}

const int32_t *ft_tree_order(const ft_tree *tree) { return tree->order; }

/* ---- Sorting ---------------------------------------------------------------------------------- */

static uint32_t spread_by_one(uint32_t v)
{
    v = (v | v << 8) & 0x00ff00ff;
    v = (v | v << 4) & 0x0f0f0f0f;
    v = (v | v << 2) & 0x33333333;
    return (v | v << 1) & 0x55555555;
}

static uint32_t spread_by_two(uint32_t v)
{
    v = (v | v << 16) & 0x030000ff;
    v = (v | v << 8) & 0x0300f00f;
    v = (v | v << 4) & 0x030c30c3;
    return (v | v << 2) & 0x09249249;
}

static void bounding_box(const ft_tree *tree, const float *embedding, int64_t begin, int64_t end,
                         float box[6])
{
    for (int axis = 0; axis < tree->dim; axis++) {
        box[axis] = FLT_MAX;
        box[3 + axis] = -FLT_MAX;
    }
    for (int64_t i = begin; i < end; i++) {
        const float *y = embedding + (int64_t)tree->order[i] * tree->dim;
        for (int axis = 0; axis < tree->dim; axis++) {
            if (y[axis] < box[axis]) box[axis] = y[axis];
            if (y[axis] > box[3 + axis]) box[3 + axis] = y[axis];
        }
    }
}

static float longest_side(const float box[6], int dim)
{
    float side = 0.0f;
    for (int axis = 0; axis < dim; axis++)
        if (box[3 + axis] - box[axis] > side) side = box[3 + axis] - box[axis];
    return side;
}

static void encode(ft_tree *tree, const float *embedding, int64_t begin, int64_t end,
                   const float box[6])
{
    const int dim = tree->dim;
    const uint32_t last = (1u << bits_per_axis(dim)) - 1u;
    double scale = (double)last / (double)longest_side(box, dim);
    if (!isfinite(scale)) scale = 0.0;
    for (int64_t i = begin; i < end; i++) {
        const float *y = embedding + (int64_t)tree->order[i] * dim;
        uint32_t cell[3] = {0, 0, 0};
        for (int axis = 0; axis < dim; axis++) {
            double offset = ((double)y[axis] - (double)box[axis]) * scale;
            cell[axis] = offset < (double)last ? (uint32_t)offset : last;
        }
        tree->codes[i] = dim == 2 ? spread_by_one(cell[0]) | spread_by_one(cell[1]) << 1
                         : dim == 3 ? spread_by_two(cell[0]) | spread_by_two(cell[1]) << 1 |
                                          spread_by_two(cell[2]) << 2
                                    : cell[0];
    }
}

/* Stable, so that equal codes keep the order they came in. */
static void radix_sort(ft_tree *tree, int64_t begin, int64_t end)
{
    int64_t counts[RADIX_PASSES][RADIX];
    memset(counts, 0, sizeof counts);
    for (int64_t i = begin; i < end; i++)
        for (int pass = 0; pass < RADIX_PASSES; pass++)
            counts[pass][tree->codes[i] >> (pass * RADIX_BITS) & (RADIX - 1)]++;

    uint32_t *codes = tree->codes, *codes_to = tree->codes_scratch;
    int32_t *order = tree->order, *order_to = tree->order_scratch;
    int swaps = 0;
    for (int pass = 0; pass < RADIX_PASSES; pass++) {
        int shift = pass * RADIX_BITS;
        int64_t *count = counts[pass];
        if (count[codes[begin] >> shift & (RADIX - 1)] == end - begin) continue;
        int64_t start = begin;
        for (int digit = 0; digit < RADIX; digit++) {
            int64_t size = count[digit];
            count[digit] = start;
            start += size;
        }
        for (int64_t i = begin; i < end; i++) {
            int64_t place = count[codes[i] >> shift & (RADIX - 1)]++;
            codes_to[place] = codes[i];
            order_to[place] = order[i];
        }
        uint32_t *codes_swap = codes;
        int32_t *order_swap = order;
        codes = codes_to, codes_to = codes_swap;
        order = order_to, order_to = order_swap;
        swaps++;
    }
    if (swaps % 2 == 1) {
        size_t size = (size_t)(end - begin);
        memcpy(tree->codes + begin, codes + begin, sizeof(uint32_t) * size);
        memcpy(tree->order + begin, order + begin, sizeof(int32_t) * size);
    }
}

/* ---- Cells -------------------------------------------------------------------------------------- */

static void add_groups(ft_tree *tree, int64_t begin, int64_t end, int32_t leaf)
{
    for (int64_t at = begin; at < end; at += FT_LEAF) {
        int64_t stop = end - at < FT_LEAF ? end : at + FT_LEAF;
        tree->groups[tree->n_groups++] = (ft_group){(int32_t)at, (int32_t)stop, leaf};
    }
}

static int64_t first_not_below(const uint32_t *codes, int64_t begin, int64_t end, uint64_t code)
{
    while (begin < end) {
        int64_t middle = begin + (end - begin) / 2;
        if (codes[middle] < code)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

static int highest_bit(uint32_t v)
{
    int bit = -1;
    for (; v != 0; v >>= 1) bit++;
    return bit;
}

static void add_cell(ft_tree *tree, const float *embedding, int64_t begin, int64_t end)
{
    int32_t place = (int32_t)tree->n_nodes++;
    ft_node *node = &tree->nodes[place];
    node->begin = (int32_t)begin;
    node->end = (int32_t)end;
    int leaf = end - begin <= FT_LEAF;
    if (!leaf && tree->codes[begin] == tree->codes[end - 1]) {
        float box[6];
        bounding_box(tree, embedding, begin, end, box);
        if (longest_side(box, tree->dim) > 0.0f) {
            encode(tree, embedding, begin, end, box);
            radix_sort(tree, begin, end);
        }
        leaf = tree->codes[begin] == tree->codes[end - 1]; /* all coincide */
    }
    if (leaf) {
        add_groups(tree, begin, end, place);
    } else {
        uint32_t first = tree->codes[begin], last = tree->codes[end - 1];
        int shift = highest_bit(first ^ last) / tree->dim * tree->dim;
        for (int64_t at = begin; at < end;) {
            uint64_t next = ((uint64_t)(tree->codes[at] >> shift) + 1) << shift;
            int64_t stop = first_not_below(tree->codes, at, end, next);
            add_cell(tree, embedding, at, stop);
            at = stop;
        }
    }
    tree->nodes[place].skip = (int32_t)tree->n_nodes;
}

/* ---- Masses, centres, moments ------------------------------------------------------------------- */

/* Adds mass * delta delta' to the moments. */
static void add_outer(double moments[FT_MOMENTS], double mass, const double delta[3])
{
    moments[0] += mass * delta[0] * delta[0];
    moments[1] += mass * delta[0] * delta[1];
    moments[2] += mass * delta[1] * delta[1];
    moments[3] += mass * delta[0] * delta[2];
    moments[4] += mass * delta[1] * delta[2];
    moments[5] += mass * delta[2] * delta[2];
}

static void finish_node(ft_node *node, const float box[6], int dim, const double moments[])
{
    for (int m = 0; m < FT_MOMENTS; m++) node->moments[m] = (float)moments[m];
    node->trace = (float)(moments[0] + moments[2] + moments[5]);
    float side = longest_side(box, dim);
    node->width2 = side * side;
    node->mass = (float)(node->end - node->begin);
}

static void summarize_leaf(const ft_tree *tree, ft_node *node, float box[6])
{
    const int dim = tree->dim;
    double center[3] = {0}, moments[FT_MOMENTS] = {0};
    for (int axis = 0; axis < dim; axis++) {
        const float *y = tree->coordinates[axis];
        float low = y[node->begin], high = low;
        double sum = 0.0;
        for (int32_t i = node->begin; i < node->end; i++) {
            sum += y[i];
            low = y[i] < low ? y[i] : low;
            high = y[i] > high ? y[i] : high;
        }
        center[axis] = sum / (node->end - node->begin);
        box[axis] = low;
        box[3 + axis] = high;
        node->center[axis] = (float)center[axis];
    }
    for (int32_t i = node->begin; i < node->end; i++) {
        double delta[3] = {0};
        for (int axis = 0; axis < dim; axis++)
            delta[axis] = (double)tree->coordinates[axis][i] - center[axis];
        add_outer(moments, 1.0, delta);
    }
    finish_node(node, box, dim, moments);
}

static void summarize_inner(const ft_tree *tree, int64_t place, float box[6])
{
    const int dim = tree->dim;
    ft_node *node = &tree->nodes[place];
    double center[3] = {0}, moments[FT_MOMENTS] = {0};
    memcpy(box, tree->boxes[place + 1], sizeof(float) * 6);
    for (int64_t c = place + 1; c < node->skip; c = tree->nodes[c].skip) {
        const ft_node *child = &tree->nodes[c];
        for (int axis = 0; axis < dim; axis++) {
            center[axis] += (double)child->mass * (double)child->center[axis];
            if (tree->boxes[c][axis] < box[axis]) box[axis] = tree->boxes[c][axis];
            if (tree->boxes[c][3 + axis] > box[3 + axis])
                box[3 + axis] = tree->boxes[c][3 + axis];
        }
    }
    for (int axis = 0; axis < dim; axis++) {
        center[axis] /= node->end - node->begin;
        node->center[axis] = (float)center[axis];
    }
    for (int64_t c = place + 1; c < node->skip; c = tree->nodes[c].skip) {
        const ft_node *child = &tree->nodes[c];
        double delta[3] = {0};
        for (int axis = 0; axis < dim; axis++)
            delta[axis] = (double)child->center[axis] - center[axis];
        for (int m = 0; m < FT_MOMENTS; m++) moments[m] += child->moments[m];
        add_outer(moments, child->mass, delta);
    }
    finish_node(node, box, dim, moments);
}

ft_status ft_tree_build(ft_tree *tree, const float *embedding, ft_run *run)
{
    (void)run;
    float box[6] = {0};
    for (int64_t i = 0; i < tree->n; i++) tree->order[i] = (int32_t)i;
    for (int64_t i = 0; i < tree->n * tree->dim; i++)
        if (!(fabsf(embedding[i]) < FT_LARGEST_COORDINATE)) return FT_DIVERGED;
    bounding_box(tree, embedding, 0, tree->n, box);
    encode(tree, embedding, 0, tree->n, box);
    radix_sort(tree, 0, tree->n);
    tree->n_nodes = tree->n_groups = 0;
    add_cell(tree, embedding, 0, tree->n);

    for (int64_t i = 0; i < tree->n; i++)
        for (int axis = 0; axis < tree->dim; axis++)
            tree->coordinates[axis][i] = embedding[(int64_t)tree->order[i] * tree->dim + axis];
    for (int64_t place = tree->n_nodes - 1; place >= 0; place--) {
        ft_node *node = &tree->nodes[place];
        if (node->skip == place + 1)
            summarize_leaf(tree, node, tree->boxes[place]);
        else
            summarize_inner(tree, place, tree->boxes[place]);
    }
    return FT_OK;
}
