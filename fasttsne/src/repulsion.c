/* repulsion.c - Barnes-Hut repulsion, a group of points at a time.
 *
 * Neighbouring points on the Morton curve walk the tree together (Barnes 1990): a cell is
 * accepted for all of them by its distance from their bounding box. What is accepted goes into
 * interaction lists that stay in the first-level cache; every point of the group then runs over
 * the lists with one source a vector lane.
 *
 * A cell acts through its mass and its second moments M about its centre of mass. With r the way
 * from the centre to the point, a = (nu+1)/2 and t = trace(M), the Taylor expansion gives
 *
 *     sum_q:  w (m - a/nu u (t - 2 (a+1)/nu u r'Mr))
 *     force:  w u ((m - (a+1)/nu u (t - 2 (a+2)/nu u r'Mr)) r - 2 (a+1)/nu u M r)
 *
 * Because of M the error at a given opening angle is far below that of cells without moments, so
 * the angle used here is wider than the angle the user gives, as far as maps of real data stay
 * more accurate than under the classic test (Barnes & Hut 1986, van der Maaten 2014).
 */
#include "student.h"
#include "tree.h"

#include <float.h>
#include <stdlib.h>

#define CELLS 1024  /* capacity of the lists */
#define POINTS 2048
#define GROUPS_PER_CHUNK 4
#define POINT_COST 350.0 /* nanoseconds */

/* Opening angle here for the user's angle: wider, but on every map measured with
 * benchmarks/forces.py more accurate than the classic test without moments. Beyond a cell as wide
 * as its distance the expansion loses its meaning, so there the widening ends. */
#define ANGLE_SCALE 1.2
#define WIDEST_ANGLE 0.8
/* A tree over so few points saves nothing: they meet one by one. */
#define FEW_POINTS 512

struct ft_lists {
    float cell[3][CELLS], mass[CELLS], trace[CELLS], moments[FT_MOMENTS][CELLS];
    float point[3][POINTS];
    int n_cells, n_points;
    int self_in_cells; /* 1 where the group is part of a leaf of coinciding points */
    double force[FT_LEAF][3], sum_q[FT_LEAF];
};

ft_lists *ft_lists_create(int n_threads)
{
    return calloc((size_t)n_threads, sizeof(ft_lists));
}

void ft_lists_destroy(ft_lists *lists) { free(lists); }

typedef struct {
    const ft_tree *tree;
    ft_student_kind kind;
    ft_student_constants student;
    float squared_angle;
    int64_t first, last;
    float *repulsive;
} repulsion;

/* ---- Evaluation ------------------------------------------------------------------------------- */

FT_INLINE void cells_on_point(int dim, ft_student_kind kind, ft_student_constants student,
                              const ft_lists *restrict l, int count, const float y[3],
                              double force[3], double *sum_q)
{
    const float a = student.exponent, inverse_nu = student.inverse_nu;
    const float by_one = a * inverse_nu, by_two = (a + 1.0f) * inverse_nu,
                by_three = (a + 2.0f) * inverse_nu;
    float fx = 0.0f, fy = 0.0f, fz = 0.0f, q = 0.0f;
    const float x0 = y[0], x1 = y[1], x2 = y[2];
#pragma omp simd reduction(+ : fx, fy, fz, q)
    for (int s = 0; s < count; s++) {
        float rx = x0 - l->cell[0][s];
        float ry = dim > 1 ? x1 - l->cell[1][s] : 0.0f;
        float rz = dim > 2 ? x2 - l->cell[2][s] : 0.0f;
        float u, w;
        ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
        /* u M r; u first, so that nothing overflows. */
        float vx = u * rx, vy = u * ry, vz = u * rz;
        float mx = l->moments[0][s] * vx, my = 0.0f, mz = 0.0f;
        if (dim > 1) {
            mx += l->moments[1][s] * vy;
            my = l->moments[1][s] * vx + l->moments[2][s] * vy;
        }
        if (dim > 2) {
            mx += l->moments[3][s] * vz;
            my += l->moments[4][s] * vz;
            mz = l->moments[3][s] * vx + l->moments[4][s] * vy + l->moments[5][s] * vz;
        }
        float quadratic = 2.0f * (mx * rx + my * ry + mz * rz);
        float mass = l->mass[s], trace = l->trace[s], g = w * u;
        q += w * (mass - by_one * u * (trace - by_two * quadratic));
        float radial = g * (mass - by_two * u * (trace - by_three * quadratic));
        float along = -2.0f * by_two * g;
        fx += radial * rx + along * mx;
        if (dim > 1) fy += radial * ry + along * my;
        if (dim > 2) fz += radial * rz + along * mz;
    }
    force[0] += fx, force[1] += fy, force[2] += fz;
    *sum_q += q;
}

/* self: place of the point itself among the sources, or -1. */
FT_INLINE void points_on_point(int dim, ft_student_kind kind, ft_student_constants student,
                               const float *restrict sx, const float *restrict sy,
                               const float *restrict sz, int count, int self, const float y[3],
                               double force[3], double *sum_q)
{
    float fx = 0.0f, fy = 0.0f, fz = 0.0f, q = 0.0f;
    const float x0 = y[0], x1 = y[1], x2 = y[2];
#pragma omp simd reduction(+ : fx, fy, fz, q)
    for (int s = 0; s < count; s++) {
        float rx = x0 - sx[s];
        float ry = dim > 1 ? x1 - sy[s] : 0.0f;
        float rz = dim > 2 ? x2 - sz[s] : 0.0f;
        float u, w;
        ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
        w = s == self ? 0.0f : w;
        float g = w * u;
        q += w;
        fx += g * rx;
        if (dim > 1) fy += g * ry;
        if (dim > 2) fz += g * rz;
    }
    force[0] += fx, force[1] += fy, force[2] += fz;
    *sum_q += q;
}

FT_INLINE void load_point(const ft_tree *tree, int dim, int64_t i, float y[3])
{
    for (int axis = 0; axis < 3; axis++) y[axis] = axis < dim ? tree->coordinates[axis][i] : 0.0f;
}

/* Cells of no mass and points that are too far to act fill the last vector. */
FT_INLINE void pad_lists(ft_lists *l)
{
    for (int s = l->n_cells; s < FT_PAD(l->n_cells); s++) {
        l->mass[s] = l->trace[s] = 0.0f;
        for (int axis = 0; axis < 3; axis++) l->cell[axis][s] = 0.0f;
        for (int m = 0; m < FT_MOMENTS; m++) l->moments[m][s] = 0.0f;
    }
    for (int s = l->n_points; s < FT_PAD(l->n_points); s++)
        for (int axis = 0; axis < 3; axis++) l->point[axis][s] = 1e18f;
}

FT_INLINE void evaluate_lists(int dim, ft_student_kind kind, const repulsion *c, ft_group group,
                              ft_lists *l)
{
    pad_lists(l);
    for (int i = 0; i < group.end - group.begin; i++) {
        float y[3];
        load_point(c->tree, dim, group.begin + i, y);
        cells_on_point(dim, kind, c->student, l, FT_PAD(l->n_cells), y, l->force[i],
                       &l->sum_q[i]);
        points_on_point(dim, kind, c->student, l->point[0], l->point[1], l->point[2],
                        FT_PAD(l->n_points), -1, y, l->force[i], &l->sum_q[i]);
    }
    l->n_cells = l->n_points = 0;
}

/* ---- Traversal --------------------------------------------------------------------------------- */

FT_INLINE void group_box(const ft_tree *tree, int dim, ft_group group, float low[3],
                         float high[3])
{
    for (int axis = 0; axis < dim; axis++) {
        const float *y = tree->coordinates[axis];
        low[axis] = high[axis] = y[group.begin];
        for (int32_t i = group.begin + 1; i < group.end; i++) {
            low[axis] = y[i] < low[axis] ? y[i] : low[axis];
            high[axis] = y[i] > high[axis] ? y[i] : high[axis];
        }
    }
}

FT_INLINE void push_cell(int dim, ft_lists *l, const ft_node *node)
{
    int s = l->n_cells++;
    for (int axis = 0; axis < dim; axis++) l->cell[axis][s] = node->center[axis];
    l->mass[s] = node->mass;
    l->trace[s] = node->trace;
    const int n_moments = dim == 1 ? 1 : dim == 2 ? 3 : FT_MOMENTS;
    for (int m = 0; m < n_moments; m++) l->moments[m][s] = node->moments[m];
}

FT_INLINE void push_points(const ft_tree *tree, int dim, ft_lists *l, const ft_node *node)
{
    for (int axis = 0; axis < dim; axis++) {
        const float *from = tree->coordinates[axis] + node->begin;
        float *to = l->point[axis] + l->n_points;
        for (int32_t i = 0; i < node->end - node->begin; i++) to[i] = from[i];
    }
    l->n_points += node->end - node->begin;
}

FT_INLINE double group_repulsion(int dim, ft_student_kind kind, const repulsion *c,
                                 ft_group group, ft_lists *l)
{
    const ft_tree *tree = c->tree;
    const int count = group.end - group.begin;
    float low[3], high[3];
    group_box(tree, dim, group, low, high);
    l->n_cells = l->n_points = l->self_in_cells = 0;
    for (int i = 0; i < count; i++) {
        l->sum_q[i] = 0.0;
        for (int axis = 0; axis < 3; axis++) l->force[i][axis] = 0.0;
    }

    for (int32_t place = 0; place < tree->n_nodes;) {
        const ft_node *node = &tree->nodes[place];
        float r2 = 0.0f;
        for (int axis = 0; axis < dim; axis++) {
            float below = low[axis] - node->center[axis], above = node->center[axis] - high[axis];
            float gap = below > above ? below : above;
            gap = gap > 0.0f ? gap : 0.0f;
            r2 += gap * gap;
        }
        const int size = node->end - node->begin;
        const int is_leaf = node->skip == place + 1;
        if (place <= group.leaf && group.leaf < node->skip) {
            /* The cell holds the group: go on down. Its own leaf is summed point by point at the
             * end, except where too many points coincide. */
            if (is_leaf && size > FT_LEAF) {
                push_cell(dim, l, node);
                l->self_in_cells = 1;
            }
            place++;
        } else if (node->width2 <= c->squared_angle * r2) {
            if (size <= 2)
                push_points(tree, dim, l, node);
            else
                push_cell(dim, l, node);
            place = node->skip;
        } else {
            if (is_leaf) push_points(tree, dim, l, node);
            place++;
        }
        if (l->n_cells == CELLS || l->n_points > POINTS - FT_LEAF)
            evaluate_lists(dim, kind, c, group, l);
    }
    evaluate_lists(dim, kind, c, group, l);

    double sum = 0.0;
    const float *own[3] = {tree->coordinates[0] + group.begin, NULL, NULL};
    for (int axis = 1; axis < dim; axis++) own[axis] = tree->coordinates[axis] + group.begin;
    for (int i = 0; i < count; i++) {
        if (l->self_in_cells) {
            l->sum_q[i] -= 1.0;
        } else {
            float y[3];
            load_point(tree, dim, group.begin + i, y);
            points_on_point(dim, kind, c->student, own[0], own[1], own[2], count, i, y,
                            l->force[i], &l->sum_q[i]);
        }
        float *out = c->repulsive + (int64_t)tree->order[group.begin + i] * dim;
        for (int axis = 0; axis < dim; axis++) out[axis] = (float)l->force[i][axis];
        sum += l->sum_q[i];
    }
    return sum;
}

FT_INLINE void repulsion_body(FT_TASK_ARGUMENTS)
{
    const repulsion *c = context;
    ft_lists *lists = &c->tree->lists[thread];
    int64_t begin = c->first + chunk * GROUPS_PER_CHUNK;
    int64_t end = begin + GROUPS_PER_CHUNK < c->last ? begin + GROUPS_PER_CHUNK : c->last;
    for (int64_t g = begin; g < end; g++) {
        ft_group group = c->tree->groups[g];
        double sum = 0.0;
        FT_STUDENT_DISPATCH(c->tree->dim, c->kind,
                            sum = group_repulsion(DIM, KIND, c, group, lists))
        c->tree->partial[g] = sum;
    }
}
FT_TASK_VARIANTS(repulsion)

int64_t ft_repulsion_groups(const ft_tree *tree) { return tree->n_groups; }

ft_status ft_repulsion_compute(const ft_tree *tree, ft_student student, double angle,
                               int64_t first, int64_t last, float *repulsive, double *sum_q,
                               ft_run *run)
{
    double opening = ANGLE_SCALE * angle < WIDEST_ANGLE ? ANGLE_SCALE * angle : WIDEST_ANGLE;
    if (tree->n <= FEW_POINTS) opening = 0.0;
    repulsion c = {tree, ft_student_kind_of(student), ft_student_constants_of(student),
                   (float)(opening * opening), first, last, repulsive};
    if (ft_parallel_threads(run) > tree->n_lists) return FT_NO_MEMORY;
    int64_t n_chunks = (last - first + GROUPS_PER_CHUNK - 1) / GROUPS_PER_CHUNK;
    double points = (double)tree->n * (double)(last - first) / (double)tree->n_groups;
    ft_status status = ft_parallel_run(run, n_chunks, POINT_COST * points / (double)n_chunks,
                                       FT_TASK(repulsion), &c);
    *sum_q = 0.0;
    for (int64_t g = first; g < last; g++) *sum_q += tree->partial[g];
    return status;
}
