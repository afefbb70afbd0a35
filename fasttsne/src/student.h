/* student.h - the map's kernel, in a form that compilers vectorise.
 *
 *     t = 1 + d^2 / nu      u = 1 / t      w = t^(-(nu+1)/2)
 *
 * nu = 1 and nu = 2, the defaults for maps of up to three components, need no logarithm.
 * log and exp are Cephes' single-precision polynomials (S. Moshier), good to about 1e-7. */
#ifndef FT_STUDENT_H
#define FT_STUDENT_H

#include "dimensions.h"
#include "fasttsne.h"

#include <math.h>
#include <string.h>

typedef enum { FT_NU_ONE, FT_NU_TWO, FT_NU_ANY } ft_student_kind;

typedef struct {
    float inverse_nu;
    float exponent;    /* (nu + 1) / 2 */
    float largest_log; /* of t, where w underflows: exponent * largest_log = FT_LARGEST_LOG */
} ft_student_constants;

FT_INLINE ft_student_kind ft_student_kind_of(ft_student student)
{
    if (student.degrees_of_freedom == 1.0) return FT_NU_ONE;
    if (student.degrees_of_freedom == 2.0) return FT_NU_TWO;
    return FT_NU_ANY;
}

FT_INLINE ft_student_constants ft_student_constants_of(ft_student student)
{
    return (ft_student_constants){
        (float)(1.0 / student.degrees_of_freedom),
        (float)(0.5 * (student.degrees_of_freedom + 1.0)),
        (float)(2.0 * FT_LARGEST_LOG / (student.degrees_of_freedom + 1.0))};
}

/* Natural logarithm of a finite x >= 1. */
FT_INLINE float ft_student_log(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (bits >> 23) - 127;
    bits = (bits & 0x007fffff) | 0x3f800000;
    float m;
    memcpy(&m, &bits, sizeof m);
    int32_t large = m > 1.41421356f;
    m = large ? 0.5f * m : m;
    float e = (float)(exponent + large);
    float f = m - 1.0f, f2 = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * f2 - 0.5f * f2;
    return (p - 2.12194440e-4f * e) + f + 0.693359375f * e;
}

/* exp(x) for -1e8 < x <= 0; 0 below the smallest normal number. Clamps or branches would not
 * vectorise. */
FT_INLINE float ft_student_exp(float x)
{
    int32_t n = (int32_t)(1.44269504f * x - 0.5f);
    float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = (int32_t)((uint32_t)(n + 127) << 23) & -(int32_t)(x >= -87.0f);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

FT_INLINE void ft_student_weights(ft_student_kind kind, ft_student_constants c, float d2, float *u,
                                  float *w)
{
    if (kind == FT_NU_ONE) {
        *u = 1.0f / (1.0f + d2);
        *w = *u;
    } else if (kind == FT_NU_TWO) {
        *u = 1.0f / (1.0f + 0.5f * d2);
        *w = *u * sqrtf(*u);
    } else {
        float t = 1.0f + c.inverse_nu * d2;
        *u = 1.0f / t;
        *w = ft_student_exp(-c.exponent * ft_student_log(t));
    }
}

/* Runs `call` with KIND, or with DIM and KIND, as constants. */
#define FT_STUDENT_CASE(kind, call)        \
    {                                      \
        const ft_student_kind KIND = kind; \
        call;                              \
    }
#define FT_STUDENT_KINDS(kind, call)         \
    {                                        \
        if ((kind) == FT_NU_ONE)             \
            FT_STUDENT_CASE(FT_NU_ONE, call) \
        else if ((kind) == FT_NU_TWO)        \
            FT_STUDENT_CASE(FT_NU_TWO, call) \
        else                                 \
            FT_STUDENT_CASE(FT_NU_ANY, call) \
    }
#define FT_STUDENT_DISPATCH(dim, kind, call) FT_DIM_DISPATCH(dim, FT_STUDENT_KINDS(kind, call))

/* As FT_TASK_VARIANTS and FT_TASK, for a name_body that takes DIM and KIND first, with a function
 * for each combination: compilers take minutes for one function with all of a large kernel. */
#define FT_STUDENT_TASK_VARIANTS(name)               \
    FT_STUDENT_VARIANT(name, 1, FT_NU_ONE, 1_nu_one) \
    FT_STUDENT_VARIANT(name, 1, FT_NU_TWO, 1_nu_two) \
    FT_STUDENT_VARIANT(name, 1, FT_NU_ANY, 1_nu_any) \
    FT_STUDENT_VARIANT(name, 2, FT_NU_ONE, 2_nu_one) \
    FT_STUDENT_VARIANT(name, 2, FT_NU_TWO, 2_nu_two) \
    FT_STUDENT_VARIANT(name, 2, FT_NU_ANY, 2_nu_any) \
    FT_STUDENT_VARIANT(name, 3, FT_NU_ONE, 3_nu_one) \
    FT_STUDENT_VARIANT(name, 3, FT_NU_TWO, 3_nu_two) \
    FT_STUDENT_VARIANT(name, 3, FT_NU_ANY, 3_nu_any)
#define FT_STUDENT_VARIANT(name, dim, kind, suffix)          \
    FT_INLINE void name##_##suffix##_body(FT_TASK_ARGUMENTS) \
    {                                                        \
        name##_body(dim, kind, context, chunk, thread);      \
    }                                                        \
    FT_TASK_VARIANTS(name##_##suffix)
#define FT_STUDENT_TASK(name, dim, kind)               \
    ((dim) == 2   ? FT_STUDENT_TASK_OF(name##_2, kind) \
     : (dim) == 3 ? FT_STUDENT_TASK_OF(name##_3, kind) \
                  : FT_STUDENT_TASK_OF(name##_1, kind))
#define FT_STUDENT_TASK_OF(name, kind)              \
    ((kind) == FT_NU_ONE   ? FT_TASK(name##_nu_one) \
     : (kind) == FT_NU_TWO ? FT_TASK(name##_nu_two) \
                           : FT_TASK(name##_nu_any))

#endif
