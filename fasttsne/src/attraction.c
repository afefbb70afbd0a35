/* attraction.c - attraction along the edges of P, a row at a time.
 *
 * P is symmetric and stored whole, so one thread sums a row and nothing is scattered. Only the
 * neighbour's position is far away in memory: see planar.h for maps of two components. */
#include "edges.h"
#include "planar.h"
#include "student.h"

#define EDGE_COST 0.4 /* nanoseconds */
#define AHEAD 256     /* edges between the one at work and the one that is fetched */
#define STRETCH 256   /* edges whose squared distances are stored at once */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data, *embedding;
    const float *masses; /* of rows, for the cross-entropy; NULL where all are 1 */
    int dim;
    ft_student_kind kind;
    ft_student_constants student;
    int64_t first, last;
    float *attractive;
    double *partial;         /* cross-entropy, one a chunk; NULL if not wanted */
    const ft_update *update; /* NULL if no step is wanted */
} attraction;

typedef void (*row_kernel)(const attraction *, int64_t row);
typedef void (*distances_kernel)(const attraction *, int64_t row, int64_t begin, int64_t end,
                                 float *squared);

FT_INLINE void row_attraction(int dim, ft_student_kind kind, const attraction *c, int64_t row)
{
    const float *restrict data = c->data;
    const int32_t *restrict indices = c->indices;
    const float *restrict y = c->embedding;
    const float *from = y + row * dim;
    float fx = 0.0f, fy = 0.0f, fz = 0.0f;
#pragma omp simd reduction(+ : fx, fy, fz)
    for (int64_t e = c->indptr[row]; e < c->indptr[row + 1]; e++) {
        ft_way r = ft_way_between(dim, from, y + (int64_t)indices[e] * dim);
        float u, w;
        ft_student_weights(kind, c->student, r.x * r.x + r.y * r.y + r.z * r.z, &u, &w);
        float g = data[e] * u;
        fx += g * r.x;
        if (dim > 1) fy += g * r.y;
        if (dim > 2) fz += g * r.z;
    }
    float *out = c->attractive + row * dim;
    out[0] = fx;
    if (dim > 1) out[1] = fy;
    if (dim > 2) out[2] = fz;
}

/* The same for more than three components. */
FT_INLINE void row_attraction_of_many(ft_student_kind kind, const attraction *c, int64_t row)
{
    const int dim = c->dim;
    float strengths[FT_LANES], *sums = c->attractive + row * dim;
    ft_edges edges;
    memset(sums, 0, sizeof(float) * (size_t)dim);
    const int64_t end = c->indptr[row + 1];
    for (int64_t e = c->indptr[row]; e < end; e += FT_LANES) {
        ft_edges_take(dim, c->embedding, row, c->indices, c->data, e, end, &edges);
#pragma omp simd
        for (int l = 0; l < FT_LANES; l++) {
            float u, w;
            ft_student_weights(kind, c->student, edges.squared[l], &u, &w);
            strengths[l] = edges.p[l] * u;
        }
        ft_edges_add(dim, &edges, strengths, sums);
    }
}

FT_INLINE void any_squared_distances(const attraction *c, int64_t row, int64_t begin, int64_t end,
                                     float *squared)
{
    const int dim = c->dim;
    const float *from = c->embedding + row * dim;
    for (int64_t e = begin; e < end; e++) {
        const float *to = c->embedding + (int64_t)c->indices[e] * dim;
        float sum = 0.0f;
        for (int axis = 0; axis < dim; axis++)
            sum += (from[axis] - to[axis]) * (from[axis] - to[axis]);
        squared[e - begin] = sum;
    }
}

/* Sum over the row of p log(1 + d^2/nu). */
FT_INLINE double row_cross_entropy(const attraction *c, int64_t row, distances_kernel distances)
{
    const float inverse_nu = c->student.inverse_nu, largest_log = c->student.largest_log;
    const int64_t end = c->indptr[row + 1];
    double sum = 0.0;
    for (int64_t begin = c->indptr[row]; begin < end; begin += STRETCH) {
        const int count = (int)ft_least(end - begin, STRETCH);
        const float *restrict p = c->data + begin;
        float squared[STRETCH], part = 0.0f;
        distances(c, row, begin, begin + count, squared);
#pragma omp simd reduction(+ : part)
        for (int e = 0; e < count; e++) {
            float log_t = ft_student_log(1.0f + inverse_nu * squared[e]);
            part += p[e] * (log_t < largest_log ? log_t : largest_log);
        }
        sum += (double)part;
    }
    return sum;
}

FT_INLINE void any_row(const attraction *c, int64_t row)
{
    if (c->dim > 3)
        FT_STUDENT_KINDS(c->kind, row_attraction_of_many(KIND, c, row))
    else
        FT_STUDENT_DISPATCH(c->dim, c->kind, row_attraction(DIM, KIND, c, row))
}

FT_INLINE void rows_of_chunk(const attraction *c, int64_t chunk, row_kernel attract,
                             distances_kernel distances)
{
    int64_t begin = c->first + chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, c->last);
    for (int64_t row = begin; row < end; row++) attract(c, row);
    if (c->update != NULL) ft_update_rows(c->update, chunk);
    if (c->partial == NULL) return;
    double sum = 0.0;
    for (int64_t row = begin; row < end; row++) {
        const double mass = c->masses != NULL ? (double)c->masses[row] : 1.0;
        sum += mass * row_cross_entropy(c, row, distances);
    }
    c->partial[chunk] = sum;
}

FT_INLINE void attraction_body(FT_TASK_ARGUMENTS)
{
    rows_of_chunk(context, chunk, any_row, any_squared_distances);
}
FT_TASK_VARIANTS(attraction)

#if FT_X86_VARIANTS

/* inverse_nu is NULL for nu = 1. */
FT_TARGET_AVX2 FT_INLINE void edges8(const float *y, const int32_t *j, __m256 p, __m256 x0,
                                     __m256 x1, const __m256 *inverse_nu, __m256 *fx, __m256 *fy)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 rx, ry, t;
    ft_planar_ways(y, j, x0, x1, &rx, &ry);
    if (inverse_nu == NULL)
        t = _mm256_fmadd_ps(rx, rx, _mm256_fmadd_ps(ry, ry, one));
    else
        t = _mm256_fmadd_ps(*inverse_nu, _mm256_fmadd_ps(rx, rx, _mm256_mul_ps(ry, ry)), one);
    __m256 g = _mm256_div_ps(p, t);
    *fx = _mm256_fmadd_ps(g, rx, *fx);
    *fy = _mm256_fmadd_ps(g, ry, *fy);
}

FT_TARGET_AVX2 FT_INLINE void planar_squared_distances_avx2(const attraction *c, int64_t row,
                                                            int64_t begin, int64_t end,
                                                            float *squared)
{
    const float *y = c->embedding;
    const __m256 x0 = _mm256_set1_ps(y[2 * row]), x1 = _mm256_set1_ps(y[2 * row + 1]);
    int64_t e = begin;
    for (; e + 8 <= end; e += 8) {
        __m256 rx, ry;
        ft_planar_ways(y, c->indices + e, x0, x1, &rx, &ry);
        _mm256_storeu_ps(squared + (e - begin), _mm256_fmadd_ps(rx, rx, _mm256_mul_ps(ry, ry)));
    }
    any_squared_distances(c, row, e, end, squared + (e - begin));
}

FT_TARGET_AVX2 FT_INLINE void planar_row(const attraction *c, int64_t row, const __m256 *inverse_nu)
{
    const float *y = c->embedding;
    const __m256 x0 = _mm256_set1_ps(y[2 * row]), x1 = _mm256_set1_ps(y[2 * row + 1]);
    __m256 fx = _mm256_setzero_ps(), fy = _mm256_setzero_ps();
    int64_t e = c->indptr[row];
    const int64_t end = c->indptr[row + 1];
    for (; e + 8 <= end; e += 8) {
        FT_PREFETCH(c->indices + e + AHEAD);
        FT_PREFETCH(c->data + e + AHEAD);
        edges8(y, c->indices + e, _mm256_loadu_ps(c->data + e), x0, x1, inverse_nu, &fx, &fy);
    }
    if (e < end) {
        /* Edges of weight 0 from the point to itself fill the last vector. */
        int32_t j[8];
        float p[8];
        for (int l = 0; l < 8; l++) {
            j[l] = e + l < end ? c->indices[e + l] : (int32_t)row;
            p[l] = e + l < end ? c->data[e + l] : 0.0f;
        }
        edges8(y, j, _mm256_loadu_ps(p), x0, x1, inverse_nu, &fx, &fy);
    }
    c->attractive[2 * row] = ft_planar_sum(fx);
    c->attractive[2 * row + 1] = ft_planar_sum(fy);
}

FT_TARGET_AVX2 FT_INLINE void planar_row_avx2(const attraction *c, int64_t row)
{
    if (c->kind == FT_NU_ONE) {
        planar_row(c, row, NULL);
    } else {
        const __m256 inverse_nu = _mm256_set1_ps(c->student.inverse_nu);
        planar_row(c, row, &inverse_nu);
    }
}

FT_TARGET_AVX2 static void planar_attraction_avx2(FT_TASK_ARGUMENTS)
{
    rows_of_chunk(context, chunk, planar_row_avx2, planar_squared_distances_avx2);
}

#endif

/* The hand-written variant is for the common case: two components. */
static ft_task task_for(FT_UNUSED int dim)
{
#if FT_X86_VARIANTS
    if (dim == 2 && ft_parallel_isa() >= FT_ISA_AVX2) return planar_attraction_avx2;
#endif
    return FT_TASK(attraction);
}

ft_status ft_attraction_compute(const int64_t *indptr, const int32_t *indices, const float *data,
                                const float *embedding, int dim, const float *masses,
                                ft_student student, int64_t first, int64_t last, float *attractive,
                                double *cross_entropy, double *partial, const ft_update *update,
                                ft_run *run)
{
    attraction c = {.indptr = indptr, .indices = indices, .data = data, .embedding = embedding};
    c.dim = dim, c.masses = masses, c.first = first, c.last = last, c.attractive = attractive;
    c.kind = ft_student_kind_of(student), c.student = ft_student_constants_of(student);
    c.partial = cross_entropy != NULL ? partial : NULL, c.update = update;
    int64_t n_chunks = FT_ROW_CHUNKS(last - first);
    double edges = (double)(indptr[last] - indptr[first]);
    ft_status status =
        ft_parallel_run(run, n_chunks, EDGE_COST * edges / (double)n_chunks, task_for(dim), &c);
    if (cross_entropy != NULL)
        *cross_entropy = 0.5 * (student.degrees_of_freedom + 1.0) * ft_sum(partial, n_chunks);
    return status;
}
