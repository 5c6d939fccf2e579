/* ---- the time loop ----------------------------------------------------------------------------------------------- */

/* The i-th thread's share of the rows of all steps in the chunk: their number, and which is first. */
INLINE long chunk_rows(const Job *j, long i, long *from)
{
    const Args *a = j->a;
    const long first = offset(a, j->from), count = end_of(a, j->to - 1) - first, parts = a->threads;
    *from = first + i * count / parts;
    return first + (i + 1) * count / parts - *from;
}

/* z = W x + b, or a copy of what came ready as `pre`. */
static void project(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = GATES * a->padded;
    long from, rows = chunk_rows(j, i, &from);
    if (rows <= 0) return;
    real *z = j->z + (from - j->origin) * ld;
    if (a->pre)
        memcpy(z, a->pre + from * ld, (size_t)(rows * ld) * sizeof(real));
    else
        multiply(rows, a->x + from * a->x_step, a->x_step, &j->W.packed, j->bias, 0, z, ld);
}

/* The same rows of gradients back through W, or as they are. */
static void project_back(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = GATES * a->padded, wide = a->pre ? ld : whole_vectors(a->inputs);
    long from, rows = chunk_rows(j, i, &from);
    if (rows <= 0) return;
    const real *z = j->z + (from - j->origin) * ld;
    if (a->pre)
        memcpy(a->d_x + from * wide, z, (size_t)(rows * ld) * sizeof(real));
    else
        multiply(rows, z, ld, &j->W.packed, j->zeros, 0, a->d_x + from * wide, wide);
}

/* Where the i-th thread's sequences begin. */
INLINE long cut(const Args *a, long i) { return a->cuts ? a->cuts[i] : i * a->rows / a->parts; }

INLINE Share share_of(const Job *j, long part, long member, Meeting *all)
{
    real *spare = j->spare + (part + member) * j->spare_size, *sums = j->sums + part * j->sums_size;
    return (Share){cut(j->a, part), cut(j->a, part + 1), member, all, spare, sums};
}

/* A share of all steps of the chunk. With NORM there is one member: a row's mean is over the columns of all. */
static void advance_share(const Job *j, const Share *my)
{
    const Args *a = j->a;
    const long ld = a->padded, low = my->low;
    for (long s = j->from; s < j->to; s++) {
        const long t = a->reverse ? j->from + j->to - 1 - s : s;
        const long rows = least(active(a, t), my->high) - low, row = offset(a, t) + low;
        if (rows <= 0) continue;
        real *z = j->z + (row - j->origin) * GATES * ld, *zr = j->zr + (row - j->origin) * APART * ld;
        const real *fed = j->state[0] + low * ld;
        if (RECURRENT && a->drop) {
            for (long c = 0; c < rows * ld; c += V) store(my->spare + c, load(fed + c) * load(a->drop + low * ld + c));
            fed = my->spare;
        }
#if NORM
        real *zn = j->zn + (row - j->origin) * RECURRENT * ld;
        multiply(rows, fed, ld, &j->summed.packed, j->zeros, 0, zn, RECURRENT * ld);
        normalise(j, rows, z, zr, zn);
#else
        if (SUMMED) multiply_share(my->member, my->all->members, rows, fed, ld, &j->summed.packed, z, GATES * ld, z, GATES * ld);
        if (APART)
            multiply_share(my->member, my->all->members, rows, fed, ld, &j->apart.packed, j->bias_apart, 0, zr, APART * ld);
#endif
        meet(my->all, my->member);
        forward_units(j, my, rows, row, z, zr);
        meet(my->all, my->member);
    }
}

static void advance(const void *job, long part)
{
    Meeting alone;
    alone.members = 1;
    const Share my = share_of(job, part, 0, &alone);
    advance_share(job, &my);
}

static void advance_together(const void *job, long member, Meeting *all)
{
    const Share my = share_of(job, 0, member, all);
    advance_share(job, &my);
}

/* The previous state of the rows that ran at the step before (in the order of time's run) was kept there; a row that
   begins here has its first state. */
static void back_units(const Job *j, const Share *my, long rows, long row, long t, real *z, real *zr)
{
    const Args *a = j->a;
    const long ld = a->padded, low = my->low, before = a->reverse ? t + 1 : t - 1;
    const int none = before < j->begin || before >= j->end;
    long old = none ? 0 : least(active(a, before) - low, rows);
    if (old < 0) old = 0;
    const real *kept[STATES], *first[STATES];
    for (int k = 0; k < STATES; k++) {
        kept[k] = none ? NULL : j->kept[k] + (offset(a, before) - j->kept_from + low) * ld;
        first[k] = j->first[k] + (low + old) * ld;
    }
    if (old) backward_units(j, my, old, low, row, z, zr, kept);
    if (rows > old)
        backward_units(j, my, rows - old, low + old, row + old, z + old * GATES * ld, zr + old * APART * ld, first);
}

static void retreat_share(const Job *j, const Share *my)
{
    const Args *a = j->a;
    const long ld = a->padded, low = my->low, member = my->member, members = my->all->members;
    for (long s = j->to - 1; s >= j->from; s--) {
        const long t = a->reverse ? j->from + j->to - 1 - s : s;
        const long rows = least(active(a, t), my->high) - low, row = offset(a, t) + low;
        if (rows <= 0) continue;
        real *z = j->z + (row - j->origin) * GATES * ld, *zr = j->zr + (row - j->origin) * APART * ld;
        real *d_h = a->d_state[0] + low * ld;
        back_units(j, my, rows, row, t, z, zr);
        if (!RECURRENT) continue;
        meet(my->all, my->member);
        real *to = a->drop ? my->spare + NORM * RECURRENT * ld : d_h;
        const real *start = a->drop ? j->zeros : d_h;
        const long lds = a->drop ? 0 : ld;
#if NORM
        real *zn = j->zn + (row - j->origin) * RECURRENT * ld;
        normalise_backward(j, rows, z, zr, zn, my->spare, my->sums + (GATES + APART + PARAMS) * ld);
        multiply(rows, zn, RECURRENT * ld, &j->summed.packed, start, lds, to, ld);
#else
        if (SUMMED) multiply_share(member, members, rows, z, GATES * ld, &j->summed.packed, start, lds, to, ld);
        if (APART)
            multiply_share(member, members, rows, zr, APART * ld, &j->apart.packed, SUMMED ? to : start, SUMMED ? ld : lds, to, ld);
#endif
        if (a->drop) {
            const Packed *R = SUMMED || NORM ? &j->summed.packed : &j->apart.packed;
            const long from = column_cut(R, member, members) * V, end = column_cut(R, member + 1, members) * V;
            for (long i = 0; i < rows; i++)
                for (long c = i * ld + from; c < i * ld + end; c += V)
                    store(d_h + c, load(d_h + c) + load(to + c) * load(a->drop + low * ld + c));
        }
        meet(my->all, my->member);
    }
}

static void retreat(const void *job, long part)
{
    Meeting alone;
    alone.members = 1;
    const Share my = share_of(job, part, 0, &alone);
    retreat_share(job, &my);
}

static void retreat_together(const void *job, long member, Meeting *all)
{
    const Share my = share_of(job, 0, member, all);
    retreat_share(job, &my);
}

/* The i-th thread's share of the gates: gradients of W and R, added up over the rows that are kept. */
static void weigh(const void *job, long i)
{
    const Job *j = job;
    const Args *a = j->a;
    const long ld = a->padded, parts = a->threads, gates = GATES * ld;
    const long first = offset(a, j->begin), rows = end_of(a, j->end - 1) - first;
#define SHARE(columns) i * (columns) / parts, (i + 1) * (columns) / parts
    const long summed = SUMMED * ld, apart = APART * ld, all_R = RECURRENT * ld;
    const real *zeros = j->adding ? NULL : j->zeros;
    if (a->d_W)
        correlate(rows, j->z, gates, SHARE(gates), a->x + first * a->x_step, a->x_step, zeros, a->d_W);
    if (!a->d_R) return;
    if (NORM)
        correlate(rows, j->zn, all_R, SHARE(all_R), j->h_before, ld, zeros, a->d_R);
    else {
        if (SUMMED) correlate(rows, j->z, gates, SHARE(summed), j->h_before, ld, zeros, a->d_R);
        if (APART) correlate(rows, j->zr, apart, SHARE(apart), j->h_before, ld, zeros, a->d_R + summed * ld);
    }
#undef SHARE
}
