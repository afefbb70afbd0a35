/* exact.c - both forces by sums over all pairs, for any number of components.
 *
 * A row of pairs is processed in strips: squared distances, then weights, then one sum per
 * component. Sums are single precision within a strip and double within a row. */
#include "student.h"

#define STRIP 512
#define ROWS_PER_CHUNK 4
#define PAIR_COST 0.8 /* nanoseconds */

typedef struct {
    const float *joint, *embedding;
    const float *masses;      /* NULL where all are 1 */
    const float *coordinates; /* dim x n */
    int64_t n;
    int dim;
    ft_student_kind kind;
    ft_student_constants student;
    int64_t first, last;
    int want_cross_entropy;
    float *attractive, *repulsive;
    double *partial; /* shares of sum_q, then of the cross-entropy, by row */
} exact;

FT_INLINE void weights_of_strip(ft_student_kind kind, ft_student_constants student,
                                const float *restrict joint, const float *restrict masses,
                                int width, int64_t self, int want_cross_entropy, float *restrict d2,
                                float *restrict attracting, float *restrict repelling,
                                double *sum_q, double *cross_entropy)
{
    float q = 0.0f, entropy = 0.0f;
    if (want_cross_entropy) {
#pragma omp simd reduction(+ : entropy)
        for (int j = 0; j < width; j++) {
            float log_t = ft_student_log(1.0f + student.inverse_nu * d2[j]);
            entropy += joint[j] * (log_t < student.largest_log ? log_t : student.largest_log);
        }
    }
#pragma omp simd reduction(+ : q)
    for (int j = 0; j < width; j++) {
        float u, w;
        ft_student_weights(kind, student, d2[j], &u, &w);
        w = j == self ? 0.0f : w;
        if (masses != NULL) w *= masses[j];
        q += w;
        attracting[j] = joint[j] * u;
        repelling[j] = w * u;
    }
    *sum_q += q;
    *cross_entropy += entropy;
}

FT_INLINE void exact_row(ft_student_kind kind, const exact *c, const float *masses, int64_t row)
{
    float d2[STRIP], attracting[STRIP], repelling[STRIP];
    double sum_q = 0.0, cross_entropy = 0.0;
    const float *own = c->embedding + row * c->dim;
    float *attractive = c->attractive + row * c->dim, *repulsive = c->repulsive + row * c->dim;
    for (int axis = 0; axis < c->dim; axis++) attractive[axis] = repulsive[axis] = 0.0f;

    for (int64_t begin = 0; begin < c->n; begin += STRIP) {
        int width = (int)ft_least(c->n - begin, STRIP);
        for (int j = 0; j < width; j++) d2[j] = 0.0f;
        for (int axis = 0; axis < c->dim; axis++) {
            const float *restrict y = c->coordinates + axis * c->n + begin;
            for (int j = 0; j < width; j++) d2[j] += (own[axis] - y[j]) * (own[axis] - y[j]);
        }
        weights_of_strip(kind, c->student, c->joint + row * c->n + begin,
                         masses != NULL ? masses + begin : NULL, width, row - begin,
                         c->want_cross_entropy, d2, attracting, repelling, &sum_q, &cross_entropy);
        for (int axis = 0; axis < c->dim; axis++) {
            const float *restrict y = c->coordinates + axis * c->n + begin;
            const float x = own[axis];
            float attraction = 0.0f, repulsion = 0.0f;
#pragma omp simd reduction(+ : attraction, repulsion)
            for (int j = 0; j < width; j++) {
                attraction += attracting[j] * (x - y[j]);
                repulsion += repelling[j] * (x - y[j]);
            }
            attractive[axis] += attraction;
            repulsive[axis] += repulsion;
        }
    }
    if (masses != NULL) {
        /* Each of m copies meets m - 1 at its own place, at least 0. */
        const double mass = (double)masses[row];
        sum_q = mass * (sum_q + (mass > 1.0 ? mass - 1.0 : 0.0));
        cross_entropy *= mass;
    }
    c->partial[row] = sum_q;
    c->partial[c->n + row] = cross_entropy;
}

FT_INLINE void exact_body(FT_TASK_ARGUMENTS)
{
    const exact *c = context;
    int64_t begin = c->first + chunk * ROWS_PER_CHUNK;
    int64_t end = ft_least(begin + ROWS_PER_CHUNK, c->last);
    for (int64_t row = begin; row < end; row++) {
        if (c->masses == NULL)
            FT_STUDENT_KINDS(c->kind, exact_row(KIND, c, NULL, row))
        else
            FT_STUDENT_KINDS(c->kind, exact_row(KIND, c, c->masses, row))
    }
}
FT_TASK_VARIANTS(exact)

ft_status ft_exact_compute(const float *joint, const float *masses, const float *embedding,
                           int64_t n, int dim, ft_student student, int64_t first, int64_t last,
                           float *attractive, float *repulsive, double *sum_q,
                           double *cross_entropy, float *coordinates, double *partial, ft_run *run)
{
    for (int64_t i = 0; i < n; i++)
        for (int axis = 0; axis < dim; axis++) {
            float y = embedding[i * dim + axis];
            if (!(fabsf(y) < FT_LARGEST_COORDINATE)) return FT_DIVERGED;
            coordinates[axis * n + i] = y;
        }
    exact c = {
        .joint = joint, .masses = masses, .embedding = embedding, .coordinates = coordinates};
    c.n = n, c.dim = dim, c.first = first, c.last = last;
    c.kind = ft_student_kind_of(student), c.student = ft_student_constants_of(student);
    c.attractive = attractive, c.repulsive = repulsive, c.partial = partial;
    c.want_cross_entropy = cross_entropy != NULL;
    ft_status status = ft_parallel_run(run, (last - first + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK,
                                       PAIR_COST * ROWS_PER_CHUNK * (double)n, FT_TASK(exact), &c);
    *sum_q = ft_sum(partial + first, last - first);
    if (cross_entropy != NULL)
        *cross_entropy =
            0.5 * (student.degrees_of_freedom + 1.0) * ft_sum(partial + n + first, last - first);
    return status;
}
