/* joint.c - the joint probabilities P as a graph: another order of rows, and the entropy. */
#include "fasttsne.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EDGES_PER_CHUNK 65536
#define EDGE_COST 1.0 /* nanoseconds */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data;
    const int32_t *order, *inverse;
    int64_t n;
    const int64_t *new_indptr;
    int32_t *new_indices;
    float *new_data;
} permutation;

FT_INLINE void permute_body(FT_TASK_ARGUMENTS)
{
    const permutation *p = context;
    const int32_t *restrict inverse = p->inverse;
    int64_t end = ft_least((chunk + 1) * FT_ROWS, p->n);
    for (int64_t row = chunk * FT_ROWS; row < end; row++) {
        int64_t from = p->indptr[p->order[row]], to = p->new_indptr[row];
        int64_t count = p->new_indptr[row + 1] - to;
        if (p->indices != NULL) {
            const int32_t *restrict old = p->indices + from;
            int32_t *restrict new = p->new_indices + to;
            for (int64_t e = 0; e < count; e++) new[e] = inverse[old[e]];
        }
        if (p->data != NULL)
            memcpy(p->new_data + to, p->data + from, sizeof(float) * (size_t)count);
    }
}
FT_TASK_VARIANTS(permute)

ft_status ft_joint_permute(const int64_t *indptr, const int32_t *indices, const float *data,
                           int64_t n, const int32_t *order, const int32_t *inverse,
                           int64_t *new_indptr, int32_t *new_indices, float *new_data, ft_run *run)
{
    new_indptr[0] = 0;
    for (int64_t row = 0; row < n; row++)
        new_indptr[row + 1] = new_indptr[row] + indptr[order[row] + 1] - indptr[order[row]];
    permutation p = {indptr, indices, data, order, inverse, n, new_indptr, new_indices, new_data};
    return ft_parallel_run(run, FT_ROW_CHUNKS(n),
                           (double)indptr[n] / (double)FT_ROW_CHUNKS(n) * EDGE_COST,
                           FT_TASK(permute), &p);
}

typedef struct {
    const float *data;
    int64_t n_edges;
    double *partial;
} entropy;

/* x log(x) to about 1e-12 of it; 0 below the smallest normal number. x = 2^exponent m with
 * sqrt(1/2) <= m < sqrt(2), and log(m) = 2 artanh((m - 1) / (m + 1)). */
FT_INLINE double x_log_x(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (int32_t)((uint32_t)bits - 0x3f3504f3) >> 23;
    bits = (int32_t)((uint32_t)bits - ((uint32_t)exponent << 23));
    float m;
    memcpy(&m, &bits, sizeof m);
    double s = ((double)m - 1.0) / ((double)m + 1.0), z = s * s;
    double p = 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    double logarithm = 0.6931471805599453 * (double)exponent + 2.0 * (s + s * z * p);
    return x >= FLT_MIN ? (double)x * logarithm : 0.0;
}

FT_INLINE void entropy_body(FT_TASK_ARGUMENTS)
{
    const entropy *t = context;
    const float *restrict data = t->data;
    int64_t end = ft_least((chunk + 1) * EDGES_PER_CHUNK, t->n_edges);
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = chunk * EDGES_PER_CHUNK; e < end; e++) sum += x_log_x(data[e]);
    t->partial[chunk] = sum;
}
FT_TASK_VARIANTS(entropy)

ft_status ft_joint_negative_entropy(const float *data, int64_t n_edges, double *sum, ft_run *run)
{
    int64_t n_chunks = (n_edges + EDGES_PER_CHUNK - 1) / EDGES_PER_CHUNK;
    double *partial = calloc((size_t)n_chunks + 1, sizeof(double));
    if (partial == NULL) return FT_NO_MEMORY;
    entropy t = {data, n_edges, partial};
    ft_status status =
        ft_parallel_run(run, n_chunks, EDGES_PER_CHUNK * EDGE_COST, FT_TASK(entropy), &t);
    *sum = ft_sum(partial, n_chunks);
    free(partial);
    return status;
}
