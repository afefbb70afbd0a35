/* hilbert.c - points in the order of the Hilbert curve.
 *
 * Unlike the Morton curve it has no jumps, so boxes around a few points in a row are small. The
 * points of any cell of a quadtree (octree) are consecutive.
 *
 * Coordinates -> cells of a grid -> codes (Skilling 2004, Programming the Hilbert curve) -> radix
 * sort. The sort is stable, so the order does not depend on the chunks. */
#include "hilbert.h"
#include "dimensions.h"

#include <math.h>
#include <string.h>

#define RADIX_BITS 11 /* of FT_HILBERT_RADIX */
#define RADIX_PASSES 2
#define LEAST_CHUNK 2048  /* points */
#define SLICE 64          /* digits whose counts are summed together */
#define N_SLICES (FT_HILBERT_RADIX / SLICE)
#define BLOCK 256         /* points whose codes are computed together */
#define ENCODING_COST 1.5 /* nanoseconds a point */
#define SORTING_COST 1.0

typedef struct {
    ft_hilbert *curve;
    const float *points;
    int dim;
    int is_new;         /* whether the order is yet to be filled */
    int64_t begin, end; /* of the points to be sorted */
    int64_t n_chunks, chunk_size;
    ft_hilbert_chunk *chunks;
    ft_run *run; /* NULL: on this thread alone */
    float box[6];
    int shift;
    const uint32_t *codes;
    const int32_t *order;
    uint32_t *codes_to;
    int32_t *order_to;
    uint32_t first_of_digit[FT_HILBERT_RADIX]; /* in its slice */
    uint32_t first_of_slice[N_SLICES];
} sorting;

static int64_t chunk_begin(const sorting *s, int64_t chunk)
{
    return s->begin + chunk * s->chunk_size;
}

static int64_t chunk_end(const sorting *s, int64_t chunk)
{
    return ft_least(s->begin + (chunk + 1) * s->chunk_size, s->end);
}

static int64_t chunk_size_of(int64_t n)
{
    const int64_t size = (n + FT_HILBERT_CHUNKS - 1) / FT_HILBERT_CHUNKS;
    return size > LEAST_CHUNK ? size : LEAST_CHUNK;
}

static int64_t chunks_of(int64_t n) { return (n + chunk_size_of(n) - 1) / chunk_size_of(n); }

/* Chunks of points, or slices of digits. */
static ft_status for_each(sorting *s, int64_t n_chunks, double point_cost, ft_task task)
{
    const double cost = point_cost * (double)(s->end - s->begin) / (double)n_chunks;
    if (s->run != NULL) return ft_parallel_run(s->run, n_chunks, cost, task, s);
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) task(s, chunk, 0);
    return FT_OK;
}

/* The box of a chunk's points; empty if a coordinate is not finite or too large to square. */
FT_INLINE void box_chunk(int dim, const sorting *s, int64_t chunk)
{
    const int64_t begin = chunk_begin(s, chunk), end = chunk_end(s, chunk);
    int32_t *restrict order = s->curve->order;
    const float *restrict y = s->points;
    float *box = s->chunks[chunk].box;
    int unsound = 0;
    ft_empty_box(box);
    for (int64_t i = begin; s->is_new && i < end; i++) order[i] = (int32_t)i;
    for (int axis = 0; axis < dim; axis++) {
        float low = FLT_MAX, high = -FLT_MAX;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(| : unsound)
        for (int64_t i = begin; i < end; i++) {
            float at = y[(int64_t)order[i] * dim + axis];
            unsound |= !(fabsf(at) < FT_LARGEST_COORDINATE);
            low = at < low ? at : low;
            high = at > high ? at : high;
        }
        box[axis] = low;
        box[3 + axis] = high;
    }
    if (unsound) ft_empty_box(box);
}

FT_INLINE void box_body(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    FT_DIM_DISPATCH(s->dim, box_chunk(DIM, s, chunk))
}
FT_TASK_VARIANTS(box)

static float longest_side(const float box[6], int dim)
{
    float side = 0.0f;
    for (int axis = 0; axis < dim; axis++)
        if (box[3 + axis] - box[axis] > side) side = box[3 + axis] - box[axis];
    return side;
}

/* Where a finer grid is needed, the tree sorts the points of a cell again. */
static int bits_per_axis(int dim) { return RADIX_PASSES * RADIX_BITS / dim; }

/* Put one zero, or two, before every bit. */
FT_INLINE uint32_t spread_by_one(uint32_t v)
{
    v = (v | v << 8) & 0x00ff00ff;
    v = (v | v << 4) & 0x0f0f0f0f;
    v = (v | v << 2) & 0x33333333;
    return (v | v << 1) & 0x55555555;
}

FT_INLINE uint32_t spread_by_two(uint32_t v)
{
    v = (v | v << 16) & 0x030000ff;
    v = (v | v << 8) & 0x0300f00f;
    v = (v | v << 4) & 0x030c30c3;
    return (v | v << 2) & 0x09249249;
}

/* A step of Skilling's algorithm: where the bit is set, the lower bits of the first axis are
 * inverted, elsewhere swapped with those of this axis. */
FT_INLINE void turn(int bit, uint32_t *first, uint32_t *axis)
{
    const uint32_t below = (1u << bit) - 1u;
    for (int l = 0; l < BLOCK; l++) {
        uint32_t set = 0u - (axis[l] >> bit & 1u);
        uint32_t swapped = (first[l] ^ axis[l]) & below & ~set;
        axis[l] ^= swapped;
        first[l] ^= swapped | (below & set);
    }
}

FT_INLINE void mirror(int bit, uint32_t *first)
{
    const uint32_t below = (1u << bit) - 1u;
    for (int l = 0; l < BLOCK; l++) first[l] ^= below & (0u - (first[l] >> bit & 1u));
}

/* The codes of BLOCK cells of the grid; overwrites their coordinates. */
FT_INLINE void encode_block(int dim, uint32_t cell[3][BLOCK], uint32_t *codes)
{
    if (dim == 1) {
        for (int l = 0; l < BLOCK; l++) codes[l] = cell[0][l];
        return;
    }
    for (int bit = bits_per_axis(dim) - 1; bit > 0; bit--) {
        mirror(bit, cell[0]);
        turn(bit, cell[0], cell[1]);
        if (dim == 3) turn(bit, cell[0], cell[2]);
    }
    for (int l = 0; l < BLOCK; l++) {
        uint32_t x = cell[0][l], y = cell[1][l] ^ x, z = dim == 3 ? cell[2][l] ^ y : y;
        uint32_t odd = z >> 1; /* whether the number of set bits above is odd */
        odd ^= odd >> 1;
        odd ^= odd >> 2;
        odd ^= odd >> 4;
        odd ^= odd >> 8;
        if (dim == 2)
            codes[l] = spread_by_one(x ^ odd) << 1 | spread_by_one(y ^ odd);
        else
            codes[l] =
                spread_by_two(x ^ odd) << 2 | spread_by_two(y ^ odd) << 1 | spread_by_two(z ^ odd);
    }
}

FT_INLINE void encode_chunk(int dim, const sorting *s, int64_t chunk)
{
    const int64_t end = chunk_end(s, chunk);
    const float last = (float)((1u << bits_per_axis(dim)) - 1u);
    float scale = last / longest_side(s->box, dim);
    if (!isfinite(scale)) scale = 0.0f;
    for (int64_t begin = chunk_begin(s, chunk); begin < end; begin += BLOCK) {
        const int count = (int)ft_least(end - begin, BLOCK);
        uint32_t cell[3][BLOCK], codes[BLOCK];
        for (int l = 0; l < BLOCK; l++) {
            const int32_t i = s->curve->order[begin + (l < count ? l : 0)];
            for (int axis = 0; axis < dim; axis++) {
                float at = (s->points[(int64_t)i * dim + axis] - s->box[axis]) * scale;
                cell[axis][l] = (uint32_t)(int32_t)(at < last ? at : last);
            }
        }
        encode_block(dim, cell, codes);
        memcpy(s->curve->codes + begin, codes, sizeof *codes * (size_t)count);
    }
}

FT_INLINE void encode_body(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    FT_DIM_DISPATCH(s->dim, encode_chunk(DIM, s, chunk))
}
FT_TASK_VARIANTS(encode)

static void count_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    uint32_t *counts = s->chunks[chunk].counts;
    memset(counts, 0, sizeof s->chunks->counts);
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++)
        counts[s->codes[i] >> s->shift & (FT_HILBERT_RADIX - 1)]++;
}

/* In a slice of the digits, the counts of each chunk become those of all chunks before it. */
static void sum_task(FT_TASK_ARGUMENTS)
{
    sorting *s = context;
    uint32_t total[SLICE] = {0}, place = 0;
    for (int64_t from = 0; from < s->n_chunks; from++) {
        uint32_t *counts = s->chunks[from].counts + chunk * SLICE;
        for (int digit = 0; digit < SLICE; digit++) {
            const uint32_t count = counts[digit];
            counts[digit] = total[digit];
            total[digit] += count;
        }
    }
    for (int digit = 0; digit < SLICE; digit++) {
        s->first_of_digit[chunk * SLICE + digit] = place;
        place += total[digit];
    }
    s->first_of_slice[chunk] = place; /* the number of its points, for now */
}

static void place_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    uint32_t *places = s->chunks[chunk].counts;
    for (int slice = 0; slice < N_SLICES; slice++)
        for (int digit = slice * SLICE; digit < (slice + 1) * SLICE; digit++)
            places[digit] += s->first_of_slice[slice] + s->first_of_digit[digit];
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        const uint32_t place = places[s->codes[i] >> s->shift & (FT_HILBERT_RADIX - 1)]++;
        s->codes_to[place] = s->codes[i];
        s->order_to[place] = s->order[i];
    }
}

/* Stable: equal codes keep their order. */
static ft_status radix_sort(sorting *s)
{
    ft_hilbert *curve = s->curve;
    s->codes = curve->codes, s->codes_to = curve->codes_scratch;
    s->order = curve->order, s->order_to = curve->order_scratch;
    for (int pass = 0; pass < RADIX_PASSES; pass++) {
        s->shift = pass * RADIX_BITS;
        ft_status status = for_each(s, s->n_chunks, SORTING_COST, count_task);
        if (status == FT_OK) status = for_each(s, N_SLICES, SORTING_COST, sum_task);
        if (status != FT_OK) return status;
        uint32_t place = (uint32_t)s->begin;
        for (int slice = 0; slice < N_SLICES; slice++) {
            const uint32_t size = s->first_of_slice[slice];
            s->first_of_slice[slice] = place;
            place += size;
        }
        status = for_each(s, s->n_chunks, SORTING_COST, place_task);
        if (status != FT_OK) return status;
        uint32_t *codes = (uint32_t *)s->codes;
        int32_t *order = (int32_t *)s->order;
        s->codes = s->codes_to, s->codes_to = codes;
        s->order = s->order_to, s->order_to = order;
    }
    return FT_OK; /* an even number of passes ends where it began */
}

void ft_hilbert_allocate(ft_hilbert *curve, int64_t n, ft_memory *memory)
{
    curve->order = ft_memory_take(memory, n, sizeof(int32_t));
    curve->codes = ft_memory_take(memory, n, sizeof(uint32_t));
    curve->order_scratch = ft_memory_take(memory, n, sizeof(int32_t));
    curve->codes_scratch = ft_memory_take(memory, n, sizeof(uint32_t));
    curve->chunks = ft_memory_take(memory, chunks_of(n), sizeof *curve->chunks);
}

static ft_status sort(sorting *s)
{
    ft_status status = for_each(s, s->n_chunks, ENCODING_COST, FT_TASK(box));
    if (status != FT_OK) return status;
    ft_empty_box(s->box);
    for (int64_t chunk = 0; chunk < s->n_chunks; chunk++) {
        if (s->chunks[chunk].box[0] == FLT_MAX) return FT_DIVERGED;
        ft_extend_box(s->box, s->chunks[chunk].box, s->dim);
    }
    status = for_each(s, s->n_chunks, ENCODING_COST, FT_TASK(encode));
    if (status != FT_OK || !(longest_side(s->box, s->dim) > 0.0f)) return status;
    return radix_sort(s);
}

ft_status ft_hilbert_sort(ft_hilbert *curve, const float *points, int64_t n, int dim, ft_run *run)
{
    sorting s = {.curve = curve, .points = points, .dim = dim, .is_new = 1, .end = n, .run = run};
    s.n_chunks = chunks_of(n), s.chunk_size = chunk_size_of(n), s.chunks = curve->chunks;
    return sort(&s);
}

void ft_hilbert_sort_again(ft_hilbert *curve, const float *points, int dim, int64_t begin,
                           int64_t end)
{
    ft_hilbert_chunk chunk;
    sorting s = {.curve = curve, .points = points, .dim = dim, .begin = begin, .end = end};
    s.n_chunks = 1, s.chunk_size = end - begin, s.chunks = &chunk;
    sort(&s);
}
