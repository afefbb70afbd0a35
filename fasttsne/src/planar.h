/* planar.h - eight edges at a time on a map of two components, in AVX2.
 *
 * A neighbour's position, far away in memory, is one 64-bit load. Eight of them are combined, faster
 * than a gather instruction or sixteen of them. */
#ifndef FT_PLANAR_H
#define FT_PLANAR_H

#include "port.h"

#if FT_X86_VARIANTS
#include <immintrin.h>
#include <string.h>

typedef double ft_planar_pairs __attribute__((vector_size(32)));

FT_INLINE double ft_planar_pair(const float *y, int32_t j) /* (x, y) of point j */
{
    double pair;
    memcpy(&pair, y + 2 * (int64_t)j, sizeof pair);
    return pair;
}

/* The vectors from the ends of eight edges. Pairs go in as 0 1 4 5 and 2 3 6 7, so that edges are
 * in order within a 128-bit half after the shuffle. */
FT_TARGET_AVX2 FT_INLINE void ft_planar_ways(const float *y, const int32_t *j, __m256 x0, __m256 x1,
                                             __m256 *rx, __m256 *ry)
{
    ft_planar_pairs low = {ft_planar_pair(y, j[0]), ft_planar_pair(y, j[1]),
                           ft_planar_pair(y, j[4]), ft_planar_pair(y, j[5])};
    ft_planar_pairs high = {ft_planar_pair(y, j[2]), ft_planar_pair(y, j[3]),
                            ft_planar_pair(y, j[6]), ft_planar_pair(y, j[7])};
    __m256 a = (__m256)low, b = (__m256)high;
    *rx = _mm256_sub_ps(x0, _mm256_shuffle_ps(a, b, 0x88));
    *ry = _mm256_sub_ps(x1, _mm256_shuffle_ps(a, b, 0xdd));
}

FT_TARGET_AVX2 FT_INLINE float ft_planar_sum(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#endif
#endif
