/* contrastive.c - repulsion by sampled negatives, and the attraction of InfoNCE.
 *
 * Negatives are drawn as shifts: shift r pairs every row a with the row a + r (mod n). The partner
 * of a row is uniform over all others, so every mean over pairs is unbiased; and memory is read in
 * contiguous stretches, at the full speed of vectors. A row uses both a + r and a - r: the forces
 * of all rows cancel, and no thread writes into rows of another.
 *
 * Pairs read the map by columns, with the first rows again behind the last ones: FT_LANES rows and
 * their partners then are vectors, whatever the shift and the number of components.
 *
 * q = 1 / t with t = 1 + d^2; all sums over pairs are written with t, which never underflows. */
#include "dimensions.h"
#include "edges.h"
#include "fasttsne.h"

#include <string.h>

#define EDGE_COST 1.2 /* nanoseconds */
#define COLUMN_COST 1.0

static double pair_cost(const ft_contrastive *c) { return 0.1 + 0.03 * c->dim; }

/* A task over FT_ROWS rows: `call` does the rows [begin, end); DIM is a constant up to 3. */
#define ROWS_TASK(name, call)                                                                 \
    FT_INLINE void name##_body(FT_TASK_ARGUMENTS)                                             \
    {                                                                                         \
        const ft_contrastive *c = context;                                                    \
        int64_t begin = c->first + chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, c->last); \
        FT_ANY_DIM_DISPATCH(c->dim, call)                                                     \
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

/* The sum over lanes, in an order that no instruction set changes. */
FT_INLINE float sum_of_lanes(const float *lanes)
{
    float partial[FT_LANES];
    for (int l = 0; l < FT_LANES; l++) partial[l] = lanes[l];
    for (int half = FT_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) partial[l] += partial[l + half];
    return partial[0];
}

/* ---- Columns ---------------------------------------------------------------------------------- */

FT_INLINE void columns_body(FT_TASK_ARGUMENTS)
{
    const ft_contrastive *c = context;
    const int64_t n = c->n, room = FT_CONTRASTIVE_ROOM(n), dim = c->dim;
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, room);
    for (int64_t axis = 0; axis < dim; axis++)
        for (int64_t row = begin; row < end; row++)
            c->columns[axis * room + row] =
                c->embedding[(row < n ? row : (row - n) % n) * dim + axis];
}
FT_TASK_VARIANTS(columns)

static ft_status write_columns(const ft_contrastive *c, ft_run *run)
{
    return ft_parallel_run(run, FT_ROW_CHUNKS(FT_CONTRASTIVE_ROOM(c->n)),
                           COLUMN_COST * FT_ROWS * c->dim, FT_TASK(columns), (void *)c);
}

/* t = 1 + d^2 between the rows from a on and those from b on, FT_LANES at most. */
FT_INLINE void spread_lanes(int dim, int64_t lanes, const ft_contrastive *c, int64_t a, int64_t b,
                            float *restrict t)
{
    const int64_t room = FT_CONTRASTIVE_ROOM(c->n);
    const float *restrict columns = c->columns;
    for (int64_t l = 0; l < lanes; l++) t[l] = 1.0f;
    for (int axis = 0; axis < dim; axis++, columns += room) {
        FT_NO_JAM
#pragma omp simd
        for (int64_t l = 0; l < lanes; l++) {
            float way = columns[a + l] - columns[b + l];
            t[l] += way * way;
        }
    }
}

/* forces += g (y_a - y_b); they have a row of FT_ROWS for every component. */
FT_INLINE void push_lanes(int dim, int64_t lanes, const ft_contrastive *c, int64_t a, int64_t b,
                          const float *restrict g, float *restrict forces)
{
    const int64_t room = FT_CONTRASTIVE_ROOM(c->n);
    const float *restrict columns = c->columns;
    for (int axis = 0; axis < dim; axis++, columns += room, forces += FT_ROWS) {
        FT_NO_JAM
#pragma omp simd
        for (int64_t l = 0; l < lanes; l++) forces[l] += g[l] * (columns[a + l] - columns[b + l]);
    }
}

/* Calls `block` with `at`, from 0 to rows, and LANES: a constant but in the last one. */
#define FOR_LANES(rows, block)                            \
    {                                                     \
        int64_t at = 0;                                   \
        for (; at + FT_LANES <= (rows); at += FT_LANES) { \
            enum { LANES = FT_LANES };                    \
            block;                                        \
        }                                                 \
        if (at < (rows)) {                                \
            const int64_t LANES = (rows) - at;            \
            block;                                        \
        }                                                 \
    }

FT_INLINE void write_repulsive(int dim, const ft_contrastive *c, int64_t begin, int64_t end,
                               const float *forces)
{
    for (int64_t row = begin; row < end; row++)
        for (int axis = 0; axis < dim; axis++)
            c->repulsive[row * dim + axis] = forces[axis * FT_ROWS + (row - begin)];
}

/* ---- Negative sampling and NCE ---------------------------------------------------------------- */

/* forces += h q (y_a - y_b); adds q and h = q / (q + odds) to a sum in each lane. */
FT_INLINE void binary_lanes(int dim, int64_t lanes, const ft_contrastive *c, int64_t a, int64_t b,
                            float *restrict forces, float *restrict sum_q, float *restrict sum_h)
{
    const float odds = (float)c->odds;
    float t[FT_LANES], g[FT_LANES];
    spread_lanes(dim, lanes, c, a, b, t);
#pragma omp simd
    for (int64_t l = 0; l < lanes; l++) {
        float s = 1.0f + odds * t[l];
        g[l] = 1.0f / (s * t[l]);
        sum_h[l] += g[l] * t[l];
        sum_q[l] += g[l] * s;
    }
    push_lanes(dim, lanes, c, a, b, g, forces);
}

FT_INLINE void binary_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end,
                           int64_t chunk)
{
    float forces[FT_MOST_COMPONENTS * FT_ROWS];
    memset(forces, 0, sizeof(float) * (size_t)(dim * FT_ROWS));
    double sum_q = 0.0, sum_h = 0.0;
    for (int64_t k = 0; k < 2 * c->n_shifts; k++) {
        const int64_t b = shifted(begin, k % 2 ? -c->shifts[k / 2] : c->shifts[k / 2], c->n);
        float q[FT_LANES] = {0}, h[FT_LANES] = {0};
        FOR_LANES(end - begin, binary_lanes(dim, LANES, c, begin + at, b + at, forces + at, q, h))
        sum_q += (double)sum_of_lanes(q);
        sum_h += (double)sum_of_lanes(h);
    }
    write_repulsive(dim, c, begin, end, forces);
    c->partial[chunk] = sum_q;
    c->partial[FT_ROW_CHUNKS(c->last - c->first) + chunk] = sum_h;
}

ROWS_TASK(binary, binary_rows(DIM, c, begin, end, chunk))

ft_status ft_contrastive_repulsion(const ft_contrastive *c, double *mean_q, double *mean_h,
                                   ft_run *run)
{
    int64_t n_chunks = FT_ROW_CHUNKS(c->last - c->first);
    ft_status status = write_columns(c, run);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, pair_cost(c) * FT_ROWS * 2.0 * (double)c->n_shifts,
                                 FT_TASK(binary), (void *)c);
    double pairs = 2.0 * (double)c->n_shifts * (double)(c->last - c->first);
    *mean_q = ft_sum(c->partial, n_chunks) / pairs;
    *mean_h = ft_sum(c->partial + n_chunks, n_chunks) / pairs;
    return status;
}

/* The sum over the edges of a row of p (1 - h), which is p c t / (1 + c t). */
FT_INLINE float unlikely_row(int dim, const ft_contrastive *c, int64_t row)
{
    const float odds = (float)c->odds;
    const float *restrict y = c->embedding;
    const float *restrict data = c->data;
    const int32_t *restrict indices = c->indices;
    const float *from = y + row * dim;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
        ft_way r = ft_way_between(dim, from, y + (int64_t)indices[e] * dim);
        float against = odds * (1.0f + r.x * r.x + r.y * r.y + r.z * r.z);
        sum += data[e] * (1.0f - 1.0f / (1.0f + against));
    }
    return sum;
}

FT_INLINE float unlikely_row_of_many(int dim, const ft_contrastive *c, int64_t row)
{
    const float odds = (float)c->odds;
    const int64_t end = c->indptr[row + 1];
    ft_edges edges;
    float sum = 0.0f;
    for (int64_t e = c->indptr[row]; e < end; e += FT_LANES) {
        ft_edges_take(dim, c->embedding, row, c->indices, c->data, e, end, &edges);
#pragma omp simd reduction(+ : sum)
        for (int l = 0; l < FT_LANES; l++) {
            float against = odds * (1.0f + edges.squared[l]);
            sum += edges.p[l] * (1.0f - 1.0f / (1.0f + against));
        }
    }
    return sum;
}

FT_INLINE double unlikely_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    double sum = 0.0;
    for (int64_t row = begin; row < end; row++)
        sum += (double)(dim > 3 ? unlikely_row_of_many(dim, c, row) : unlikely_row(dim, c, row));
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

/* sums += q of the pairs of some rows. */
FT_INLINE void similarity_lanes(int dim, int64_t lanes, const ft_contrastive *c, int64_t a,
                                int64_t b, float *restrict sums)
{
    float t[FT_LANES];
    spread_lanes(dim, lanes, c, a, b, t);
#pragma omp simd
    for (int64_t l = 0; l < lanes; l++) sums[l] += 1.0f / t[l];
}

FT_INLINE void similarity_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    float *sums = c->sums + begin;
    memset(sums, 0, sizeof(float) * (size_t)(end - begin));
    for (int64_t k = 0; k < c->n_shifts; k++) {
        const int64_t a = shifted(begin, c->heads[k], c->n), b = shifted(a, c->shifts[k], c->n);
        FOR_LANES(end - begin, similarity_lanes(dim, LANES, c, a + at, b + at, sums + at))
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

FT_INLINE void softmax_row_of_many(int dim, const ft_contrastive *c, int64_t row)
{
    const float *sums = c->sums;
    const float own = sums[row];
    const int64_t end = c->indptr[row + 1];
    float g[FT_LANES], theirs[FT_LANES] = {0}, weight = 0.0f;
    float *forces = c->attractive + row * dim;
    ft_edges edges;
    memset(forces, 0, sizeof(float) * (size_t)dim);
    for (int64_t e = c->indptr[row]; e < end; e += FT_LANES) {
        ft_edges_take(dim, c->embedding, row, c->indices, c->data, e, end, &edges);
        for (int64_t l = 0; l < edges.count; l++) theirs[l] = sums[c->indices[e + l]];
#pragma omp simd reduction(+ : weight)
        for (int l = 0; l < FT_LANES; l++) {
            float t = 1.0f + edges.squared[l];
            float share = edges.p[l] / (1.0f + own * t);
            g[l] = 0.5f * (share * own + edges.p[l] * theirs[l] / (1.0f + theirs[l] * t));
            weight += share * t;
        }
        ft_edges_add(dim, &edges, g, forces);
    }
    c->weights[row] = weight;
}

FT_INLINE void softmax_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++) {
        if (dim > 3)
            softmax_row_of_many(dim, c, row);
        else
            softmax_row(dim, c, row);
    }
}

ROWS_TASK(softmax, softmax_rows(DIM, c, begin, end))

/* forces += w q^2 (y_a - y_b) / 2, with the weights w from i on. */
FT_INLINE void weighted_lanes(int dim, int64_t lanes, const ft_contrastive *c, int64_t a, int64_t b,
                              int64_t i, float *restrict forces)
{
    const float *restrict w = c->weights + i;
    float t[FT_LANES], g[FT_LANES];
    spread_lanes(dim, lanes, c, a, b, t);
#pragma omp simd
    for (int64_t l = 0; l < lanes; l++) g[l] = 0.5f * w[l] / (t[l] * t[l]);
    push_lanes(dim, lanes, c, a, b, g, forces);
}

FT_INLINE void weighted_rows(int dim, const ft_contrastive *c, int64_t begin, int64_t end)
{
    float forces[FT_MOST_COMPONENTS * FT_ROWS];
    memset(forces, 0, sizeof(float) * (size_t)(dim * FT_ROWS));
    for (int64_t k = 0; k < 2 * c->n_shifts; k++) {
        /* Row a is the head of its pair, then the tail. */
        const int is_tail = k % 2;
        const int64_t shift = c->shifts[k / 2];
        const int64_t b = shifted(begin, is_tail ? -shift : shift, c->n);
        const int64_t i = shifted(is_tail ? b : begin, -c->heads[k / 2], c->n);
        FOR_LANES(end - begin,
                  weighted_lanes(dim, LANES, c, begin + at, b + at, i + at, forces + at))
    }
    write_repulsive(dim, c, begin, end, forces);
}

ROWS_TASK(weighted, weighted_rows(DIM, c, begin, end))

ft_status ft_contrastive_infonce(const ft_contrastive *c, ft_run *run)
{
    int64_t n_chunks = FT_ROW_CHUNKS(c->n);
    double pairs = pair_cost(c) * FT_ROWS * (double)c->n_shifts;
    double edges = EDGE_COST * (double)c->indptr[c->n] / (double)n_chunks;
    ft_status status = write_columns(c, run);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, pairs, FT_TASK(similarity), (void *)c);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, edges, FT_TASK(softmax), (void *)c);
    for (int64_t row = 0; status == FT_OK && row < FT_ROWS; row++)
        c->weights[c->n + row] = c->weights[row % c->n];
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, 2.0 * pairs, FT_TASK(weighted), (void *)c);
    return status;
}
