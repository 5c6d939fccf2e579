/* ---- everything that one call needs besides its arguments --------------------------------------------------------- */

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

static Packing packing(Arena *arena, Axis deep, Axis across, const real *source)
{
    const long depth = deep.groups * deep.padded, columns = across.groups * across.padded;
    return (Packing){{depth, columns / V, take(arena, depth * columns)}, deep, across, source};
}

static void pack(const void *job, long i)
{
    const Job *j = job;
    for (int n = 0; n < 3; n++) pack_share((const Packing *[]){&j->W, &j->summed, &j->apart}[n], i, j->a->threads);
}

static long steps_per_chunk(const Args *a)
{
    const long step = a->rows * GATES * a->padded * (long)sizeof(real);
    return step > 0 && step < CHUNK_BYTES ? CHUNK_BYTES / step : 1;
}

/* What both directions read, widened to whole vectors; `fixed` is computed here, once. */
static void prepare_shared(Job *j, Arena *arena)
{
    const Args *a = j->a;
    const long H = a->units, ld = a->padded;
    j->bias = widen(arena, a->b, GATES, H, ld);
    j->bias_apart = widen(arena, a->b_r, APART, H, ld);
    j->gain = widen(arena, a->gain, NORM * RECURRENT, H, ld);
    j->gain_x = a->gain_x ? widen(arena, a->gain_x, GATES, H, ld) : NULL;
    j->params = widen(arena, a->params, PARAMS, H, ld);
    j->zeros = widen(arena, NULL, 1, 0, a->x_step > RECURRENT * ld ? whole_vectors(a->x_step) : RECURRENT * ld);
    real *fixed = take(arena, FIXED * ld);
    j->fixed = fixed;
    if (arena->base == NULL) return;
    for (long u = 0; u < ld; u += V) {
        vec p[AT_LEAST_1(PARAMS)], q[AT_LEAST_1(FIXED)];
        for (int i = 0; i < PARAMS; i++) p[i] = load(j->params + i * ld + u);
        cell_fixed(p, q);
        for (int i = 0; i < FIXED; i++) store(fixed + i * ld + u, q[i]);
    }
}

/* Room for the pre-activations of so many rows. */
static void prepare_rows(Job *j, Arena *arena, long rows)
{
    const long ld = j->a->padded;
    j->z = take(arena, rows * GATES * ld);
    j->zr = take(arena, rows * APART * ld);
    j->zn = take(arena, rows * NORM * RECURRENT * ld);
}

/* A job in one direction. Called twice: with an arena that only counts bytes, and with one that has them. */
static Job prepare(const Args *a, Arena *arena, int backward)
{
    const long H = a->units, ld = a->padded, F = a->inputs;
    const Axis gates = {GATES, H, ld, F}, inputs = {1, F, backward ? whole_vectors(F) : F, 1};
    const Axis unit = {1, H, backward ? ld : H, 1};
    const Axis first = {NORM ? RECURRENT : SUMMED, H, ld, H}, second = {NORM ? 0 : APART, H, ld, H};
    const real *second_R = a->R ? a->R + SUMMED * H * H : NULL;
    Job j = {.a = a, .end = a->steps};
    if (a->W && (!backward || a->d_x))
        j.W = backward ? packing(arena, gates, inputs, a->W) : packing(arena, inputs, gates, a->W);
    j.summed = backward ? packing(arena, first, unit, a->R) : packing(arena, unit, first, a->R);
    j.apart = backward ? packing(arena, second, unit, second_R) : packing(arena, unit, second, second_R);
    prepare_shared(&j, arena);
    j.spare_size = (a->drop ? a->rows : 0) * ld + NORM * RECURRENT * ld;
    j.spare = take(arena, a->threads * j.spare_size);
    j.sums_size = backward ? (GATES + APART + PARAMS + NORM * RECURRENT) * ld : 0;
    j.sums = take(arena, a->threads * j.sums_size);
    j.z = a->z, j.zr = a->zr, j.zn = a->zn, j.h_before = a->h_before;
    for (int k = 0; k < STATES; k++) j.state[k] = a->state[k], j.kept[k] = a->kept[k], j.first[k] = a->first[k];
    if (!backward && a->z == NULL) { /* nothing is kept: one chunk's room is enough */
        j.rolling = 1;
        prepare_rows(&j, arena, least(a->total, steps_per_chunk(a) * a->rows));
    }
    return j;
}

/* The jobs of a backward call. With segments both share the room for one of them, which is run again, then back. */
static void prepare_back(const Args *a, Arena *arena, Job *back, Job *again)
{
    *back = prepare(a, arena, 1);
    if (a->begins == NULL) return;
    const long rows = least(a->total, a->segment * a->rows), ld = a->padded;
    *again = prepare(a, arena, 0);
    prepare_rows(again, arena, rows);
    again->rolling = 0;
    back->z = again->z, back->zr = again->zr, back->zn = again->zn;
    back->h_before = take(arena, rows * ld);
    for (int k = 0; k < STATES; k++) {
        back->kept[k] = again->kept[k] = take(arena, rows * ld);
        again->state[k] = take(arena, a->rows * ld);
    }
}
