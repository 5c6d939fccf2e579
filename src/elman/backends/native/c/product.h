/* C += A B for a B that is used many times: packed once into panels that are read front to back.

   A panel is PANEL vectors of columns wide and K rows deep; the last one may be narrower. A tile of up to ROWS rows of
   A against one panel stays in registers over all of K. */

#if defined(__AVX512F__) || defined(__aarch64__) /* 32 vector registers: 24 sums, 4 of B, the rest for A */
#define PANEL 4
#else /* 16: 12 sums, 2 of B, 1 of A */
#define PANEL 2
#endif
#define ROWS 6

typedef struct {
    long depth, columns; /* K; columns in vectors */
    real *values;
} Packed;

/* c[m][n] = start[m][n] + sum over k of a[m][k] b[k][n], with the sums in registers; a[m][k] stands at m lda + k next.
   One row alone would wait for each addition to end before the next: its k are dealt to several sums. */
INLINE void tile(const int rows, const int width, const long depth, const real *a, const long lda, const long next,
                 const real *b, const long ldb, const real *start, const long lds, real *c, const long ldc)
{
    const int split = rows == 1 ? 4 : rows == 2 ? 2 : 1;
    vec sum[4][ROWS][PANEL];
#define EACH                                                                                                           \
    _Pragma("GCC unroll 8") for (int m = 0; m < rows; m++) _Pragma("GCC unroll 8") for (int n = 0; n < width; n++)
    EACH sum[0][m][n] = load(start + m * lds + n * V);
#pragma GCC unroll 8
    for (int i = 1; i < split; i++) EACH sum[i][m][n] = all(0);
    long k = 0;
    for (; k + split <= depth; k += split, b += split * ldb)
#pragma GCC unroll 8
        for (int i = 0; i < split; i++) EACH sum[i][m][n] += a[m * lda + (k + i) * next] * load(b + i * ldb + n * V);
    for (; k < depth; k++, b += ldb) EACH sum[0][m][n] += a[m * lda + k * next] * load(b + n * V);
#pragma GCC unroll 8
    for (int i = 1; i < split; i++) EACH sum[0][m][n] += sum[i][m][n];
    EACH store(c + m * ldc + n * V, sum[0][m][n]);
#undef EACH
}

/* `along` tiles go along the rows of A with a panel of B; `across` tiles down its columns, with B as it lies. */
typedef void Tile(long depth, const real *a, long lda, const real *b, long ldb, const real *start, long lds, real *c,
                  long ldc);
#define TILE(rows, width)                                                                                              \
    static void along_##rows##_##width(long depth, const real *a, long lda, const real *b, long ldb,                   \
                                       const real *start, long lds, real *c, long ldc)                                 \
    {                                                                                                                  \
        tile(rows, width, depth, a, lda, 1, b, width * V, start, lds, c, ldc);                                         \
        (void)ldb;                                                                                                     \
    }                                                                                                                  \
    static void across_##rows##_##width(long depth, const real *a, long lda, const real *b, long ldb,                  \
                                        const real *start, long lds, real *c, long ldc)                                \
    {                                                                                                                  \
        tile(rows, width, depth, a, 1, lda, b, ldb, start, lds, c, ldc);                                               \
    }
#define TILES(width) TILE(1, width) TILE(2, width) TILE(3, width) TILE(4, width) TILE(5, width) TILE(6, width)
#define NAMES(way, width)                                                                                              \
    {way##_1_##width, way##_2_##width, way##_3_##width, way##_4_##width, way##_5_##width, way##_6_##width}
TILES(1)
TILES(2)
#if PANEL == 4
TILES(3)
TILES(4)
#define TABLE(way) {NAMES(way, 1), NAMES(way, 2), NAMES(way, 3), NAMES(way, 4)}
#else
#define TABLE(way) {NAMES(way, 1), NAMES(way, 2)}
#endif
static Tile *const along[PANEL][ROWS] = TABLE(along), *const across[PANEL][ROWS] = TABLE(across);

/* The first of the i-th share of B's columns when they are dealt to so many, in whole panels; counted in vectors. */
INLINE long column_cut(const Packed *b, long i, long shares)
{
    const long cut = i * ((b->columns + PANEL - 1) / PANEL) / shares * PANEL;
    return cut < b->columns ? cut : b->columns;
}

/* The i-th share of the columns of C = start + A B. Panels outside, rows inside: each panel is fetched once and serves all
   rows from the nearest cache. A row of `start` is lds further than the one before: 0 for one row that is used for all. */
static void multiply_share(long i, long shares, long rows, const real *a, long lda, const Packed *b, const real *start,
                           long lds, real *c, long ldc)
{
    const long blocks = (rows + ROWS - 1) / ROWS, end = column_cut(b, i + 1, shares);
    for (long column = column_cut(b, i, shares); column < end; column += PANEL) {
        const long width = b->columns - column < PANEL ? b->columns - column : PANEL;
        const real *panel = b->values + column * V * b->depth;
        for (long block = 0; block < blocks; block++) { /* blocks of nearly equal size: 16 rows are 6 + 5 + 5 */
            const long from = block * rows / blocks, to = (block + 1) * rows / blocks;
            along[width - 1][to - from - 1](b->depth, a + from * lda, lda, panel, 0, start + from * lds + column * V,
                                            lds, c + from * ldc + column * V, ldc);
        }
    }
}

static void multiply(long rows, const real *a, long lda, const Packed *b, const real *start, long lds, real *c, long ldc)
{
    multiply_share(0, 1, rows, a, lda, b, start, lds, c, ldc);
}

/* C = start + A' B, columns `from` to `to` of A against all ldb of B, added up over `rows` rows of both; with start NULL on
   top of C. BLOCK rows at a time, so that what a tile needs of B is still near when the next tile comes.

   Rows that are 2^n apart share few places of the cache and push each other out. A wide panel uses what it fetched often
   enough; for a narrow one the block of B is laid side by side first, and GROUP columns of A where its rows are far apart. */
enum { BLOCK = 128, GROUP = 32 * ROWS, FAR = 1024, NARROW = PANEL < 4 };

static void lay_together(real *to, const real *from, long step, long depth, long count)
{
    for (long k = 0; k < depth; k++, from += step)
        for (long m = 0; m < count; m++) to[(m / ROWS * BLOCK + k) * ROWS + m % ROWS] = from[m];
}

/* The same for one block and up to GROUP columns of A; `left` is room for them. */
static void correlate_block(long depth, const real *a, long lda, long count, const real *b, long ldb, const real *start,
                            real *c, real *left)
{
    real near[BLOCK * PANEL * V] __attribute__((aligned(LANE_BYTES)));
    const int far = NARROW && lda >= FAR;
    if (far) lay_together(left, a, lda, depth, count);
    for (long column = 0; column < ldb; column += PANEL * V) {
        const long width = ldb - column < PANEL * V ? (ldb - column) / V : PANEL;
        if (NARROW)
            for (long k = 0; k < depth; k++)
                for (long n = 0; n < width * V; n += V) store(near + k * width * V + n, load(b + k * ldb + column + n));
        for (long m = 0; m < count; m += ROWS) {
            const long high = count - m < ROWS ? count - m : ROWS;
            real *at = c + m * ldb + column;
            across[width - 1][high - 1](depth, far ? left + m * BLOCK : a + m, far ? ROWS : lda, NARROW ? near : b + column,
                                        NARROW ? width * V : ldb, start ? start : at, start ? 0 : ldb, at, ldb);
        }
    }
}

static void correlate(long rows, const real *a, long lda, long from, long to, const real *b, long ldb,
                      const real *start, real *c)
{
    real left[NARROW ? BLOCK * GROUP : 1];
    for (long row = 0; row < rows || row == 0; row += BLOCK) {
        const long depth = rows - row < BLOCK ? rows - row : BLOCK;
        for (long g = from; g < to; g += GROUP)
            correlate_block(depth, a + row * lda + g, lda, to - g < GROUP ? to - g : GROUP, b + row * ldb, ldb,
                            row == 0 ? start : NULL, c + g * ldb, left);
    }
}

/* One axis of a matrix to be packed: groups of `units`, each widened to `padded` by zeros; neighbours `step` apart. */
typedef struct {
    long groups, units, padded, step;
} Axis;

/* V columns of V numbers, which lie one after another in the source, turned into V rows of the panel. Through a block of
   its own: rows of a matrix are often 2^n apart and would push each other out of the cache. */
INLINE void turn(real *to, long width, const real *from, long step)
{
    real block[V][V] __attribute__((aligned(LANE_BYTES)));
    for (int j = 0; j < V; j++) store(block[j], load(from + j * step));
    for (int k = 0; k < V; k++)
        for (int j = 0; j < V; j++) to[k * width + j] = block[j][k];
}

/* The vector of columns that starts at `column` of one group, for all k; rows of the panel are `width` apart. */
static void pack_column(real *to, long width, Axis deep, Axis across, const real *source, long left)
{
    for (long group = 0; group < deep.groups; group++)
        for (long k = 0; k < deep.padded;) {
            const real *from = source + (group * deep.units + k) * deep.step;
            real *row = to + (group * deep.padded + k) * width;
            if (left >= V && deep.step == 1 && k + V <= deep.units) {
                turn(row, width, from, across.step);
                k += V;
                continue;
            }
            if (k >= deep.units || left <= 0)
                store(row, all(0));
            else if (left >= V && across.step == 1)
                store(row, load(from));
            else
                for (int j = 0; j < V; j++) row[j] = j < left ? from[j * across.step] : 0;
            k++;
        }
}

/* A matrix that is to lie in `packed`; with `source` NULL nothing is to be done. */
typedef struct {
    Packed packed;
    Axis deep, across;
    const real *source;
} Packing;

/* The i-th share of its columns. */
static void pack_share(const Packing *p, long i, long shares)
{
    const Packed *packed = &p->packed;
    if (p->source == NULL) return;
    for (long column = i * packed->columns / shares; column < (i + 1) * packed->columns / shares; column++) {
        const long panel = column / PANEL * PANEL, rest = packed->columns - panel, width = rest < PANEL ? rest : PANEL;
        const long group = column * V / p->across.padded, unit = column * V % p->across.padded;
        pack_column(packed->values + panel * V * packed->depth + (column - panel) * V, width * V, p->deep, p->across,
                    p->source + (group * p->across.units + unit) * p->across.step, p->across.units - unit);
    }
}
