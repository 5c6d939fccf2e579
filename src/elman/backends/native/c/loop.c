/* ---- the time loop ----------------------------------------------------------------------------------------------- */

/* Memory for one call, taken front to back from one block; with base NULL only the size is counted. */
typedef struct {
    char *base;
    long used;
} Arena;

static real *take(Arena *arena, long count)
{
    real *taken = (real *)((uintptr_t)arena->base + (uintptr_t)arena->used);
    arena->used += (count * (long)sizeof(real) + 63) / 64 * 64;
    return taken;
}

static const real *widen(Arena *arena, const real *from, long groups, long units, long padded)
{
    real *to = take(arena, groups * padded);
    if (arena->base == NULL) return to;
    for (long g = 0; g < groups; g++)
        for (long u = 0; u < padded; u++) to[g * padded + u] = from && u < units ? from[g * units + u] : 0;
    return to;
}

static Packed pack_into(Arena *arena, Axis deep, Axis across, const real *source)
{
    real *to = take(arena, deep.groups * deep.padded * across.groups * across.padded);
    return arena->base && source ? pack(to, deep, across, source) : (Packed){0, 0, to};
}

static long steps_per_chunk(const Args *a)
{
    const long step = a->rows * GATES * a->padded * (long)sizeof(real);
    return step > 0 && step < CHUNK_BYTES ? CHUNK_BYTES / step : 1;
}

/* Everything that one call needs besides its arguments. Raised twice: to count bytes, and to fill them. */
static Job prepare(const Args *a, Arena *arena, int backward)
{
    const long H = a->units, ld = a->padded, F = a->inputs, wide = (F + V - 1) / V * V;
    const Axis gates = {GATES, H, ld, F}, inputs = {1, F, backward ? wide : F, 1};
    const Axis unit = {1, H, backward ? ld : H, 1};
    const long whole_R = NORM ? RECURRENT : SUMMED, rest_R = NORM ? 0 : APART;
    const Axis first = {whole_R, H, ld, H}, second = {rest_R, H, ld, H};
    const real *second_R = a->R ? a->R + SUMMED * H * H : NULL;
    Job j = {.a = a};
    if (backward) {
        if (a->d_x) j.W = pack_into(arena, gates, inputs, a->W);
        j.summed = pack_into(arena, first, unit, a->R);
        j.apart = pack_into(arena, second, unit, second_R);
    } else {
        if (a->x) j.W = pack_into(arena, inputs, gates, a->W);
        j.summed = pack_into(arena, unit, first, a->R);
        j.apart = pack_into(arena, unit, second, second_R);
    }
    j.bias = widen(arena, a->b, GATES, H, ld);
    j.bias_apart = widen(arena, a->b_r, APART, H, ld);
    j.gain = widen(arena, a->gain, NORM * RECURRENT, H, ld);
    j.gain_x = a->gain_x ? widen(arena, a->gain_x, GATES, H, ld) : NULL;
    j.params = widen(arena, a->params, PARAMS, H, ld);
    j.zeros = widen(arena, NULL, 1, 0, wide > RECURRENT * ld ? wide : RECURRENT * ld);
    real *fixed = take(arena, FIXED * ld);
    if (arena->base)
        for (long u = 0; u < ld; u += V) {
            vec p[AT_LEAST_1(PARAMS)], q[AT_LEAST_1(FIXED)];
            for (int i = 0; i < PARAMS; i++) p[i] = load(j.params + i * ld + u);
            cell_fixed(p, q);
            for (int i = 0; i < FIXED; i++) store(fixed + i * ld + u, q[i]);
        }
    j.fixed = fixed;
    j.spare_size = (a->drop ? a->rows : 0) * ld + NORM * RECURRENT * ld;
    j.spare = take(arena, a->threads * j.spare_size);
    j.sums_size = backward ? (GATES + APART + PARAMS + NORM * RECURRENT) * ld : 0;
    j.sums = take(arena, a->threads * j.sums_size);
    j.z = a->z, j.zr = a->zr, j.zn = a->zn;
    if (!backward && a->z == NULL) { /* nothing is kept: one chunk's room is enough */
        const long rows = least(a->total, steps_per_chunk(a) * a->rows);
        j.z = take(arena, rows * GATES * ld), j.zr = take(arena, rows * APART * ld);
        j.zn = take(arena, rows * NORM * RECURRENT * ld);
    }
    return j;
}

/* Part i of n of the rows of all steps in the chunk: W x + b. */
static void project(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long first = offset(a, j->from), count = end_of(a, j->to - 1) - first, parts = a->threads;
    const long from = first + i * count / parts, rows = first + (i + 1) * count / parts - from;
    real *z = j->z + (from - j->origin) * GATES * a->padded;
    if (rows) multiply(rows, a->x + from * a->inputs, a->inputs, &j->W, j->bias, 0, z, GATES * a->padded);
}

/* The same rows of gradients back through W. */
static void project_back(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long first = offset(a, j->from), count = end_of(a, j->to - 1) - first, parts = a->threads;
    const long from = first + i * count / parts, rows = first + (i + 1) * count / parts - from;
    const long wide = (a->inputs + V - 1) / V * V, ld = GATES * a->padded;
    if (rows) multiply(rows, a->z + from * ld, ld, &j->W, j->zeros, 0, a->d_x + from * wide, wide);
}

/* Where the i-th thread's sequences begin. */
INLINE long cut(const Args *a, long i) { return a->cuts ? a->cuts[i] : i * a->rows / a->parts; }

/* Part i of the sequences, through all steps of the chunk. */
static void advance(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = a->padded, low = cut(a, i);
    for (long s = j->from; s < j->to; s++) {
        const long t = a->reverse ? j->from + j->to - 1 - s : s;
        const long rows = least(active(a, t), cut(a, i + 1)) - low, row = offset(a, t) + low;
        if (rows <= 0) continue;
        real *z = j->z + (row - j->origin) * GATES * ld, *zr = j->zr + (row - j->origin) * APART * ld;
        const real *fed = a->state[0] + low * ld;
        if (RECURRENT && a->drop) {
            real *dropped = j->spare + i * j->spare_size;
            for (long c = 0; c < rows * ld; c += V) store(dropped + c, load(fed + c) * load(a->drop + low * ld + c));
            fed = dropped;
        }
#if NORM
        real *zn = j->zn + (row - j->origin) * RECURRENT * ld;
        multiply(rows, fed, ld, &j->summed, j->zeros, 0, zn, RECURRENT * ld);
        normalise(j, rows, z, zr, zn);
#else
        if (SUMMED) multiply(rows, fed, ld, &j->summed, z, GATES * ld, z, GATES * ld);
        if (APART) multiply(rows, fed, ld, &j->apart, j->bias_apart, 0, zr, APART * ld);
#endif
        forward_units(j, rows, low, row, z, zr);
    }
}

/* The previous state of the rows that ran at the step before (in the order of time's run) was kept there; a row that
   begins here has its first state. */
static void back_units(const Job *j, long rows, long low, long row, long t, real *z, real *zr, real *sums)
{
    const Args *a = j->a;
    const long ld = a->padded, before = a->reverse ? t + 1 : t - 1;
    const int none = before < 0 || before >= a->steps;
    long old = none ? 0 : least(active(a, before) - low, rows);
    if (old < 0) old = 0;
    const real *kept[STATES], *first[STATES];
    for (int k = 0; k < STATES; k++) {
        kept[k] = none ? NULL : a->kept[k] + (offset(a, before) + low) * ld;
        first[k] = a->first[k] + (low + old) * ld;
    }
    if (old) backward_units(j, old, low, row, z, zr, kept, sums);
    if (rows > old)
        backward_units(j, rows - old, low + old, row + old, z + old * GATES * ld, zr + old * APART * ld, first, sums);
}

static void retreat(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = a->padded, low = cut(a, i);
    real *sums = j->sums + i * j->sums_size, *spare = j->spare + i * j->spare_size;
    for (long s = j->to - 1; s >= j->from; s--) {
        const long t = a->reverse ? j->from + j->to - 1 - s : s;
        const long rows = least(active(a, t), cut(a, i + 1)) - low, row = offset(a, t) + low;
        if (rows <= 0) continue;
        real *z = a->z + row * GATES * ld, *zr = a->zr + row * APART * ld, *d_h = a->d_state[0] + low * ld;
        back_units(j, rows, low, row, t, z, zr, sums);
        if (!RECURRENT) continue;
        real *to = a->drop ? spare + NORM * RECURRENT * ld : d_h;
        const real *start = a->drop ? j->zeros : d_h;
        const long lds = a->drop ? 0 : ld;
#if NORM
        real *zn = a->zn + row * RECURRENT * ld;
        normalise_backward(j, rows, z, zr, zn, spare, sums + (GATES + APART + PARAMS) * ld);
        multiply(rows, zn, RECURRENT * ld, &j->summed, start, lds, to, ld);
#else
        if (SUMMED) multiply(rows, z, GATES * ld, &j->summed, start, lds, to, ld);
        if (APART) multiply(rows, zr, APART * ld, &j->apart, SUMMED ? to : start, SUMMED ? ld : lds, to, ld);
#endif
        if (a->drop)
            for (long c = 0; c < rows * ld; c += V)
                store(d_h + c, load(d_h + c) + load(to + c) * load(a->drop + low * ld + c));
    }
}

/* Part i of the gates: gradients of W and R, added up over all rows. */
static void weigh(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = a->padded, parts = a->threads, N = a->total;
    const long gates = GATES * ld, summed = SUMMED * ld, apart = APART * ld, recurrent = RECURRENT * ld;
#define PART(n) i * (n) / parts, (i + 1) * (n) / parts
    if (a->d_W) correlate(N, a->z, gates, PART(gates), a->x, a->inputs, a->inputs / V, j->zeros, a->d_W, a->inputs);
    if (!a->d_R) return;
    if (NORM)
        correlate(N, a->zn, recurrent, PART(recurrent), a->h_before, ld, ld / V, j->zeros, a->d_R, ld);
    else {
        if (SUMMED) correlate(N, a->z, gates, PART(summed), a->h_before, ld, ld / V, j->zeros, a->d_R, ld);
        if (APART) correlate(N, a->zr, apart, PART(apart), a->h_before, ld, ld / V, j->zeros, a->d_R + summed * ld, ld);
    }
#undef PART
}

/* Bytes of scratch that the call needs. */
long elman_scratch(const Args *a, int backward)
{
    Arena arena = {0};
    prepare(a, &arena, backward);
    return arena.used;
}

void elman_forward(const Args *a)
{
    Arena arena = {a->scratch, 0};
    Job j = prepare(a, &arena, 0);
    const long chunk = steps_per_chunk(a);
    for (long s = 0; s < a->steps; s += chunk) {
        const long end = least(s + chunk, a->steps);
        j.from = a->reverse ? a->steps - end : s, j.to = a->reverse ? a->steps - s : end;
        j.origin = a->z ? 0 : offset(a, j.from);
        if (a->x) share(project, &j, a->threads, a->openmp);
        share(advance, &j, a->parts, a->openmp);
    }
}

void elman_backward(const Args *a)
{
    Arena arena = {a->scratch, 0};
    Job j = prepare(a, &arena, 1);
    const long chunk = steps_per_chunk(a);
    memset(j.sums, 0, (size_t)(a->threads * j.sums_size) * sizeof(real));
    for (long s = a->steps; s > 0; s -= chunk) {
        const long start = s > chunk ? s - chunk : 0;
        j.from = a->reverse ? a->steps - s : start, j.to = a->reverse ? a->steps - start : s;
        share(retreat, &j, a->parts, a->openmp);
        if (a->d_x) share(project_back, &j, a->threads, a->openmp);
    }
    share(weigh, &j, a->threads, a->openmp);
    memset(a->d_shared, 0, (size_t)j.sums_size * sizeof(real));
    for (long i = 0; i < a->parts; i++) /* always in the same order: the same bits at every run */
        for (long c = 0; c < j.sums_size; c += V)
            store(a->d_shared + c, load(a->d_shared + c) + load(j.sums + i * j.sums_size + c));
}

long elman_lanes(void) { return V; }
