/* update.c - one step of gradient descent with momentum and a gain for every coordinate.
 *
 * Gains (Jacobs 1988, van der Maaten & Hinton 2008): + 0.2 where the step so far and the
 * gradient point opposite ways, so that the coordinate is making headway; times 0.8 elsewhere.
 * A step is at most as long as the kernel is wide, in every coordinate: at a high momentum a push
 * from a dense crowd would throw single points out of the map.
 */
#include "fasttsne.h"

#define SMALLEST_GAIN 0.01f
#define LARGEST_STEP 1.0f
#define COORDINATE_COST 0.5 /* nanoseconds */

typedef struct {
    float attraction, repulsion; /* the gradient is one times attractive minus the other */
    float learning_rate, momentum;
    int64_t first, last;
    int dim;
    const float *attractive, *repulsive;
    float *embedding, *velocity, *gains;
    double *partial;
} update;

FT_INLINE void update_body(FT_TASK_ARGUMENTS)
{
    const update *c = context;
    (void)thread;
    int64_t begin = c->first + chunk * FT_ROWS;
    int64_t end = begin + FT_ROWS < c->last ? begin + FT_ROWS : c->last;
    const float *restrict attractive = c->attractive + begin * c->dim;
    const float *restrict repulsive = c->repulsive + begin * c->dim;
    float *restrict embedding = c->embedding + begin * c->dim;
    float *restrict velocity = c->velocity + begin * c->dim;
    float *restrict gains = c->gains + begin * c->dim;
    const float attraction = c->attraction, repulsion = c->repulsion;
    const float learning_rate = c->learning_rate, momentum = c->momentum;
    const int64_t count = (end - begin) * c->dim;
    double squared_norm = 0.0;
#pragma omp simd reduction(+ : squared_norm)
    for (int64_t i = 0; i < count; i++) {
        float gradient = attraction * attractive[i] - repulsion * repulsive[i];
        float gain = velocity[i] * gradient < 0.0f ? gains[i] + 0.2f : gains[i] * 0.8f;
        gain = gain < SMALLEST_GAIN ? SMALLEST_GAIN : gain;
        gradient *= gain;
        gains[i] = gain;
        float step = momentum * velocity[i] - learning_rate * gradient;
        step = step > LARGEST_STEP ? LARGEST_STEP : step;
        step = step < -LARGEST_STEP ? -LARGEST_STEP : step;
        velocity[i] = step;
        embedding[i] += step;
        squared_norm += (double)gradient * (double)gradient;
    }
    c->partial[chunk] = squared_norm;
}
FT_TASK_VARIANTS(update)

ft_status ft_update_step(const ft_step *step, int64_t first, int64_t last, int dim,
                         const float *attractive, const float *repulsive, float *embedding,
                         float *velocity, float *gains, double *squared_norm, double *partial,
                         ft_run *run)
{
    double factor = 2.0 * (step->degrees_of_freedom + 1.0) / step->degrees_of_freedom;
    update c = {(float)(factor * step->exaggeration),
                /* No pair within reach of another: nothing repels. */
                step->sum_q > 1e-35 ? (float)(factor / step->sum_q) : 0.0f,
                (float)step->learning_rate,
                (float)step->momentum,
                first,
                last,
                dim,
                attractive,
                repulsive,
                embedding,
                velocity,
                gains,
                partial};
    int64_t n_chunks = FT_ROW_CHUNKS(last - first);
    ft_status status = ft_parallel_run(run, n_chunks, FT_ROWS * dim * COORDINATE_COST,
                                       FT_TASK(update), &c);
    *squared_norm = 0.0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) *squared_norm += partial[chunk];
    return status;
}
