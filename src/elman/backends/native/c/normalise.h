/* ---- layer normalisation, over all gates of a row ------------------------------------------------------------------ */

/* Mean over the row's units of (a - centre) (b - centre), or of a - centre where b is NULL. */
INLINE real over_units(const Args *args, long gates, const real *a, const real *b, real centre)
{
    const long ld = args->padded, whole = args->units / V * V;
    vec sum = all(0), rest = all(0); /* two sums: neither waits for the other */
    for (long g = 0; g < gates; g++, a += ld, b = b ? b + ld : b) {
        for (long u = 0; u < whole; u += V) {
            const vec term = load(a + u) - centre;
            const vec product = b ? term * (load(b + u) - centre) : term;
            if (u & V)
                sum += product;
            else
                rest += product;
        }
        if (whole < ld) {
            const vec term = load(a + whole) - centre;
            rest += choose(real_units(args, whole), b ? term * (load(b + whole) - centre) : term, all(0));
        }
    }
    sum += rest;
    real total = 0;
    for (int i = 0; i < V; i++) total += sum[i];
    return total / (real)(gates * args->units);
}

static void moments(const Args *a, long gates, const real *row, real *mean, real *scale)
{
    *mean = over_units(a, gates, row, NULL, 0);
    *scale = 1 / (real)sqrt(over_units(a, gates, row, row, *mean) + (real)1e-5);
}

#if NORM

/* zn holds R h: its normalised form is added to z, or to the second bias in zr where a gate reads it apart. */
static void normalise(const Job *j, long rows, real *z, real *zr, const real *zn)
{
    const long ld = j->a->padded;
    for (long i = 0; i < rows; i++, z += GATES * ld, zr += APART * ld, zn += RECURRENT * ld) {
        real mean, scale;
        moments(j->a, RECURRENT, zn, &mean, &scale);
        for (long c = 0; c < RECURRENT * ld; c += V) {
            const vec normal = (load(zn + c) - mean) * scale * load(j->gain + c);
            if (c < SUMMED * ld)
                store(z + c, load(z + c) + normal);
            else
                store(zr + c - SUMMED * ld, load(j->bias_apart + c - SUMMED * ld) + normal);
        }
    }
}

/* From gradients of the normalised R h (in z and zr) to those of R h, in place of zn. reach: room for one row; sums: of
   the gain's gradient. */
static void normalise_backward(const Job *j, long rows, const real *z, const real *zr, real *zn, real *reach, real *sums)
{
    const long ld = j->a->padded;
    for (long i = 0; i < rows; i++, z += GATES * ld, zr += APART * ld, zn += RECURRENT * ld) {
        real mean, scale;
        moments(j->a, RECURRENT, zn, &mean, &scale);
        for (long c = 0; c < RECURRENT * ld; c += V) {
            const vec d = c < SUMMED * ld ? load(z + c) : load(zr + c - SUMMED * ld);
            const vec normal = (load(zn + c) - mean) * scale;
            store(sums + c, load(sums + c) + d * normal);
            store(zn + c, normal);
            store(reach + c, d * load(j->gain + c));
        }
        const real level = over_units(j->a, RECURRENT, reach, NULL, 0), along = over_units(j->a, RECURRENT, zn, reach, 0);
        for (long c = 0; c < RECURRENT * ld; c += V)
            store(zn + c, (load(reach + c) - level - load(zn + c) * along) * scale);
    }
}
#endif
