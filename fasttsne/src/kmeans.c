/* kmeans.c - a partition of the points into cells, by k-means of a sample.
 *
 * A few rounds of Lloyd's algorithm on a sample place the centroids, then every point goes to the
 * nearest one. A cell much larger than the average (many equal points, a tight clump) is cut into
 * pieces with one centroid, so that no search has to take in more of it than it needs.
 *
 * The sample depends on n alone: one point of each of as many equal stretches of the data, which
 * of them by a hash.
 */
#include "kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64   /* points of one task */
#define TILE 1024  /* centroids of one product: BLOCK x TILE floats stay in the L2 cache */
#define ROUNDS 5
#define SAMPLE_PER_CELL 20
#define LARGEST_CELL 4 /* times the average */

typedef struct {
    const float *points;
    const float *centroids, *norms; /* norms: |c|^2 */
    int64_t n, d, n_cells;
    int32_t *cell; /* of every point */
    float *products; /* BLOCK x TILE per thread */
    ft_sgemm sgemm;
} assignment;

FT_INLINE void assign_body(FT_TASK_ARGUMENTS)
{
    const assignment *a = context;
    float *products = a->products + (int64_t)thread * BLOCK * TILE;
    int64_t first_row = chunk * BLOCK;
    int64_t rows = a->n - first_row < BLOCK ? a->n - first_row : BLOCK;
    float best[BLOCK];
    for (int64_t r = 0; r < rows; r++) best[r] = INFINITY;

    for (int64_t first = 0; first < a->n_cells; first += TILE) {
        int m = (int)(a->n_cells - first < TILE ? a->n_cells - first : TILE);
        int n = (int)rows, k = (int)a->d, ldc = TILE;
        float alpha = -2.0f, beta = 0.0f;
        a->sgemm("T", "N", &m, &n, &k, &alpha, (float *)(a->centroids + first * a->d), &k,
                 (float *)(a->points + first_row * a->d), &k, &beta, products, &ldc);
        const float *restrict norms = a->norms + first;
        for (int64_t r = 0; r < rows; r++) {
            const float *restrict product = products + r * TILE;
            float nearest[FT_LANES];
            int32_t where[FT_LANES];
            for (int l = 0; l < FT_LANES; l++) {
                nearest[l] = INFINITY;
                where[l] = 0;
            }
            int32_t c = 0;
            for (; c + FT_LANES <= m; c += FT_LANES) {
                for (int l = 0; l < FT_LANES; l++) {
                    float value = norms[c + l] + product[c + l];
                    where[l] = value < nearest[l] ? c + l : where[l];
                    nearest[l] = value < nearest[l] ? value : nearest[l];
                }
            }
            for (int l = 0; c < m; c++, l++) {
                float value = norms[c] + product[c];
                where[l] = value < nearest[l] ? c : where[l];
                nearest[l] = value < nearest[l] ? value : nearest[l];
            }
            for (int l = 0; l < FT_LANES; l++) {
                int64_t candidate = first + where[l];
                int32_t *cell = &a->cell[first_row + r];
                /* Of equally near centroids the first, whatever the lane. */
                if (nearest[l] < best[r] || (nearest[l] == best[r] && candidate < *cell)) {
                    best[r] = nearest[l];
                    *cell = (int32_t)candidate;
                }
            }
        }
    }
}
FT_TASK_VARIANTS(assign)

static ft_status assign_all(assignment *a, float *norms, ft_run *run)
{
    for (int64_t c = 0; c < a->n_cells; c++) {
        double sum = 0.0;
        for (int64_t j = 0; j < a->d; j++)
            sum += (double)a->centroids[c * a->d + j] * a->centroids[c * a->d + j];
        norms[c] = (float)sum;
    }
    memset(a->cell, 0, sizeof(int32_t) * (size_t)a->n);
    double cost = BLOCK * (double)a->n_cells * (0.03 * (double)a->d + 0.1);
    return ft_parallel_run(run, (a->n + BLOCK - 1) / BLOCK, cost, FT_TASK(assign), a);
}

static uint64_t hash(uint64_t x) /* the finisher of splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Centroids become the means of their points in the sample; one without points stays. */
static void update_centroids(const assignment *a, float *centroids, double *sums, int64_t *counts)
{
    int64_t d = a->d;
    memset(sums, 0, sizeof(double) * (size_t)(a->n_cells * d));
    memset(counts, 0, sizeof(int64_t) * (size_t)a->n_cells);
    for (int64_t i = 0; i < a->n; i++) {
        double *sum = sums + a->cell[i] * d;
        for (int64_t j = 0; j < d; j++) sum[j] += (double)a->points[i * d + j];
        counts[a->cell[i]]++;
    }
    for (int64_t c = 0; c < a->n_cells; c++) {
        if (counts[c] == 0) continue;
        for (int64_t j = 0; j < d; j++)
            centroids[c * d + j] = (float)(sums[c * d + j] / (double)counts[c]);
    }
}

static ft_status place_centroids(float *centroids, float *norms, float *products,
                                 const float *points, int64_t n, int64_t d, int64_t n_cells,
                                 ft_sgemm sgemm, ft_run *run)
{
    int64_t size = n_cells * SAMPLE_PER_CELL < n ? n_cells * SAMPLE_PER_CELL : n;
    float *sample = malloc(sizeof(float) * (size_t)(size * d));
    int32_t *cell = malloc(sizeof(int32_t) * (size_t)size);
    double *sums = malloc(sizeof(double) * (size_t)(n_cells * d));
    int64_t *counts = malloc(sizeof(int64_t) * (size_t)n_cells);
    ft_status status = sample && cell && sums && counts ? FT_OK : FT_NO_MEMORY;
    if (status != FT_OK) goto done;

    for (int64_t s = 0; s < size; s++) {
        int64_t first = s * n / size, last = (s + 1) * n / size;
        int64_t i = first + (int64_t)(hash((uint64_t)s) % (uint64_t)(last - first));
        memcpy(sample + s * d, points + i * d, sizeof(float) * (size_t)d);
    }
    for (int64_t c = 0; c < n_cells; c++) {
        memcpy(centroids + c * d, sample + c * size / n_cells * d, sizeof(float) * (size_t)d);
    }
    assignment a = {sample, centroids, norms, size, d, n_cells, cell, products, sgemm};
    for (int round = 0; round < ROUNDS && status == FT_OK; round++) {
        status = assign_all(&a, norms, run);
        if (status == FT_OK) update_centroids(&a, centroids, sums, counts);
    }

done:
    free(sample);
    free(cell);
    free(sums);
    free(counts);
    return status;
}

/* Sorts the points by cell and cuts large cells. */
static ft_status arrange(ft_cells *cells, const float *centroids, const int32_t *cell, int64_t n,
                         int64_t d, int64_t n_cells)
{
    ft_status status = FT_NO_MEMORY;
    int64_t limit = LARGEST_CELL * (n / n_cells + 1), pieces = 0;
    int64_t *next = calloc((size_t)n_cells + 1, sizeof(int64_t));
    if (next == NULL) return status;
    for (int64_t i = 0; i < n; i++) next[cell[i] + 1]++;
    for (int64_t c = 0; c < n_cells; c++) pieces += (next[c + 1] + limit - 1) / limit;

    cells->start = malloc(sizeof(int64_t) * ((size_t)pieces + 1));
    cells->centroids = malloc(sizeof(float) * (size_t)(pieces * d));
    cells->order = malloc(sizeof(int32_t) * (size_t)n);
    if (!cells->start || !cells->centroids || !cells->order) goto done;

    int64_t first = 0;
    for (int64_t c = 0; c < n_cells; c++) {
        int64_t size = next[c + 1], parts = (size + limit - 1) / limit;
        for (int64_t p = 0; p < parts; p++) {
            int64_t begin = size * p / parts, end = size * (p + 1) / parts;
            cells->start[cells->n_cells] = first + begin;
            memcpy(cells->centroids + cells->n_cells * d, centroids + c * d,
                   sizeof(float) * (size_t)d);
            cells->n_cells++;
            if (end - begin > cells->largest) cells->largest = end - begin;
        }
        first += size;
    }
    cells->start[cells->n_cells] = n;

    for (int64_t c = 0; c < n_cells; c++) next[c + 1] += next[c];
    for (int64_t i = 0; i < n; i++) cells->order[next[cell[i]]++] = (int32_t)i;
    status = FT_OK;

done:
    free(next);
    return status;
}

ft_status ft_cells_build(ft_cells *cells, const float *points, int64_t n, int64_t d,
                         int64_t n_cells, ft_sgemm sgemm, ft_run *run)
{
    size_t n_threads = (size_t)ft_parallel_threads(run);
    float *centroids = malloc(sizeof(float) * (size_t)(n_cells * d));
    float *norms = malloc(sizeof(float) * (size_t)n_cells);
    float *products = malloc(sizeof(float) * BLOCK * TILE * n_threads);
    int32_t *cell = malloc(sizeof(int32_t) * (size_t)n);
    memset(cells, 0, sizeof *cells);
    ft_status status = centroids && norms && products && cell ? FT_OK : FT_NO_MEMORY;
    if (status == FT_OK)
        status = place_centroids(centroids, norms, products, points, n, d, n_cells, sgemm, run);
    if (status == FT_OK) {
        assignment a = {points, centroids, norms, n, d, n_cells, cell, products, sgemm};
        status = assign_all(&a, norms, run);
    }
    if (status == FT_OK) status = arrange(cells, centroids, cell, n, d, n_cells);
    free(centroids);
    free(norms);
    free(products);
    free(cell);
    return status;
}

void ft_cells_free(ft_cells *cells)
{
    free(cells->start);
    free(cells->order);
    free(cells->centroids);
}
