/* scale.c - the scale of the map as a separate coordinate.
 *
 * Multiply the map about its mean by s. At s = 1 the objective e E_p[-log w] + log Z has along
 * log s the slope
 *
 *     sum_i (y_i - mean) . gradient_i = (nu+1) (e E_p[f] - E_q[f])        f = d^2 / (nu + d^2)
 *
 * and the curvature
 *
 *     2 (nu+1) (e E_p[f (1-f)] - E_q[f (1-f)]) + (nu+1)^2 Var_q[f].
 *
 * At any s the curvature is at most e (nu+1)/2 + (nu+1)^2/4, because f (1-f) and a variance of f
 * are at most 1/4. So a step of twice the slope over this bound never raises the objective. On
 * finished maps the curvature is about an eighth of the bound. The slope is that of the map before
 * the last step of its points. Homes to which points are pulled are scaled with the map. */
#include "dimensions.h"
#include "fasttsne.h"

#include <math.h>
#include <string.h>

#define RELAXATION 2.0
#define LONGEST_SCALE_STEP 0.1397619423751587 /* log 1.15 */
#define COORDINATE_COST 1.0                   /* nanoseconds */

typedef struct {
    const ft_update *update;
    const float *masses;
    /* Of each chunk, over its rows times their mass: 1, |y|^2, y . gradient, then y and the gradient
     * by axis. */
    double *sums;
    double factor;
} scaling;

FT_INLINE void scale_sums_body(FT_TASK_ARGUMENTS)
{
    const scaling *c = context;
    const ft_update *u = c->update;
    const int dim = u->dim;
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, u->last);
    const double of_force = 2.0 * (u->step.degrees_of_freedom + 1.0) / u->step.degrees_of_freedom;
    const double attraction = of_force * u->step.exaggeration;
    /* No pair is in reach where sum_q underflows. */
    const double repulsion = u->step.sum_q > 1e-35 ? of_force / u->step.sum_q : 0.0;
    double *sums = c->sums + chunk * FT_SCALE_SUMS(dim), *of_y = sums + 3,
           *of_gradient = of_y + dim;
    memset(sums, 0, sizeof *sums * (size_t)FT_SCALE_SUMS(dim));
    for (int64_t row = begin; row < end; row++) {
        const double mass = c->masses != NULL ? (double)c->masses[row] : 1.0;
        double squared = 0.0, along = 0.0;
        for (int axis = 0; axis < dim; axis++) {
            const int64_t i = row * dim + axis;
            const double y = (double)u->moved[i];
            const double step = u->velocity != NULL ? (double)u->velocity[i] : 0.0;
            const double gradient = mass * (attraction * (double)u->attractive[i] -
                                            repulsion * (double)u->repulsive[i]);
            squared += y * y;
            along += (y - step) * gradient;
            of_y[axis] += mass * y;
            of_gradient[axis] += gradient;
        }
        sums[0] += mass;
        sums[1] += mass * squared;
        sums[2] += along;
    }
}
FT_TASK_VARIANTS(scale_sums)

FT_INLINE void scale_map_body(FT_TASK_ARGUMENTS)
{
    const scaling *c = context;
    const ft_update *u = c->update;
    const int dim = u->dim;
    const double *mean = c->sums + 3;
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, u->last);
    for (int64_t row = begin; row < end; row++)
        for (int axis = 0; axis < dim; axis++) {
            const int64_t i = row * dim + axis;
            const double from_mean = (double)u->moved[i] - mean[axis];
            u->moved[i] = (float)(mean[axis] + c->factor * from_mean);
            u->velocity[i] *= (float)c->factor;
            if (u->homes != NULL)
                u->homes[i] = (float)(mean[axis] + c->factor * ((double)u->homes[i] - mean[axis]));
        }
}
FT_TASK_VARIANTS(scale_map)

/* Adds up the chunks; the sums of y become the mean. */
static ft_scale find_scale(scaling *c, ft_run *run)
{
    const int dim = c->update->dim, width = FT_SCALE_SUMS(dim);
    const int64_t n_chunks = FT_ROW_CHUNKS(c->update->last);
    ft_parallel_run(run, n_chunks, FT_ROWS * dim * COORDINATE_COST, FT_TASK(scale_sums), c);
    double *sums = c->sums;
    for (int64_t chunk = 1; chunk < n_chunks; chunk++)
        for (int i = 0; i < width; i++) sums[i] += sums[chunk * width + i];
    double squared = sums[1] / sums[0], slope = sums[2];
    for (int axis = 0; axis < dim; axis++) {
        const double mean = sums[3 + axis] / sums[0];
        sums[3 + axis] = mean;
        squared -= mean * mean;
        slope -= mean * sums[3 + dim + axis];
    }
    return (ft_scale){slope, sqrt(squared > 0.0 ? squared : 0.0)};
}

ft_scale ft_scale_find(const ft_update *update, const float *masses, double *sums, ft_run *run)
{
    scaling c = {.update = update, .masses = masses, .sums = sums};
    return find_scale(&c, run);
}

void ft_scale_step(const ft_update *update, const float *masses, double *sums, ft_run *run)
{
    scaling c = {.update = update, .masses = masses, .sums = sums};
    const double slope = find_scale(&c, run).slope, a = update->step.degrees_of_freedom + 1.0;
    double step = -RELAXATION * slope / (0.5 * update->step.exaggeration * a + 0.25 * a * a);
    if (isnan(step)) return; /* where forces have overflowed; the next build of the tree refuses */
    step = step > LONGEST_SCALE_STEP ? LONGEST_SCALE_STEP : step;
    step = step < -LONGEST_SCALE_STEP ? -LONGEST_SCALE_STEP : step;
    c.factor = exp(step);
    ft_parallel_run(run, FT_ROW_CHUNKS(update->last), FT_ROWS * update->dim * COORDINATE_COST,
                    FT_TASK(scale_map), &c);
}
