/* ---- one step of one sequence through a stack of layers ------------------------------------------------------------ */

/* A layer made ready once, its weights packed: `job` is room for a Job, the scratch memory in `a` stays in use. */
long elman_job_bytes(void) { return sizeof(Job); }

void elman_open(const Args *a, void *job)
{
    Arena arena = {a->scratch, 0};
    Job j = prepare(a, &arena, 0);
    pack(&j, 0);
    j.to = 1;
    memcpy(job, &j, sizeof j);
}

/* Layer normalisation of W x; z holds W x + b. */
static void normalise_input(const Job *j)
{
    const long ld = j->a->padded;
    for (long c = 0; c < GATES * ld; c += V) store(j->z + c, load(j->z + c) - load(j->bias + c));
    real mean, scale;
    moments(j->a, GATES, j->z, &mean, &scale);
    for (long c = 0; c < GATES * ld; c += V)
        store(j->z + c, (load(j->z + c) - mean) * scale * load(j->gain_x + c) + load(j->bias + c));
}

/* Each layer reads what the one below wrote; with `residual` those above the first add what they read. No memory is
   asked for. */
void elman_step(Job *const *layers, long count, long residual)
{
    for (long number = 0; number < count; number++) {
        const Job *j = layers[number];
        const Args *a = j->a;
        project(j, 0);
        if (a->gain_x) normalise_input(j);
        advance(j, 0);
        if (residual && number)
            for (long u = 0; u < a->units; u++) a->kept[0][u] += a->x[u];
    }
}
