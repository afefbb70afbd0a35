/* repulsion.c - Barnes-Hut repulsion, a group of points at a time.
 *
 * The method, for one point y, as a recursion from the root of the tree:
 *
 *     repulsion(y):
 *         force = 0, sum_q = 0
 *         visit(root)
 *         return force, sum_q
 *
 *     visit(cell):
 *         r = y - cell.center                            center of mass
 *         if cell.width^2 <= angle^2 |r|^2:              small or far: use its moments
 *             add_cell(cell, r)
 *         else if cell is a leaf:                        near: use its points
 *             for z in cell.points, z is not y:
 *                 add_point(y - z)
 *         else:                                          near and large: open it
 *             for child in cell.children:
 *                 visit(child)
 *
 *     add_point(r):
 *         u = 1 / (1 + |r|^2 / nu)
 *         w = u^((nu+1)/2)
 *         sum_q += w
 *         force += w u r
 *
 *     add_cell(cell, r):                                 as if all its points were at its center,
 *         m = cell.mass                                  corrected by its second moments:
 *         sum_q += w m + ...                             see expansion.h
 *         force += w u m r + ...
 *
 * The code below computes the same sums in another order, for speed:
 *
 * - Points in a row on the Hilbert curve form a group. A cell is accepted for the whole group, by
 *   its distance from the group's bounding box (Barnes 1990).
 * - The walk only collects sources: a list of cells and of ranges of points. Every source on the
 *   list then acts on all points of the group at once, one point per vector lane.
 * - Nodes are in pre-order, so the walk is a loop over an array: the next node opens a cell, and
 *   node.skip accepts it.
 * - TOGETHER groups in a row walk the tree together, because their walks hardly differ.
 *
 * expansion.h has the condition under which a cell is accepted, and the moments. */
#include "expansion.h"

#include <math.h>
#include <string.h>

#define TOGETHER 16      /* most groups that walk the tree together */
#define CHUNKS 16        /* least number of chunks for each thread, so that all end together */
#define POINT_COST 100.0 /* nanoseconds */

#define LONGEST_SUM 1024 /* points in one sum in single precision */
/* A coordinate so far away that its point has no weight, but near enough to be squared. */
#define OUT_OF_REACH 1e15f

typedef struct {
    const ft_tree *tree;
    ft_student_kind kind;
    ft_student_constants student;
    float squared_angle;
    int64_t first, last;
    int64_t together; /* groups of a chunk, which do not influence each other's result */
    float *repulsive;
} repulsion;

/* Cells at the front of `items`; ranges of points, begin and end, at its back. */
#define ITEMS 256
typedef struct {
    int32_t n_cells;
    int32_t n_range_items; /* two a range */
    int32_t items[ITEMS];
} source_list;

typedef struct {
    float force[3][FT_GROUP];
    float sum_q[FT_GROUP];
} sums;

/* A group at work, one point per lane; spare lanes repeat the first point. */
typedef struct {
    int32_t begin, end;
    float low[3], high[3];
    float y[3][FT_GROUP];
    source_list list;
    sums to;
} group_state;

/* ---- Evaluation ------------------------------------------------------------------------------- */

/* Local arrays of positions and sums stay in vector registers during the loop over sources. */
#define LOCAL_POSITIONS(g)                       \
    float x[FT_GROUP], y[FT_GROUP], z[FT_GROUP]; \
    for (int l = 0; l < FT_GROUP; l++) {         \
        x[l] = (g)->y[0][l];                     \
        y[l] = dim > 1 ? (g)->y[1][l] : 0.0f;    \
        z[l] = dim > 2 ? (g)->y[2][l] : 0.0f;    \
    }                                            \
    float fx[FT_GROUP] = {0}, fy[FT_GROUP] = {0}, fz[FT_GROUP] = {0}, q[FT_GROUP] = {0}

#define ADD_LOCAL_SUMS(to)                       \
    for (int l = 0; l < FT_GROUP; l++) {         \
        (to)->sum_q[l] += q[l];                  \
        (to)->force[0][l] += fx[l];              \
        if (dim > 1) (to)->force[1][l] += fy[l]; \
        if (dim > 2) (to)->force[2][l] += fz[l]; \
    }

FT_INLINE void cells_on_lanes(int dim, ft_student_kind kind, const repulsion *c, group_state *g)
{
    const ft_student_constants student = c->student;
    const ft_expansion_factors factors = ft_expansion_factors_of(student);
    LOCAL_POSITIONS(g);
    for (int32_t s = 0; s < g->list.n_cells; s++) {
        FT_NO_JAM
        const ft_node *node = &c->tree->nodes[g->list.items[s]];
        const float c0 = node->center[0], c1 = node->center[1], c2 = node->center[2];
        const float *m = node->moments;
        const ft_expansion cell = {node->mass, node->trace, m[0], m[1], m[2], m[3], m[4], m[5]};
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            float rx = x[l] - c0;
            float ry = dim > 1 ? y[l] - c1 : 0.0f;
            float rz = dim > 2 ? z[l] - c2 : 0.0f;
            float share, ax, ay, az;
            ft_expansion_act(dim, kind, student, factors, &cell, rx, ry, rz, &share, &ax, &ay, &az);
            q[l] += share;
            fx[l] += ax;
            if (dim > 1) fy[l] += ay;
            if (dim > 2) fz[l] += az;
        }
    }
    ADD_LOCAL_SUMS(&g->to)
}

/* A point of this mass at (c0, c1, c2) acts on lane l. */
#define POINT_ON_LANE(l, mass, c0, c1, c2)                                      \
    {                                                                           \
        float rx = x[l] - (c0);                                                 \
        float ry = dim > 1 ? y[l] - (c1) : 0.0f;                                \
        float rz = dim > 2 ? z[l] - (c2) : 0.0f;                                \
        float u, w;                                                             \
        ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w); \
        w *= (mass);                                                            \
        float strength = w * u;                                                 \
        q[l] += w;                                                              \
        fx[l] += strength * rx;                                                 \
        if (dim > 1) fy[l] += strength * ry;                                    \
        if (dim > 2) fz[l] += strength * rz;                                    \
    }

/* masses: those of the points on the curve, or NULL where all are 1. */
FT_INLINE void points_on_lanes(int dim, ft_student_kind kind, const repulsion *c,
                               const float *masses, int32_t begin, int32_t end, group_state *g)
{
    const ft_student_constants student = c->student;
    const float *const *sources = (const float *const *)c->tree->coordinates;
    LOCAL_POSITIONS(g);
    for (int32_t s = begin; s < end; s++) {
        FT_NO_JAM
        const float c0 = sources[0][s], c1 = dim > 1 ? sources[1][s] : 0.0f,
                    c2 = dim > 2 ? sources[2][s] : 0.0f;
        const float mass = masses != NULL ? masses[s] : 1.0f;
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            POINT_ON_LANE(l, mass, c0, c1, c2)
        }
    }
    ADD_LOCAL_SUMS(&g->to)
}

/* The points of the group act on each other: lane l meets l + 1, l + 2, ... but not l. */
FT_INLINE void lanes_on_lanes(int dim, ft_student_kind kind, const repulsion *c,
                              const float *masses, group_state *g)
{
    const ft_student_constants student = c->student;
    float sx[2 * FT_GROUP], sy[2 * FT_GROUP], sz[2 * FT_GROUP], mass[2 * FT_GROUP];
    LOCAL_POSITIONS(g);
    for (int l = 0; l < 2 * FT_GROUP; l++) {
        const int lane = l % FT_GROUP, spare = lane >= g->end - g->begin;
        sx[l] = spare ? OUT_OF_REACH : x[lane];
        sy[l] = dim > 1 ? y[lane] : 0.0f;
        sz[l] = dim > 2 ? z[lane] : 0.0f;
        mass[l] = masses == NULL || spare ? 1.0f : masses[g->begin + lane];
    }
    for (int shift = 1; shift < FT_GROUP; shift++) {
        FT_NO_JAM
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            POINT_ON_LANE(l, masses != NULL ? mass[l + shift] : 1.0f, sx[l + shift], sy[l + shift],
                          sz[l + shift])
        }
    }
    ADD_LOCAL_SUMS(&g->to)
}

/* Adds the listed sources to the sums. Long sums are split, because they lose single precision. */
FT_INLINE void act(int dim, ft_student_kind kind, const repulsion *c, group_state *g)
{
    cells_on_lanes(dim, kind, c, g);
    for (int32_t at = ITEMS - g->list.n_range_items; at < ITEMS; at += 2) {
        const int32_t end = g->list.items[at + 1];
        for (int32_t begin = g->list.items[at]; begin < end; begin += LONGEST_SUM) {
            int32_t stop = end - begin < LONGEST_SUM ? end : begin + LONGEST_SUM;
            if (c->tree->masses == NULL)
                points_on_lanes(dim, kind, c, NULL, begin, stop, g);
            else
                points_on_lanes(dim, kind, c, c->tree->masses, begin, stop, g);
        }
    }
    g->list.n_cells = g->list.n_range_items = 0;
}

/* ---- Traversal --------------------------------------------------------------------------------- */

FT_INLINE void add_cell(int dim, ft_student_kind kind, const repulsion *c, group_state *g,
                        int32_t place)
{
    if (g->list.n_cells + g->list.n_range_items == ITEMS) act(dim, kind, c, g);
    g->list.items[g->list.n_cells++] = place;
}

FT_INLINE void add_range(int dim, ft_student_kind kind, const repulsion *c, group_state *g,
                         int32_t begin, int32_t end)
{
    int32_t *last = &g->list.items[ITEMS - g->list.n_range_items];
    if (begin >= end) return;
    if (g->list.n_range_items > 0 && last[1] == begin) {
        last[1] = end;
        return;
    }
    if (g->list.n_cells + g->list.n_range_items + 2 > ITEMS) {
        act(dim, kind, c, g);
        last = &g->list.items[ITEMS];
    }
    last[-2] = begin;
    last[-1] = end;
    g->list.n_range_items += 2;
}

/* Lists the sources of a few groups, without their own points. A lane is a group. It rests while
 * others are below a cell that it has accepted. */
FT_INLINE void walk(int dim, ft_student_kind kind, const repulsion *c, group_state *groups,
                    int count)
{
    const ft_tree *tree = c->tree;
    const int32_t first = groups[0].begin, last = groups[count - 1].end;
    float low[3][TOGETHER], high[3][TOGETHER];
    int32_t rests_until[TOGETHER];
    for (int g = 0; g < TOGETHER; g++) {
        const group_state *from = &groups[g < count ? g : 0];
        rests_until[g] = g < count ? 0 : INT32_MAX;
        for (int axis = 0; axis < dim; axis++) {
            low[axis][g] = from->low[axis];
            high[axis][g] = from->high[axis];
        }
    }
    for (int32_t place = 0; place < tree->n_nodes;) {
        const ft_node *node = &tree->nodes[place];
        const int32_t size = node->end - node->begin;
        const int is_leaf = node->skip == place + 1;
        uint32_t awake = 0, accepting = 0;
#pragma omp simd reduction(| : awake, accepting)
        for (int g = 0; g < TOGETHER; g++) {
            /* From the cell's centre to the group's box. */
            float r2 = 0.0f;
            for (int axis = 0; axis < dim; axis++) {
                float below = low[axis][g] - node->center[axis];
                float above = node->center[axis] - high[axis][g];
                float gap = below > above ? below : above;
                gap = gap > 0.0f ? gap : 0.0f;
                r2 += gap * gap;
            }
            awake |= (uint32_t)(rests_until[g] <= place) << g;
            accepting |= (uint32_t)(node->width2 <= c->squared_angle * (r2 + FT_SOFTENING)) << g;
        }
        if (is_leaf && size > FT_LEAF)
            accepting = awake; /* all its points are one */
        else if (size <= FT_FEW_IN_CELL)
            accepting = 0;
        else if (node->begin < last && first < node->end)
            for (int g = 0; g < count; g++)
                if (node->begin < groups[g].end && groups[g].begin < node->end)
                    accepting &= ~(1u << g);
        accepting &= awake;
        for (uint32_t left = accepting; left != 0; left &= left - 1) {
            int g = ft_lowest_bit(left);
            add_cell(dim, kind, c, &groups[g], place);
            rests_until[g] = node->skip;
        }
        uint32_t opening = awake & ~accepting;
        if (is_leaf) {
            for (; opening != 0; opening &= opening - 1) {
                group_state *g = &groups[ft_lowest_bit(opening)];
                int32_t before = node->end < g->begin ? node->end : g->begin;
                int32_t after = node->begin > g->end ? node->begin : g->end;
                add_range(dim, kind, c, g, node->begin, before);
                add_range(dim, kind, c, g, after, node->end);
            }
            place++;
        } else {
            place = opening != 0 ? place + 1 : node->skip;
        }
    }
}

FT_INLINE void load_group(const ft_tree *tree, int dim, const ft_group *group, group_state *g)
{
    g->begin = group->begin;
    g->end = group->end;
    g->list.n_cells = g->list.n_range_items = 0;
    memset(&g->to, 0, sizeof g->to);
    for (int axis = 0; axis < dim; axis++) {
        const float *from = tree->coordinates[axis] + group->begin;
        float low = from[0], high = from[0];
        for (int l = 0; l < FT_GROUP; l++) {
            float at = l < group->end - group->begin ? from[l] : from[0];
            g->y[axis][l] = at;
            low = at < low ? at : low;
            high = at > high ? at : high;
        }
        g->low[axis] = low;
        g->high[axis] = high;
    }
}

/* Returns the group's share of sum_q. */
FT_INLINE double finish_group(int dim, ft_student_kind kind, const repulsion *c, int coincide,
                              group_state *g)
{
    const int count = g->end - g->begin;
    act(dim, kind, c, g);
    const float *masses = c->tree->masses;
    /* Points of a leaf of coinciding points have met themselves. */
    double sum_q = coincide && masses == NULL ? -(double)count : 0.0;
    if (!coincide && masses == NULL) lanes_on_lanes(dim, kind, c, NULL, g);
    if (!coincide && masses != NULL) lanes_on_lanes(dim, kind, c, masses, g);
    for (int l = 0; l < count; l++) {
        float *out = c->repulsive + (int64_t)c->tree->curve.order[g->begin + l] * dim;
        for (int axis = 0; axis < dim; axis++) out[axis] = g->to.force[axis][l];
        double q = (double)g->to.sum_q[l];
        if (masses != NULL) {
            /* Each of m copies meets m - 1 at its own place, at least 0. */
            const double mass = (double)masses[g->begin + l];
            q += (mass > 1.0 ? mass - 1.0 : 0.0) - (coincide ? mass : 0.0);
            q *= mass;
        }
        sum_q += q;
    }
    return sum_q;
}

FT_INLINE void repulsion_body(int dim, ft_student_kind kind, FT_TASK_ARGUMENTS)
{
    const repulsion *c = context;
    const ft_tree *tree = c->tree;
    const int64_t begin = c->first + chunk * c->together;
    const int64_t end = ft_least(begin + c->together, c->last);
    group_state groups[TOGETHER];
    const int count = (int)(end - begin);
    if (count < 1) return; /* never; for compilers */
    for (int g = 0; g < count; g++) load_group(tree, dim, &tree->groups[begin + g], &groups[g]);
    walk(dim, kind, c, groups, count);
    for (int g = 0; g < count; g++)
        tree->partial[begin + g] =
            finish_group(dim, kind, c, tree->groups[begin + g].coincide, &groups[g]);
}
FT_STUDENT_TASK_VARIANTS(repulsion)

int64_t ft_repulsion_groups(const ft_tree *tree) { return tree->n_groups; }

ft_status ft_repulsion_compute(const ft_tree *tree, ft_student student, double angle, int64_t first,
                               int64_t last, float *repulsive, double *sum_q, ft_run *run)
{
    repulsion c = {.tree = tree, .first = first, .last = last, .repulsive = repulsive};
    c.kind = ft_student_kind_of(student), c.student = ft_student_constants_of(student);
    c.squared_angle = ft_squared_opening(tree, angle);
    c.together = TOGETHER;
    while (c.together > 4 && last - first < CHUNKS * c.together * ft_parallel_threads(run))
        c.together /= 2;
    int64_t n_chunks = (last - first + c.together - 1) / c.together;
    ft_status status = ft_parallel_run(run, n_chunks, (double)c.together * FT_GROUP * POINT_COST,
                                       FT_STUDENT_TASK(repulsion, tree->dim, c.kind), &c);
    *sum_q = ft_sum(tree->partial + first, last - first);
    return status;
}
