/* transform.c - new points on a fixed map.
 *
 * A new point descends on its own KL(p || q): p_j are its similarities to its neighbours among
 * the points of the map, q_j = w_j / Z, and Z is the sum of w_j over all points. With r_j the
 * vector from point j to it and e a factor on the attraction,
 *
 *     f = e a sum_j p_j log t_j + log Z              a = (nu+1)/2
 *     gradient = 2a/nu (e sum_j p_j u_j r_j - 1/Z sum_j w_j u_j r_j)
 *
 * On a map of contrastive.c it descends on its share of that loss instead: with the odds c,
 * h = 1 / (1 + c t) and t = 1 + d^2,
 *
 *     f = sum_j p_j log(1 + d_j^2 / nu) + noise sum_j log(1 + 1 / (c t_j))     nu = 1 + 1/c
 *     gradient = 2/nu sum_j p_j r_j / (1 + d_j^2 / nu) - 2 noise sum_j h_j r_j / t_j
 *
 * A point of the map is placed again, with the others where they are, by its share of KL(P || Q)
 * times n / 2: with p_j = n p_ij of the joint P, and the sums without the point itself,
 *
 *     f = a sum_j p_j log t_j + n/2 log(Z + 2 (S - S_home))          S = sum_j w_j
 *     gradient = 2a/nu (sum_j p_j u_j r_j - n / (Z + 2 (S - S_home)) sum_j w_j u_j r_j)
 *
 * where Z is the sum of w over all ordered pairs of the map, and S_home is S at the point's place.
 *
 * New points do not act on each other. Each is moved by itself, and vector lanes hold its sources,
 * never several points: its result does not depend on the other points, bit for bit.
 *
 * One walk through the tree lists the sources that repel a point for a box around it, as long as
 * the point stays in the box. Cells are accepted by their distance from the box, as for a group in
 * repulsion.c. */
#include "candidates.h"
#include "expansion.h"
#include "memory.h"
#include "student.h"

#define TOGETHER 16    /* points of one task */
#define POINT_COST 2e4 /* nanoseconds */
#define STRIP 256      /* sources whose sums are in single precision */
#define FIRST_ROOM 1024

#define REACH 0.5f /* half the width of the box */
#define N_STARTS 3 /* of a point that is placed again */
#define LONGEST_STRETCH 8.0
#define SHORTEST_STRETCH 0.02
/* Relative errors of f: rounding in single precision, and the difference between two boxes. */
#define NOISE 1e-6
#define NOISE_OF_BOXES 1e-3

/* Points that act, one array per axis; padded to a multiple of FT_LANES with weights of 0. */
typedef struct {
    int64_t count, stride; /* of the arrays */
    const float *coordinates, *weights;
} sources;

/* The rows of an array of cells: centre, mass, trace, second moments. */
enum { CELL_MASS = 3, CELL_TRACE = 4, CELL_MOMENTS = 5, CELL_ROWS = CELL_MOMENTS + FT_MOMENTS };

/* Of one thread. The lists of points and cells are for the box around `center`. */
typedef struct {
    ft_memory box; /* of the next three arrays */
    float center[3];
    int64_t room, n_points, n_cells;
    float *points;                    /* 3 x room */
    float *weights;                   /* room */
    float *cells;                     /* CELL_ROWS x room */
    float *neighbors, *probabilities; /* dim x padded k, padded k */
    ft_neighbor *sorted;              /* k, twice */
    double *state;                    /* STATE x dim */
    float *at;                        /* dim */
    const float *home;                /* dim; of a point that is placed again, or NULL */
    double home_q;                    /* S at home; below 0 before the first evaluation, there */
    int failed;                       /* no memory */
} scratch;

/* The rows of `state`. */
enum { HERE, GRADIENT, THERE, GRADIENT_THERE, ATTRACTIVE, REPULSIVE, STATE };

typedef struct {
    const ft_frozen *map;
    ft_student_kind kind;
    ft_student_constants student;
    float squared_opening;
    sources whole; /* the points that repel, where there is no tree */
    const int32_t *indices;
    const float *conditional;
    int64_t n_new, k;
    ft_transform_rules rules;
    const float *at;    /* NULL where points are placed */
    const int32_t *own; /* the points that are placed again, or NULL */
    double sum_q;       /* Z of the map, for these */
    float *result;      /* positions, or gradients at `at` */
    double *divergence; /* at `at` */
    scratch *scratches;
} placement;

/* ---- Sources ----------------------------------------------------------------------------------- */

FT_INLINE void squared_distances(int dim, const sources *from, const float *at, int64_t first,
                                 int64_t count, float *restrict squared)
{
    for (int axis = 0; axis < dim; axis++) {
        const float *restrict c = from->coordinates + axis * from->stride + first;
        const float x = at[axis];
#pragma omp simd
        for (int64_t s = 0; s < count; s++)
            squared[s] = (axis > 0 ? squared[s] : 0.0f) + (x - c[s]) * (x - c[s]);
    }
}

/* Adds sum_j strength_j r_j. */
FT_INLINE void add_forces(int dim, const sources *from, const float *at, int64_t first,
                          int64_t count, const float *restrict strengths, double *force)
{
    for (int axis = 0; axis < dim; axis++) {
        const float *restrict c = from->coordinates + axis * from->stride + first;
        const float x = at[axis];
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t s = 0; s < count; s++) sum += strengths[s] * (x - c[s]);
        force[axis] += (double)sum;
    }
}

/* The attraction sum_j p_j u_j r_j; *pull gets sum_j p_j u_j and *cross sum_j p_j log t_j. */
FT_INLINE void attract(int dim, ft_student_kind kind, ft_student_constants student,
                       const sources *from, const float *at, double *force, double *pull,
                       double *cross)
{
    float squared[STRIP], strengths[STRIP];
    for (int axis = 0; axis < dim; axis++) force[axis] = 0.0;
    *pull = *cross = 0.0;
    for (int64_t first = 0; first < from->count; first += STRIP) {
        int64_t count = ft_least(from->count - first, STRIP);
        const float *restrict p = from->weights + first;
        float sum = 0.0f, logs = 0.0f;
        squared_distances(dim, from, at, first, count, squared);
#pragma omp simd reduction(+ : sum, logs)
        for (int64_t s = 0; s < count; s++) {
            float u, w;
            ft_student_weights(kind, student, squared[s], &u, &w);
            float log_t = ft_student_log(1.0f + student.inverse_nu * squared[s]);
            strengths[s] = p[s] * u;
            sum += strengths[s];
            logs += p[s] * (log_t < student.largest_log ? log_t : student.largest_log);
        }
        *pull += (double)sum;
        *cross += (double)logs;
        add_forces(dim, from, at, first, count, strengths, force);
    }
}

/* Adds the repulsion sum_j w_j u_j r_j of single points; returns their share of Z. */
FT_INLINE double repel(int dim, ft_student_kind kind, ft_student_constants student,
                       const sources *from, const float *at, double *force)
{
    float squared[STRIP], strengths[STRIP];
    double sum_q = 0.0;
    for (int64_t first = 0; first < from->count; first += STRIP) {
        int64_t count = ft_least(from->count - first, STRIP);
        const float *restrict weights = from->weights + first;
        float q = 0.0f;
        squared_distances(dim, from, at, first, count, squared);
#pragma omp simd reduction(+ : q)
        for (int64_t s = 0; s < count; s++) {
            float u, w;
            ft_student_weights(kind, student, squared[s], &u, &w);
            w *= weights[s];
            q += w;
            strengths[s] = w * u;
        }
        sum_q += (double)q;
        add_forces(dim, from, at, first, count, strengths, force);
    }
    return sum_q;
}

/* Adds sum_j h_j r_j / t_j over the others; returns sum_j log(1 + 1 / (c t_j)). */
FT_INLINE double repel_as_noise(int dim, float odds, const sources *from, const float *at,
                                double *force)
{
    float squared[STRIP], strengths[STRIP];
    double sum = 0.0;
    for (int64_t first = 0; first < from->count; first += STRIP) {
        int64_t count = ft_least(from->count - first, STRIP);
        const float *restrict weights = from->weights + first;
        float logs = 0.0f;
        squared_distances(dim, from, at, first, count, squared);
#pragma omp simd reduction(+ : logs)
        for (int64_t s = 0; s < count; s++) {
            const float t = 1.0f + squared[s], against = 1.0f / (odds * t);
            strengths[s] = weights[s] / (t * (1.0f + odds * t));
            logs += weights[s] * ft_student_log(1.0f + against);
        }
        sum += (double)logs;
        add_forces(dim, from, at, first, count, strengths, force);
    }
    return sum;
}

/* The same as `repel` for the listed cells. */
FT_INLINE double repel_by_cells(int dim, ft_student_kind kind, ft_student_constants student,
                                const scratch *w, const float *at, double *force)
{
    const ft_expansion_factors factors = ft_expansion_factors_of(student);
    const float *restrict cells = w->cells;
    const int64_t room = w->room;
    const float x = at[0], y = dim > 1 ? at[1] : 0.0f, z = dim > 2 ? at[2] : 0.0f;
    double sum_q = 0.0;
    for (int64_t first = 0; first < w->n_cells; first += STRIP) {
        int64_t last = ft_least(first + STRIP, w->n_cells);
        float q = 0.0f, fx = 0.0f, fy = 0.0f, fz = 0.0f;
#pragma omp simd reduction(+ : q, fx, fy, fz)
        for (int64_t s = first; s < last; s++) {
            const float *restrict moments = cells + CELL_MOMENTS * room + s;
            ft_expansion e = {cells[CELL_MASS * room + s],
                              cells[CELL_TRACE * room + s],
                              moments[0],
                              moments[room],
                              moments[2 * room],
                              moments[3 * room],
                              moments[4 * room],
                              moments[5 * room]};
            float rx = x - cells[s];
            float ry = dim > 1 ? y - cells[room + s] : 0.0f;
            float rz = dim > 2 ? z - cells[2 * room + s] : 0.0f;
            float share, ax, ay, az;
            ft_expansion_act(dim, kind, student, factors, &e, rx, ry, rz, &share, &ax, &ay, &az);
            q += share;
            fx += ax;
            fy += ay;
            fz += az;
        }
        sum_q += (double)q;
        force[0] += (double)fx;
        if (dim > 1) force[1] += (double)fy;
        if (dim > 2) force[2] += (double)fz;
    }
    return sum_q;
}

/* Takes the point itself out of the repulsion of a point that is placed again. */
FT_INLINE void leave_out(int dim, ft_student_kind kind, ft_student_constants student,
                         const float *home, const float *at, double *force, double *sum_q)
{
    float squared = 0.0f, u, weight;
    for (int axis = 0; axis < dim; axis++)
        squared += (at[axis] - home[axis]) * (at[axis] - home[axis]);
    ft_student_weights(kind, student, squared, &u, &weight);
    for (int axis = 0; axis < dim; axis++)
        force[axis] -= (double)(weight * u * (at[axis] - home[axis]));
    *sum_q = *sum_q > (double)weight ? *sum_q - (double)weight : 0.0;
}

/* ---- The box ------------------------------------------------------------------------------------ */

/* Lists the sources that repel a point in the box around `at`; returns 0 if there is no room. */
FT_INLINE int list_sources(int dim, const placement *c, scratch *w, const float *at)
{
    const ft_tree *tree = c->map->tree;
    const int64_t room = w->room;
    w->n_points = w->n_cells = 0;
    for (int axis = 0; axis < dim; axis++) w->center[axis] = at[axis];
    for (int32_t place = 0; place < tree->n_nodes;) {
        const ft_node *node = &tree->nodes[place];
        const int32_t size = node->end - node->begin;
        const int is_leaf = node->skip == place + 1;
        float r2 = 0.0f;
        for (int axis = 0; axis < dim; axis++) {
            float gap = fabsf(node->center[axis] - at[axis]) - REACH;
            gap = gap > 0.0f ? gap : 0.0f;
            r2 += gap * gap;
        }
        if (is_leaf && size > FT_LEAF /* all its points are one */
                ? 1
                : size > FT_FEW_IN_CELL &&
                      node->width2 <= c->squared_opening * (r2 + FT_SOFTENING)) {
            if (w->n_cells == room) return 0;
            float *cell = w->cells + w->n_cells++;
            for (int axis = 0; axis < dim; axis++) cell[axis * room] = node->center[axis];
            cell[CELL_MASS * room] = node->mass;
            cell[CELL_TRACE * room] = node->trace;
            for (int i = 0; i < FT_MOMENTS; i++) cell[(CELL_MOMENTS + i) * room] = node->moments[i];
            place = node->skip;
        } else {
            if (is_leaf) {
                if (w->n_points + size + FT_LANES > room) return 0;
                for (int axis = 0; axis < dim; axis++)
                    memcpy(w->points + axis * room + w->n_points,
                           tree->coordinates[axis] + node->begin, sizeof(float) * (size_t)size);
                w->n_points += size;
            }
            place++;
        }
    }
    int64_t padded = FT_PAD(w->n_points);
    for (int64_t s = 0; s < padded; s++) w->weights[s] = s < w->n_points ? 1.0f : 0.0f;
    for (int axis = 0; axis < dim; axis++)
        for (int64_t s = w->n_points; s < padded; s++) w->points[axis * room + s] = at[axis];
    w->n_points = padded;
    return 1;
}

static int make_room(scratch *w, int64_t room)
{
    ft_memory_free(&w->box);
    w->room = room;
    w->points = ft_memory_take(&w->box, 3 * room, sizeof(float));
    w->weights = ft_memory_take(&w->box, room, sizeof(float));
    w->cells = ft_memory_take(&w->box, CELL_ROWS * room, sizeof(float));
    return !w->box.failed;
}

FT_INLINE void enter_box(int dim, const placement *c, scratch *w, const float *at)
{
    while (!list_sources(dim, c, w, at)) {
        if (make_room(w, 2 * w->room)) continue;
        w->failed = 1;
        w->n_points = w->n_cells = 0;
        return;
    }
}

FT_INLINE int leaves_box(int dim, const scratch *w, const float *at)
{
    float furthest = 0.0f;
    for (int axis = 0; axis < dim; axis++) {
        float gap = fabsf(at[axis] - w->center[axis]);
        furthest = gap > furthest ? gap : furthest;
    }
    return furthest > REACH;
}

/* ---- One point ---------------------------------------------------------------------------------- */

/* f and its gradient at `y`; *hold is the strength of attraction, 2a/nu e sum_j p_j u_j. */
FT_INLINE double evaluate(int dim, ft_student_kind kind, const placement *c, scratch *w,
                          const double *y, double *gradient, double *hold)
{
    const int64_t padded = FT_PAD(c->k);
    const sources neighbors = {padded, padded, w->neighbors, w->probabilities};
    double *attractive = w->state + ATTRACTIVE * dim, *repulsive = w->state + REPULSIVE * dim;
    double pull, cross, sum_q = 0.0;
    for (int axis = 0; axis < dim; axis++) {
        w->at[axis] = (float)y[axis];
        repulsive[axis] = 0.0;
    }
    attract(dim, kind, c->student, &neighbors, w->at, attractive, &pull, &cross);
    if (c->map->odds > 0.0) {
        const double noise = c->map->noise, factor = 2.0 * (double)c->student.inverse_nu;
        const double loss = repel_as_noise(dim, (float)c->map->odds, &c->whole, w->at, repulsive);
        for (int axis = 0; axis < dim; axis++)
            gradient[axis] = factor * attractive[axis] - 2.0 * noise * repulsive[axis];
        *hold = factor * pull;
        return cross + noise * loss;
    }
    if (c->map->tree == NULL) {
        sum_q = repel(dim, kind, c->student, &c->whole, w->at, repulsive);
    } else {
        if (leaves_box(dim, w, w->at)) enter_box(dim, c, w, w->at);
        const sources points = {w->n_points, w->room, w->points, w->weights};
        sum_q = repel(dim, kind, c->student, &points, w->at, repulsive);
        sum_q += repel_by_cells(dim, kind, c->student, w, w->at, repulsive);
    }
    const double a = (double)c->student.exponent, e = c->rules.exaggeration;
    const double factor = 2.0 * a * (double)c->student.inverse_nu;
    if (w->home != NULL) {
        leave_out(dim, kind, c->student, w->home, w->at, repulsive, &sum_q);
        if (w->home_q < 0.0) w->home_q = sum_q;
        const double n = (double)c->map->n, change = 2.0 * (sum_q - w->home_q) / c->sum_q;
        const double share = n / (c->sum_q * (1.0 + change));
        for (int axis = 0; axis < dim; axis++)
            gradient[axis] = factor * (attractive[axis] - share * repulsive[axis]);
        *hold = factor * pull;
        return a * cross + 0.5 * n * log1p(change);
    }
    /* No point is in reach where sum_q underflows. */
    const double inverse_q = sum_q > 1e-35 ? 1.0 / sum_q : 0.0;
    for (int axis = 0; axis < dim; axis++)
        gradient[axis] = factor * (e * attractive[axis] - inverse_q * repulsive[axis]);
    *hold = factor * e * pull;
    return e * a * cross + (sum_q > 1e-35 ? log(sum_q) : -80.0);
}

/* The weighted median of the neighbours, coordinate by coordinate. */
FT_INLINE void weighted_median(int dim, const placement *c, const scratch *w, double *median)
{
    const int64_t padded = FT_PAD(c->k);
    double half = 0.0;
    for (int64_t j = 0; j < c->k; j++) half += 0.5 * (double)w->probabilities[j];
    for (int axis = 0; axis < dim; axis++) {
        for (int64_t j = 0; j < c->k; j++)
            w->sorted[j] = (ft_neighbor){(double)w->neighbors[axis * padded + j], (int32_t)j};
        ft_sort_neighbors(w->sorted, w->sorted + c->k, c->k);
        double sum = 0.0;
        int64_t j = 0;
        while (j < c->k - 1 && (sum += (double)w->probabilities[w->sorted[j].index]) < half) j++;
        median[axis] = w->sorted[j].distance;
    }
}

/* Gradient descent from HERE; returns f at the end, with its gradient in GRADIENT. A step is the
 * gradient over `hold`, which alone would follow the attraction to its minimum, times a stretch:
 * that of Barzilai and Borwein (1988), halved after a step that increased f. */
FT_INLINE double descend(int dim, ft_student_kind kind, const placement *c, scratch *w,
                         int max_iter)
{
    double *here = w->state + HERE * dim, *gradient = w->state + GRADIENT * dim;
    double *there = w->state + THERE * dim, *next = w->state + GRADIENT_THERE * dim;
    double f = 0.0, hold = 0.0, stretch = 1.0, length2 = 0.0, noise = NOISE;
    for (int axis = 0; axis < dim; axis++) there[axis] = here[axis];
    for (int step = 0;; step++) {
        double hold_there;
        double f_there = evaluate(dim, kind, c, w, there, next, &hold_there);
        if (step == 0 || f_there <= f + noise * (1.0 + fabs(f))) {
            if (step > 0) {
                /* With s the last step: |s|^2 / (s . change of gradient), in units of 1 / hold. */
                double along = 0.0;
                for (int axis = 0; axis < dim; axis++)
                    along += (there[axis] - here[axis]) * (next[axis] - gradient[axis]);
                stretch = along > 0.0 ? hold_there * length2 / along : LONGEST_STRETCH;
                stretch = stretch < LONGEST_STRETCH ? stretch : LONGEST_STRETCH;
                stretch = stretch > SHORTEST_STRETCH ? stretch : SHORTEST_STRETCH;
            }
            for (int axis = 0; axis < dim; axis++) {
                here[axis] = there[axis];
                gradient[axis] = next[axis];
            }
            f = f_there;
            hold = hold_there;
        } else {
            stretch *= 0.5;
        }
        if (step == max_iter || w->failed || !(hold > 0.0))
            break; /* hold 0: no neighbour in reach */
        length2 = 0.0;
        for (int axis = 0; axis < dim; axis++) {
            double way = -stretch * gradient[axis] / hold;
            there[axis] = here[axis] + way;
            length2 += way * way;
        }
        if (!(length2 > c->rules.shortest_step * c->rules.shortest_step)) break;
        for (int axis = 0; axis < dim; axis++) w->at[axis] = (float)there[axis];
        noise = c->map->tree != NULL && leaves_box(dim, w, w->at) ? NOISE_OF_BOXES : NOISE;
    }
    return f;
}

/* Where the descents of a point begin; returns how many there are. A point that is placed again has
 * its home and the places of the neighbours with the largest p_j, a new point NULL: their median. */
FT_INLINE int list_starts(int dim, const placement *c, const scratch *w, int64_t row,
                          const float **starts)
{
    int count = 1;
    starts[0] = c->at != NULL ? c->at + row * dim : w->home;
    for (; w->home != NULL && count < N_STARTS; count++) {
        const float *largest = NULL;
        float most = 0.0f;
        for (int64_t j = 0; j < c->k; j++) {
            const float *place = c->map->embedding + (int64_t)c->indices[row * c->k + j] * dim;
            int taken = 0;
            for (int s = 1; s < count; s++) taken |= place == starts[s];
            if (taken || !(w->probabilities[j] > most)) continue;
            most = w->probabilities[j];
            largest = place;
        }
        if (largest == NULL) break;
        starts[count] = largest;
    }
    return count;
}

FT_INLINE int is_near(int dim, const float *a, const float *b)
{
    int near = 1;
    for (int axis = 0; axis < dim; axis++) near &= fabsf(a[axis] - b[axis]) <= REACH;
    return near;
}

/* Whether the minimum from start s is known: next to an earlier start, or to the best place. */
FT_INLINE int is_known(int dim, const float **starts, int s, const float *best)
{
    int known = s > 0 && is_near(dim, starts[s], best);
    for (int t = 0; t < s; t++) known |= is_near(dim, starts[s], starts[t]);
    return known;
}

/* sum_j p_j log p_j of the neighbours that are laid out. */
static double negative_entropy(const placement *c, const scratch *w)
{
    double sum = 0.0;
    for (int64_t j = 0; j < c->k; j++) {
        double p = (double)w->probabilities[j];
        sum += p > 0.0 ? p * log(p) : 0.0;
    }
    return sum;
}

FT_INLINE void lay_out_neighbors(int dim, const placement *c, scratch *w, int64_t row)
{
    const int64_t k = c->k, padded = FT_PAD(k);
    const int32_t *indices = c->indices + row * k;
    for (int64_t j = 0; j < padded; j++) {
        const float *neighbor = c->map->embedding + (int64_t)indices[j < k ? j : 0] * dim;
        for (int axis = 0; axis < dim; axis++) w->neighbors[axis * padded + j] = neighbor[axis];
        w->probabilities[j] = j < k ? c->conditional[row * k + j] : 0.0f;
    }
}

FT_INLINE void place_point(int dim, ft_student_kind kind, const placement *c, scratch *w,
                           int64_t row)
{
    lay_out_neighbors(dim, c, w, row);
    for (int axis = 0; axis < 3; axis++) w->center[axis] = INFINITY; /* in no box */
    double *here = w->state + HERE * dim, *gradient = w->state + GRADIENT * dim;
    float *result = c->result + row * dim;
    w->home = c->own != NULL ? c->map->embedding + (int64_t)c->own[row] * dim : NULL;
    w->home_q = -1.0;
    const float *starts[N_STARTS];
    const int n_starts = list_starts(dim, c, w, row, starts);
    double least = 0.0;
    for (int s = 0; s < n_starts && !w->failed; s++) {
        if (is_known(dim, starts, s, result)) continue;
        if (starts[s] == NULL)
            weighted_median(dim, c, w, here);
        else
            for (int axis = 0; axis < dim; axis++) here[axis] = (double)starts[s][axis];
        const double f = descend(dim, kind, c, w, c->at != NULL ? 0 : c->rules.max_iter);
        if (s > 0 && !(f < least)) continue;
        least = f;
        for (int axis = 0; axis < dim; axis++)
            result[axis] = (float)(c->at != NULL ? gradient[axis] : here[axis]);
    }
    if (c->at != NULL)
        c->divergence[row] = least + (c->map->odds == 0.0 ? negative_entropy(c, w) : 0.0);
}

FT_INLINE void placement_body(int dim, ft_student_kind kind, FT_TASK_ARGUMENTS)
{
    const placement *c = context;
    scratch *w = &c->scratches[thread];
    int64_t begin = chunk * TOGETHER, end = ft_least(begin + TOGETHER, c->n_new);
    for (int64_t row = begin; row < end && !w->failed; row++) place_point(dim, kind, c, w, row);
}
FT_STUDENT_TASK_VARIANTS(placement)

/* More than three components. */
FT_INLINE void placement_of_many_body(FT_TASK_ARGUMENTS)
{
    const placement *c = context;
    placement_body(c->map->dim, FT_NU_ANY, context, chunk, thread);
}
FT_TASK_VARIANTS(placement_of_many)

static int allocate_scratch(const placement *c, scratch *w, ft_memory *memory)
{
    const int64_t padded = FT_PAD(c->k), dim = c->map->dim;
    w->neighbors = ft_memory_take(memory, dim * padded, sizeof(float));
    w->probabilities = ft_memory_take(memory, padded, sizeof(float));
    w->sorted = ft_memory_take(memory, 2 * c->k, sizeof(ft_neighbor));
    w->state = ft_memory_take(memory, STATE * dim, sizeof(double));
    w->at = ft_memory_take(memory, dim, sizeof(float));
    return make_room(w, FIRST_ROOM) && !memory->failed;
}

/* The points that repel as sources. */
static int lay_out(const ft_frozen *map, sources *whole, ft_memory *memory)
{
    const int64_t padded = FT_PAD(map->n_others);
    float *columns = ft_memory_take(memory, (map->dim + 1) * padded, sizeof(float));
    if (columns == NULL) return 0;
    for (int64_t i = 0; i < padded; i++) {
        const float *point = map->others + (i < map->n_others ? i : 0) * map->dim;
        for (int axis = 0; axis < map->dim; axis++) columns[axis * padded + i] = point[axis];
        columns[map->dim * padded + i] = i < map->n_others ? 1.0f : 0.0f;
    }
    *whole = (sources){padded, padded, columns, columns + map->dim * padded};
    return 1;
}

static ft_status place_all(placement c, ft_run *run)
{
    const ft_frozen *map = c.map;
    c.kind = ft_student_kind_of(map->student);
    c.student = ft_student_constants_of(map->student);
    if (map->odds > 0.0) {
        c.kind = FT_NU_ANY;
        c.student = (ft_student_constants){(float)(map->odds / (1.0 + map->odds)), 1.0f,
                                           (float)FT_LARGEST_LOG};
    }
    c.squared_opening = map->tree != NULL ? ft_squared_opening(map->tree, map->angle) : 0.0f;
    int n_threads = ft_parallel_threads(run);
    ft_memory memory = {0};
    c.scratches = ft_memory_take_zeros(&memory, n_threads, sizeof(scratch));
    if (c.scratches == NULL) return FT_NO_MEMORY;
    int complete = map->tree != NULL || lay_out(map, &c.whole, &memory);
    for (int t = 0; t < n_threads && complete; t++)
        complete = allocate_scratch(&c, &c.scratches[t], &memory);
    const ft_task task =
        map->dim <= 3 ? FT_STUDENT_TASK(placement, map->dim, c.kind) : FT_TASK(placement_of_many);
    const int64_t n_chunks = (c.n_new + TOGETHER - 1) / TOGETHER;
    ft_status status = FT_NO_MEMORY;
    if (complete) status = ft_parallel_run(run, n_chunks, TOGETHER * POINT_COST, task, &c);

    for (int t = 0; t < n_threads; t++) {
        if (c.scratches[t].failed) status = FT_NO_MEMORY;
        ft_memory_free(&c.scratches[t].box);
    }
    ft_memory_free(&memory);
    return status;
}

ft_status ft_transform_find(const ft_frozen *map, const int32_t *indices, const float *conditional,
                            int64_t n_new, int64_t k, ft_transform_rules rules, const float *at,
                            float *result, double *divergence, ft_run *run)
{
    placement c = {.map = map, .indices = indices, .conditional = conditional};
    c.n_new = n_new, c.k = k, c.rules = rules, c.at = at;
    c.result = result, c.divergence = divergence;
    return place_all(c, run);
}

ft_status ft_transform_again(const ft_frozen *map, const int32_t *own, const int32_t *indices,
                             const float *weights, int64_t n_rows, int64_t k, double sum_q,
                             ft_transform_rules rules, float *result, ft_run *run)
{
    placement c = {.map = map, .indices = indices, .conditional = weights};
    c.n_new = n_rows, c.k = k, c.rules = rules, c.own = own, c.sum_q = sum_q;
    c.result = result;
    return place_all(c, run);
}
