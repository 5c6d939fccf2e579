/* One number at a time, in C99 alone: no library is called. What functions.h is written with stands here first. */
#include <stdint.h>

typedef float real;
typedef float vec;
typedef int32_t whole;
typedef int32_t mask; /* 0 or 1 */
#define REAL_BITS 32
#define INLINE static inline

typedef union {
    float number;
    uint32_t bits;
    int32_t whole;
} Pun;

INLINE vec all(real v) { return v; }
INLINE vec choose(mask m, vec a, vec b) { return m ? a : b; }
INLINE mask bits_of(vec v) { Pun p; p.number = v; return p.whole; }
INLINE vec from_bits(mask m) { Pun p; p.whole = m; return p.number; }
INLINE mask left(mask n, int by) { return (mask)((uint32_t)n << by); } /* of NaN, n may be anything */
INLINE mask one_where(mask m) { return m; }
INLINE vec as_number(mask n) { return (float)n; }

#define INFINITY from_bits(0x7f800000)
#define NAN from_bits(0x7fc00000)

INLINE vec maximum(vec a, vec b) { return choose((a > b) | (a != a), a, b); }
INLINE vec minimum(vec a, vec b) { return choose((a < b) | (a != a), a, b); }
INLINE vec absolute(vec a) { return a < 0 ? -a : a + 0; }
INLINE vec sign(vec a) { return (float)(a > 0) - (float)(a < 0); }
INLINE vec relu(vec a) { return a < 0 ? 0 : a; }
