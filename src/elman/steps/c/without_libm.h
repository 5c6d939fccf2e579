/* What lanes.h has of the C library, for one number. */

/* Newton's iteration for 1 / sqrt a from a first guess by its bits, then one step for the root itself. */
static vec square_root(vec a)
{
    real by = 1;
    if (a < LEAST_NORMAL) a *= 16777216.0f, by = 1 / 4096.0f; /* 2^24: a denormal number has few digits */
    if (!(a > 0) || a == INFINITY) return a < 0 ? NAN : a; /* 0, NaN and infinity are their own roots */
    vec r = from_bits(0x5f3759df - (bits_of(a) >> 1));
    for (int i = 0; i < 3; i++) r = r * (1.5f - 0.5f * a * r * r);
    const double root = (double)a * r; /* a - root^2 needs more digits than a has */
    return (float)(root + 0.5 * (double)r * ((double)a - root * root)) * by;
}

/* x = k pi / 2 + r with |r| <= pi / 4: r, and k mod 4. */
static double quarter(vec x, int *k)
{
    const double n = (double)x * 0.63661977236758134308 + 6755399441055744.0 - 6755399441055744.0; /* rounds */
    *k = (int)((int32_t)n & 3);
    return (double)x - n * 1.57079632673412561417 - n * 6.07710050650619224932e-11;
}

/* The same of a great x = m 2^e, from the digits of 2 / pi that count after whole turns are left out.
   Source: Payne & Hanek 1983, doi:10.1145/1057600.1057602. */
static double far_quarter(vec x, int *k)
{
    static const uint32_t two_over_pi[] = {0, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u,
                                            0x3c439041u, 0xfe5163abu, 0xdebbc561u};
    const mask bits = bits_of(absolute(x));
    const uint64_t m = (uint64_t)((bits & 0x7fffff) | 0x800000);
    const int first = 32 + (bits >> FRACTION) - BIAS - FRACTION - 2, at = first / 32, shift = first % 32;
    uint64_t digits = 0, sum = 0;
    for (int i = 0; i < 3; i++) {
        digits = (uint64_t)two_over_pi[at + i] << 32 | two_over_pi[at + i + 1];
        digits = digits >> (32 - shift) & 0xffffffff;
        sum += i < 2 ? m * digits << (32 - 32 * i) : m * digits >> 32;
    }
    *k = (int)((sum + (UINT64_C(1) << 61)) >> 62);
    const uint64_t rest = sum << 2; /* of a quarter, in 2^-64, below or above a whole one */
    const double r = (rest >> 63 ? -(double)(~rest + 1) : (double)rest) * 8.5153039502163868e-20;
    *k = x < 0 ? (4 - *k) & 3 : *k & 3;
    return x < 0 ? -r : r;
}

static vec turned(vec x, int quarters)
{
    int k;
    if (!(absolute(x) < INFINITY)) return NAN;
    const double r = absolute(x) < 131072 ? quarter(x, &k) : far_quarter(x, &k), z = r * r;
    double value = 1;
    k = (k + quarters) & 3;
    for (int i = 12 + !(k & 1); i > 1; i -= 2) value = 1 - value * z / (i * (i - 1)); /* Taylor's series */
    value *= k & 1 ? 1 : r;
    return (float)(k & 2 ? -value : value);
}
static vec sine(vec x) { return turned(x, 0); }
static vec cosine(vec x) { return turned(x, 1); }

/* e^x and log x with twice the digits of a float. */
static double exp_of(double x)
{
    const double n = x * 1.4426950408889634074 + 6755399441055744.0 - 6755399441055744.0;
    const double r = x - n * 0.69314718055994530942;
    double sum = 1;
    for (int i = 11; i; i--) sum = 1 + sum * r / i;
    union { double number; uint64_t bits; } scale;
    scale.bits = (uint64_t)(1023 + (int)n) << 52;
    return sum * scale.number;
}

static double log_of(vec x)
{
    const int small = x < LEAST_NORMAL;
    const mask bits = bits_of(small ? x * 16777216.0f : x), fraction = bits & 0x7fffff;
    const mask above = fraction > 0x3504f3; /* sqrt 2 */
    const double m = from_bits(fraction | ((127 - above) << 23)), s = (m - 1) / (m + 1), z = s * s;
    double sum = 0;
    for (int i = 19; i > 0; i -= 2) sum = sum * z + 2.0 / i;
    return ((bits >> 23) - 127 + above - (small ? 24 : 0)) * 0.69314718055994530942 + s * sum;
}

static vec power(vec a, vec b)
{
    const mask even_or_far = absolute(b) >= 16777216.0f, integer = even_or_far || (vec)(whole)b == b;
    const mask odd = integer && !even_or_far && ((whole)b & 1);
    if (b == 0 || a == 1) return 1;
    if (a != a || b != b) return NAN;
    if (a == -1 && absolute(b) == INFINITY) return 1;
    if (a < 0 && a != -INFINITY && !integer) return NAN;
    const vec size = absolute(a), sure = odd && (a < 0 || bits_of(a) < 0) ? -1.0f : 1.0f;
    if (size == 0 || size == INFINITY || absolute(b) == INFINITY)
        return size == 1 ? 1 : sure * ((size > 1) == (b > 0) ? INFINITY : 0);
    const double x = (double)b * log_of(size);
    if (x > 89 || x < -104) return sure * (x > 0 ? INFINITY : 0);
    return (float)((double)sure * exp_of(x));
}

/* erf x by its series near 0, else by the continued fraction of its complement. */
static vec error_function(vec x)
{
    const double a = absolute(x), z = a * a;
    if (x != x || a > 4) return x != x ? x : sign(x);
    double sum = 0;
    if (a < 2) {
        for (int n = 40; n > 0; n--) sum = (1 + sum) * 2 * z / (2 * n + 1);
        sum = a * (1 + sum) * exp_of(-z) * 1.12837916709551257390;
    } else {
        for (int n = 40; n > 0; n--) sum = n / 2.0 / (a + sum);
        sum = 1 - exp_of(-z) * 0.56418958354775628695 / (a + sum);
    }
    return (float)(x < 0 ? -sum : sum);
}
