/* curvature.c - sums of the Hessian of the objective by the place of one point, over all pairs.
 *
 * With the other points where they are, the objective as a function of y_i is, up to a constant,
 *
 *     L = 2a sum_j p_ij log t_ij + log Z                    a = (nu+1)/2
 *
 * and with t, u and w of student.h, r = y_i - y_j and S = sum_j w u r its Hessian is
 *
 *     4a/nu (sum_j p u (I - 2/nu u r r') - 1/Z sum_j w u (I - (2a+2)/nu u r r'))
 *         - 16 a^2 / nu^2 / Z^2 S S'
 *
 * The kernel returns the sums over j. Sums are single precision within a strip of points and double
 * within a row; a row does not depend on the others. */
#include "student.h"

#define STRIP 512
#define ROWS_PER_CHUNK 16
#define PAIR_COST 0.5 /* nanoseconds */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data, *embedding;
    const float *coordinates; /* dim x n */
    int64_t n;
    int dim;
    ft_student_kind kind;
    ft_student_constants student;
    double *sums;
} curvature;

/* The sums over the edges of P: sum p u, then the upper triangle of sum p u^2 r r'. */
FT_INLINE void attract_row(int dim, ft_student_kind kind, const curvature *c, int64_t row,
                           double *sums)
{
    const float *own = c->embedding + row * dim;
    for (int64_t edge = c->indptr[row]; edge < c->indptr[row + 1]; edge++) {
        const float *other = c->embedding + (int64_t)c->indices[edge] * dim;
        float squared = 0.0f, u, w;
        for (int axis = 0; axis < dim; axis++)
            squared += (own[axis] - other[axis]) * (own[axis] - other[axis]);
        ft_student_weights(kind, c->student, squared, &u, &w);
        const double pull = (double)(c->data[edge] * u);
        double *triangle = sums + 1;
        sums[0] += pull;
        for (int a = 0; a < dim; a++)
            for (int b = a; b < dim; b++)
                *triangle++ += pull * (double)(u * (own[a] - other[a]) * (own[b] - other[b]));
    }
}

/* The sums over all points of one strip: w, w u, w u r, and the upper triangle of w u^2 r r'. */
FT_INLINE void repel_strip(int dim, ft_student_kind kind, const curvature *c, const float *own,
                           int64_t begin, int width, int self, double *sums)
{
    float squared[STRIP], first[STRIP], second[STRIP];
    float q = 0.0f, trace = 0.0f;
    for (int j = 0; j < width; j++) squared[j] = 0.0f;
    for (int axis = 0; axis < dim; axis++) {
        const float *restrict y = c->coordinates + axis * c->n + begin;
        const float x = own[axis];
        for (int j = 0; j < width; j++) squared[j] += (x - y[j]) * (x - y[j]);
    }
#pragma omp simd reduction(+ : q, trace)
    for (int j = 0; j < width; j++) {
        float u, w;
        ft_student_weights(kind, c->student, squared[j], &u, &w);
        w = j == self ? 0.0f : w;
        q += w;
        first[j] = w * u;
        trace += first[j];
        second[j] = first[j] * u;
    }
    sums[0] += (double)q;
    sums[1] += (double)trace;
    double *force = sums + 2, *triangle = sums + 2 + dim;
    for (int a = 0; a < dim; a++) {
        const float *restrict ya = c->coordinates + a * c->n + begin;
        const float xa = own[a];
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < width; j++) sum += first[j] * (xa - ya[j]);
        force[a] += (double)sum;
        for (int b = a; b < dim; b++) {
            const float *restrict yb = c->coordinates + b * c->n + begin;
            const float xb = own[b];
            float product = 0.0f;
#pragma omp simd reduction(+ : product)
            for (int j = 0; j < width; j++) product += second[j] * (xa - ya[j]) * (xb - yb[j]);
            *triangle++ += (double)product;
        }
    }
}

FT_INLINE void curvature_row(int dim, ft_student_kind kind, const curvature *c, int64_t row)
{
    double *sums = c->sums + row * FT_CURVATURE_SUMS(dim);
    for (int s = 0; s < FT_CURVATURE_SUMS(dim); s++) sums[s] = 0.0;
    attract_row(dim, kind, c, row, sums);
    sums += 1 + dim * (dim + 1) / 2;
    for (int64_t begin = 0; begin < c->n; begin += STRIP) {
        int width = (int)ft_least(c->n - begin, STRIP);
        int self = row >= begin && row < begin + width ? (int)(row - begin) : -1;
        repel_strip(dim, kind, c, c->embedding + row * dim, begin, width, self, sums);
    }
}

FT_INLINE void curvature_body(FT_TASK_ARGUMENTS)
{
    const curvature *c = context;
    const int64_t end = ft_least((chunk + 1) * ROWS_PER_CHUNK, c->n);
    for (int64_t row = chunk * ROWS_PER_CHUNK; row < end; row++) {
        if (c->dim == 2)
            FT_STUDENT_KINDS(c->kind, curvature_row(2, KIND, c, row))
        else
            FT_STUDENT_KINDS(c->kind, curvature_row(c->dim, KIND, c, row))
    }
}
FT_TASK_VARIANTS(curvature)

ft_status ft_curvature_sums(const int64_t *indptr, const int32_t *indices, const float *data,
                            const float *embedding, int64_t n, int dim, ft_student student,
                            double *sums, float *coordinates, ft_run *run)
{
    for (int64_t i = 0; i < n; i++)
        for (int axis = 0; axis < dim; axis++) {
            const float y = embedding[i * dim + axis];
            if (!(fabsf(y) < FT_LARGEST_COORDINATE)) return FT_DIVERGED;
            coordinates[axis * n + i] = y;
        }
    curvature c = {.indptr = indptr, .indices = indices, .data = data, .embedding = embedding};
    c.coordinates = coordinates, c.n = n, c.dim = dim, c.sums = sums;
    c.kind = ft_student_kind_of(student), c.student = ft_student_constants_of(student);
    return ft_parallel_run(run, (n + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK,
                           PAIR_COST * ROWS_PER_CHUNK * (double)n * dim, FT_TASK(curvature), &c);
}
