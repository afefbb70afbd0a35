/* repulsion.c - Barnes-Hut repulsion, a group of points at a time.
 *
 * Neighbouring points on the Morton curve walk the tree together (Barnes 1990): a cell is
 * accepted for all of them by its distance from their bounding box, and what acts on them becomes
 * a list of cells and of ranges of points. Then every source on the list meets all points of the
 * group at once, a point a vector lane.
 *
 * Lists are kept while the tree's cells are. What moved since is no matter as long as every cell
 * on the list still passes the test, if by a margin less; where one does not, the group walks anew.
 *
 * A cell acts through its mass and its second moments M about its centre of mass. With r the way
 * from the centre to the point, a = (nu+1)/2 and t = trace(M), the Taylor expansion gives
 *
 *     sum_q:  w (m - a/nu u (t - 2 (a+1)/nu u r'Mr))
 *     force:  w u ((m - (a+1)/nu u (t - 2 (a+2)/nu u r'Mr)) r - 2 (a+1)/nu u M r)
 *
 * Because of M the error at a given opening angle is far below that of cells without moments, so
 * the angle used here is wider than the angle the user gives, as far as forces stay more accurate
 * than under the classic test (Barnes & Hut 1986, van der Maaten 2014).
 */
#include "student.h"
#include "tree.h"

#include <math.h>

#define GROUPS_PER_CHUNK 8
#define POINT_COST 100.0 /* nanoseconds */

/* Opening angle here for the user's angle; figures in benchmarks/NOTES.md. Beyond a cell as wide
 * as its distance the expansion loses its meaning, so there the widening ends. */
#define ANGLE_SCALE 1.5
#define WIDEST_ANGLE 1.0
/* Near zero the kernel is flat, so that a cell much smaller than its width 1 is good at any
 * distance: this is added to the squared distance in the test. */
#define SOFTENING 0.02f
/* The squared angle of a list that is kept may have grown by so much since the walk. */
#define MARGIN 1.3f
/* A cell costs as much as some points. */
#define FEW_IN_CELL 2
#define LONGEST_SUM 1024
/* A coordinate so far away that its point has no weight, but near enough to be squared. */
#define OUT_OF_REACH 1e15f
/* A tree over so few points saves nothing: they meet one by one. */
#define FEW_POINTS 512

typedef struct {
    ft_tree *tree;
    ft_student_kind kind;
    ft_student_constants student;
    float squared_angle;
    int64_t first, last;
    float *repulsive;
} repulsion;

/* The points of a group, one a lane; lanes to spare repeat the first point. */
typedef struct {
    int32_t begin, end;
    float low[3], high[3];
    float y[3][FT_GROUP];
} lanes;

typedef struct {
    float force[3][FT_GROUP];
    float sum_q[FT_GROUP];
} sums;

/* ---- Evaluation -------------------------------------------------------------------------------
 *
 * Positions and sums are local arrays here, so that compilers keep them in vector registers while
 * the sources go by. */

#define LOCAL_POSITIONS(g)                                   \
    float x[FT_GROUP], y[FT_GROUP], z[FT_GROUP];             \
    for (int l = 0; l < FT_GROUP; l++) {                     \
        x[l] = (g)->y[0][l];                                 \
        y[l] = dim > 1 ? (g)->y[1][l] : 0.0f;                \
        z[l] = dim > 2 ? (g)->y[2][l] : 0.0f;                \
    }                                                        \
    float fx[FT_GROUP] = {0}, fy[FT_GROUP] = {0}, fz[FT_GROUP] = {0}, q[FT_GROUP] = {0}

#define ADD_LOCAL_SUMS(to)                                   \
    for (int l = 0; l < FT_GROUP; l++) {                     \
        (to)->sum_q[l] += q[l];                              \
        (to)->force[0][l] += fx[l];                          \
        if (dim > 1) (to)->force[1][l] += fy[l];             \
        if (dim > 2) (to)->force[2][l] += fz[l];             \
    }

FT_INLINE void cells_on_lanes(int dim, ft_student_kind kind, const repulsion *c,
                              const int32_t *cells, int32_t n_cells, const lanes *g, sums *to)
{
    const ft_student_constants student = c->student;
    const float a = student.exponent, inverse_nu = student.inverse_nu;
    const float by_one = a * inverse_nu, by_two = (a + 1.0f) * inverse_nu,
                by_three = (a + 2.0f) * inverse_nu;
    LOCAL_POSITIONS(g);
    for (int32_t s = 0; s < n_cells; s++) {
        FT_NO_JAM
        const ft_node *node = &c->tree->nodes[cells[s]];
        const float c0 = node->center[0], c1 = node->center[1], c2 = node->center[2];
        const float xx = node->moments[0], xy = node->moments[1], yy = node->moments[2],
                    xz = node->moments[3], yz = node->moments[4], zz = node->moments[5];
        const float mass = node->mass, trace = node->trace;
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            float rx = x[l] - c0;
            float ry = dim > 1 ? y[l] - c1 : 0.0f;
            float rz = dim > 2 ? z[l] - c2 : 0.0f;
            float u, w;
            ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
            /* u M r; u first, so that nothing overflows. */
            float vx = u * rx, vy = u * ry, vz = u * rz;
            float mx = xx * vx, my = 0.0f, mz = 0.0f;
            if (dim > 1) {
                mx += xy * vy;
                my = xy * vx + yy * vy;
            }
            if (dim > 2) {
                mx += xz * vz;
                my += yz * vz;
                mz = xz * vx + yz * vy + zz * vz;
            }
            float quadratic = 2.0f * (mx * rx + my * ry + mz * rz);
            float strength = w * u;
            q[l] += w * (mass - by_one * u * (trace - by_two * quadratic));
            float radial = strength * (mass - by_two * u * (trace - by_three * quadratic));
            float along = -2.0f * by_two * strength;
            fx[l] += radial * rx + along * mx;
            if (dim > 1) fy[l] += radial * ry + along * my;
            if (dim > 2) fz[l] += radial * rz + along * mz;
        }
    }
    ADD_LOCAL_SUMS(to)
}

FT_INLINE void points_on_lanes(int dim, ft_student_kind kind, const repulsion *c, int32_t begin,
                               int32_t end, const lanes *g, sums *to)
{
    const ft_student_constants student = c->student;
    const float *const *sources = (const float *const *)c->tree->coordinates;
    LOCAL_POSITIONS(g);
    for (int32_t s = begin; s < end; s++) {
        FT_NO_JAM
        const float c0 = sources[0][s], c1 = dim > 1 ? sources[1][s] : 0.0f,
                    c2 = dim > 2 ? sources[2][s] : 0.0f;
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            float rx = x[l] - c0;
            float ry = dim > 1 ? y[l] - c1 : 0.0f;
            float rz = dim > 2 ? z[l] - c2 : 0.0f;
            float u, w;
            ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
            float strength = w * u;
            q[l] += w;
            fx[l] += strength * rx;
            if (dim > 1) fy[l] += strength * ry;
            if (dim > 2) fz[l] += strength * rz;
        }
    }
    ADD_LOCAL_SUMS(to)
}

/* The points of the group act on each other: every lane meets the next one, the one after that,
 * and so on, so that none meets itself. */
FT_INLINE void lanes_on_lanes(int dim, ft_student_kind kind, const repulsion *c, const lanes *g,
                              sums *to)
{
    const ft_student_constants student = c->student;
    float sx[2 * FT_GROUP], sy[2 * FT_GROUP], sz[2 * FT_GROUP];
    LOCAL_POSITIONS(g);
    for (int l = 0; l < 2 * FT_GROUP; l++) {
        const int lane = l % FT_GROUP, spare = lane >= g->end - g->begin;
        sx[l] = spare ? OUT_OF_REACH : x[lane];
        sy[l] = dim > 1 ? y[lane] : 0.0f;
        sz[l] = dim > 2 ? z[lane] : 0.0f;
    }
    for (int shift = 1; shift < FT_GROUP; shift++) {
        FT_NO_JAM
#pragma omp simd
        for (int l = 0; l < FT_GROUP; l++) {
            float rx = x[l] - sx[l + shift];
            float ry = dim > 1 ? y[l] - sy[l + shift] : 0.0f;
            float rz = dim > 2 ? z[l] - sz[l + shift] : 0.0f;
            float u, w;
            ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
            float strength = w * u;
            q[l] += w;
            fx[l] += strength * rx;
            if (dim > 1) fy[l] += strength * ry;
            if (dim > 2) fz[l] += strength * rz;
        }
    }
    ADD_LOCAL_SUMS(to)
}

/* Sums are made of parts, as single precision would round long ones. */
FT_INLINE void list_on_lanes(int dim, ft_student_kind kind, const repulsion *c,
                             const ft_list *list, const lanes *g, sums *to)
{
    cells_on_lanes(dim, kind, c, list->items, list->n_cells, g, to);
    for (int32_t at = FT_ITEMS - list->n_range_items; at < FT_ITEMS; at += 2) {
        const int32_t end = list->items[at + 1];
        for (int32_t begin = list->items[at]; begin < end; begin += LONGEST_SUM) {
            int32_t stop = end - begin < LONGEST_SUM ? end : begin + LONGEST_SUM;
            points_on_lanes(dim, kind, c, begin, stop, g, to);
        }
    }
}

/* ---- Traversal --------------------------------------------------------------------------------- */

/* Square of the distance of a cell's centre from the group's box. */
FT_INLINE float squared_gap(int dim, const lanes *g, const ft_node *node)
{
    float r2 = 0.0f;
    for (int axis = 0; axis < dim; axis++) {
        float below = g->low[axis] - node->center[axis], above = node->center[axis] - g->high[axis];
        float gap = below > above ? below : above;
        gap = gap > 0.0f ? gap : 0.0f;
        r2 += gap * gap;
    }
    return r2;
}

FT_INLINE void add_range(ft_list *list, int32_t begin, int32_t end)
{
    int32_t *last = &list->items[FT_ITEMS - list->n_range_items];
    if (begin == end) return;
    if (list->n_range_items > 0 && last[1] == begin) {
        last[1] = end;
        return;
    }
    last[-2] = begin;
    last[-1] = end;
    list->n_range_items += 2;
}

/* Lists what acts on a group, its own points apart, and lets it act whenever the list is full. */
FT_INLINE void walk(int dim, ft_student_kind kind, const repulsion *c, ft_list *list,
                    const lanes *g, sums *to)
{
    const ft_tree *tree = c->tree;
    list->n_cells = list->n_range_items = 0;
    list->complete = 1;
    for (int32_t place = 0; place < tree->n_nodes;) {
        const ft_node *node = &tree->nodes[place];
        const int32_t size = node->end - node->begin;
        const int is_leaf = node->skip == place + 1;
        const int shares_points = node->begin < g->end && g->begin < node->end;
        if (list->n_cells + list->n_range_items > FT_ITEMS - 5) {
            list_on_lanes(dim, kind, c, list, g, to);
            list->n_cells = list->n_range_items = 0;
            list->complete = 0;
        }
        if (is_leaf && size > FT_LEAF) {
            /* All its points are one. */
            list->items[list->n_cells++] = place++;
        } else if (is_leaf && shares_points) {
            if (node->begin < g->begin) add_range(list, node->begin, g->begin);
            if (g->end < node->end) add_range(list, g->end, node->end);
            place++;
        } else if (!shares_points && size > FEW_IN_CELL &&
                   node->width2 <= c->squared_angle * (squared_gap(dim, g, node) + SOFTENING)) {
            list->items[list->n_cells++] = place;
            place = node->skip;
        } else {
            if (is_leaf) add_range(list, node->begin, node->end);
            place++;
        }
    }
}

/* Whether the list of an earlier walk still holds. */
FT_INLINE int still_holds(int dim, const repulsion *c, const ft_list *list, const lanes *g)
{
    const float squared_angle = MARGIN * c->squared_angle;
    int failed = 0;
    for (int32_t s = 0; s < list->n_cells; s++) {
        const ft_node *node = &c->tree->nodes[list->items[s]];
        failed |= node->width2 > squared_angle * (squared_gap(dim, g, node) + SOFTENING);
    }
    return !failed;
}

FT_INLINE void load_lanes(const ft_tree *tree, int dim, const ft_group *group, lanes *g)
{
    g->begin = group->begin;
    g->end = group->end;
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

FT_INLINE double group_repulsion(int dim, ft_student_kind kind, const repulsion *c,
                                 const ft_group *group, ft_list *list)
{
    const ft_tree *tree = c->tree;
    const int count = group->end - group->begin;
    lanes g;
    sums to = {0};
    double sum_q = 0.0;
    load_lanes(tree, dim, group, &g);
    if (!list->complete || !still_holds(dim, c, list, &g)) walk(dim, kind, c, list, &g, &to);
    list_on_lanes(dim, kind, c, list, &g, &to);
    if (group->coincide) {
        /* They met themselves as part of their leaf. */
        sum_q = -(double)count;
    } else {
        lanes_on_lanes(dim, kind, c, &g, &to);
    }
    for (int l = 0; l < count; l++) {
        float *out = c->repulsive + (int64_t)tree->order[group->begin + l] * dim;
        for (int axis = 0; axis < dim; axis++) out[axis] = to.force[axis][l];
        sum_q += (double)to.sum_q[l];
    }
    return sum_q;
}

FT_INLINE void repulsion_body(FT_TASK_ARGUMENTS)
{
    const repulsion *c = context;
    int64_t begin = c->first + chunk * GROUPS_PER_CHUNK;
    int64_t end = begin + GROUPS_PER_CHUNK < c->last ? begin + GROUPS_PER_CHUNK : c->last;
    (void)thread;
    for (int64_t g = begin; g < end; g++) {
        double sum = 0.0;
        FT_STUDENT_DISPATCH(c->tree->dim, c->kind,
                            sum = group_repulsion(DIM, KIND, c, &c->tree->groups[g],
                                                  &c->tree->lists[g]))
        c->tree->partial[g] = sum;
    }
}
FT_TASK_VARIANTS(repulsion)

int64_t ft_repulsion_groups(const ft_tree *tree) { return tree->n_groups; }

ft_status ft_repulsion_compute(ft_tree *tree, ft_student student, double angle, int64_t first,
                               int64_t last, float *repulsive, double *sum_q, ft_run *run)
{
    double opening = ANGLE_SCALE * angle < WIDEST_ANGLE ? ANGLE_SCALE * angle : WIDEST_ANGLE;
    if (tree->n <= FEW_POINTS) opening = 0.0;
    repulsion c = {tree, ft_student_kind_of(student), ft_student_constants_of(student),
                   (float)(opening * opening), first, last, repulsive};
    int64_t n_chunks = (last - first + GROUPS_PER_CHUNK - 1) / GROUPS_PER_CHUNK;
    ft_status status = ft_parallel_run(run, n_chunks, GROUPS_PER_CHUNK * FT_GROUP * POINT_COST,
                                       FT_TASK(repulsion), &c);
    *sum_q = 0.0;
    for (int64_t g = first; g < last; g++) *sum_q += tree->partial[g];
    return status;
}
