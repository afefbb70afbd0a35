/* density.c - local radii on the map, and their correlation with those in the data.
 *
 * The squared local radius of a point is the mean squared distance to its neighbours, nearer ones
 * with more weight:
 *
 *     R_i = sum_j u_ij d_ij^2 / sum_j u_ij      u = 1 / (1 + d^2)      r_i = log(R_i + eps)
 *
 * The term of the objective is -lambda corr, with targets z of mean 0 and variance 1 (Narayan,
 * Berger & Cho 2021, den-SNE):
 *
 *     corr = C / sqrt(V)      C = mean of z_i r_i      V = var(r) + VARIANCE_SHIFT
 *
 * The slope of corr along r_i is g_i = (z_i - (r_i - mean) C / V) / (n sqrt(V)), and that of r_i
 * along d_ij^2 is u_ij^2 s_i with s_i = (1 + R_i) / ((R_i + eps) sum_j u_ij). Every edge belongs to
 * both of its ends, so with h_i = g_i s_i the gradient of corr is
 *
 *     2 sum_j u_ij^2 (h_i + h_j) (y_i - y_j)
 *
 * With masses m, point j counts m_j times in sums and means. */
#include "dimensions.h"
#include "fasttsne.h"
#include "planar.h"

#include <math.h>

#define SMALLEST_RADIUS 1e-8 /* eps: neighbours may coincide */
#define VARIANCE_SHIFT 0.1   /* as den-SNE */
#define EDGE_COST 0.8        /* nanoseconds */
#define ROW_COST 2.0         /* nanoseconds */
#define AHEAD 256            /* edges between the one at work and the one that is fetched */

typedef struct {
    const ft_density *density;
    const float *embedding;
    /* g_i = of_target z_i - of_radius (r_i - mean), times the weight of the term */
    double of_target, of_radius, mean;
    float *attractive;
} densities;

typedef void (*row_kernel)(const densities *, int64_t row);

FT_INLINE float squared_between(int dim, const float *a, const float *b)
{
    float squared = 0.0f;
    for (int axis = 0; axis < dim; axis++) squared += (a[axis] - b[axis]) * (a[axis] - b[axis]);
    return squared;
}

/* How many points an edge leads to: other copies of the point itself where it ends there. */
FT_INLINE float count_at(const float *masses, int64_t row, int64_t to)
{
    if (masses == NULL) return 1.0f;
    if (to != row) return masses[to];
    return masses[row] > 1.0f ? masses[row] - 1.0f : 0.0f;
}

/* From the sums of u and u d^2; without neighbours the radius is 0 and has no slope. */
FT_INLINE void set_radius(const ft_density *d, int64_t row, float sum, float sum_of_squares)
{
    const double total = (double)sum, radius = total > 0.0 ? (double)sum_of_squares / total : 0.0;
    const double above = radius + SMALLEST_RADIUS;
    d->log_radii[row] = (float)log(above);
    d->strengths[row] = total > 0.0 ? (float)((1.0 + radius) / (above * total)) : 0.0f;
}

FT_INLINE void row_radius(int dim, const densities *c, const float *masses, int64_t row)
{
    const ft_density *d = c->density;
    const int32_t *restrict indices = d->indices;
    const float *restrict y = c->embedding;
    const float *from = y + row * dim;
    float sum = 0.0f, sum_of_squares = 0.0f;
#pragma omp simd reduction(+ : sum, sum_of_squares)
    for (int64_t e = d->indptr[row]; e < d->indptr[row + 1]; e++) {
        const int64_t j = indices[e];
        const float squared = squared_between(dim, from, y + j * dim);
        const float u = count_at(masses, row, j) / (1.0f + squared);
        sum += u;
        sum_of_squares += u * squared;
    }
    set_radius(d, row, sum, sum_of_squares);
}

FT_INLINE void any_radius(const densities *c, int64_t row)
{
    const ft_density *d = c->density;
    if (d->masses == NULL)
        FT_ANY_DIM_DISPATCH(d->dim, row_radius(DIM, c, NULL, row))
    else
        FT_ANY_DIM_DISPATCH(d->dim, row_radius(DIM, c, d->masses, row))
}

FT_INLINE void radii_of_chunk(const densities *c, int64_t chunk, row_kernel radius)
{
    const ft_density *d = c->density;
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, d->n);
    double *sums = d->partial + chunk * FT_DENSITY_SUMS;
    for (int64_t row = begin; row < end; row++) radius(c, row);
    if (d->targets == NULL) return;
    for (int i = 0; i < FT_DENSITY_SUMS; i++) sums[i] = 0.0;
    for (int64_t row = begin; row < end; row++) {
        const double mass = d->masses != NULL ? (double)d->masses[row] : 1.0;
        const double r = (double)d->log_radii[row];
        sums[0] += mass;
        sums[1] += mass * r;
        sums[2] += mass * r * r;
        sums[3] += mass * r * (double)d->targets[row];
    }
}

FT_INLINE void radii_body(FT_TASK_ARGUMENTS) { radii_of_chunk(context, chunk, any_radius); }
FT_TASK_VARIANTS(radii)

FT_INLINE void strengths_body(FT_TASK_ARGUMENTS)
{
    const densities *c = context;
    const ft_density *d = c->density;
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, d->n);
    for (int64_t row = begin; row < end; row++)
        d->strengths[row] *= (float)(c->of_target * (double)d->targets[row] -
                                     c->of_radius * ((double)d->log_radii[row] - c->mean));
}
FT_TASK_VARIANTS(strengths)

FT_INLINE void row_force(int dim, const densities *c, const float *masses, int64_t row)
{
    const ft_density *d = c->density;
    const int32_t *restrict indices = d->indices;
    const float *restrict y = c->embedding, *restrict strengths = d->strengths;
    const float *from = y + row * dim;
    const float own = strengths[row];
    float fx = 0.0f, fy = 0.0f, fz = 0.0f;
#pragma omp simd reduction(+ : fx, fy, fz)
    for (int64_t e = d->indptr[row]; e < d->indptr[row + 1]; e++) {
        const int64_t j = indices[e];
        const ft_way r = ft_way_between(dim, from, y + j * dim);
        const float u = 1.0f / (1.0f + r.x * r.x + r.y * r.y + r.z * r.z);
        const float g = count_at(masses, row, j) * u * u * (own + strengths[j]);
        fx += g * r.x;
        if (dim > 1) fy += g * r.y;
        if (dim > 2) fz += g * r.z;
    }
    float *out = c->attractive + row * dim;
    out[0] += fx;
    if (dim > 1) out[1] += fy;
    if (dim > 2) out[2] += fz;
}

/* The same for more than three components. */
FT_INLINE void row_force_of_many(const densities *c, const float *masses, int64_t row)
{
    const ft_density *d = c->density;
    const int dim = d->dim;
    const float *from = c->embedding + row * dim;
    float *restrict out = c->attractive + row * dim;
    for (int64_t e = d->indptr[row]; e < d->indptr[row + 1]; e++) {
        const int64_t j = d->indices[e];
        const float *to = c->embedding + j * dim;
        const float u = 1.0f / (1.0f + squared_between(dim, from, to));
        const float g = count_at(masses, row, j) * u * u * (d->strengths[row] + d->strengths[j]);
        for (int axis = 0; axis < dim; axis++) out[axis] += g * (from[axis] - to[axis]);
    }
}

FT_INLINE void any_force(const densities *c, int64_t row)
{
    const ft_density *d = c->density;
    if (d->dim > 3)
        row_force_of_many(c, d->masses, row);
    else if (d->masses == NULL)
        FT_DIM_DISPATCH(d->dim, row_force(DIM, c, NULL, row))
    else
        FT_DIM_DISPATCH(d->dim, row_force(DIM, c, d->masses, row))
}

FT_INLINE void forces_of_chunk(const densities *c, int64_t chunk, row_kernel force)
{
    const int64_t begin = chunk * FT_ROWS, end = ft_least(begin + FT_ROWS, c->density->n);
    for (int64_t row = begin; row < end; row++) force(c, row);
}

FT_INLINE void forces_body(FT_TASK_ARGUMENTS) { forces_of_chunk(context, chunk, any_force); }
FT_TASK_VARIANTS(forces)

#if FT_X86_VARIANTS

/* Eight edges from e on of a row that ends at `end`; their counts are 1 or, beyond it, 0. */
typedef struct {
    int32_t ends[8];
    __m256 counts, rx, ry, u, squared;
} edges8;

FT_TARGET_AVX2 FT_INLINE void take8(const densities *c, int64_t row, int64_t e, int64_t end,
                                    edges8 *edges)
{
    const float *y = c->embedding;
    const __m256 one = _mm256_set1_ps(1.0f);
    edges->counts = one;
    if (e + 8 <= end) {
        memcpy(edges->ends, c->density->indices + e, sizeof edges->ends);
    } else {
        float counts[8];
        for (int l = 0; l < 8; l++) {
            edges->ends[l] = e + l < end ? c->density->indices[e + l] : (int32_t)row;
            counts[l] = e + l < end ? 1.0f : 0.0f;
        }
        edges->counts = _mm256_loadu_ps(counts);
    }
    ft_planar_ways(y, edges->ends, _mm256_set1_ps(y[2 * row]), _mm256_set1_ps(y[2 * row + 1]),
                   &edges->rx, &edges->ry);
    edges->squared = _mm256_fmadd_ps(edges->rx, edges->rx, _mm256_mul_ps(edges->ry, edges->ry));
    edges->u = _mm256_div_ps(edges->counts, _mm256_add_ps(one, edges->squared));
}

FT_TARGET_AVX2 FT_INLINE void planar_radius_avx2(const densities *c, int64_t row)
{
    const ft_density *d = c->density;
    const int64_t end = d->indptr[row + 1];
    __m256 sum = _mm256_setzero_ps(), sum_of_squares = _mm256_setzero_ps();
    edges8 edges;
    for (int64_t e = d->indptr[row]; e < end; e += 8) {
        FT_PREFETCH(d->indices + e + AHEAD);
        take8(c, row, e, end, &edges);
        sum = _mm256_add_ps(sum, edges.u);
        sum_of_squares = _mm256_fmadd_ps(edges.u, edges.squared, sum_of_squares);
    }
    set_radius(d, row, ft_planar_sum(sum), ft_planar_sum(sum_of_squares));
}

FT_TARGET_AVX2 FT_INLINE void planar_force_avx2(const densities *c, int64_t row)
{
    const ft_density *d = c->density;
    const float *strengths = d->strengths;
    const int64_t end = d->indptr[row + 1];
    const __m256 own = _mm256_set1_ps(strengths[row]);
    __m256 fx = _mm256_setzero_ps(), fy = _mm256_setzero_ps();
    edges8 edges;
    for (int64_t e = d->indptr[row]; e < end; e += 8) {
        FT_PREFETCH(d->indices + e + AHEAD);
        take8(c, row, e, end, &edges);
        const int32_t *j = edges.ends;
        const __m256 there =
            _mm256_setr_ps(strengths[j[0]], strengths[j[1]], strengths[j[2]], strengths[j[3]],
                           strengths[j[4]], strengths[j[5]], strengths[j[6]], strengths[j[7]]);
        const __m256 g = _mm256_mul_ps(_mm256_mul_ps(edges.u, edges.u), _mm256_add_ps(own, there));
        fx = _mm256_fmadd_ps(g, edges.rx, fx);
        fy = _mm256_fmadd_ps(g, edges.ry, fy);
    }
    c->attractive[2 * row] += ft_planar_sum(fx);
    c->attractive[2 * row + 1] += ft_planar_sum(fy);
}

FT_TARGET_AVX2 static void planar_radii_avx2(FT_TASK_ARGUMENTS)
{
    radii_of_chunk(context, chunk, planar_radius_avx2);
}

FT_TARGET_AVX2 static void planar_forces_avx2(FT_TASK_ARGUMENTS)
{
    forces_of_chunk(context, chunk, planar_force_avx2);
}

/* The hand-written variants are for the common case: two components, without masses. */
static int is_planar(const ft_density *d)
{
    return d->dim == 2 && d->masses == NULL && ft_parallel_isa() >= FT_ISA_AVX2;
}
#endif

static ft_task radii_task(FT_UNUSED const ft_density *d)
{
#if FT_X86_VARIANTS
    if (is_planar(d)) return planar_radii_avx2;
#endif
    return FT_TASK(radii);
}

static ft_task forces_task(FT_UNUSED const ft_density *d)
{
#if FT_X86_VARIANTS
    if (is_planar(d)) return planar_forces_avx2;
#endif
    return FT_TASK(forces);
}

/* Sets radii, s_i as strengths, the constants of g_i, and the correlation. */
static ft_status measure(densities *c, double *correlation, ft_run *run)
{
    const ft_density *d = c->density;
    const int64_t n_chunks = FT_ROW_CHUNKS(d->n);
    const double edges = (double)d->indptr[d->n];
    ft_status status =
        ft_parallel_run(run, n_chunks, EDGE_COST * edges / (double)n_chunks, radii_task(d), c);
    if (status != FT_OK || d->targets == NULL) return status;
    double sums[FT_DENSITY_SUMS] = {0.0};
    for (int64_t chunk = 0; chunk < n_chunks; chunk++)
        for (int i = 0; i < FT_DENSITY_SUMS; i++)
            sums[i] += d->partial[chunk * FT_DENSITY_SUMS + i];
    const double n = sums[0], mean = sums[1] / n, covariance = sums[3] / n;
    const double spread = sums[2] / n - mean * mean;
    const double variance = (spread > 0.0 ? spread : 0.0) + VARIANCE_SHIFT;
    c->mean = mean;
    c->of_target = 1.0 / (n * sqrt(variance));
    c->of_radius = c->of_target * covariance / variance;
    *correlation = covariance / sqrt(variance);
    return FT_OK;
}

ft_status ft_density_measure(const ft_density *density, const float *embedding, double *correlation,
                             ft_run *run)
{
    densities c = {.density = density, .embedding = embedding};
    return measure(&c, correlation, run);
}

ft_status ft_density_attract(const ft_density *density, const float *embedding, double weight,
                             float *attractive, double *correlation, ft_run *run)
{
    densities c = {.density = density, .embedding = embedding, .attractive = attractive};
    const int64_t n_chunks = FT_ROW_CHUNKS(density->n);
    const double edges = (double)density->indptr[density->n];
    ft_status status = measure(&c, correlation, run);
    c.of_target *= weight;
    c.of_radius *= weight;
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, FT_ROWS * ROW_COST, FT_TASK(strengths), &c);
    if (status == FT_OK)
        status = ft_parallel_run(run, n_chunks, EDGE_COST * edges / (double)n_chunks,
                                 forces_task(density), &c);
    return status;
}
