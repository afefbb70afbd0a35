/* contrastive.c - repulsion by sampled negatives, and the attraction of InfoNCE.
 *
 * Negatives are drawn as shifts: shift r pairs every row a with the row a + r (mod n). The partner
 * of a row is uniform over all others, so every mean over pairs is unbiased; and memory is read in
 * contiguous stretches, at the full speed of vectors. A row uses both a + r and a - r: the forces
 * of all rows cancel, and no thread writes into rows of another.
 *
 * q = 1 / t with t = 1 + d^2; all sums over pairs are written with t, which never underflows. */
#include "dimensions.h"
#include "fasttsne.h"

#include <string.h>

#define PAIR_COST 0.15 /* nanoseconds */
#define EDGE_COST 1.2

/* A task over FT_ROWS rows: `call` does the rows [begin, end), with DIM as a constant. */
#define ROWS_TASK(name, call)                                                                 \
    FT_INLINE void name##_body(FT_TASK_ARGUMENTS)                                             \
    {                                                                                         \
        const ft_contrastive *c = context;                                                    \
        int64_t begin = c->first + chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, c->last); \
        FT_DIM_DISPATCH(c->dim, call)                                                         \
    }                                                                                         \
    FT_TASK_VARIANTS(name)

void ft_contrastive_draw(uint64_t seed, uint64_t iteration, int64_t bound, int64_t count,
                         int64_t *draws)
{
    const uint64_t key = ft_mixed(ft_mixed(seed + FT_GOLDEN) + iteration * FT_GOLDEN);
    for (int64_t k = 0; k < count; k++) {
        uint64_t bits = ft_mixed(key + (uint64_t)(k + 1) * FT_GOLDEN);
        double share = (double)(bits >> 11) * 0x1p-53;
        draws[k] = (int64_t)(share * (double)bound);
    }
}

/* row + shift (mod n), for -n < shift < n. */
FT_INLINE int64_t shifted(int64_t row, int64_t shift, int64_t n)
{
    int64_t at = row + shift;
    return at < 0 ? at + n : at >= n ? at - n : at;
}

/* ---- Negative sampling and NCE ---------------------------------------------------------------- */

/* repulsive += h q (y_a - y_b) for `count` rows a from y and their partners b from z on; adds the
 * sums of q and of h = q / (q + c). */
FT_INLINE void binary_stretch(int dim, int64_t count, const float *restrict y,
                              const float *restrict z, float c, float *restrict repulsive,
                              float *restrict sum_q, float *restrict sum_h)
{
    float all_q = 0.0f, all_h = 0.0f;
#pragma omp simd reduction(+ : all_q, all_h)
    for (int64_t a = 0; a < count; a++) {
        ft_way r = ft_way_between(dim, y + a * dim, z + a * dim);
        float t = 1.0f + r.x * r.x + r.y * r.y + r.z * r.z;
        float s = 1.0f + c * t;
        float g = 1.0f / (s * t);
        ft_add_way(dim, g, r, repulsive + a * dim);
        all_h += g * t;
        all_q += g * s;
    }
    *sum_q += all_q;
    *sum_h += all_h;
}

FT_INLINE void binary_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end,
                           int64_t chunk)
{
    const float odds = (float)c->odds;
    float *repulsive = c->repulsive + begin * dim;
    memset(repulsive, 0, sizeof(float) * (size_t)((end - begin) * dim));
    double sum_q = 0.0, sum_h = 0.0;
    for (int64_t k = 0; k < 2 * c->n_shifts; k++) {
        int64_t shift = k % 2 ? -c->shifts[k / 2] : c->shifts[k / 2];
        float q = 0.0f, h = 0.0f;
        for (int64_t a = begin; a < end;) {
            int64_t b = shifted(a, shift, c->n);
            int64_t count = ft_least(end - a, c->n - b);
            binary_stretch(dim, count, c->embedding + a * dim, c->embedding + b * dim, odds,
                           repulsive + (a - begin) * dim, &q, &h);
            a += count;
        }
        sum_q += (double)q;
        sum_h += (double)h;
    }
    c->partial[chunk] = sum_q;
    c->partial[FT_ROW_CHUNKS(c->last - c->first) + chunk] = sum_h;
}

ROWS_TASK(binary, binary_rows(DIM, c, begin, end, chunk))

ft_status ft_contrastive_repulsion(const ft_contrastive *c, double *mean_q, double *mean_h,
                                   ft_run *run)
{
    int64_t n_chunks = FT_ROW_CHUNKS(c->last - c->first);
    ft_status status = ft_parallel_run(
        run, n_chunks, PAIR_COST * FT_ROWS * 2.0 * (double)c->n_shifts, FT_TASK(binary), (void *)c);
    double pairs = 2.0 * (double)c->n_shifts * (double)(c->last - c->first);
    *mean_q = ft_sum(c->partial, n_chunks) / pairs;
    *mean_h = ft_sum(c->partial + n_chunks, n_chunks) / pairs;
    return status;
}

/* The sum over the edges of a chunk of p (1 - h), which is p c t / (1 + c t). */
FT_INLINE double unlikely_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    const float odds = (float)c->odds;
    const float *restrict y = c->embedding;
    const float *restrict data = c->data;
    const int32_t *restrict indices = c->indices;
    double sum = 0.0;
    for (int64_t row = begin; row < end; row++) {
        const float *from = y + row * dim;
        float part = 0.0f;
#pragma omp simd reduction(+ : part)
        for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
            ft_way r = ft_way_between(dim, from, y + (int64_t)indices[e] * dim);
            float against = odds * (1.0f + r.x * r.x + r.y * r.y + r.z * r.z);
            part += data[e] * (1.0f - 1.0f / (1.0f + against));
        }
        sum += (double)part;
    }
    return sum;
}

ROWS_TASK(unlikely, c->partial[chunk] = unlikely_rows(DIM, c, begin, end))

ft_status ft_contrastive_missed(const ft_contrastive *c, double *sum, ft_run *run)
{
    int64_t n_chunks = FT_ROW_CHUNKS(c->last - c->first);
    double edges = (double)(c->indptr[c->last] - c->indptr[c->first]);
    ft_status status = ft_parallel_run(run, n_chunks, EDGE_COST * edges / (double)n_chunks,
                                       FT_TASK(unlikely), (void *)c);
    *sum = ft_sum(c->partial, n_chunks);
    return status;
}

/* ---- InfoNCE ----------------------------------------------------------------------------------
 *
 * Row i is compared with n_shifts pairs: of the pairs (a, a + shift), the one whose head is
 * a = i + head. S_i is the sum of their q, and an edge of i has the loss log(1 + S_i / q). */

/* sums += q of the pairs of `count` rows that begin at y and z. */
FT_INLINE void similarity_stretch(int dim, int64_t count, const float *restrict y,
                                  const float *restrict z, float *restrict sums)
{
#pragma omp simd
    for (int64_t a = 0; a < count; a++) {
        ft_way r = ft_way_between(dim, y + a * dim, z + a * dim);
        sums[a] += 1.0f / (1.0f + r.x * r.x + r.y * r.y + r.z * r.z);
    }
}

FT_INLINE void similarity_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    float *sums = c->sums + begin;
    memset(sums, 0, sizeof(float) * (size_t)(end - begin));
    for (int64_t k = 0; k < c->n_shifts; k++)
        for (int64_t i = begin; i < end;) {
            int64_t a = shifted(i, c->heads[k], c->n), b = shifted(a, c->shifts[k], c->n);
            int64_t count = ft_least(end - i, c->n - (a > b ? a : b));
            similarity_stretch(dim, count, c->embedding + a * dim, c->embedding + b * dim,
                               sums + (i - begin));
            i += count;
        }
}

ROWS_TASK(similarity, similarity_rows(DIM, c, begin, end))

/* attractive_i = sum_j p_ij q_ij (y_i - y_j) (r_ij + r_ji) / 2, where r_ij = S_i / (q_ij + S_i),
 * and weights_i = sum_j p_ij / (q_ij + S_i). */
FT_INLINE void softmax_row(int dim, const ft_contrastive *c, int64_t row)
{
    const float *restrict y = c->embedding;
    const float *restrict data = c->data;
    const float *restrict sums = c->sums;
    const int32_t *restrict indices = c->indices;
    const float *from = y + row * dim;
    const float own = sums[row];
    float fx = 0.0f, fy = 0.0f, fz = 0.0f, weight = 0.0f;
#pragma omp simd reduction(+ : fx, fy, fz, weight)
    for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
        ft_way r = ft_way_between(dim, from, y + (int64_t)indices[e] * dim);
        float t = 1.0f + r.x * r.x + r.y * r.y + r.z * r.z;
        float theirs = sums[indices[e]];
        float share = data[e] / (1.0f + own * t);
        float g = 0.5f * (share * own + data[e] * theirs / (1.0f + theirs * t));
        weight += share * t;
        fx += g * r.x;
        if (dim > 1) fy += g * r.y;
        if (dim > 2) fz += g * r.z;
    }
    float *out = c->attractive + row * dim;
    out[0] = fx;
    if (dim > 1) out[1] = fy;
    if (dim > 2) out[2] = fz;
    c->weights[row] = weight;
}

ROWS_TASK(softmax, for (int64_t row = begin; row < end; row++) softmax_row(DIM, c, row))

/* repulsive += w q^2 (y_a - y_b) / 2, for `count` rows a of y, b of z and weights w. */
FT_INLINE void weighted_stretch(int dim, int64_t count, const float *restrict y,
                                const float *restrict z, const float *restrict w,
                                float *restrict repulsive)
{
#pragma omp simd
    for (int64_t a = 0; a < count; a++) {
        ft_way r = ft_way_between(dim, y + a * dim, z + a * dim);
        float q = 1.0f / (1.0f + r.x * r.x + r.y * r.y + r.z * r.z);
        float g = 0.5f * w[a] * q * q;
        ft_add_way(dim, g, r, repulsive + a * dim);
    }
}

FT_INLINE void weighted_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    const int64_t n = c->n;
    float *repulsive = c->repulsive + begin * dim;
    memset(repulsive, 0, sizeof(float) * (size_t)((end - begin) * dim));
    for (int64_t k = 0; k < 2 * c->n_shifts; k++) {
        /* Row a is the head of its pair, then the tail. */
        const int is_tail = k % 2;
        const int64_t shift = c->shifts[k / 2], head = c->heads[k / 2];
        for (int64_t a = begin; a < end;) {
            int64_t b = shifted(a, is_tail ? -shift : shift, n);
            int64_t i = shifted(is_tail ? b : a, -head, n);
            int64_t count = ft_least(end - a, n - (b > i ? b : i));
            weighted_stretch(dim, count, c->embedding + a * dim, c->embedding + b * dim,
                             c->weights + i, repulsive + (a - begin) * dim);
            a += count;
        }
    }
}

ROWS_TASK(weighted, weighted_rows(DIM, c, begin, end))

ft_status ft_contrastive_infonce(const ft_contrastive *c, ft_run *run)
{
    int64_t n_chunks = FT_ROW_CHUNKS(c->n);
    double pairs = PAIR_COST * FT_ROWS * (double)c->n_shifts;
    double edges = EDGE_COST * (double)c->indptr[c->n] / (double)n_chunks;
    ft_status status = ft_parallel_run(run, n_chunks, pairs, FT_TASK(similarity), (void *)c);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, edges, FT_TASK(softmax), (void *)c);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, 2.0 * pairs, FT_TASK(weighted), (void *)c);
    return status;
}
