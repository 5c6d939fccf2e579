/* V numbers at once, one per unit: GCC vector extensions, so that AVX-512, AVX2, SSE and NEON come from one source.
   Before this file stands: #define REAL_BITS 32 or 64. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if REAL_BITS == 32
typedef float real;
typedef int32_t whole;
#else
typedef double real;
typedef int64_t whole;
#endif

#ifndef LANE_BYTES
#if defined(__AVX512F__)
#define LANE_BYTES 64
#elif defined(__AVX__)
#define LANE_BYTES 32
#else
#define LANE_BYTES 16
#endif
#endif
#define V (LANE_BYTES / (int)sizeof(real))
#define INLINE static inline __attribute__((always_inline))

typedef real vec __attribute__((vector_size(LANE_BYTES)));
typedef whole mask __attribute__((vector_size(LANE_BYTES))); /* all bits set: true */
typedef real anywhere __attribute__((vector_size(LANE_BYTES), aligned(sizeof(real)), may_alias));

INLINE vec load(const real *p) { return *(const anywhere *)p; }
INLINE void store(real *p, vec v) { *(anywhere *)p = v; }
INLINE vec all(real v) { return v - (vec){0}; } /* v + 0 would turn -0 into 0 */
INLINE vec choose(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }

/* What functions.h is written with besides arithmetic. */
INLINE mask bits_of(vec v) { return (mask)v; }
INLINE vec from_bits(mask m) { return (vec)m; }
INLINE mask left(mask n, int by) { return n << by; }
INLINE mask one_where(mask m) { return -m; } /* true is -1 */
INLINE vec as_number(mask n) { return __builtin_convertvector(n, vec); }

/* NaN goes through, as in torch. */
INLINE vec maximum(vec a, vec b) { return choose((a > b) | (a != a), a, b); }
INLINE vec minimum(vec a, vec b) { return choose((a < b) | (a != a), a, b); }
INLINE vec absolute(vec a) { return choose(a < 0, -a, a + 0); }
INLINE vec sign(vec a) { return choose(a > 0, all(1), choose(a < 0, all(-1), all(0))); }
INLINE vec relu(vec a) { return choose(a < 0, all(0), a); }

#define LANEWISE(name, function)                                                                                       \
    static __attribute__((noinline)) vec name(vec a)                                                                   \
    {                                                                                                                  \
        for (int i = 0; i < V; i++) a[i] = (real)function(a[i]);                                                       \
        return a;                                                                                                      \
    }
LANEWISE(square_root, sqrt)
LANEWISE(sine, sin)
LANEWISE(cosine, cos)
LANEWISE(error_function, erf)

static __attribute__((noinline, unused)) vec power(vec a, vec b)
{
    for (int i = 0; i < V; i++) a[i] = (real)pow(a[i], b[i]);
    return a;
}
