/* A cell through time, forward and backward. Nothing here knows a cell: before this file stand the sizes
   STATES, GATES, SUMMED, APART, PARAMS, FIXED (values that depend on parameters alone), NORM (layer normalisation),
   the struct Args (rendered from the one list of fields in arguments.py) and the cell's arithmetic, on vectors:

     cell_fixed    (p, q)                            once per call
     cell_forward  (x, r, s, p, q, n)                pre-activations, previous state -> new state n
     cell_backward (x, r, s, p, q, d, dx, dr, ds, dp)   gradient d of the new state -> gradients of all that was read

   Rows are sequences. At step t the first sizes[t] of them are still running and stand at offsets[t] of all that has a
   row per step and sequence, as in torch's PackedSequence. Rows know nothing of each other: each thread takes a range of
   them through all steps. Where they are too few for that, the threads take all rows together, each a range of the units
   and of the columns of each product, and wait for each other between the two.
   Units are padded to whole vectors; padded ones may hold anything and are never read across. */

#define RECURRENT (SUMMED + APART)
#define CHUNK_BYTES (1 << 19) /* pre-activations of so many steps at once stay in the cache between projection and use */
#define AT_LEAST_1(n) ((n) > 0 ? (n) : 1)

typedef struct {
    const Args *a;
    long from, to;           /* the chunk's steps */
    long begin, end;         /* the steps that are kept: all, or those of one segment */
    long origin, kept_from;  /* the rows that stand first in z, zr, zn, and in kept and h_before */
    real *z, *zr, *zn;       /* pre-activations; those of R h that stay apart; R h before normalisation */
    real *state[STATES];     /* of each sequence, now */
    real *kept[STATES];      /* after each step */
    const real *first[STATES]; /* before the first step that is kept */
    real *h_before;          /* what was multiplied by R at each step */
    Packing W, summed, apart; /* weights as the direction needs them; with NORM, all of R is in `summed` */
    const real *bias, *bias_apart, *gain, *gain_x, *params, *fixed, *zeros;
    real *spare, *sums; /* for each thread: rows of its own, and gradients of what all steps share */
    long spare_size, sums_size;
    int rolling; /* z, zr and zn hold one chunk after another */
    int adding;  /* gradients of W and R go on top of what is there */
} Job;

/* What one thread takes through time: sequences low to high, or one member's share of what is done for them all. */
typedef struct {
    long low, high, member;
    Meeting *all;
    real *spare, *sums; /* its own of the job's; members add up different units of the same sums */
} Share;

INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long whole_vectors(long n) { return (n + V - 1) / V * V; }
INLINE long active(const Args *a, long t) { return a->sizes ? a->sizes[t] : a->rows; }
INLINE long offset(const Args *a, long t) { return a->offsets ? a->offsets[t] : t * a->rows; }
INLINE long end_of(const Args *a, long t) { return offset(a, t) + active(a, t); }

/* ---- the cell on all units of some rows ------------------------------------------------------------------------ */

INLINE void load_shared(const Job *j, long u, vec *p, vec *q)
{
    for (int i = 0; i < PARAMS; i++) p[i] = load(j->params + i * j->a->padded + u);
    for (int i = 0; i < FIXED; i++) q[i] = load(j->fixed + i * j->a->padded + u);
}

INLINE void load_gates(const Args *a, const real *z, const real *zr, long u, vec *x, vec *r)
{
    for (int g = 0; g < GATES; g++) x[g] = load(z + g * a->padded + u);
    for (int g = 0; g < APART; g++) r[g] = load(zr + g * a->padded + u);
}

/* Which of the units from u on are not padding. A padded unit's gradient is set to 0: no product spreads what it holds. */
INLINE mask real_units(const Args *a, long u)
{
    mask lanes;
    for (int i = 0; i < V; i++) lanes[i] = u + i < a->units ? -1 : 0;
    return lanes;
}

/* The share of the previous value that zoneout keeps; a step further is zone_step numbers further, or the same row. */
INLINE vec share_kept(const Args *a, int state, long row, long u)
{
    return load(a->zone[state] + row * a->zone_step + u);
}

/* The first unit of the i-th member's share, and of no one's after the last. */
INLINE long unit_cut(const Args *a, long i, const Meeting *all) { return i * (a->padded / V) / all->members * V; }

static void forward_units(const Job *j, const Share *my, long rows, long row, const real *z, const real *zr)
{
    const Args *a = j->a;
    const long ld = a->padded, first = my->low, end = unit_cut(a, my->member + 1, my->all);
    for (long u = unit_cut(a, my->member, my->all); u < end; u += V) {
        vec p[AT_LEAST_1(PARAMS)], q[AT_LEAST_1(FIXED)];
        load_shared(j, u, p, q);
        for (long i = 0; i < rows; i++) {
            vec x[GATES], r[AT_LEAST_1(APART)], s[STATES], n[STATES];
            load_gates(a, z + i * GATES * ld, zr + i * APART * ld, u, x, r);
            for (int k = 0; k < STATES; k++) s[k] = load(j->state[k] + (first + i) * ld + u);
            cell_forward(x, r, s, p, q, n);
            for (int k = 0; k < STATES; k++) {
                if (a->zone[k]) {
                    const vec kept = share_kept(a, k, row + i, u);
                    n[k] = kept * s[k] + (1 - kept) * n[k];
                }
                store(j->state[k] + (first + i) * ld + u, n[k]);
                if (j->kept[k]) store(j->kept[k] + (row - j->kept_from + i) * ld + u, n[k]);
            }
        }
    }
}

/* Gradients over pre-activations in place: z and zr become their own gradients, d the gradient of the previous state.
   `before` holds the previous states of these rows, ld apart. sums: dx, dr and dp added up over rows and steps. */
static void backward_units(const Job *j, const Share *my, long rows, long first, long row, real *z, real *zr,
                           const real *const *before)
{
    const Args *a = j->a;
    real *sums = my->sums;
    const long ld = a->padded, end = unit_cut(a, my->member + 1, my->all);
    for (long u = unit_cut(a, my->member, my->all); u < end; u += V) {
        vec p[AT_LEAST_1(PARAMS)], q[AT_LEAST_1(FIXED)];
        vec total_x[GATES], total_r[AT_LEAST_1(APART)], total_p[AT_LEAST_1(PARAMS)];
        const mask real_unit = real_units(a, u);
        load_shared(j, u, p, q);
        for (int g = 0; g < GATES; g++) total_x[g] = all(0);
        for (int g = 0; g < APART; g++) total_r[g] = all(0);
        for (int i = 0; i < PARAMS; i++) total_p[i] = all(0);
        for (long i = 0; i < rows; i++) {
            vec x[GATES], r[AT_LEAST_1(APART)], s[STATES], d[STATES], kept[STATES];
            vec dx[GATES], dr[AT_LEAST_1(APART)], ds[STATES], dp[AT_LEAST_1(PARAMS)];
            load_gates(a, z + i * GATES * ld, zr + i * APART * ld, u, x, r);
            for (int k = 0; k < STATES; k++) {
                s[k] = load(before[k] + i * ld + u);
                d[k] = load(a->d_state[k] + (first + i) * ld + u);
                if (k == 0) d[k] += load(a->d_y + (row + i) * ld + u);
                kept[k] = all(0);
                if (a->zone[k]) {
                    kept[k] = share_kept(a, k, row + i, u) * d[k];
                    d[k] -= kept[k];
                }
            }
            cell_backward(x, r, s, p, q, d, dx, dr, ds, dp);
            for (int g = 0; g < GATES; g++) {
                dx[g] = choose(real_unit, dx[g], all(0));
                store(z + (i * GATES + g) * ld + u, dx[g]);
                total_x[g] += dx[g];
            }
            for (int g = 0; g < APART; g++) {
                dr[g] = choose(real_unit, dr[g], all(0));
                store(zr + (i * APART + g) * ld + u, dr[g]);
                total_r[g] += dr[g];
            }
            for (int k = 0; k < STATES; k++) store(a->d_state[k] + (first + i) * ld + u, ds[k] + kept[k]);
            for (int n = 0; n < PARAMS; n++) total_p[n] += dp[n];
            if (RECURRENT) {
                const vec fed = a->drop ? s[0] * load(a->drop + (first + i) * ld + u) : s[0];
                store(j->h_before + (row - j->kept_from + i) * ld + u, choose(real_unit, fed, all(0)));
            }
        }
        for (int g = 0; g < GATES; g++, sums += ld) store(sums + u, load(sums + u) + total_x[g]);
        for (int g = 0; g < APART; g++, sums += ld) store(sums + u, load(sums + u) + total_r[g]);
        for (int i = 0; i < PARAMS; i++, sums += ld) store(sums + u, load(sums + u) + total_p[i]);
        sums -= (GATES + APART + PARAMS) * ld;
    }
}
