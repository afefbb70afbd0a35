/* expansion.h - when a cell of the tree acts as a whole, and how.
 *
 * A cell acts through its mass m and its second moments M about its centre of mass. With r the
 * vector from the centre to the point, a = (nu+1)/2 and t = trace(M), the Taylor expansion gives
 *
 *     sum_q:  w (m - a/nu u (t - 2 (a+1)/nu u r'Mr))
 *     force:  w u ((m - (a+1)/nu u (t - 2 (a+2)/nu u r'Mr)) r - 2 (a+1)/nu u M r)
 *
 * Moments make the error at an opening angle far smaller. So the angle here is wider than the
 * user's, as long as forces are more accurate than with the classic test (Barnes & Hut 1986, van
 * der Maaten 2014). */
#ifndef FT_EXPANSION_H
#define FT_EXPANSION_H

#include "student.h"
#include "tree.h"

/* Opening angle here per angle of the user; figures in benchmarks/NOTES.md. The expansion fails for
 * cells wider than their distance, so the widening ends there. */
#define FT_ANGLE_SCALE 2.0
#define FT_WIDEST_ANGLE 1.0
/* Added to the squared distance in the test: near zero the kernel is flat, so a cell much smaller
 * than its width 1 is accurate at any distance. */
#define FT_SOFTENING 0.02f
#define FT_FEW_IN_CELL 2  /* a cell costs as much as this many points */
#define FT_FEW_POINTS 512 /* a tree over no more saves nothing: they are summed one by one */

/* A cell is accepted if the square of its width is at most this times the squared distance. */
FT_INLINE float ft_squared_opening(const ft_tree *tree, double angle)
{
    double opening =
        FT_ANGLE_SCALE * angle < FT_WIDEST_ANGLE ? FT_ANGLE_SCALE * angle : FT_WIDEST_ANGLE;
    if (tree->n <= FT_FEW_POINTS) opening = 0.0;
    return (float)(opening * opening);
}

/* The factors a/nu, (a+1)/nu and (a+2)/nu. */
typedef struct {
    float by_one, by_two, by_three;
} ft_expansion_factors;

FT_INLINE ft_expansion_factors ft_expansion_factors_of(ft_student_constants student)
{
    const float a = student.exponent, inverse_nu = student.inverse_nu;
    return (ft_expansion_factors){a * inverse_nu, (a + 1.0f) * inverse_nu, (a + 2.0f) * inverse_nu};
}

/* A cell, as seen by a point outside. */
typedef struct {
    float mass, trace;
    float xx, xy, yy, xz, yz, zz;
} ft_expansion;

/* A cell's share of sum_q and its force on a point that is (rx, ry, rz) away from its centre. */
FT_INLINE void ft_expansion_act(int dim, ft_student_kind kind, ft_student_constants student,
                                ft_expansion_factors by, const ft_expansion *cell, float rx,
                                float ry, float rz, float *share, float *fx, float *fy, float *fz)
{
    float u, w;
    ft_student_weights(kind, student, rx * rx + ry * ry + rz * rz, &u, &w);
    /* u M r; u first, so that nothing overflows. */
    float vx = u * rx, vy = u * ry, vz = u * rz;
    float mx = cell->xx * vx, my = 0.0f, mz = 0.0f;
    if (dim > 1) {
        mx += cell->xy * vy;
        my = cell->xy * vx + cell->yy * vy;
    }
    if (dim > 2) {
        mx += cell->xz * vz;
        my += cell->yz * vz;
        mz = cell->xz * vx + cell->yz * vy + cell->zz * vz;
    }
    float quadratic = 2.0f * (mx * rx + my * ry + mz * rz);
    float strength = w * u;
    float radial =
        strength * (cell->mass - by.by_two * u * (cell->trace - by.by_three * quadratic));
    float along = -2.0f * by.by_two * strength;
    *share = w * (cell->mass - by.by_one * u * (cell->trace - by.by_two * quadratic));
    *fx = radial * rx + along * mx;
    *fy = radial * ry + along * my;
    *fz = radial * rz + along * mz;
}

#endif
