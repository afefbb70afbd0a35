/* hilbert.c - points in the order of the Hilbert curve.
 *
 * Unlike the Morton curve it has no jumps, so boxes around a few points in a row are small. The
 * points of any cell of a quadtree (octree) are consecutive.
 *
 * Coordinates -> cells of a grid -> codes (Skilling 2004, Programming the Hilbert curve) -> buckets
 * by the top bits of the codes, by all threads -> radix sort of each bucket, by one. Both steps are
 * stable, so the order does not depend on the chunks. */
#include "hilbert.h"
#include "dimensions.h"

#include <math.h>
#include <string.h>

#define LOW_BITS 7       /* of a digit; codes are two of them below the bits of the bucket */
#define DIGITS 256       /* at most */
#define LEAST_CHUNK 1024 /* points; smaller chunks write into the same cache lines */
#define TOGETHER 2       /* buckets */
#define BLOCK 256        /* points whose codes are computed together */
#define BOXING_COST 1.0  /* nanoseconds a point */
#define ENCODING_COST 5.0
#define SORTING_COST 3.0

typedef struct {
    ft_hilbert *curve;
    const float *points;
    int dim;
    const int32_t *order; /* of the points; NULL for 0, 1, 2, ... */
    int64_t begin, end;   /* of the points to be sorted */
    int64_t chunk_size;
    ft_hilbert_chunk *chunks;
    float box[6];
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

static int64_t point_at(const sorting *s, int64_t place)
{
    return s->order != NULL ? s->order[place] : place;
}

/* The box of a chunk's points; empty if a coordinate is not finite or too large to square. */
FT_INLINE void box_chunk(int dim, const sorting *s, int64_t chunk)
{
    const int64_t begin = chunk_begin(s, chunk), end = chunk_end(s, chunk);
    const float *restrict y = s->points;
    float *box = s->chunks[chunk].box;
    int unsound = 0;
    ft_empty_box(box);
    for (int axis = 0; axis < dim; axis++) {
        float low = FLT_MAX, high = -FLT_MAX;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(| : unsound)
        for (int64_t i = begin; i < end; i++) {
            float at = y[point_at(s, i) * dim + axis];
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
static int bits_per_axis(int dim) { return 22 / dim; }

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
    const int shift = s->curve->bucket_shift;
    const float last = (float)((1u << bits_per_axis(dim)) - 1u);
    float scale = last / longest_side(s->box, dim);
    if (!isfinite(scale)) scale = 0.0f;
    uint32_t *counts = s->chunks[chunk].counts;
    memset(counts, 0, sizeof s->chunks->counts);
    for (int64_t begin = chunk_begin(s, chunk); begin < end; begin += BLOCK) {
        const int count = (int)ft_least(end - begin, BLOCK);
        uint32_t cell[3][BLOCK], codes[BLOCK];
        for (int l = 0; l < BLOCK; l++) {
            const int64_t i = point_at(s, begin + (l < count ? l : 0));
            for (int axis = 0; axis < dim; axis++) {
                float at = (s->points[i * dim + axis] - s->box[axis]) * scale;
                cell[axis][l] = (uint32_t)(int32_t)(at < last ? at : last);
            }
        }
        encode_block(dim, cell, codes);
        for (int l = 0; l < count; l++) {
            const int32_t point = (int32_t)point_at(s, begin + l);
            s->curve->scratch[begin + l] = (ft_hilbert_pair){codes[l], point};
            counts[codes[l] >> shift]++;
        }
    }
}

FT_INLINE void encode_body(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    FT_DIM_DISPATCH(s->dim, encode_chunk(DIM, s, chunk))
}
FT_TASK_VARIANTS(encode)

/* From the counts of all chunks to the places of their points. */
static void find_places(sorting *s, int64_t n_chunks)
{
    uint32_t total[FT_HILBERT_BUCKETS] = {0}, place = 0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++)
        for (int bucket = 0; bucket < FT_HILBERT_BUCKETS; bucket++) {
            const uint32_t count = s->chunks[chunk].counts[bucket];
            s->chunks[chunk].counts[bucket] = total[bucket]; /* in its bucket */
            total[bucket] += count;
        }
    for (int bucket = 0; bucket < FT_HILBERT_BUCKETS; bucket++) {
        s->curve->buckets[bucket] = place;
        place += total[bucket];
    }
    s->curve->buckets[FT_HILBERT_BUCKETS] = place;
}

static void place_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    uint32_t *places = s->chunks[chunk].counts;
    const int shift = s->curve->bucket_shift;
    for (int bucket = 0; bucket < FT_HILBERT_BUCKETS; bucket++)
        places[bucket] += s->curve->buckets[bucket];
    for (int64_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        const ft_hilbert_pair pair = s->curve->scratch[i];
        s->curve->pairs[places[pair.code >> shift]++] = pair;
    }
}

/* One pass of a radix sort by the digit above `shift`: into `to`, or if it is NULL into the curve. */
static void sort_by_digit(ft_hilbert *curve, const ft_hilbert_pair *from, ft_hilbert_pair *to,
                          int64_t begin, int64_t end, int shift, uint32_t n_digits)
{
    uint32_t places[DIGITS] = {0}, place = (uint32_t)begin;
    for (int64_t i = begin; i < end; i++) places[from[i].code >> shift & (n_digits - 1)]++;
    for (uint32_t digit = 0; digit < n_digits; digit++) {
        const uint32_t count = places[digit];
        places[digit] = place;
        place += count;
    }
    for (int64_t i = begin; i < end; i++) {
        const uint32_t at = places[from[i].code >> shift & (n_digits - 1)]++;
        if (to != NULL) {
            to[at] = from[i];
        } else {
            curve->codes[at] = from[i].code;
            curve->order[at] = from[i].point;
        }
    }
}

static void bucket_task(FT_TASK_ARGUMENTS)
{
    const sorting *s = context;
    ft_hilbert *curve = s->curve;
    for (int64_t bucket = chunk * TOGETHER; bucket < (chunk + 1) * TOGETHER; bucket++) {
        const int64_t begin = s->curve->buckets[bucket], end = s->curve->buckets[bucket + 1];
        if (begin == end) continue;
        sort_by_digit(curve, curve->pairs, curve->scratch, begin, end, 0, 1 << LOW_BITS);
        sort_by_digit(curve, curve->scratch, NULL, begin, end, LOW_BITS, 1 << LOW_BITS);
    }
}

void ft_hilbert_allocate(ft_hilbert *curve, int64_t n, ft_memory *memory)
{
    curve->order = ft_memory_take(memory, n, sizeof(int32_t));
    curve->codes = ft_memory_take(memory, n, sizeof(uint32_t));
    curve->pairs = ft_memory_take(memory, n, sizeof(ft_hilbert_pair));
    curve->scratch = ft_memory_take(memory, n, sizeof(ft_hilbert_pair));
    curve->chunks = ft_memory_take(memory, chunks_of(n), sizeof *curve->chunks);
}

ft_status ft_hilbert_sort(ft_hilbert *curve, const float *points, int64_t n, int dim, ft_run *run)
{
    sorting s = {.curve = curve, .points = points, .dim = dim, .end = n, .chunks = curve->chunks};
    curve->bucket_shift = bits_per_axis(dim) * dim - 8;
    s.chunk_size = chunk_size_of(n);
    const int64_t n_chunks = chunks_of(n);
    const double chunk_points = (double)n / (double)n_chunks;
    ft_status status = ft_parallel_run(run, n_chunks, BOXING_COST * chunk_points, FT_TASK(box), &s);
    if (status != FT_OK) return status;
    ft_empty_box(s.box);
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        if (s.chunks[chunk].box[0] == FLT_MAX) return FT_DIVERGED;
        ft_extend_box(s.box, s.chunks[chunk].box, dim);
    }
    status = ft_parallel_run(run, n_chunks, ENCODING_COST * chunk_points, FT_TASK(encode), &s);
    if (status != FT_OK) return status;
    find_places(&s, n_chunks);
    status = ft_parallel_run(run, n_chunks, SORTING_COST * chunk_points, place_task, &s);
    if (status != FT_OK) return status;
    const int64_t n_tasks = FT_HILBERT_BUCKETS / TOGETHER;
    return ft_parallel_run(run, n_tasks, 2.0 * SORTING_COST * (double)n / (double)n_tasks,
                           bucket_task, &s);
}

void ft_hilbert_sort_again(ft_hilbert *curve, const float *points, int dim, int64_t begin,
                           int64_t end)
{
    ft_hilbert_chunk chunk;
    sorting s = {.curve = curve, .points = points, .dim = dim, .order = curve->order};
    s.begin = begin, s.end = end, s.chunk_size = end - begin, s.chunks = &chunk;
    FT_TASK(box)(&s, 0, 0);
    memcpy(s.box, chunk.box, sizeof s.box);
    FT_TASK(encode)(&s, 0, 0);
    sort_by_digit(curve, curve->scratch, curve->pairs, begin, end, 0, 1 << LOW_BITS);
    sort_by_digit(curve, curve->pairs, curve->scratch, begin, end, LOW_BITS, 1 << LOW_BITS);
    sort_by_digit(curve, curve->scratch, NULL, begin, end, 2 * LOW_BITS, DIGITS);
}
