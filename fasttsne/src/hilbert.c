/* hilbert.c - points in the order of the Hilbert curve.
 *
 * Unlike the Morton curve it has no jumps, so boxes around a few points in a row are small. The
 * points of any cell of a quadtree (octree) are consecutive.
 *
 * Coordinates -> cells of a grid -> codes (Skilling 2004, Programming the Hilbert curve) -> radix
 * sort, by chunks that do not depend on the number of threads. */
#include "hilbert.h"
#include "dimensions.h"

#include <math.h>
#include <string.h>

#define RADIX_BITS 11 /* of FT_HILBERT_RADIX */
#define RADIX_PASSES 2
#define BLOCK 256         /* points whose codes are computed together */
#define ENCODING_COST 1.5 /* nanoseconds a point */
#define SORTING_COST 1.0

typedef struct {
    ft_hilbert *curve;
    const float *points;
    int dim;
    int64_t begin, end; /* of the points to be sorted */
    float box[6];
    int shift;
    const uint32_t *codes;
    const int32_t *order;
    uint32_t *codes_to;
    int32_t *order_to;
} sorting;

static int64_t chunk_begin(const sorting *s, int64_t chunk)
{
    return s->begin + chunk * FT_HILBERT_CHUNK;
}

static int64_t chunk_end(const sorting *s, int64_t chunk)
{
    return ft_least(s->begin + (chunk + 1) * FT_HILBERT_CHUNK, s->end);
}

/* The box of a chunk's points; empty if a coordinate is not finite or too large to square. */
FT_INLINE void box_chunk(int dim, const sorting *s, int64_t chunk)
{
    const int64_t begin = chunk_begin(s, chunk), end = chunk_end(s, chunk);
    const int32_t *restrict order = s->curve->order;
    const float *restrict y = s->points;
    float *box = s->curve->chunk_boxes[chunk];
    int unsound = 0;
    ft_empty_box(box);
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
    int64_t *counts = s->curve->counts[chunk];
    memset(counts, 0, sizeof *s->curve->counts);
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++)
        counts[s->codes[i] >> s->shift & (FT_HILBERT_RADIX - 1)]++;
}

/* The counts are now the places where the chunk's points of each digit go. */
static void place_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    int64_t *places = s->curve->counts[chunk];
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        int64_t place = places[s->codes[i] >> s->shift & (FT_HILBERT_RADIX - 1)]++;
        s->codes_to[place] = s->codes[i];
        s->order_to[place] = s->order[i];
    }
}

/* Stable: equal codes keep their order. */
static ft_status radix_sort(sorting *s, ft_run *run)
{
    ft_hilbert *curve = s->curve;
    const int64_t n_chunks = FT_HILBERT_CHUNKS(s->end - s->begin);
    const double cost = FT_HILBERT_CHUNK * SORTING_COST;
    s->codes = curve->codes, s->codes_to = curve->codes_scratch;
    s->order = curve->order, s->order_to = curve->order_scratch;
    for (int pass = 0; pass < RADIX_PASSES; pass++) {
        s->shift = pass * RADIX_BITS;
        ft_status status = ft_parallel_run(run, n_chunks, cost, count_task, s);
        if (status != FT_OK) return status;
        int64_t place = s->begin;
        for (int digit = 0; digit < FT_HILBERT_RADIX; digit++) {
            for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
                int64_t *count = &curve->counts[chunk][digit], size = *count;
                *count = place;
                place += size;
            }
        }
        status = ft_parallel_run(run, n_chunks, cost, place_task, s);
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
    const int64_t n_chunks = FT_HILBERT_CHUNKS(n);
    curve->order = ft_memory_take(memory, n, sizeof(int32_t));
    curve->codes = ft_memory_take(memory, n, sizeof(uint32_t));
    curve->order_scratch = ft_memory_take(memory, n, sizeof(int32_t));
    curve->codes_scratch = ft_memory_take(memory, n, sizeof(uint32_t));
    curve->counts = ft_memory_take(memory, n_chunks, sizeof *curve->counts);
    curve->chunk_boxes = ft_memory_take(memory, n_chunks, sizeof *curve->chunk_boxes);
}

ft_status ft_hilbert_sort(ft_hilbert *curve, const float *points, int dim, int64_t begin,
                          int64_t end, ft_run *run)
{
    sorting s = {.curve = curve, .points = points, .dim = dim, .begin = begin, .end = end};
    const int64_t n_chunks = FT_HILBERT_CHUNKS(end - begin);
    const double cost = FT_HILBERT_CHUNK * ENCODING_COST;
    ft_status status = ft_parallel_run(run, n_chunks, cost, FT_TASK(box), &s);
    if (status != FT_OK) return status;
    ft_empty_box(s.box);
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        if (curve->chunk_boxes[chunk][0] == FLT_MAX) return FT_DIVERGED;
        ft_extend_box(s.box, curve->chunk_boxes[chunk], dim);
    }
    status = ft_parallel_run(run, n_chunks, cost, FT_TASK(encode), &s);
    if (status != FT_OK || !(longest_side(s.box, dim) > 0.0f)) return status;
    return radix_sort(&s, run);
}
