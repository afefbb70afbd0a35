/* update.c - one step of gradient descent with momentum and a gain for every point.
 *
 * Gains (Jacobs 1988, van der Maaten & Hinton 2008): + 0.2 where the last step and the gradient
 * have opposite directions, times 0.8 elsewhere. The length of a step is bounded: at a high
 * momentum the repulsion of a dense region would throw single points out of the map. Gains and
 * bounds, usually per coordinate, are per point here: clusters that separate at full speed would
 * otherwise all move along the diagonals. The coordinates of a point have the same gain. */
#include "dimensions.h"
#include "fasttsne.h"

#include <math.h>

#define SMALLEST_GAIN 0.01f
#define LONGEST_STEP 1.4142135f /* 1 along both axes */
#define LARGEST_WAY 1e15f       /* along an axis before the bound, to be squared */
#define COORDINATE_COST 0.5     /* nanoseconds */

/* A step of the points [begin, end); returns their share of the squared norm. */
FT_INLINE double step_points(int dim, const ft_update *c, int64_t begin, int64_t end)
{
    const ft_step *step = &c->step;
    const double factor = 2.0 * (step->degrees_of_freedom + 1.0) / step->degrees_of_freedom;
    const float attraction = (float)(factor * step->exaggeration);
    /* No pair is in reach where sum_q underflows. */
    const float repulsion = step->sum_q > 1e-35 ? (float)(factor / step->sum_q) : 0.0f;
    const float learning_rate = (float)step->learning_rate, momentum = (float)step->momentum;
    const float *restrict attractive = c->attractive, *restrict repulsive = c->repulsive;
    const float *embedding = c->embedding;
    float *moved = c->moved;
    float *restrict velocity = c->velocity, *restrict gains = c->gains;
    double squared_norm = 0.0;
#pragma omp simd reduction(+ : squared_norm)
    for (int64_t point = begin; point < end; point++) {
        const int64_t first = point * dim, last = first + dim;
        float along = 0.0f, squared_length = 0.0f;
        for (int64_t i = first; i < last; i++)
            along += velocity[i] * (attraction * attractive[i] - repulsion * repulsive[i]);
        for (int64_t i = first; i < last; i++) {
            float gradient = attraction * attractive[i] - repulsion * repulsive[i];
            float gain = along < 0.0f ? gains[i] + 0.2f : gains[i] * 0.8f;
            gain = gain < SMALLEST_GAIN ? SMALLEST_GAIN : gain;
            gradient *= gain;
            gains[i] = gain;
            float way = momentum * velocity[i] - learning_rate * gradient;
            way = way > LARGEST_WAY ? LARGEST_WAY : way;
            way = way < -LARGEST_WAY ? -LARGEST_WAY : way;
            velocity[i] = way;
            squared_length += way * way;
            squared_norm += (double)gradient * (double)gradient;
        }
        const float scale = squared_length > LONGEST_STEP * LONGEST_STEP
                                ? LONGEST_STEP / sqrtf(squared_length)
                                : 1.0f;
        for (int64_t i = first; i < last; i++) {
            velocity[i] *= scale;
            moved[i] = embedding[i] + velocity[i];
        }
    }
    return squared_norm;
}

FT_INLINE double step_rows(const ft_update *c, int64_t begin, int64_t end)
{
    if (c->dim > 3) return step_points(c->dim, c, begin, end);
    FT_DIM_DISPATCH(c->dim, return step_points(DIM, c, begin, end))
}

FT_INLINE void stay(const ft_update *c, int64_t begin, int64_t end)
{
    for (int64_t i = begin * c->dim; i < end * c->dim; i++) {
        c->velocity[i] = 0.0f;
        c->moved[i] = c->embedding[i];
    }
}

/* Moves a row by the share `pull` of its way home. */
FT_INLINE void pull_home(const ft_update *c, int64_t row)
{
    for (int64_t i = row * c->dim; i < (row + 1) * c->dim; i++) {
        const float way = c->pull * (c->homes[i] - c->moved[i]);
        c->velocity[i] += way;
        c->moved[i] += way;
    }
}

/* Consecutive rows that step are one call of step_rows. If no row is held, the call is that of a
 * plain descent, and so are the bits, which depend on the products that the compiler fuses. */
FT_INLINE void update_body(FT_TASK_ARGUMENTS)
{
    const ft_update *c = context;
    const int64_t begin = c->first + chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, c->last);
    const uint8_t *staying = c->homes == NULL ? c->held : NULL;
    double squared_norm = 0.0;
    for (int64_t row = begin, stop; row < end; row = stop) {
        const int stays = staying != NULL && staying[row];
        stop = staying == NULL ? end : row + 1;
        while (stop < end && (staying[stop] != 0) == stays) stop++;
        if (stays)
            stay(c, row, stop);
        else
            squared_norm += step_rows(c, row, stop);
    }
    if (c->homes != NULL && c->held != NULL)
        for (int64_t row = begin; row < end; row++)
            if (c->held[row]) pull_home(c, row);
    c->partial[chunk] = squared_norm;
}
FT_TASK_VARIANTS(update)

void ft_update_rows(const ft_update *update, int64_t chunk)
{
    FT_TASK(update)((void *)update, chunk, 0);
}

double ft_update_squared_norm(const ft_update *update)
{
    return ft_sum(update->partial, FT_ROW_CHUNKS(update->last - update->first));
}

ft_status ft_update_step(const ft_update *update, ft_run *run)
{
    return ft_parallel_run(run, FT_ROW_CHUNKS(update->last - update->first),
                           FT_ROWS * update->dim * COORDINATE_COST, FT_TASK(update),
                           (void *)update);
}
