/* exp and what is made of it, for any kind of `vec`: V numbers at once (lanes.h) or one (steps/c/scalar.h). */

/* e^x = 2^n e^r with |r| <= ln 2 / 2. Adding BIG rounds to a whole number and leaves n in the low bits. The polynomials
   are Chebyshev fits of (e^r - 1 - r) / r^2, accurate to half an ulp of the result. */
#if REAL_BITS == 32
#define BIG 12582912.0f /* 1.5 * 2^23 */
#define BITS_OF_BIG 0x4b400000
#define LEAST_NORMAL 1.17549435e-38f
#define FRACTION 23
#define BIAS 127
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define EXP_LEAST -104.0f
#define EXP_MOST 89.0f
#define EXP_NORMAL 87.0f /* e to this, and to minus this, is a normal number */
#define SATURATED 10.0f /* tanh is 1 from here on */
static const real EXP_TERMS[] = {0.5f, 0.16666576666f, 0.041666554213f, 0.0083632328837f, 0.0013926250832f};
static const real LOG_TERMS[] = {0.66666685151f, 0.39988734820f, 0.29582023562f};
#else
#define BIG 6755399441055744.0 /* 1.5 * 2^52 */
#define BITS_OF_BIG 0x4338000000000000
#define LEAST_NORMAL 2.2250738585072014e-308
#define FRACTION 52
#define BIAS 1023
#define LN2_HIGH 0.693147180369123816490
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_LEAST -746.0
#define EXP_MOST 710.0
#define EXP_NORMAL 708.0
#define SATURATED 20.0
static const real EXP_TERMS[] = {
    0.50000000000000010314,   0.1666666666666666746,    0.041666666666623820532, 0.0083333333333300381973,
    0.0013888888917367080562, 0.00019841269863171556,   2.4801521057868205e-5,   2.7557268276905696e-6,
    2.7620201591031549e-7,    2.5100472505694996e-8,
};
static const real LOG_TERMS[] = {
    0.66666666666666697293, 0.39999999999898272776, 0.28571428626533615934, 0.22222211043776858238,
    0.18182895750119194042, 0.15331501611145327709, 0.14619166134887971366,
};
#endif
#define COUNT(terms) ((int)(sizeof(terms) / sizeof(terms[0])))

INLINE vec polynomial(const real *terms, int count, vec x)
{
    vec sum = all(terms[count - 1]);
#pragma GCC unroll 16
    for (int i = count - 2; i >= 0; i--) sum = sum * x + terms[i];
    return sum;
}

INLINE vec clamp(vec x, real least, real most)
{
    x = choose(x < least, all(least), x);
    return choose(x > most, all(most), x); /* NaN stays */
}

/* e^r - 1; n as a whole number. */
INLINE vec reduced(vec x, mask *n)
{
    vec shifted = x * (real)1.4426950408889634074 + BIG;
    *n = bits_of(shifted) - BITS_OF_BIG;
    vec count = shifted - BIG;
    vec r = x - count * LN2_HIGH - count * LN2_LOW;
    return r + r * r * polynomial(EXP_TERMS, COUNT(EXP_TERMS), r);
}

INLINE vec two_to(mask n) { return from_bits(left(n + BIAS, FRACTION)); }

/* In two halves, so that the ends of the range come out right: denormal numbers below, infinity above. */
INLINE vec exponential(vec x)
{
    mask n;
    vec p = reduced(clamp(x, EXP_LEAST, EXP_MOST), &n);
    mask half = n >> 1;
    return ((p + 1) * two_to(half)) * two_to(n - half);
}

INLINE vec exponential_minus_1(vec x)
{
    mask n;
    vec p = reduced(clamp(x, EXP_LEAST, EXP_MOST), &n);
    const mask top = one_where(n > BIAS); /* 2^n is beyond the range, twice its half perhaps not */
    vec scale = two_to(n - top);
    vec value = scale * p + (scale - 1);
    value = choose(n > BIAS, value + value, value);
    return choose(x < -EXP_NORMAL, all(-1), value); /* and NaN stays */
}

INLINE vec sigmoid(vec x)
{
    mask n;
    vec p = reduced(clamp(-x, -EXP_NORMAL, EXP_NORMAL), &n);
    vec scale = two_to(n);
    return 1 / (1 + scale + scale * p);
}

INLINE vec hyperbolic_tangent(vec x)
{
    mask n;
    vec p = reduced(clamp(x, -SATURATED, SATURATED) * 2, &n);
    vec scale = two_to(n);
    vec less_1 = scale * p + (scale - 1); /* e^2x - 1: no digit is lost near 0 */
    return less_1 / (less_1 + 2);
}

/* x = 2^n m, m in [sqrt 1/2, sqrt 2); log m by the odd series in (m - 1) / (m + 1). */
INLINE vec logarithm(vec x)
{
    mask small = (x < LEAST_NORMAL) & (x > 0);
    mask bits = bits_of(choose(small, x * (real)((whole)1 << (FRACTION + 1)), x));
    mask fraction = bits & (((whole)1 << FRACTION) - 1);
    mask above = one_where(fraction > (whole)(0.4142135623730951 * (double)((whole)1 << FRACTION)));
    vec m = from_bits(fraction | ((BIAS - above) << FRACTION));
    vec count = as_number((bits >> FRACTION) - BIAS + above) - choose(small, all(FRACTION + 1), all(0));
    vec s = (m - 1) / (m + 1);
    vec z = s * s;
    vec series = s * z * polynomial(LOG_TERMS, COUNT(LOG_TERMS), z);
    vec value = count * LN2_HIGH + (2 * s + (series + count * LN2_LOW));
    value = choose(x == INFINITY, x, value);
    value = choose(x == 0, all(-INFINITY), value);
    return choose((x < 0) | (x != x), all(NAN), value);
}

/* log(1 + x), with what rounding 1 + x lost given back. */
INLINE vec logarithm_plus_1(vec x)
{
    vec sum = x + 1;
    vec lost = x - (sum - 1);
    return choose(sum == INFINITY, sum, logarithm(sum) + choose(sum == 0, all(0), lost / sum));
}
