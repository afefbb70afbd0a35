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
#define CALIBRATION_COST 10.0
#define TRANSPOSITION_COST 4.0
#define MERGING_COST 6.0
#define COPYING_COST 1.0

static int64_t rows_per_chunk(int64_t k)
{
    int64_t rows = EDGES_PER_CHUNK / (k > 0 ? k : 1);
    return rows < 1 ? 1 : rows;
}

/* ---- Calibration ---------------------------------------------------------------------------- */

/* A Halley step in log(beta) this small is the last: what it leaves is of the order of its cube,
 * and p is rounded to 24 bits. */
#define LAST_STEP 1e-3

typedef struct {
    const void *squared_distances;
    int is_double;
    int64_t n, k, rows;
    double log_perplexity;
    double perplexity;
    int skip_diagonal;
    double start; /* log(beta * mean gap), about */
    float *conditional;
    double *beta;
    volatile int failed;
} calibration;

/* What the search for a row's precision needs to know at one value of it. That value comes
 * as its square root, and a gap is multiplied by it twice: their product may be moderate where
 * the precision itself would over- or underflow. */
typedef struct {
    double entropy;  /* in nats */
    double variance; /* beta^2 Var(gap): minus the entropy's derivative by log(beta) */
    double slope;    /* the variance's derivative by log(beta) */
} moments;

/* Beyond it exp(-x) is no normal number, and nothing beside the 1 of the nearest. */
#define LARGEST_EXPONENT 708.0

/* exp(-x) for 0 <= x <= LARGEST_EXPONENT, to about 1e-14. -x = m log(2) + r: adding 1.5 * 2^52
 * rounds to the integer m and leaves it in the lowest bits. */
FT_INLINE double exp_minus(double x)
{
    double shifted = -1.4426950408889634 * x + 6755399441055744.0;
    double m = shifted - 6755399441055744.0;
    double r = -x - m * 6.93145751953125e-1 - m * 1.42860682030941723e-6;
    double p = 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

FT_INLINE double scaled_gap(double gap, double root_beta)
{
    double x = gap * root_beta * root_beta;
    return x < LARGEST_EXPONENT ? x : LARGEST_EXPONENT;
}

FT_INLINE moments moments_at(const double *restrict gaps, int64_t count, double root_beta)
{
    double sum = 0.0, first = 0.0, second = 0.0, third = 0.0;
#pragma omp simd reduction(+ : sum, first, second, third)
    for (int64_t j = 0; j < count; j++) {
        double x = scaled_gap(gaps[j], root_beta);
        double e = exp_minus(x);
        sum += e;
        first += x * e;
        second += x * x * e;
        third += x * x * x * e;
    }
    double mean = first / sum, square = second / sum;
    double variance = square - mean * mean;
    double skew = third / sum - 3.0 * mean * square + 2.0 * mean * mean * mean;
    return (moments){log(sum) + mean, variance, 2.0 * variance - skew};
}

/* Entropy falls as beta grows, from log(k) to log(number of ties for the nearest). The root in
 * log(beta) is bracketed and found by Halley's method, with bisection where that leaves the
 * bracket. */
FT_INLINE double find_root_beta(const double *gaps, int64_t count, double log_perplexity,
                                double start)
{
    double low = -INFINITY, high = INFINITY, at = start, stride = 1.0;
    for (int step = 0; step < 300; step++) {
        moments m = moments_at(gaps, count, exp(0.5 * at));
        double excess = m.entropy - log_perplexity;
        if (fabs(excess) <= 1e-12 * (1.0 + fabs(log_perplexity))) break;
        if (excess > 0.0)
            low = at;
        else
            high = at;
        double next = NAN;
        if (m.variance > 1e-8) {
            double newton = excess / m.variance;
            double bend = 0.5 * newton * m.slope / m.variance;
            next = at + (fabs(bend) < 0.5 ? newton / (1.0 + bend) : newton);
        }
        int last = fabs(next - at) <= LAST_STEP;
        if (!isfinite(low) || !isfinite(high)) {
            /* One side is open: as far as the stride allows, which doubles. */
            if (!(fabs(next - at) < stride)) next = excess > 0.0 ? at + stride : at - stride;
            stride *= 2.0;
        } else if (!(next > low && next < high)) {
            next = 0.5 * (low + high);
            last = 0;
        }
        if (next == at) break;
        at = next < -LARGEST_LOG_BETA ? -LARGEST_LOG_BETA
             : next > LARGEST_LOG_BETA ? LARGEST_LOG_BETA : next;
        if (last) break;
    }
    return exp(0.5 * at);
}

/* gaps and weights are scratch for FT_PAD(k) doubles each. */
FT_INLINE void calibrate_row(const calibration *c, int64_t row, double *restrict gaps,
                             double *restrict weights)
{
    const int64_t k = c->k, padded = FT_PAD(k), skip = c->skip_diagonal ? row : -1;
    float *restrict p = c->conditional + row * k;
    if (c->is_double) {
        memcpy(gaps, (const double *)c->squared_distances + row * k, sizeof(double) * (size_t)k);
    } else {
        const float *d2 = (const float *)c->squared_distances + row * k;
        for (int64_t j = 0; j < k; j++) gaps[j] = (double)d2[j];
    }
    if (skip >= 0) gaps[skip] = gaps[skip > 0 ? 0 : 1];
    double nearest = gaps[0], farthest = gaps[0];
#pragma omp simd reduction(min : nearest) reduction(max : farthest)
    for (int64_t j = 0; j < k; j++) {
        nearest = gaps[j] < nearest ? gaps[j] : nearest;
        farthest = gaps[j] > farthest ? gaps[j] : farthest;
    }
    if (skip >= 0) gaps[skip] = nearest;
    const double count = (double)(k - (skip >= 0)), share = 1.0 / count;
    double ties = skip >= 0 ? -1.0 : 0.0, mean_gap = 0.0;
#pragma omp simd reduction(+ : ties, mean_gap)
    for (int64_t j = 0; j < k; j++) {
        gaps[j] -= nearest;
        ties += gaps[j] == 0.0 ? 1.0 : 0.0;
        mean_gap += gaps[j] * share; /* no overflow at 1e308 */
    }

    /* Limits where no finite precision has the wanted entropy. */
    if (c->perplexity >= count || nearest == farthest) {
        for (int64_t j = 0; j < k; j++) p[j] = (float)share;
        if (skip >= 0) p[skip] = 0.0f;
        c->beta[row] = 0.0;
        return;
    }
    if (c->perplexity <= ties) {
        for (int64_t j = 0; j < k; j++) p[j] = gaps[j] == 0.0 ? (float)(1.0 / ties) : 0.0f;
        if (skip >= 0) p[skip] = 0.0f;
        c->beta[row] = INFINITY;
        return;
    }

    /* What is infinitely far has the weight 0. */
    if (skip >= 0) gaps[skip] = INFINITY;
    for (int64_t j = k; j < padded; j++) gaps[j] = INFINITY;
    if (mean_gap == 0.0) mean_gap = farthest - nearest; /* the terms underflowed */
    double root_beta =
        find_root_beta(gaps, padded, c->log_perplexity, c->start - log(mean_gap));
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < padded; j++) {
        weights[j] = exp_minus(scaled_gap(gaps[j], root_beta));
        sum += weights[j];
    }
    double inverse_sum = 1.0 / sum;
    for (int64_t j = 0; j < k; j++) p[j] = (float)(weights[j] * inverse_sum);
    c->beta[row] = root_beta * root_beta;
}

FT_INLINE void calibrate_body(FT_TASK_ARGUMENTS)
{
    calibration *c = context;
    (void)thread;
    double *scratch = malloc(2 * sizeof(double) * (size_t)FT_PAD(c->k));
    if (scratch == NULL) {
        c->failed = 1;
        return;
    }
    int64_t end = (chunk + 1) * c->rows < c->n ? (chunk + 1) * c->rows : c->n;
    for (int64_t row = chunk * c->rows; row < end; row++)
        calibrate_row(c, row, scratch, scratch + FT_PAD(c->k));
    free(scratch);
}
FT_TASK_VARIANTS(calibrate)

/* The root for a row of evenly spaced squared distances, those in a plane of even density. In
 * units of the mean gap a row of real data has nearly the same. */
static ft_status typical_start(int64_t k, double perplexity, double *start)
{
    *start = 0.0;
    if (perplexity <= 1.0 || perplexity >= (double)k) return FT_OK;
    double *gaps = malloc(sizeof(double) * (size_t)k);
    if (gaps == NULL) return FT_NO_MEMORY;
    for (int64_t j = 0; j < k; j++) gaps[j] = 2.0 * (double)j / (double)(k - 1);
    *start = 2.0 * log(find_root_beta(gaps, k, log(perplexity), 0.0));
    free(gaps);
    return FT_OK;
}

ft_status ft_affinity_calibrate(const void *squared_distances, int is_double, int64_t n, int64_t k,
                                double perplexity, int skip_diagonal, float *conditional,
                                double *beta, ft_run *run)
{
    calibration c = {.squared_distances = squared_distances, .is_double = is_double, .n = n,
                     .k = k, .rows = rows_per_chunk(16 * k), .log_perplexity = log(perplexity),
                     .perplexity = perplexity, .skip_diagonal = skip_diagonal,
                     .conditional = conditional, .beta = beta};
    ft_status status = typical_start(k - (skip_diagonal != 0), perplexity, &c.start);
    if (status == FT_OK)
        status = ft_parallel_run(run, (n + c.rows - 1) / c.rows,
                                 (double)(c.rows * k) * CALIBRATION_COST, FT_TASK(calibrate), &c);
    return status == FT_OK && c.failed ? FT_NO_MEMORY : status;
}

/* ---- Symmetrisation --------------------------------------------------------------------------
 *
 * Row i of P_cond + P_cond' is the union of the edges out of i and those into i. The latter come
 * from a counting-sort transpose, of as many rows at a time as fit into a buffer. Both lists, in
 * whatever order, are marked in a set of bits. A walk through it yields the columns in ascending
 * order, and the number of bits before a column is its place: nothing is sorted.
 */

#define LARGEST_SOURCES 16   /* chunks of the transposition */
#define TILE_EDGES 128       /* at a time; their places are scattered and prefetched */

typedef struct {
    int32_t index;
    float value;
} edge;

/* A row under construction: which columns, in words of 64 of them; which of these words are not
 * zero; and how many columns are in the words before one that is not. Between two rows the first
 * two are zero. */
typedef struct {
    uint64_t *columns, *words;
    int32_t *ranks;
} accumulator;

typedef struct {
    const int32_t *indices;
    const float *conditional;
    int64_t n, k, rows;
    /* Of the transposition: the rows of one chunk, and the number of chunks. Each has a table of
     * n: how many of its edges lead to a column, then where in `incoming` the next one goes. */
    int64_t source_rows, n_sources;
    int32_t *places;
    int64_t first, last; /* rows of the joint P at work */
    edge *incoming;      /* those into row first, first + 1, ... */
    int64_t capacity;    /* of incoming */
    accumulator *accumulators;
    int64_t *indptr;
    int32_t *joint_indices;
    float *joint_data;
} symmetrization;

static void count_incoming_task(FT_TASK_ARGUMENTS)
{
    const symmetrization *s = context;
    (void)thread;
    int64_t begin = chunk * s->source_rows, end = begin + s->source_rows;
    int32_t *count = s->places + chunk * s->n;
    if (end > s->n) end = s->n;
    memset(count, 0, sizeof(int32_t) * (size_t)s->n);
    for (int64_t e = begin * s->k; e < end * s->k; e++) count[s->indices[e]]++;
}

/* From counts to places, for as many columns as a block has: the next one. Returns its edges. */
static int64_t begin_block(symmetrization *s)
{
    int64_t place = 0;
    s->first = s->last;
    for (; s->last < s->n; s->last++) {
        int64_t incoming = 0;
        for (int64_t c = 0; c < s->n_sources; c++) incoming += s->places[c * s->n + s->last];
        if (s->last > s->first && place + incoming > s->capacity) break;
        for (int64_t c = 0; c < s->n_sources; c++) {
            int32_t *at = &s->places[c * s->n + s->last], count = *at;
            *at = (int32_t)place;
            place += count;
        }
    }
    return place;
}

static void transpose_task(FT_TASK_ARGUMENTS)
{
    const symmetrization *s = context;
    (void)thread;
    const uint32_t first = (uint32_t)s->first, width = (uint32_t)(s->last - s->first);
    int64_t begin = chunk * s->source_rows, end = begin + s->source_rows;
    int32_t *restrict place = s->places + chunk * s->n;
    edge *restrict incoming = s->incoming;
    if (end > s->n) end = s->n;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t tile = 0; tile < s->k; tile += TILE_EDGES) {
            const int32_t *restrict column = s->indices + row * s->k + tile;
            const float *restrict value = s->conditional + row * s->k + tile;
            int n_edges = s->k - tile < TILE_EDGES ? (int)(s->k - tile) : TILE_EDGES, n_inside = 0;
            uint8_t inside[TILE_EDGES];
            for (int e = 0; e < n_edges; e++) {
                if ((uint32_t)column[e] - first >= width) continue;
                FT_PREFETCH_WRITE(&incoming[place[column[e]]]);
                inside[n_inside++] = (uint8_t)e;
            }
            for (int i = 0; i < n_inside; i++) {
                int e = inside[i];
                incoming[place[column[e]]++] = (edge){(int32_t)row, value[e]};
            }
        }
    }
}

/* After the transposition the last chunk's place in a column is where the next column begins. */
static int64_t incoming_begin(const symmetrization *s, int64_t row)
{
    return row == s->first ? 0 : s->places[(s->n_sources - 1) * s->n + row - 1];
}

static int64_t chunk_begin(const symmetrization *s, int64_t chunk)
{
    int64_t begin = s->first + chunk * s->rows;
    return begin < s->last ? begin : s->last;
}

static int add_column(uint64_t *columns, int32_t column)
{
    uint64_t bit = (uint64_t)1 << (column & 63), *word = &columns[column >> 6];
    int is_new = (*word & bit) == 0;
    *word |= bit;
    return is_new;
}

static void count_task(FT_TASK_ARGUMENTS)
{
    const symmetrization *s = context;
    uint64_t *columns = s->accumulators[thread].columns;
    for (int64_t row = chunk_begin(s, chunk); row < chunk_begin(s, chunk + 1); row++) {
        const int32_t *out = s->indices + row * s->k;
        int64_t begin = incoming_begin(s, row), end = incoming_begin(s, row + 1), count = 0;
        for (int64_t e = 0; e < s->k; e++) count += add_column(columns, out[e]);
        for (int64_t e = begin; e < end; e++) count += add_column(columns, s->incoming[e].index);
        for (int64_t e = 0; e < s->k; e++) columns[out[e] >> 6] = 0;
        for (int64_t e = begin; e < end; e++) columns[s->incoming[e].index >> 6] = 0;
        s->indptr[row + 1] = count;
    }
}

static void mark_column(accumulator a, int32_t column)
{
    add_column(a.columns, column);
    a.words[column >> 12] |= (uint64_t)1 << (column >> 6 & 63);
}

FT_INLINE void add_edge(accumulator a, float *restrict data, int32_t column, float value)
{
    uint64_t below = ((uint64_t)1 << (column & 63)) - 1;
    data[a.ranks[column >> 6] + ft_count_bits(a.columns[column >> 6] & below)] += value;
}

/* Columns in ascending order; returns how many. */
FT_INLINE int64_t write_columns(accumulator a, int64_t n, int32_t *restrict out)
{
    int32_t count = 0;
    for (int64_t i = 0; i <= (n - 1) >> 12; i++) {
        for (uint64_t words = a.words[i]; words != 0; words &= words - 1) {
            int64_t word = i << 6 | ft_lowest_bit(words);
            a.ranks[word] = count;
            for (uint64_t bits = a.columns[word]; bits != 0; bits &= bits - 1)
                out[count++] = (int32_t)(word << 6 | ft_lowest_bit(bits));
        }
        a.words[i] = 0;
    }
    return count;
}

FT_INLINE void merge_body(FT_TASK_ARGUMENTS)
{
    const symmetrization *s = context;
    const accumulator a = s->accumulators[thread];
    const double scale = 0.5 / (double)s->n;
    for (int64_t row = chunk_begin(s, chunk); row < chunk_begin(s, chunk + 1); row++) {
        const int32_t *out = s->indices + row * s->k;
        const float *out_value = s->conditional + row * s->k;
        const edge *in = s->incoming + incoming_begin(s, row);
        int64_t n_in = incoming_begin(s, row + 1) - incoming_begin(s, row);
        int32_t *columns = s->joint_indices + s->indptr[row];
        float *data = s->joint_data + s->indptr[row];
        for (int64_t e = 0; e < s->k; e++) mark_column(a, out[e]);
        for (int64_t e = 0; e < n_in; e++) mark_column(a, in[e].index);
        int64_t count = write_columns(a, s->n, columns);
        memset(data, 0, sizeof(float) * (size_t)count);
        for (int64_t e = 0; e < s->k; e++) add_edge(a, data, out[e], out_value[e]);
        for (int64_t e = 0; e < n_in; e++) add_edge(a, data, in[e].index, in[e].value);
        for (int64_t e = 0; e < count; e++) {
            a.columns[columns[e] >> 6] = 0;
            data[e] = (float)(scale * (double)data[e]);
        }
    }
}
FT_TASK_VARIANTS(merge)

static ft_status symmetrize_blocks(symmetrization *s, ft_run *run)
{
    double source_cost = (double)(s->source_rows * s->k) * TRANSPOSITION_COST;
    double chunk_cost = EDGES_PER_CHUNK * MERGING_COST;
    ft_status status =
        ft_parallel_run(run, s->n_sources, source_cost, count_incoming_task, s);
    s->indptr[0] = 0;
    while (status == FT_OK && s->last < s->n) {
        if (begin_block(s) > s->capacity) return FT_NO_MEMORY; /* a neighbour is listed twice */
        int64_t n_chunks = (s->last - s->first + s->rows - 1) / s->rows;
        status = ft_parallel_run(run, s->n_sources, source_cost, transpose_task, s);
        if (status == FT_OK) status = ft_parallel_run(run, n_chunks, chunk_cost, count_task, s);
        for (int64_t row = s->first; row < s->last && status == FT_OK; row++)
            s->indptr[row + 1] += s->indptr[row];
        if (status == FT_OK)
            status = ft_parallel_run(run, n_chunks, chunk_cost, FT_TASK(merge), s);
    }
    return status;
}

ft_status ft_affinity_symmetrize(const int32_t *indices, const float *conditional, int64_t n,
                                 int64_t k, int64_t *indptr, int32_t *joint_indices,
                                 float *joint_data, void *scratch, int64_t capacity,
                                 ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    int64_t n_sources = (n * k + EDGES_PER_CHUNK - 1) / EDGES_PER_CHUNK;
    if (n_sources > LARGEST_SOURCES) n_sources = LARGEST_SOURCES;
    if (n_sources > n) n_sources = n;
    symmetrization s = {.indices = indices, .conditional = conditional, .n = n, .k = k,
                        .rows = rows_per_chunk(k),
                        .source_rows = (n + n_sources - 1) / n_sources, .n_sources = n_sources,
                        .indptr = indptr, .joint_indices = joint_indices,
                        .joint_data = joint_data, .incoming = scratch, .capacity = capacity};
    s.places = malloc(sizeof(int32_t) * (size_t)(n_sources * n));
    s.accumulators = calloc((size_t)n_threads, sizeof(accumulator));
    int complete = s.places != NULL && s.accumulators != NULL;
    for (int t = 0; t < n_threads && complete; t++) {
        accumulator *a = &s.accumulators[t];
        a->columns = calloc((size_t)(n >> 6) + 1, sizeof(uint64_t));
        a->words = calloc((size_t)(n >> 12) + 1, sizeof(uint64_t));
        a->ranks = malloc(sizeof(int32_t) * ((size_t)(n >> 6) + 1));
        complete = a->columns != NULL && a->words != NULL && a->ranks != NULL;
    }
    ft_status status = complete ? symmetrize_blocks(&s, run) : FT_NO_MEMORY;
    for (int t = 0; t < n_threads && s.accumulators != NULL; t++) {
        free(s.accumulators[t].columns);
        free(s.accumulators[t].words);
        free(s.accumulators[t].ranks);
    }
    free(s.accumulators);
    free(s.places);
    return status;
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

FT_INLINE void permute_body(FT_TASK_ARGUMENTS)
{
    const permutation *p = context;
    const int32_t *restrict inverse = p->inverse;
    (void)thread;
    int64_t end = (chunk + 1) * FT_ROWS < p->n ? (chunk + 1) * FT_ROWS : p->n;
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
                           FT_TASK(permute), &p);
}

/* ---- Entropy ----------------------------------------------------------------------------------- */

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
    (void)thread;
    int64_t end = (chunk + 1) * EDGES_PER_CHUNK < t->n_edges ? (chunk + 1) * EDGES_PER_CHUNK
                                                              : t->n_edges;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = chunk * EDGES_PER_CHUNK; e < end; e++) sum += x_log_x(data[e]);
    t->partial[chunk] = sum;
}
FT_TASK_VARIANTS(entropy)

ft_status ft_affinity_negative_entropy(const float *data, int64_t n_edges, double *sum,
                                       ft_run *run)
{
    int64_t n_chunks = (n_edges + EDGES_PER_CHUNK - 1) / EDGES_PER_CHUNK;
    double *partial = calloc((size_t)n_chunks + 1, sizeof(double));
    if (partial == NULL) return FT_NO_MEMORY;
    entropy t = {data, n_edges, partial};
    ft_status status = ft_parallel_run(run, n_chunks, EDGES_PER_CHUNK * COPYING_COST,
                                       FT_TASK(entropy), &t);
    *sum = 0.0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) *sum += partial[chunk];
    free(partial);
    return status;
}
