/* symmetrization.c - from conditional to joint probabilities.
 *
 * Row i of P_cond + P_cond' is the union of the edges out of i and the edges into i. The latter
 * come from a counting-sort transpose of as many rows as fit into a buffer. The columns of both are
 * marked in a bit set, where the number of bits before a column is its place: nothing is sorted. */
#include "fasttsne.h"
#include "memory.h"

#include <string.h>

#define EDGES_PER_CHUNK 65536
#define TRANSPOSITION_COST 4.0 /* nanoseconds an edge */
#define MERGING_COST 6.0
#define DENSE_COST 1.0
#define LARGEST_SOURCES 16 /* chunks of the transposition */
#define TILE_EDGES 128     /* at a time; their places are scattered and prefetched */

typedef struct {
    int32_t index;
    float value;
} edge;

/* A row under construction. Between two rows the bits are zero. */
typedef struct {
    uint64_t *columns; /* a bit a column */
    uint64_t *words;   /* a bit a word of `columns`: whether it is not zero */
    int32_t *ranks;    /* the number of columns before a word */
} accumulator;

typedef struct {
    const int32_t *indices;
    const float *conditional;
    int64_t n, k, rows;
    int64_t source_rows, n_sources; /* rows of a chunk of the transposition, and its chunks */
    int32_t *places;     /* n a chunk: its edges that lead to a column, then the next one's place */
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
    int64_t begin = chunk * s->source_rows, end = ft_least(begin + s->source_rows, s->n);
    int32_t *count = s->places + chunk * s->n;
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
    const uint32_t first = (uint32_t)s->first, width = (uint32_t)(s->last - s->first);
    int64_t begin = chunk * s->source_rows, end = ft_least(begin + s->source_rows, s->n);
    int32_t *restrict place = s->places + chunk * s->n;
    edge *restrict incoming = s->incoming;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t tile = 0; tile < s->k; tile += TILE_EDGES) {
            const int32_t *restrict column = s->indices + row * s->k + tile;
            const float *restrict value = s->conditional + row * s->k + tile;
            int n_edges = (int)ft_least(s->k - tile, TILE_EDGES), n_inside = 0;
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

/* After the transposition the last chunk's place in a column is the next column's begin. */
static int64_t incoming_begin(const symmetrization *s, int64_t row)
{
    return row == s->first ? 0 : s->places[(s->n_sources - 1) * s->n + row - 1];
}

static int64_t chunk_begin(const symmetrization *s, int64_t chunk)
{
    return ft_least(s->first + chunk * s->rows, s->last);
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
    ft_status status = ft_parallel_run(run, s->n_sources, source_cost, count_incoming_task, s);
    s->indptr[0] = 0;
    while (status == FT_OK && s->last < s->n) {
        if (begin_block(s) > s->capacity) return FT_NO_MEMORY; /* a neighbour is listed twice */
        int64_t n_chunks = (s->last - s->first + s->rows - 1) / s->rows;
        status = ft_parallel_run(run, s->n_sources, source_cost, transpose_task, s);
        if (status == FT_OK) status = ft_parallel_run(run, n_chunks, chunk_cost, count_task, s);
        for (int64_t row = s->first; row < s->last && status == FT_OK; row++)
            s->indptr[row + 1] += s->indptr[row];
        if (status == FT_OK) status = ft_parallel_run(run, n_chunks, chunk_cost, FT_TASK(merge), s);
    }
    return status;
}

ft_status ft_symmetrization_sparse(const int32_t *indices, const float *conditional, int64_t n,
                                   int64_t k, int64_t *indptr, int32_t *joint_indices,
                                   float *joint_data, void *scratch, int64_t capacity, ft_run *run)
{
    int n_threads = ft_parallel_threads(run);
    int64_t n_sources = (n * k + EDGES_PER_CHUNK - 1) / EDGES_PER_CHUNK;
    n_sources = ft_least(n_sources, ft_least(n, LARGEST_SOURCES));
    symmetrization s = {.indices = indices, .conditional = conditional, .n = n, .k = k};
    s.rows = k < EDGES_PER_CHUNK ? EDGES_PER_CHUNK / k : 1;
    s.n_sources = n_sources, s.source_rows = (n + n_sources - 1) / n_sources;
    s.indptr = indptr, s.joint_indices = joint_indices, s.joint_data = joint_data;
    s.incoming = scratch, s.capacity = capacity;
    ft_memory memory = {0};
    s.places = ft_memory_take(&memory, n_sources * n, sizeof(int32_t));
    s.accumulators = ft_memory_take(&memory, n_threads, sizeof(accumulator));
    for (int t = 0; t < n_threads && !memory.failed; t++) {
        accumulator *a = &s.accumulators[t];
        a->columns = ft_memory_take_zeros(&memory, (n >> 6) + 1, sizeof(uint64_t));
        a->words = ft_memory_take_zeros(&memory, (n >> 12) + 1, sizeof(uint64_t));
        a->ranks = ft_memory_take(&memory, (n >> 6) + 1, sizeof(int32_t));
    }
    ft_status status = memory.failed ? FT_NO_MEMORY : symmetrize_blocks(&s, run);
    ft_memory_free(&memory);
    return status;
}

#define DENSE_TILE 128

typedef struct {
    float *values;
    int64_t n, tiles;
} dense_matrix;

/* One tile above (or on) the diagonal together with its mirror image. */
static void symmetrize_dense_task(FT_TASK_ARGUMENTS)
{
    const dense_matrix *m = context;
    int64_t tile_row = chunk / m->tiles, tile_column = chunk % m->tiles;
    if (tile_column < tile_row) return;
    const double scale = 0.5 / (double)m->n;
    int64_t row_end = ft_least((tile_row + 1) * DENSE_TILE, m->n);
    int64_t column_end = ft_least((tile_column + 1) * DENSE_TILE, m->n);
    for (int64_t i = tile_row * DENSE_TILE; i < row_end; i++) {
        int64_t j = tile_column * DENSE_TILE;
        for (j = j > i ? j : i; j < column_end; j++) {
            float *upper = &m->values[i * m->n + j], *lower = &m->values[j * m->n + i];
            *upper = *lower = (float)(scale * ((double)*upper + (double)*lower));
        }
    }
}

ft_status ft_symmetrization_dense(float *conditional, int64_t n, ft_run *run)
{
    dense_matrix m = {conditional, n, (n + DENSE_TILE - 1) / DENSE_TILE};
    return ft_parallel_run(run, m.tiles * m.tiles, DENSE_TILE * DENSE_TILE * DENSE_COST,
                           symmetrize_dense_task, &m);
}
