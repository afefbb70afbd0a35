/* affinity.c - from squared distances to the joint probabilities P.
 *
 * Order: calibration of the rows, symmetrisation (sparse, dense), permutation, entropy.
 */
#include "fasttsne.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EDGES_PER_CHUNK 65536
#define LARGEST_LOG_BETA 1400.0 /* its square root is a normal number */
/* Nanoseconds an edge. */
#define CALIBRATION_COST 60.0
#define SORTING_COST 30.0
#define MERGING_COST 5.0
#define COPYING_COST 1.0

static int64_t rows_per_chunk(int64_t k)
{
    int64_t rows = EDGES_PER_CHUNK / (k > 0 ? k : 1);
    return rows < 1 ? 1 : rows;
}

/* ---- Calibration ---------------------------------------------------------------------------- */

typedef struct {
    const double *squared_distances;
    int64_t n, k, rows;
    double log_perplexity;
    double perplexity;
    int skip_diagonal;
    float *conditional;
    double *beta;
} calibration;

/* What the search for a row's precision needs to know at one value of it. That value comes
 * as its square root, and a gap is multiplied by it twice: their product may be moderate where
 * the precision itself would over- or underflow. */
typedef struct {
    double entropy;  /* in nats */
    double variance; /* beta^2 Var(gap): minus the entropy's derivative by log(beta) */
    double sum;      /* of exp(-beta gap) */
} moments;

static moments moments_at(const double *d2, int64_t k, int64_t skip, double nearest,
                          double root_beta)
{
    double sum = 0.0, first = 0.0, second = 0.0;
    for (int64_t j = 0; j < k; j++) {
        if (j == skip) continue;
        double scaled = (d2[j] - nearest) * root_beta * root_beta;
        if (scaled > 745.0) continue; /* exp underflows to 0 */
        double e = exp(-scaled);
        sum += e;
        first += scaled * e;
        second += scaled * scaled * e;
    }
    double mean = first / sum;
    return (moments){log(sum) + mean, second / sum - mean * mean, sum};
}

/* Entropy falls as beta grows, from log(k) to log(number of ties for the nearest). The root in
 * log(beta) is bracketed and found by Newton's method, with bisection where Newton leaves the
 * bracket. */
static double find_root_beta(const calibration *c, const double *d2, int64_t skip, double nearest,
                        double mean_gap)
{
    double low = -INFINITY, high = INFINITY, at = -log(mean_gap), stride = 1.0;
    for (int step = 0; step < 300; step++) {
        moments m = moments_at(d2, c->k, skip, nearest, exp(0.5 * at));
        double excess = m.entropy - c->log_perplexity;
        if (fabs(excess) <= 1e-12 * (1.0 + fabs(c->log_perplexity))) break;
        if (excess > 0.0)
            low = at;
        else
            high = at;
        double next = m.variance > 1e-8 ? at + excess / m.variance : NAN;
        if (!isfinite(low) || !isfinite(high)) {
            /* One side is open: Newton as far as the stride allows, which doubles. */
            if (!(fabs(next - at) < stride)) next = excess > 0.0 ? at + stride : at - stride;
            stride *= 2.0;
        } else if (!(next > low && next < high)) {
            next = 0.5 * (low + high);
        }
        if (next == at) break;
        at = next < -LARGEST_LOG_BETA ? -LARGEST_LOG_BETA
             : next > LARGEST_LOG_BETA ? LARGEST_LOG_BETA : next;
    }
    return exp(0.5 * at);
}

static void calibrate_row(const calibration *c, int64_t row)
{
    const double *d2 = c->squared_distances + row * c->k;
    float *p = c->conditional + row * c->k;
    int64_t skip = c->skip_diagonal ? row : -1;
    int64_t count = c->k - (c->skip_diagonal ? 1 : 0), ties = 0;
    double nearest = INFINITY, farthest = -INFINITY, mean_gap = 0.0;
    for (int64_t j = 0; j < c->k; j++) {
        if (j == skip) continue;
        if (d2[j] < nearest) nearest = d2[j];
        if (d2[j] > farthest) farthest = d2[j];
    }
    for (int64_t j = 0; j < c->k; j++) {
        if (j == skip) continue;
        ties += d2[j] == nearest;
        mean_gap += (d2[j] - nearest) / (double)count; /* no overflow at 1e308 */
    }

    /* Limits where no finite precision has the wanted entropy. */
    if (c->perplexity >= (double)count || nearest == farthest) {
        for (int64_t j = 0; j < c->k; j++) p[j] = j == skip ? 0.0f : (float)(1.0 / (double)count);
        c->beta[row] = 0.0;
        return;
    }
    if (c->perplexity <= (double)ties) {
        for (int64_t j = 0; j < c->k; j++)
            p[j] = j != skip && d2[j] == nearest ? (float)(1.0 / (double)ties) : 0.0f;
        c->beta[row] = INFINITY;
        return;
    }

    if (mean_gap == 0.0) mean_gap = farthest - nearest; /* the terms underflowed */
    double root_beta = find_root_beta(c, d2, skip, nearest, mean_gap);
    double sum = moments_at(d2, c->k, skip, nearest, root_beta).sum;
    for (int64_t j = 0; j < c->k; j++)
        p[j] = j == skip ? 0.0f : (float)(exp(-(d2[j] - nearest) * root_beta * root_beta) / sum);
    c->beta[row] = root_beta * root_beta;
}

static void calibrate_task(FT_TASK_ARGUMENTS)
{
    const calibration *c = context;
    (void)thread;
    int64_t end = (chunk + 1) * c->rows < c->n ? (chunk + 1) * c->rows : c->n;
    for (int64_t row = chunk * c->rows; row < end; row++) calibrate_row(c, row);
}

ft_status ft_affinity_calibrate(const double *squared_distances, int64_t n, int64_t k,
                                double perplexity, int skip_diagonal, float *conditional,
                                double *beta, ft_run *run)
{
    calibration c = {squared_distances, n, k, rows_per_chunk(16 * k), log(perplexity),
                     perplexity, skip_diagonal, conditional, beta};
    return ft_parallel_run(run, (n + c.rows - 1) / c.rows,
                           (double)(c.rows * k) * CALIBRATION_COST, calibrate_task, &c);
}

/* ---- Symmetrisation -------------------------------------------------------------------------- */

typedef struct {
    int32_t index;
    float value;
} edge;

typedef struct {
    int32_t *indices;
    float *conditional;
    int64_t n, k, rows;
    const int64_t *transposed_indptr;
    const int32_t *transposed_indices;
    const float *transposed_data;
    int64_t *indptr;
    int32_t *joint_indices;
    float *joint_data;
    int failed;
} symmetrization;

static int by_index(const void *a, const void *b)
{
    int32_t p = ((const edge *)a)->index, q = ((const edge *)b)->index;
    return (p > q) - (p < q);
}

static int64_t chunk_end(const symmetrization *s, int64_t chunk)
{
    return (chunk + 1) * s->rows < s->n ? (chunk + 1) * s->rows : s->n;
}

static void sort_rows_task(FT_TASK_ARGUMENTS)
{
    symmetrization *s = context;
    (void)thread;
    edge *edges = malloc(sizeof(edge) * (size_t)s->k);
    if (edges == NULL) {
        s->failed = 1;
        return;
    }
    for (int64_t row = chunk * s->rows; row < chunk_end(s, chunk); row++) {
        int32_t *index = s->indices + row * s->k;
        float *value = s->conditional + row * s->k;
        for (int64_t c = 0; c < s->k; c++) edges[c] = (edge){index[c], value[c]};
        qsort(edges, (size_t)s->k, sizeof(edge), by_index);
        for (int64_t c = 0; c < s->k; c++) {
            index[c] = edges[c].index;
            value[c] = edges[c].value;
        }
    }
    free(edges);
}

/* Row `row` of P_cond + P_cond': two sorted lists merged. Writes nothing where out is NULL. */
static int64_t merge_row(const symmetrization *s, int64_t row, int32_t *out, float *out_value)
{
    const int32_t *a = s->indices + row * s->k, *a_end = a + s->k;
    const float *a_value = s->conditional + row * s->k;
    const int64_t begin = s->transposed_indptr[row], end = s->transposed_indptr[row + 1];
    const int32_t *b = s->transposed_indices + begin, *b_end = s->transposed_indices + end;
    const float *b_value = s->transposed_data + begin;
    const double scale = 0.5 / (double)s->n;
    int64_t count = 0;
    while (a < a_end || b < b_end) {
        int from_a = a < a_end && (b >= b_end || *a <= *b);
        int from_b = b < b_end && (a >= a_end || *b <= *a);
        if (out != NULL) {
            double sum = (from_a ? (double)*a_value : 0.0) + (from_b ? (double)*b_value : 0.0);
            out[count] = from_a ? *a : *b;
            out_value[count] = (float)(scale * sum);
        }
        a += from_a, a_value += from_a;
        b += from_b, b_value += from_b;
        count++;
    }
    return count;
}

static void count_task(FT_TASK_ARGUMENTS)
{
    symmetrization *s = context;
    (void)thread;
    for (int64_t row = chunk * s->rows; row < chunk_end(s, chunk); row++)
        s->indptr[row + 1] = merge_row(s, row, NULL, NULL);
}

static void merge_task(FT_TASK_ARGUMENTS)
{
    symmetrization *s = context;
    (void)thread;
    for (int64_t row = chunk * s->rows; row < chunk_end(s, chunk); row++)
        merge_row(s, row, s->joint_indices + s->indptr[row], s->joint_data + s->indptr[row]);
}

ft_status ft_affinity_symmetrize_prepare(int32_t *indices, float *conditional, int64_t n,
                                         int64_t k, int64_t *transposed_indptr,
                                         int32_t *transposed_indices, float *transposed_data,
                                         int64_t *indptr, ft_run *run)
{
    symmetrization s = {.indices = indices, .conditional = conditional, .n = n, .k = k,
                        .rows = rows_per_chunk(k), .transposed_indptr = transposed_indptr,
                        .transposed_indices = transposed_indices,
                        .transposed_data = transposed_data, .indptr = indptr};
    int64_t n_chunks = (n + s.rows - 1) / s.rows;
    ft_status status = ft_parallel_run(run, n_chunks, EDGES_PER_CHUNK * SORTING_COST, sort_rows_task,
                                       &s);
    if (status == FT_OK && s.failed) status = FT_NO_MEMORY;
    if (status != FT_OK) return status;

    /* Counting-sort transpose: a column's rows come out ascending. */
    memset(transposed_indptr, 0, sizeof(int64_t) * (size_t)(n + 1));
    for (int64_t e = 0; e < n * k; e++) transposed_indptr[indices[e] + 1]++;
    for (int64_t i = 0; i < n; i++) transposed_indptr[i + 1] += transposed_indptr[i];
    for (int64_t row = 0; row < n; row++) {
        for (int64_t e = row * k; e < (row + 1) * k; e++) {
            int64_t place = transposed_indptr[indices[e]]++;
            transposed_indices[place] = (int32_t)row;
            transposed_data[place] = conditional[e];
        }
    }
    /* Every start has moved to the next column's start: move them back. */
    for (int64_t i = n; i > 0; i--) transposed_indptr[i] = transposed_indptr[i - 1];
    transposed_indptr[0] = 0;

    indptr[0] = 0;
    status = ft_parallel_run(run, n_chunks, EDGES_PER_CHUNK * MERGING_COST, count_task, &s);
    for (int64_t i = 0; i < n && status == FT_OK; i++) indptr[i + 1] += indptr[i];
    return status;
}

ft_status ft_affinity_symmetrize_fill(const int32_t *indices, const float *conditional, int64_t n,
                                      int64_t k, const int64_t *transposed_indptr,
                                      const int32_t *transposed_indices,
                                      const float *transposed_data, const int64_t *indptr,
                                      int32_t *joint_indices, float *joint_data, ft_run *run)
{
    symmetrization s = {.indices = (int32_t *)indices, .conditional = (float *)conditional,
                        .n = n, .k = k, .rows = rows_per_chunk(k),
                        .transposed_indptr = transposed_indptr,
                        .transposed_indices = transposed_indices,
                        .transposed_data = transposed_data, .indptr = (int64_t *)indptr,
                        .joint_indices = joint_indices, .joint_data = joint_data};
    return ft_parallel_run(run, (n + s.rows - 1) / s.rows, EDGES_PER_CHUNK * MERGING_COST,
                           merge_task, &s);
}

typedef struct {
    float *values;
    int64_t n, tiles;
} dense_matrix;

#define DENSE_TILE 128

/* One tile above (or on) the diagonal together with its mirror image. */
static void symmetrize_dense_task(FT_TASK_ARGUMENTS)
{
    const dense_matrix *m = context;
    (void)thread;
    int64_t tile_row = chunk / m->tiles, tile_column = chunk % m->tiles;
    if (tile_column < tile_row) return;
    const double scale = 0.5 / (double)m->n;
    int64_t row_end = (tile_row + 1) * DENSE_TILE < m->n ? (tile_row + 1) * DENSE_TILE : m->n;
    int64_t column_end =
        (tile_column + 1) * DENSE_TILE < m->n ? (tile_column + 1) * DENSE_TILE : m->n;
    for (int64_t i = tile_row * DENSE_TILE; i < row_end; i++) {
        int64_t j = tile_column * DENSE_TILE;
        for (j = j > i ? j : i; j < column_end; j++) {
            float *upper = &m->values[i * m->n + j], *lower = &m->values[j * m->n + i];
            *upper = *lower = (float)(scale * ((double)*upper + (double)*lower));
        }
    }
}

ft_status ft_affinity_symmetrize_dense(float *conditional, int64_t n, ft_run *run)
{
    dense_matrix m = {conditional, n, (n + DENSE_TILE - 1) / DENSE_TILE};
    return ft_parallel_run(run, m.tiles * m.tiles, DENSE_TILE * DENSE_TILE * COPYING_COST,
                           symmetrize_dense_task, &m);
}

/* ---- Permutation ------------------------------------------------------------------------------ */

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

static void permute_task(FT_TASK_ARGUMENTS)
{
    const permutation *p = context;
    (void)thread;
    int64_t end = (chunk + 1) * FT_ROWS < p->n ? (chunk + 1) * FT_ROWS : p->n;
    for (int64_t row = chunk * FT_ROWS; row < end; row++) {
        int64_t from = p->indptr[p->order[row]], to = p->new_indptr[row];
        int64_t count = p->new_indptr[row + 1] - to;
        for (int64_t e = 0; e < count; e++)
            p->new_indices[to + e] = p->inverse[p->indices[from + e]];
        memcpy(p->new_data + to, p->data + from, sizeof(float) * (size_t)count);
    }
}

ft_status ft_affinity_permute(const int64_t *indptr, const int32_t *indices, const float *data,
                              int64_t n, const int32_t *order, const int32_t *inverse,
                              int64_t *new_indptr, int32_t *new_indices, float *new_data,
                              ft_run *run)
{
    new_indptr[0] = 0;
    for (int64_t row = 0; row < n; row++)
        new_indptr[row + 1] = new_indptr[row] + indptr[order[row] + 1] - indptr[order[row]];
    permutation p = {indptr, indices, data, order, inverse, n, new_indptr, new_indices, new_data};
    return ft_parallel_run(run, FT_ROW_CHUNKS(n),
                           (double)indptr[n] / (double)FT_ROW_CHUNKS(n) * COPYING_COST,
                           permute_task, &p);
}

/* ---- Entropy ----------------------------------------------------------------------------------- */

typedef struct {
    const float *data;
    int64_t n_edges;
    double *partial;
} entropy;

static void entropy_task(FT_TASK_ARGUMENTS)
{
    const entropy *t = context;
    (void)thread;
    int64_t end = (chunk + 1) * EDGES_PER_CHUNK < t->n_edges ? (chunk + 1) * EDGES_PER_CHUNK
                                                              : t->n_edges;
    double sum = 0.0;
    for (int64_t e = chunk * EDGES_PER_CHUNK; e < end; e++)
        if (t->data[e] > 0.0f) sum += (double)t->data[e] * log((double)t->data[e]);
    t->partial[chunk] = sum;
}

ft_status ft_affinity_negative_entropy(const float *data, int64_t n_edges, double *sum,
                                       ft_run *run)
{
    int64_t n_chunks = (n_edges + EDGES_PER_CHUNK - 1) / EDGES_PER_CHUNK;
    double *partial = calloc((size_t)n_chunks + 1, sizeof(double));
    if (partial == NULL) return FT_NO_MEMORY;
    entropy t = {data, n_edges, partial};
    ft_status status = ft_parallel_run(run, n_chunks, EDGES_PER_CHUNK * SORTING_COST, entropy_task, &t);
    *sum = 0.0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) *sum += partial[chunk];
    free(partial);
    return status;
}
