/* calibration.c - from squared distances to conditional probabilities of a given perplexity. */
#include "fasttsne.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EDGES_PER_CHUNK 4096
#define EDGE_COST 10.0          /* nanoseconds */
#define LARGEST_LOG_BETA 1400.0 /* its square root is a normal number */

/* A Halley step in log(beta) this small is the last: the error left is of the order of its cube. */
#define LAST_STEP 1e-3

typedef struct {
    ft_points squared_distances;
    int64_t n, k, rows;
    double perplexity, log_perplexity;
    int skip_diagonal;
    const float *masses; /* n x k, or NULL where all are 1 */
    double start;        /* log(beta * mean gap), about */
    float *conditional;
    double *beta;
    volatile int failed;
} calibration;

/* At one value of the precision. Gaps are multiplied twice by its square root: the precision itself
 * may over- or underflow where the product is moderate. */
typedef struct {
    double entropy;  /* in nats */
    double variance; /* beta^2 Var(gap): minus the entropy's derivative by log(beta) */
    double slope;    /* the variance's derivative by log(beta) */
} moments;

#define LARGEST_EXPONENT 708.0 /* beyond it exp(-x) is not a normal number */

/* exp(-x) for 0 <= x <= LARGEST_EXPONENT, to about 1e-14. -x = m log(2) + r: adding 1.5 * 2^52
 * rounds to the integer m and leaves it in the lowest bits. */
FT_INLINE double exp_minus(double x)
{
    double shifted = -1.4426950408889634 * x + 6755399441055744.0;
    double m = shifted - 6755399441055744.0;
    double r = -x - m * 6.93145751953125e-1 - m * 1.42860682030941723e-6;
    double p = 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

FT_INLINE double scaled_gap(double gap, double root_beta)
{
    double x = gap * root_beta * root_beta;
    return x < LARGEST_EXPONENT ? x : LARGEST_EXPONENT;
}

/* masses: how often each gap counts; NULL means once. */
FT_INLINE moments moments_at(const double *restrict gaps, const double *restrict masses,
                             int64_t count, double root_beta)
{
    double sum = 0.0, first = 0.0, second = 0.0, third = 0.0;
#pragma omp simd reduction(+ : sum, first, second, third)
    for (int64_t j = 0; j < count; j++) {
        double x = scaled_gap(gaps[j], root_beta);
        double e = exp_minus(x);
        if (masses != NULL) e *= masses[j];
        sum += e;
        first += x * e;
        second += x * x * e;
        third += x * x * x * e;
    }
    double mean = first / sum, square = second / sum;
    double variance = square - mean * mean;
    double skew = third / sum - 3.0 * mean * square + 2.0 * mean * mean * mean;
    return (moments){log(sum) + mean, variance, 2.0 * variance - skew};
}

/* Entropy falls as beta grows, from log(k) to log(number of ties for the nearest). The root in
 * log(beta) is found by Halley's method, with bisection where that leaves the bracket. */
FT_INLINE double find_root_beta(const double *gaps, const double *masses, int64_t count,
                                double log_perplexity, double start)
{
    double low = -INFINITY, high = INFINITY, at = start, stride = 1.0;
    for (int step = 0; step < 300; step++) {
        moments m = moments_at(gaps, masses, count, exp(0.5 * at));
        double excess = m.entropy - log_perplexity;
        if (fabs(excess) <= 1e-12 * (1.0 + fabs(log_perplexity))) break;
        if (excess > 0.0)
            low = at;
        else
            high = at;
        double next = NAN;
        if (m.variance > 1e-8) {
            double newton = excess / m.variance;
            double bend = 0.5 * newton * m.slope / m.variance;
            next = at + (fabs(bend) < 0.5 ? newton / (1.0 + bend) : newton);
        }
        int last = fabs(next - at) <= LAST_STEP;
        if (!isfinite(low) || !isfinite(high)) {
            /* One side is open: as far as the stride allows, which doubles. */
            if (!(fabs(next - at) < stride)) next = excess > 0.0 ? at + stride : at - stride;
            stride *= 2.0;
        } else if (!(next > low && next < high)) {
            next = 0.5 * (low + high);
            last = 0;
        }
        if (next == at) break;
        at = fmax(-LARGEST_LOG_BETA, fmin(next, LARGEST_LOG_BETA));
        if (last) break;
    }
    return exp(0.5 * at);
}

/* A neighbour of mass m counts as m neighbours at its distance. weighted, a constant: whether a
 * mass may differ from 1. gaps, masses and weights are scratch for FT_PAD(k) doubles each. */
FT_INLINE void calibrate_row(int weighted, const calibration *c, int64_t row, double *restrict gaps,
                             double *restrict masses, double *restrict weights)
{
    const int64_t k = c->k, padded = FT_PAD(k);
    float *restrict p = c->conditional + row * k;
    for (int64_t j = 0; j < k; j++) gaps[j] = ft_points_at(c->squared_distances, row * k + j);
    for (int64_t j = k; j < padded; j++) gaps[j] = INFINITY;
    for (int64_t j = 0; weighted && j < padded; j++)
        masses[j] = j >= k ? 0.0 : c->masses != NULL ? (double)c->masses[row * k + j] : 1.0;
    if (c->skip_diagonal) masses[row] = 0.0;

    double nearest = INFINITY, farthest = 0.0, total = 0.0;
#pragma omp simd reduction(min : nearest) reduction(max : farthest) reduction(+ : total)
    for (int64_t j = 0; j < k; j++) {
        const double mass = weighted ? masses[j] : 1.0;
        double low = mass > 0.0 ? gaps[j] : INFINITY, high = mass > 0.0 ? gaps[j] : 0.0;
        nearest = low < nearest ? low : nearest;
        farthest = high > farthest ? high : farthest;
        total += mass;
    }
    const double share = total > 0.0 ? 1.0 / total : 0.0;
    double ties = 0.0, mean_gap = 0.0;
#pragma omp simd reduction(+ : ties, mean_gap)
    for (int64_t j = 0; j < k; j++) {
        const double mass = weighted ? masses[j] : 1.0;
        gaps[j] = mass > 0.0 ? gaps[j] - nearest : 0.0;
        ties += gaps[j] == 0.0 ? mass : 0.0;
        mean_gap += gaps[j] * (mass * share); /* no overflow at 1e308 */
    }

    /* Limits where no finite precision has the wanted entropy. */
    const int flat = c->perplexity >= total || !(nearest < farthest);
    if (flat || c->perplexity <= ties) {
        const double limit = flat ? share : 1.0 / ties;
        for (int64_t j = 0; j < k; j++)
            p[j] = flat || gaps[j] == 0.0 ? (float)((weighted ? masses[j] : 1.0) * limit) : 0.0f;
        c->beta[row] = flat ? 0.0 : INFINITY;
        return;
    }

    if (mean_gap == 0.0) mean_gap = farthest - nearest; /* the terms underflowed */
    double root_beta = find_root_beta(gaps, weighted ? masses : NULL, padded, c->log_perplexity,
                                      c->start - log(mean_gap));
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < padded; j++) {
        weights[j] = exp_minus(scaled_gap(gaps[j], root_beta));
        if (weighted) weights[j] *= masses[j];
        sum += weights[j];
    }
    double inverse_sum = 1.0 / sum;
    for (int64_t j = 0; j < k; j++) p[j] = (float)(weights[j] * inverse_sum);
    c->beta[row] = root_beta * root_beta;
}

FT_INLINE void calibrate_body(FT_TASK_ARGUMENTS)
{
    calibration *c = context;
    const int64_t padded = FT_PAD(c->k);
    double *scratch = malloc(3 * sizeof(double) * (size_t)padded);
    if (scratch == NULL) {
        c->failed = 1;
        return;
    }
    int64_t end = ft_least((chunk + 1) * c->rows, c->n);
    for (int64_t row = chunk * c->rows; row < end; row++)
        if (c->masses != NULL || c->skip_diagonal)
            calibrate_row(1, c, row, scratch, scratch + padded, scratch + 2 * padded);
        else
            calibrate_row(0, c, row, scratch, scratch + padded, scratch + 2 * padded);
    free(scratch);
}
FT_TASK_VARIANTS(calibrate)

/* The root for a row of evenly spaced squared distances, those in a plane of even density. In
 * units of the mean gap a row of real data has nearly the same. */
static ft_status typical_start(int64_t k, double perplexity, double *start)
{
    *start = 0.0;
    if (perplexity <= 1.0 || perplexity >= (double)k) return FT_OK;
    double *gaps = malloc(sizeof(double) * (size_t)k);
    if (gaps == NULL) return FT_NO_MEMORY;
    for (int64_t j = 0; j < k; j++) gaps[j] = 2.0 * (double)j / (double)(k - 1);
    *start = 2.0 * log(find_root_beta(gaps, NULL, k, log(perplexity), 0.0));
    free(gaps);
    return FT_OK;
}

ft_status ft_calibration_find(ft_points squared_distances, int64_t n, int64_t k, double perplexity,
                              int skip_diagonal, const float *masses, float *conditional,
                              double *beta, ft_run *run)
{
    calibration c = {.n = n, .k = k, .rows = EDGES_PER_CHUNK / k + 1};
    c.squared_distances = squared_distances, c.masses = masses;
    c.perplexity = perplexity, c.log_perplexity = log(perplexity), c.skip_diagonal = skip_diagonal;
    c.conditional = conditional, c.beta = beta;
    ft_status status = typical_start(k - (skip_diagonal != 0), perplexity, &c.start);
    if (status == FT_OK)
        status = ft_parallel_run(run, (n + c.rows - 1) / c.rows, (double)(c.rows * k) * EDGE_COST,
                                 FT_TASK(calibrate), &c);
    return status == FT_OK && c.failed ? FT_NO_MEMORY : status;
}
