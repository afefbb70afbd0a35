/* attraction.c - attraction along the edges of P, a row at a time.
 *
 * Rows are full (P is symmetric and stored whole), so that a row is summed by one thread and
 * nothing is scattered. Of an edge only the neighbour's position is far away in memory; for maps
 * of two components it is fetched as one 64-bit load, and the vector variants put eight or
 * sixteen of them together by hand, which beats the gather instruction.
 */
#include "student.h"

#if FT_X86_VARIANTS
#include <immintrin.h>
#endif

#define EDGE_COST 0.4 /* nanoseconds */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data, *embedding;
    int dim;
    ft_student_kind kind;
    ft_student_constants student;
    int64_t first, last;
    float *attractive;
    double *partial; /* cross-entropy, one a chunk; NULL where it is not wanted */
} attraction;

FT_INLINE void row_attraction(int dim, ft_student_kind kind, const attraction *c, int64_t row)
{
    const float *restrict data = c->data;
    const int32_t *restrict indices = c->indices;
    const float *restrict y = c->embedding;
    const float x0 = y[row * dim], x1 = dim > 1 ? y[row * dim + 1] : 0.0f,
                x2 = dim > 2 ? y[row * dim + 2] : 0.0f;
    float fx = 0.0f, fy = 0.0f, fz = 0.0f;
#pragma omp simd reduction(+ : fx, fy, fz)
    for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
        const float *restrict other = y + (int64_t)indices[e] * dim;
        float rx = x0 - other[0];
        float ry = dim > 1 ? x1 - other[1] : 0.0f;
        float rz = dim > 2 ? x2 - other[2] : 0.0f;
        float u, w;
        ft_student_weights(kind, c->student, rx * rx + ry * ry + rz * rz, &u, &w);
        float g = data[e] * u;
        fx += g * rx;
        if (dim > 1) fy += g * ry;
        if (dim > 2) fz += g * rz;
    }
    float *out = c->attractive + row * dim;
    out[0] = fx;
    if (dim > 1) out[1] = fy;
    if (dim > 2) out[2] = fz;
}

/* Sum over the row of p log(1 + d^2/nu). */
FT_INLINE double row_cross_entropy(int dim, const attraction *c, int64_t row)
{
    const float *restrict data = c->data;
    const int32_t *restrict indices = c->indices;
    const float *restrict y = c->embedding;
    const float inverse_nu = c->student.inverse_nu, largest_log = c->student.largest_log;
    const float x0 = y[row * dim], x1 = dim > 1 ? y[row * dim + 1] : 0.0f,
                x2 = dim > 2 ? y[row * dim + 2] : 0.0f;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
        const float *restrict other = y + (int64_t)indices[e] * dim;
        float rx = x0 - other[0];
        float ry = dim > 1 ? x1 - other[1] : 0.0f;
        float rz = dim > 2 ? x2 - other[2] : 0.0f;
        float log_t = ft_student_log(1.0f + inverse_nu * (rx * rx + ry * ry + rz * rz));
        sum += data[e] * (log_t < largest_log ? log_t : largest_log);
    }
    return (double)sum;
}

FT_INLINE void any_row(const attraction *c, int64_t row)
{
    FT_STUDENT_DISPATCH(c->dim, c->kind, row_attraction(DIM, KIND, c, row))
}

FT_INLINE void rows_of_chunk(const attraction *c, int64_t chunk,
                             void (*row_kernel)(const attraction *, int64_t))
{
    int64_t begin = c->first + chunk * FT_ROWS;
    int64_t end = begin + FT_ROWS < c->last ? begin + FT_ROWS : c->last;
    for (int64_t row = begin; row < end; row++) row_kernel(c, row);
    if (c->partial == NULL) return;
    double sum = 0.0;
    for (int64_t row = begin; row < end; row++) {
        if (c->dim == 2)
            sum += row_cross_entropy(2, c, row);
        else if (c->dim == 3)
            sum += row_cross_entropy(3, c, row);
        else
            sum += row_cross_entropy(1, c, row);
    }
    c->partial[chunk] = sum;
}

FT_INLINE void attraction_body(FT_TASK_ARGUMENTS)
{
    (void)thread;
    rows_of_chunk(context, chunk, any_row);
}
FT_TASK_VARIANTS(attraction)

#if FT_X86_VARIANTS

typedef double pairs4 __attribute__((vector_size(32)));
typedef double pairs8 __attribute__((vector_size(64)));

/* The position of point j, (x, y), as one 64-bit value. */
FT_INLINE double pair_of(const float *y, int32_t j)
{
    double pair;
    memcpy(&pair, y + 2 * (int64_t)j, sizeof pair);
    return pair;
}

/* Eight edges. Odd places of the shuffles hold y, even ones x; within a 128-bit half the edges
 * come out in the order 0 1 4 5, so p is shuffled alike. */
FT_TARGET_AVX2 FT_INLINE void edges8(const float *y, const int32_t *j, __m256 p, __m256 x0,
                                     __m256 x1, __m256 *fx, __m256 *fy)
{
    pairs4 low = {pair_of(y, j[0]), pair_of(y, j[1]), pair_of(y, j[4]), pair_of(y, j[5])};
    pairs4 high = {pair_of(y, j[2]), pair_of(y, j[3]), pair_of(y, j[6]), pair_of(y, j[7])};
    __m256 a = (__m256)low, b = (__m256)high;
    __m256 rx = _mm256_sub_ps(x0, _mm256_shuffle_ps(a, b, 0x88));
    __m256 ry = _mm256_sub_ps(x1, _mm256_shuffle_ps(a, b, 0xdd));
    __m256 t = _mm256_fmadd_ps(rx, rx, _mm256_fmadd_ps(ry, ry, _mm256_set1_ps(1.0f)));
    __m256 g = _mm256_div_ps(p, t);
    *fx = _mm256_fmadd_ps(g, rx, *fx);
    *fy = _mm256_fmadd_ps(g, ry, *fy);
}

FT_TARGET_AVX2 FT_INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

FT_TARGET_AVX2 FT_INLINE void planar_row_avx2(const attraction *c, int64_t row)
{
    const float *y = c->embedding;
    const __m256 x0 = _mm256_set1_ps(y[2 * row]), x1 = _mm256_set1_ps(y[2 * row + 1]);
    __m256 fx = _mm256_setzero_ps(), fy = _mm256_setzero_ps();
    int64_t e = c->indptr[row];
    const int64_t end = c->indptr[row + 1];
    for (; e + 8 <= end; e += 8)
        edges8(y, c->indices + e, _mm256_loadu_ps(c->data + e), x0, x1, &fx, &fy);
    if (e < end) {
        /* Edges of no weight from the point to itself fill the last vector. */
        int32_t j[8];
        float p[8];
        for (int l = 0; l < 8; l++) {
            j[l] = e + l < end ? c->indices[e + l] : (int32_t)row;
            p[l] = e + l < end ? c->data[e + l] : 0.0f;
        }
        edges8(y, j, _mm256_loadu_ps(p), x0, x1, &fx, &fy);
    }
    c->attractive[2 * row] = sum8(fx);
    c->attractive[2 * row + 1] = sum8(fy);
}

FT_TARGET_AVX512 FT_INLINE void edges16(const float *y, const int32_t *j, __m512 p, __m512 x0,
                                        __m512 x1, __m512 *fx, __m512 *fy)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                           30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29,
                                          31);
    pairs8 low = {pair_of(y, j[0]), pair_of(y, j[1]), pair_of(y, j[2]), pair_of(y, j[3]),
                  pair_of(y, j[4]), pair_of(y, j[5]), pair_of(y, j[6]), pair_of(y, j[7])};
    pairs8 high = {pair_of(y, j[8]),  pair_of(y, j[9]),  pair_of(y, j[10]), pair_of(y, j[11]),
                   pair_of(y, j[12]), pair_of(y, j[13]), pair_of(y, j[14]), pair_of(y, j[15])};
    __m512 a = (__m512)low, b = (__m512)high;
    __m512 rx = _mm512_sub_ps(x0, _mm512_permutex2var_ps(a, even, b));
    __m512 ry = _mm512_sub_ps(x1, _mm512_permutex2var_ps(a, odd, b));
    __m512 t = _mm512_fmadd_ps(rx, rx, _mm512_fmadd_ps(ry, ry, _mm512_set1_ps(1.0f)));
    __m512 g = _mm512_div_ps(p, t);
    *fx = _mm512_fmadd_ps(g, rx, *fx);
    *fy = _mm512_fmadd_ps(g, ry, *fy);
}

FT_TARGET_AVX512 FT_INLINE void planar_row_avx512(const attraction *c, int64_t row)
{
    const float *y = c->embedding;
    const __m512 x0 = _mm512_set1_ps(y[2 * row]), x1 = _mm512_set1_ps(y[2 * row + 1]);
    __m512 fx = _mm512_setzero_ps(), fy = _mm512_setzero_ps();
    int64_t e = c->indptr[row];
    const int64_t end = c->indptr[row + 1];
    for (; e + 16 <= end; e += 16)
        edges16(y, c->indices + e, _mm512_loadu_ps(c->data + e), x0, x1, &fx, &fy);
    if (e < end) {
        int32_t j[16];
        __mmask16 live = (__mmask16)((1u << (end - e)) - 1u);
        _mm512_storeu_si512(j, _mm512_mask_loadu_epi32(_mm512_set1_epi32((int32_t)row), live,
                                                       c->indices + e));
        edges16(y, j, _mm512_maskz_loadu_ps(live, c->data + e), x0, x1, &fx, &fy);
    }
    c->attractive[2 * row] = _mm512_reduce_add_ps(fx);
    c->attractive[2 * row + 1] = _mm512_reduce_add_ps(fy);
}

FT_TARGET_AVX2 static void planar_attraction_avx2(FT_TASK_ARGUMENTS)
{
    (void)thread;
    rows_of_chunk(context, chunk, planar_row_avx2);
}

FT_TARGET_AVX512 static void planar_attraction_avx512(FT_TASK_ARGUMENTS)
{
    (void)thread;
    rows_of_chunk(context, chunk, planar_row_avx512);
}

#endif

/* The hand-written variants are for the common case: two components and nu = 1. */
static ft_task task_for(int dim, ft_student_kind kind)
{
#if FT_X86_VARIANTS
    if (dim == 2 && kind == FT_NU_ONE) {
        if (ft_isa_current() == FT_ISA_AVX512) return planar_attraction_avx512;
        if (ft_isa_current() == FT_ISA_AVX2) return planar_attraction_avx2;
    }
#endif
    (void)dim, (void)kind;
    return FT_TASK(attraction);
}

ft_status ft_attraction_compute(const int64_t *indptr, const int32_t *indices, const float *data,
                                const float *embedding, int dim, ft_student student,
                                int64_t first, int64_t last, float *attractive,
                                double *cross_entropy, double *partial, ft_run *run)
{
    ft_student_constants constants = ft_student_constants_of(student);
    ft_student_kind kind = ft_student_kind_of(student);
    attraction c = {indptr, indices, data, embedding, dim, kind, constants, first, last,
                    attractive, cross_entropy != NULL ? partial : NULL};
    int64_t n_chunks = FT_ROW_CHUNKS(last - first);
    double edges = (double)(indptr[last] - indptr[first]);
    ft_status status = ft_parallel_run(run, n_chunks, EDGE_COST * edges / (double)n_chunks,
                                       task_for(dim, kind), &c);
    if (cross_entropy != NULL) {
        double sum = 0.0;
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) sum += partial[chunk];
        *cross_entropy = 0.5 * (student.degrees_of_freedom + 1.0) * sum;
    }
    return status;
}
