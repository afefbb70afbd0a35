/* tree.c - a linear tree over points sorted along the Hilbert curve.
 *
 * Points in the order of their codes (hilbert.c) -> cells, top down, by the highest bit in which
 * their codes differ (no chains of single children) -> masses, centres, moments and boxes, bottom
 * up. One thread cuts the crown, the cells of many points, into branches, and every branch is built
 * by one of all threads. The points of a cell that share one code, because a far outlier stretched
 * the grid, are sorted again in their own bounding box; a cell whose points coincide stays a leaf. */
#include "tree.h"
#include "dimensions.h"

#include <math.h>

#define CUTTING_COST 3.0 /* nanoseconds a point */
#define SUMMARY_COST 14.0
#define LOPSIDED 25.0 /* see squared_width; figures in benchmarks/NOTES.md */

ft_tree *ft_tree_create(int64_t n, int dim)
{
    ft_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) return NULL;
    ft_memory *memory = &tree->memory;
    tree->n = n, tree->dim = dim;
    ft_hilbert_allocate(&tree->curve, n, memory);
    for (int axis = 0; axis < dim; axis++)
        tree->coordinates[axis] = ft_memory_take(memory, n, sizeof(float));
    /* Every inner node has two children or more. Memory that is never touched costs nothing. */
    tree->nodes = ft_memory_take(memory, 2 * n + 1, sizeof *tree->nodes);
    tree->boxes = ft_memory_take(memory, 2 * n + 1, sizeof *tree->boxes);
    tree->thirds = ft_memory_take(memory, 2 * n + 1, sizeof *tree->thirds);
    tree->cells = ft_memory_take(memory, 2 * n, sizeof *tree->cells);
    tree->branches = ft_memory_take(memory, n + 1, sizeof *tree->branches);
    tree->crown = ft_memory_take(memory, n, sizeof *tree->crown);
    /* Groups end after FT_GROUP points, and on both sides of a leaf of more. */
    const int64_t n_groups = n / FT_GROUP + 2 * (n / (FT_LEAF + 1)) + 1;
    tree->groups = ft_memory_take(memory, n_groups, sizeof *tree->groups);
    tree->partial = ft_memory_take(memory, n_groups, sizeof *tree->partial);
    if (!memory->failed) return tree;
    ft_tree_destroy(tree);
    return NULL;
}

void ft_tree_destroy(ft_tree *tree)
{
    if (tree != NULL) ft_memory_free(&tree->memory);
    free(tree);
}

ft_status ft_tree_weigh(ft_tree *tree, const float *masses)
{
    tree->point_masses = masses;
    if (tree->masses == NULL) tree->masses = ft_memory_take(&tree->memory, tree->n, sizeof(float));
    return tree->masses == NULL ? FT_NO_MEMORY : FT_OK;
}

const int32_t *ft_tree_order(const ft_tree *tree) { return tree->curve.order; }

/* ---- Cells -------------------------------------------------------------------------------------- */

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

/* Whether all points in [begin, end) have one code. */
static int one_code(const ft_tree *tree, int64_t begin, int64_t end)
{
    return tree->curve.codes[begin] == tree->curve.codes[end - 1];
}

static void sort_again(ft_tree *tree, int64_t begin, int64_t end)
{
    ft_hilbert_sort_again(&tree->curve, tree->embedding, tree->dim, begin, end);
}

/* Bits of the codes below the cube whose children [begin, end) is split into. */
static int shift_of(const ft_tree *tree, int64_t begin, int64_t end)
{
    const uint32_t *codes = tree->curve.codes;
    return highest_bit(codes[begin] ^ codes[end - 1]) / tree->dim * tree->dim;
}

static int64_t end_of_child(const ft_tree *tree, int shift, int64_t begin, int64_t end,
                            int sorted_again)
{
    const ft_hilbert *curve = &tree->curve;
    const uint64_t next = ((uint64_t)(curve->codes[begin] >> shift) + 1) << shift;
    /* Above the buckets, other threads' codes need not be read. */
    if (shift >= curve->bucket_shift && !sorted_again)
        return curve->buckets[next >> curve->bucket_shift];
    return first_not_below(curve->codes, begin, end, next);
}

static void add_branch(ft_tree *tree, int32_t parent, int64_t begin, int64_t end)
{
    tree->branches[tree->n_branches++] = (ft_branch){
        .begin = (int32_t)begin, .end = (int32_t)end, .parent = parent, .n_above = tree->n_crown};
}

/* The nodes of the crown and their branches. */
static void add_to_crown(ft_tree *tree, int32_t parent, int64_t begin, int64_t end,
                         int sorted_again)
{
    if (end - begin > FT_BRANCH && one_code(tree, begin, end)) {
        sort_again(tree, begin, end);
        sorted_again = 1;
    }
    if (end - begin <= FT_BRANCH || one_code(tree, begin, end)) {
        add_branch(tree, parent, begin, end);
        return;
    }
    const int32_t index = tree->n_crown++;
    ft_crown_node *node = &tree->crown[index];
    int32_t n_children = 0;
    node->begin = (int32_t)begin, node->end = (int32_t)end;
    node->parent = parent, node->first_branch = tree->n_branches;
    const int shift = shift_of(tree, begin, end);
    for (int64_t at = begin; at < end; n_children++) {
        const int64_t stop = end_of_child(tree, shift, at, end, sorted_again);
        add_to_crown(tree, index, at, stop, sorted_again);
        at = stop;
    }
    node->last_branch = tree->n_branches, node->last = tree->n_crown;
    atomic_init(&node->n_open, n_children);
}

/* Adds a cell and those below it to those of a branch. */
static void add_cell(ft_tree *tree, ft_branch *branch, ft_cell *cells, int64_t begin, int64_t end)
{
    ft_cell *cell = &cells[branch->n_nodes++];
    if (end - begin > FT_LEAF && one_code(tree, begin, end)) sort_again(tree, begin, end);
    if (end - begin > FT_LEAF && one_code(tree, begin, end)) {
        branch->coincide = 1;
    } else if (end - begin > FT_LEAF) {
        const int shift = shift_of(tree, begin, end);
        for (int64_t at = begin; at < end;) {
            const int64_t stop = end_of_child(tree, shift, at, end, 1);
            add_cell(tree, branch, cells, at, stop);
            at = stop;
        }
    }
    *cell = (ft_cell){(int32_t)begin, (int32_t)end, branch->n_nodes};
}

static ft_cell *cells_of(const ft_tree *tree, const ft_branch *branch)
{
    return tree->cells + 2 * (int64_t)branch->begin; /* a branch of m points has fewer than 2 m */
}

static void cells_task(FT_TASK_ARGUMENTS)
{
    ft_tree *tree = context;
    ft_branch *branch = &tree->branches[chunk];
    add_cell(tree, branch, cells_of(tree, branch), branch->begin, branch->end);
}

/* The place of a node of the crown, of which `index` nodes and all branches before `branch` come
 * before it. */
static int32_t crown_place(const ft_tree *tree, int32_t index, int32_t branch)
{
    return tree->branches[branch].root - tree->branches[branch].n_above + index;
}

/* Once the numbers of nodes in all branches are known. */
static void find_places(ft_tree *tree)
{
    int32_t in_branches = 0;
    add_branch(tree, -1, tree->n, tree->n);
    for (int32_t b = 0; b < tree->n_branches; b++) {
        tree->branches[b].root = in_branches + tree->branches[b].n_above;
        in_branches += tree->branches[b].n_nodes;
    }
    tree->n_nodes = tree->branches[--tree->n_branches].root;
    for (int32_t c = 0; c < tree->n_crown; c++) {
        ft_crown_node *from = &tree->crown[c];
        from->place = crown_place(tree, c, from->first_branch);
        ft_node *node = &tree->nodes[from->place];
        node->begin = from->begin, node->end = from->end;
        node->skip = crown_place(tree, from->last, from->last_branch);
    }
}

static void add_groups(ft_tree *tree, int64_t begin, int64_t end, int coincide)
{
    for (int64_t at = begin; at < end; at += FT_GROUP) {
        int64_t stop = ft_least(at + FT_GROUP, end);
        tree->groups[tree->n_groups++] = (ft_group){(int32_t)at, (int32_t)stop, coincide};
    }
}

static void form_groups(ft_tree *tree)
{
    int64_t begin = 0;
    tree->n_groups = 0;
    for (int64_t b = 0; b < tree->n_branches; b++) {
        const ft_branch *branch = &tree->branches[b];
        if (!branch->coincide) continue;
        for (int32_t place = branch->root; place < branch->root + branch->n_nodes; place++) {
            const ft_node *node = &tree->nodes[place];
            if (node->skip != place + 1 || node->end - node->begin <= FT_LEAF) continue;
            add_groups(tree, begin, node->begin, 0);
            add_groups(tree, node->begin, node->end, 1);
            begin = node->end;
        }
    }
    add_groups(tree, begin, tree->n, 0);
}

/* ---- Summaries ---------------------------------------------------------------------------------- */

/* Sums over a cell's points of products of two and of three coordinates of y - center, of the axes
 * xx xy yy xz yz zz, and as in `of_three`. */
typedef struct {
    double second[FT_MOMENTS], third[FT_THIRDS];
} moments;

static const int of_two[3][3] = {{0, 1, 3}, {1, 2, 4}, {3, 4, 5}};
static const int of_three[FT_THIRDS][3] = {{0, 0, 0}, {0, 0, 1}, {0, 1, 1}, {1, 1, 1}, {0, 0, 2},
                                           {0, 1, 2}, {1, 1, 2}, {0, 2, 2}, {1, 2, 2}, {2, 2, 2}};
/* How many entries of the full tensor each stands for. */
static const int of_three_times[FT_THIRDS] = {1, 3, 3, 1, 3, 6, 3, 3, 3, 1};

FT_INLINE int thirds_of(int dim) { return dim == 1 ? 1 : dim == 2 ? 4 : 10; }

/* Adds those of a part, about its own centre, which is `delta` away from the cell's. */
FT_INLINE void add_moments(moments *to, int dim, const ft_node *part, const float *third,
                           const double delta[3])
{
    const double mass = (double)part->mass;
    for (int t = 0; t < thirds_of(dim); t++) {
        const int i = of_three[t][0], j = of_three[t][1], k = of_three[t][2];
        to->third[t] += (double)third[t] + mass * delta[i] * delta[j] * delta[k] +
                        (double)part->moments[of_two[i][j]] * delta[k] +
                        (double)part->moments[of_two[i][k]] * delta[j] +
                        (double)part->moments[of_two[j][k]] * delta[i];
    }
    for (int i = 0; i < dim; i++)
        for (int j = i; j < dim; j++)
            to->second[of_two[i][j]] +=
                (double)part->moments[of_two[i][j]] + mass * delta[i] * delta[j];
}

/* The squared width of a cell, to compare with the angle: that of the smallest square (cube,
 * interval) about the centre of mass whose sides and corners are as far away as those of the cell's
 * box, and which, evenly filled, has at least its second moments (a few clumps, or points along a
 * line, are wider than their box). The omitted third moments widen a lopsided cell. */
FT_INLINE double squared_width(int dim, double mass, const float box[6], const double center[3],
                               const moments *m)
{
    double corner2 = 0.0, side2 = 0.0, trace = 0.0, squares = 0.0, cubes = 0.0;
    for (int axis = 0; axis < dim; axis++) {
        double below = center[axis] - box[axis], above = box[3 + axis] - center[axis];
        double reach = below > above ? below : above;
        corner2 += reach * reach;
        side2 = reach * reach > side2 ? reach * reach : side2;
        trace += m->second[of_two[axis][axis]];
    }
    for (int i = 0; i < dim; i++)
        for (int j = 0; j < dim; j++) squares += m->second[of_two[i][j]] * m->second[of_two[i][j]];
    for (int t = 0; t < thirds_of(dim); t++) cubes += of_three_times[t] * m->third[t] * m->third[t];
    /* 0 where the points are spread alike in all directions, 1 along a line. */
    double along =
        dim == 1 || !(trace > 0.0) ? 1.0 : (dim * squares / (trace * trace) - 1.0) / (dim - 1);
    double half2 = 3.0 / dim * trace / mass * (1.0 + (2 * dim - 1) * along * along);
    half2 = half2 > side2 ? half2 : side2;
    half2 = half2 > corner2 / dim ? half2 : corner2 / dim;
    double lopsided2 = LOPSIDED * cbrt(cubes / (mass * mass));
    return 4.0 * half2 > lopsided2 ? 4.0 * half2 : lopsided2;
}

FT_INLINE void finish_node(const ft_tree *tree, int dim, int32_t place, double mass,
                           const double center[3], const moments *m)
{
    ft_node *node = &tree->nodes[place];
    for (int axis = 0; axis < dim; axis++) node->center[axis] = (float)center[axis];
    for (int i = 0; i < FT_MOMENTS; i++) node->moments[i] = (float)m->second[i];
    for (int t = 0; t < thirds_of(dim); t++) tree->thirds[place][t] = (float)m->third[t];
    node->trace = (float)(m->second[0] + m->second[2] + m->second[5]);
    node->mass = (float)mass;
    /* A cell without mass exerts no force at any distance. */
    node->width2 =
        mass > 0.0 ? (float)squared_width(dim, mass, tree->boxes[place], center, m) : 0.0f;
}

/* From the sum of mass times position; without mass, the middle of the box. */
FT_INLINE void find_center(double mass, const float box[6], int dim, double center[3])
{
    for (int axis = 0; axis < dim; axis++)
        center[axis] =
            mass > 0.0 ? center[axis] / mass : 0.5 * ((double)box[axis] + (double)box[3 + axis]);
}

FT_INLINE void summarize_leaf(const ft_tree *tree, int dim, int weighted, int32_t place)
{
    const float *embedding = tree->embedding;
    const int32_t begin = tree->nodes[place].begin, end = tree->nodes[place].end;
    float *box = tree->boxes[place];
    double center[3] = {0}, mass = weighted ? 0.0 : (double)(end - begin);
    ft_empty_box(box);
    for (int32_t i = begin; weighted && i < end; i++) {
        tree->masses[i] = tree->point_masses[tree->curve.order[i]];
        mass += (double)tree->masses[i];
    }
    for (int axis = 0; axis < dim; axis++) {
        float *y = tree->coordinates[axis];
        float low = FLT_MAX, high = -FLT_MAX;
        double sum = 0.0;
        for (int32_t i = begin; i < end; i++) {
            float at = embedding[(int64_t)tree->curve.order[i] * dim + axis];
            y[i] = at;
            sum += weighted ? (double)tree->masses[i] * (double)at : (double)at;
            low = at < low ? at : low;
            high = at > high ? at : high;
        }
        center[axis] = sum;
        box[axis] = low;
        box[3 + axis] = high;
    }
    find_center(mass, box, dim, center);
    moments m = {{0}, {0}};
    for (int32_t p = begin; p < end; p++) {
        double delta[3] = {0};
        for (int axis = 0; axis < dim; axis++)
            delta[axis] = (double)tree->coordinates[axis][p] - center[axis];
        const double of_point = weighted ? (double)tree->masses[p] : 1.0;
        for (int i = 0; i < dim; i++)
            for (int j = i; j < dim; j++) m.second[of_two[i][j]] += of_point * delta[i] * delta[j];
        for (int t = 0; t < thirds_of(dim); t++)
            m.third[t] +=
                of_point * delta[of_three[t][0]] * delta[of_three[t][1]] * delta[of_three[t][2]];
    }
    finish_node(tree, dim, place, mass, center, &m);
}

FT_INLINE void summarize_inner(const ft_tree *tree, int dim, int32_t place)
{
    const ft_node *node = &tree->nodes[place];
    float *box = tree->boxes[place];
    double center[3] = {0}, mass = 0.0;
    ft_empty_box(box);
    for (int32_t c = place + 1; c < node->skip; c = tree->nodes[c].skip) {
        const ft_node *child = &tree->nodes[c];
        mass += tree->masses != NULL ? (double)child->mass : (double)(child->end - child->begin);
        ft_extend_box(box, tree->boxes[c], dim);
        for (int axis = 0; axis < dim; axis++)
            center[axis] += (double)child->mass * (double)child->center[axis];
    }
    find_center(mass, box, dim, center);
    moments m = {{0}, {0}};
    for (int32_t c = place + 1; c < node->skip; c = tree->nodes[c].skip) {
        double delta[3] = {0};
        for (int axis = 0; axis < dim; axis++)
            delta[axis] = (double)tree->nodes[c].center[axis] - center[axis];
        add_moments(&m, dim, &tree->nodes[c], tree->thirds[c], delta);
    }
    finish_node(tree, dim, place, mass, center, &m);
}

FT_INLINE void summarize_branch(ft_tree *tree, int dim, int weighted, const ft_branch *branch)
{
    const ft_cell *cells = cells_of(tree, branch);
    for (int32_t i = branch->n_nodes - 1; i >= 0; i--) {
        const int32_t place = branch->root + i;
        ft_node *node = &tree->nodes[place];
        node->begin = cells[i].begin, node->end = cells[i].end;
        node->skip = branch->root + cells[i].skip;
        if (cells[i].skip == i + 1)
            summarize_leaf(tree, dim, weighted, place);
        else
            summarize_inner(tree, dim, place);
    }
}

FT_INLINE void summarize_body(FT_TASK_ARGUMENTS)
{
    ft_tree *tree = context;
    const ft_branch *branch = &tree->branches[chunk];
    if (tree->masses != NULL)
        summarize_branch(tree, tree->dim, 1, branch);
    else
        FT_DIM_DISPATCH(tree->dim, summarize_branch(tree, DIM, 0, branch))
    /* The thread that summarises the last child of a node of the crown goes on with that node. */
    for (int32_t c = branch->parent; c >= 0 && atomic_fetch_sub(&tree->crown[c].n_open, 1) == 1;
         c = tree->crown[c].parent)
        summarize_inner(tree, tree->dim, tree->crown[c].place);
}
FT_TASK_VARIANTS(summarize)

ft_status ft_tree_build(ft_tree *tree, const float *embedding, ft_run *run)
{
    ft_status status = ft_hilbert_sort(&tree->curve, embedding, tree->n, tree->dim, run);
    if (status != FT_OK) return status;
    tree->embedding = embedding;
    tree->n_branches = tree->n_crown = 0;
    add_to_crown(tree, -1, 0, tree->n, 0);
    const double points = (double)tree->n / (double)tree->n_branches;
    status = ft_parallel_run(run, tree->n_branches, CUTTING_COST * points, cells_task, tree);
    if (status != FT_OK) return status;
    find_places(tree);
    status =
        ft_parallel_run(run, tree->n_branches, SUMMARY_COST * points, FT_TASK(summarize), tree);
    if (status != FT_OK) return status;
    form_groups(tree);
    return FT_OK;
}
