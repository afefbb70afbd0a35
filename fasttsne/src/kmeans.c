/* kmeans.c - a partition of the points into lists, by k-means of a sample.
 *
 * A few rounds of Lloyd's algorithm on a sample place the centroids, then every point goes to the
 * nearest one. A list much larger than the average (many equal points) is cut into pieces with the
 * same centroid, so that a search need not read all of it. The sample depends on n alone: a hash
 * chooses one point of each of equal stretches of the data. */
#include "kmeans.h"

#include <math.h>
#include <string.h>

#define BLOCK 64  /* points of one task */
#define TILE 1024 /* centroids of one product: BLOCK x TILE floats stay in the L2 cache */
#define ROUNDS 5
#define SAMPLE_PER_LIST 20
#define LARGEST_LIST 4 /* times the average */

typedef struct {
    const float *points;
    const float *centroids, *norms; /* norms: |c|^2 */
    int64_t n, d, n_lists;
    int32_t *list;   /* of every point */
    float *products; /* BLOCK x TILE per thread */
    ft_sgemm sgemm;
} assignment;

FT_INLINE void assign_body(FT_TASK_ARGUMENTS)
{
    const assignment *a = context;
    float *products = a->products + (int64_t)thread * BLOCK * TILE;
    int64_t first_row = chunk * BLOCK;
    int64_t rows = ft_least(a->n - first_row, BLOCK);
    float best[BLOCK];
    for (int64_t r = 0; r < rows; r++) best[r] = INFINITY;

    for (int64_t first = 0; first < a->n_lists; first += TILE) {
        int m = (int)ft_least(a->n_lists - first, TILE), n = (int)rows, k = (int)a->d, ldc = TILE;
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
                int32_t *list = &a->list[first_row + r];
                /* Of equally near centroids the first, in any lane. */
                if (nearest[l] < best[r] || (nearest[l] == best[r] && candidate < *list)) {
                    best[r] = nearest[l];
                    *list = (int32_t)candidate;
                }
            }
        }
    }
}
FT_TASK_VARIANTS(assign)

static ft_status assign_all(assignment *a, float *norms, ft_run *run)
{
    for (int64_t c = 0; c < a->n_lists; c++) {
        double sum = 0.0;
        for (int64_t j = 0; j < a->d; j++)
            sum += (double)a->centroids[c * a->d + j] * a->centroids[c * a->d + j];
        norms[c] = (float)sum;
    }
    memset(a->list, 0, sizeof(int32_t) * (size_t)a->n);
    double cost = BLOCK * (double)a->n_lists * (0.03 * (double)a->d + 0.1);
    return ft_parallel_run(run, (a->n + BLOCK - 1) / BLOCK, cost, FT_TASK(assign), a);
}

/* Moves centroids to the means of their points in the sample; one without points stays. */
static void update_centroids(const assignment *a, float *centroids, double *sums, int64_t *counts)
{
    int64_t d = a->d;
    memset(sums, 0, sizeof(double) * (size_t)(a->n_lists * d));
    memset(counts, 0, sizeof(int64_t) * (size_t)a->n_lists);
    for (int64_t i = 0; i < a->n; i++) {
        double *sum = sums + a->list[i] * d;
        for (int64_t j = 0; j < d; j++) sum[j] += (double)a->points[i * d + j];
        counts[a->list[i]]++;
    }
    for (int64_t c = 0; c < a->n_lists; c++) {
        if (counts[c] == 0) continue;
        for (int64_t j = 0; j < d; j++)
            centroids[c * d + j] = (float)(sums[c * d + j] / (double)counts[c]);
    }
}

static ft_status place_centroids(float *centroids, float *norms, float *products,
                                 const float *points, int64_t n, int64_t d, int64_t n_lists,
                                 ft_memory *memory, ft_sgemm sgemm, ft_run *run)
{
    int64_t size = ft_least(n_lists * SAMPLE_PER_LIST, n);
    float *sample = ft_memory_take(memory, size * d, sizeof(float));
    int32_t *list = ft_memory_take(memory, size, sizeof(int32_t));
    double *sums = ft_memory_take(memory, n_lists * d, sizeof(double));
    int64_t *counts = ft_memory_take(memory, n_lists, sizeof(int64_t));
    if (memory->failed) return FT_NO_MEMORY;

    for (int64_t s = 0; s < size; s++) {
        int64_t first = s * n / size, last = (s + 1) * n / size;
        int64_t i = first + (int64_t)(ft_mixed((uint64_t)s + FT_GOLDEN) % (uint64_t)(last - first));
        memcpy(sample + s * d, points + i * d, sizeof(float) * (size_t)d);
    }
    for (int64_t c = 0; c < n_lists; c++)
        memcpy(centroids + c * d, sample + c * size / n_lists * d, sizeof(float) * (size_t)d);
    assignment a = {sample, centroids, norms, size, d, n_lists, list, products, sgemm};
    for (int round = 0; round < ROUNDS; round++) {
        ft_status status = assign_all(&a, norms, run);
        if (status != FT_OK) return status;
        update_centroids(&a, centroids, sums, counts);
    }
    return FT_OK;
}

/* Sorts the points by list and cuts large lists. */
static ft_status arrange(ft_kmeans *lists, const float *centroids, const int32_t *list, int64_t n,
                         int64_t d, int64_t n_lists, ft_memory *memory)
{
    int64_t limit = LARGEST_LIST * (n / n_lists + 1), pieces = 0;
    int64_t *next = ft_memory_take_zeros(memory, n_lists + 1, sizeof(int64_t));
    if (next == NULL) return FT_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) next[list[i] + 1]++;
    for (int64_t c = 0; c < n_lists; c++) pieces += (next[c + 1] + limit - 1) / limit;

    lists->start = ft_memory_take(memory, pieces + 1, sizeof(int64_t));
    lists->centroids = ft_memory_take(memory, pieces * d, sizeof(float));
    lists->order = ft_memory_take(memory, n, sizeof(int32_t));
    if (memory->failed) return FT_NO_MEMORY;

    int64_t first = 0;
    for (int64_t c = 0; c < n_lists; c++) {
        int64_t size = next[c + 1], parts = (size + limit - 1) / limit;
        for (int64_t p = 0; p < parts; p++) {
            lists->start[lists->n_lists] = first + size * p / parts;
            memcpy(lists->centroids + lists->n_lists * d, centroids + c * d,
                   sizeof(float) * (size_t)d);
            lists->n_lists++;
        }
        first += size;
    }
    lists->start[lists->n_lists] = n;

    for (int64_t c = 0; c < n_lists; c++) next[c + 1] += next[c];
    for (int64_t i = 0; i < n; i++) lists->order[next[list[i]]++] = (int32_t)i;
    return FT_OK;
}

ft_status ft_kmeans_build(ft_kmeans *lists, const float *points, int64_t n, int64_t d,
                          int64_t n_lists, ft_memory *memory, ft_sgemm sgemm, ft_run *run)
{
    ft_memory scratch = {0};
    const int64_t n_threads = ft_parallel_threads(run);
    float *centroids = ft_memory_take(&scratch, n_lists * d, sizeof(float));
    float *norms = ft_memory_take(&scratch, n_lists, sizeof(float));
    float *products = ft_memory_take(&scratch, BLOCK * TILE * n_threads, sizeof(float));
    int32_t *list = ft_memory_take(&scratch, n, sizeof(int32_t));
    memset(lists, 0, sizeof *lists);
    ft_status status = scratch.failed ? FT_NO_MEMORY : FT_OK;
    if (status == FT_OK)
        status = place_centroids(centroids, norms, products, points, n, d, n_lists, &scratch, sgemm,
                                 run);
    if (status == FT_OK) {
        assignment a = {points, centroids, norms, n, d, n_lists, list, products, sgemm};
        status = assign_all(&a, norms, run);
    }
    if (status == FT_OK) status = arrange(lists, centroids, list, n, d, n_lists, memory);
    ft_memory_free(&scratch);
    return status;
}
