/* hilbert.c - points in the order of the Hilbert curve.
 *
 * Points that stand together on it are close on the map, and, other than on the Morton curve,
 * never apart: boxes around a few in a row are small. The points of any cell of the quadtree
 * (octree) stand together on it too, whichever way it runs through the cell.
 *
 * Coordinates -> cells of a grid -> codes (Skilling 2004, Programming the Hilbert curve) -> radix
 * sort, by chunks that do not depend on the number of threads.
 */
#include "tree.h"

#include <math.h>
#include <string.h>

#define RADIX_BITS 11 /* of FT_CURVE_RADIX */
#define RADIX_PASSES 2
#define BLOCK 256 /* points whose codes are computed together */

/* Nanoseconds a point. */
#define ENCODING_COST 1.5
#define SORTING_COST 1.0

typedef struct {
    ft_tree *tree;
    const float *embedding;
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
    return s->begin + chunk * FT_CURVE_CHUNK;
}

static int64_t chunk_end(const sorting *s, int64_t chunk)
{
    int64_t end = s->begin + (chunk + 1) * FT_CURVE_CHUNK;
    return end < s->end ? end : s->end;
}

/* The box of a chunk's points. One that is not finite, or too large to square, leaves it empty. */
FT_INLINE void box_chunk(int dim, const sorting *s, int64_t chunk)
{
    const int64_t begin = chunk_begin(s, chunk), end = chunk_end(s, chunk);
    const int32_t *restrict order = s->tree->order;
    const float *restrict y = s->embedding;
    float *box = s->tree->chunk_boxes[chunk];
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
    (void)thread;
    if (s->tree->dim == 2)
        box_chunk(2, s, chunk);
    else if (s->tree->dim == 3)
        box_chunk(3, s, chunk);
    else
        box_chunk(1, s, chunk);
}
FT_TASK_VARIANTS(box)

static float longest_side(const float box[6], int dim)
{
    float side = 0.0f;
    for (int axis = 0; axis < dim; axis++)
        if (box[3 + axis] - box[axis] > side) side = box[3 + axis] - box[axis];
    return side;
}

/* ---- Codes ------------------------------------------------------------------------------------ */

/* As many as two passes of the sort take: a finer grid is hardly ever needed, and where it is,
 * cells are gridded anew. */
static int bits_per_axis(int dim) { return RADIX_PASSES * RADIX_BITS / dim; }

/* Puts so many zeros before every bit. */
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

/* A step of Skilling's, on all points: where the bit is set the curve below runs the other way
 * along the first axis, elsewhere the first axis and this one change places. */
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

/* Codes of so many cells of the grid, whose coordinates are used up. */
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
            codes[l] = spread_by_two(x ^ odd) << 2 | spread_by_two(y ^ odd) << 1 |
                       spread_by_two(z ^ odd);
    }
}

FT_INLINE void encode_chunk(int dim, const sorting *s, int64_t chunk)
{
    const ft_tree *tree = s->tree;
    const int64_t end = chunk_end(s, chunk);
    const float last = (float)((1u << bits_per_axis(dim)) - 1u);
    float scale = last / longest_side(s->box, dim);
    if (!isfinite(scale)) scale = 0.0f;
    for (int64_t begin = chunk_begin(s, chunk); begin < end; begin += BLOCK) {
        const int count = end - begin < BLOCK ? (int)(end - begin) : BLOCK;
        uint32_t cell[3][BLOCK], codes[BLOCK];
        for (int l = 0; l < BLOCK; l++) {
            const int32_t i = tree->order[begin + (l < count ? l : 0)];
            for (int axis = 0; axis < dim; axis++) {
                float at = (s->embedding[(int64_t)i * dim + axis] - s->box[axis]) * scale;
                cell[axis][l] = (uint32_t)(int32_t)(at < last ? at : last);
            }
        }
        encode_block(dim, cell, codes);
        memcpy(tree->codes + begin, codes, sizeof *codes * (size_t)count);
    }
}

FT_INLINE void encode_body(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    (void)thread;
    if (s->tree->dim == 2)
        encode_chunk(2, s, chunk);
    else if (s->tree->dim == 3)
        encode_chunk(3, s, chunk);
    else
        encode_chunk(1, s, chunk);
}
FT_TASK_VARIANTS(encode)

/* ---- Sorting ---------------------------------------------------------------------------------- */

static void count_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    int64_t *counts = s->tree->counts[chunk];
    (void)thread;
    memset(counts, 0, sizeof *s->tree->counts);
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++)
        counts[s->codes[i] >> s->shift & (FT_CURVE_RADIX - 1)]++;
}

/* The counts have become the places where a chunk's points of each digit go. */
static void place_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    int64_t *places = s->tree->counts[chunk];
    (void)thread;
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        int64_t place = places[s->codes[i] >> s->shift & (FT_CURVE_RADIX - 1)]++;
        s->codes_to[place] = s->codes[i];
        s->order_to[place] = s->order[i];
    }
}

/* Stable, so that equal codes keep the order they came in. */
static ft_status radix_sort(sorting *s, ft_run *run)
{
    ft_tree *tree = s->tree;
    const int64_t n_chunks = FT_CURVE_CHUNKS(s->end - s->begin);
    const double cost = FT_CURVE_CHUNK * SORTING_COST;
    s->codes = tree->codes, s->codes_to = tree->codes_scratch;
    s->order = tree->order, s->order_to = tree->order_scratch;
    for (int pass = 0; pass < RADIX_PASSES; pass++) {
        s->shift = pass * RADIX_BITS;
        ft_status status = ft_parallel_run(run, n_chunks, cost, count_task, s);
        if (status != FT_OK) return status;
        int64_t place = s->begin;
        for (int digit = 0; digit < FT_CURVE_RADIX; digit++) {
            for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
                int64_t *count = &tree->counts[chunk][digit], size = *count;
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

ft_status ft_curve_sort(ft_tree *tree, const float *embedding, int64_t begin, int64_t end,
                        ft_run *run)
{
    sorting s = {.tree = tree, .embedding = embedding, .begin = begin, .end = end};
    const int64_t n_chunks = FT_CURVE_CHUNKS(end - begin);
    const double cost = FT_CURVE_CHUNK * ENCODING_COST;
    ft_status status = ft_parallel_run(run, n_chunks, cost, FT_TASK(box), &s);
    if (status != FT_OK) return status;
    ft_empty_box(s.box);
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        if (tree->chunk_boxes[chunk][0] == FLT_MAX) return FT_DIVERGED;
        ft_extend_box(s.box, tree->chunk_boxes[chunk], tree->dim);
    }
    status = ft_parallel_run(run, n_chunks, cost, FT_TASK(encode), &s);
    if (status != FT_OK || !(longest_side(s.box, tree->dim) > 0.0f)) return status;
    return radix_sort(&s, run);
}
