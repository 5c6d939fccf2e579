/* ---- what Python calls --------------------------------------------------------------------------------------------- */

/* Steps s to `stop` in the order of the run as the chunk's steps in time. */
INLINE void set_chunk(Job *j, long s, long stop)
{
    const long steps = j->a->steps;
    j->from = j->a->reverse ? steps - stop : s;
    j->to = j->a->reverse ? steps - s : stop;
}

/* The same for all steps that are kept. */
INLINE void set_kept(Job *j, long s, long stop)
{
    set_chunk(j, s, stop);
    j->begin = j->from, j->end = j->to;
    j->origin = j->kept_from = offset(j->a, j->begin);
}

/* Through the chunk, each thread with sequences of its own, or `crew` threads together with all of them. */
static void loop(const Job *j, void (*rows)(const void *, long), void (*units)(const void *, long, Meeting *))
{
    if (j->a->crew > 1)
        together(units, j, j->a->crew, j->a->openmp, j->a->team_size);
    else
        share(rows, j, j->a->parts, j->a->openmp);
}

static void run(Job *j, long s, long stop)
{
    const Args *a = j->a;
    const long chunk = steps_per_chunk(a);
    for (; s < stop; s += chunk) {
        set_chunk(j, s, least(s + chunk, stop));
        if (j->rolling) j->origin = offset(a, j->from);
        share(project, j, a->threads, a->openmp);
        loop(j, advance, advance_together);
    }
}

static void run_back(Job *j, long s, long stop)
{
    const Args *a = j->a;
    const long chunk = steps_per_chunk(a);
    for (; stop > s; stop -= chunk) {
        set_chunk(j, stop - s > chunk ? stop - chunk : s, stop);
        loop(j, retreat, retreat_together);
        if (a->d_x) share(project_back, j, a->threads, a->openmp);
    }
    share(weigh, j, a->threads, a->openmp);
    j->adding = 1;
}

/* The states before a segment; all of them stand in a->begins. */
INLINE real *begin_of(const Args *a, long segment, int state)
{
    return a->begins + (segment * STATES + state) * a->rows * a->padded;
}

static void copy_states(const Args *a, long segment, real *const *state, int back)
{
    const size_t bytes = (size_t)(a->rows * a->padded) * sizeof(real);
    for (int k = 0; k < STATES; k++) {
        real *begin = begin_of(a, segment, k);
        memcpy(back ? state[k] : begin, back ? begin : state[k], bytes);
    }
}

/* Bytes of scratch that the call needs. */
long elman_scratch(const Args *a, int backward)
{
    Arena arena = {0};
    Job one, two;
    if (backward)
        prepare_back(a, &arena, &one, &two);
    else
        prepare(a, &arena, 0);
    return arena.used;
}

void elman_forward(const Args *a)
{
    Arena arena = {a->scratch, 0};
    Job j = prepare(a, &arena, 0);
    share(pack, &j, a->threads, a->openmp);
    const long size = a->begins ? a->segment : a->steps;
    for (long s = 0; s < a->steps; s += size) {
        if (a->begins) copy_states(a, s / size, j.state, 0);
        run(&j, s, least(s + size, a->steps));
    }
}

void elman_backward(const Args *a)
{
    Arena arena = {a->scratch, 0};
    Job back, again;
    prepare_back(a, &arena, &back, &again);
    share(pack, &back, a->threads, a->openmp);
    if (a->begins) share(pack, &again, a->threads, a->openmp);
    memset(back.sums, 0, (size_t)(a->threads * back.sums_size) * sizeof(real));
    if (a->begins == NULL) run_back(&back, 0, a->steps);
    for (long segment = a->begins ? (a->steps - 1) / a->segment : -1; segment >= 0; segment--) {
        const long s = segment * a->segment, stop = least(s + a->segment, a->steps);
        copy_states(a, segment, again.state, 1);
        set_kept(&again, s, stop);
        set_kept(&back, s, stop);
        for (int k = 0; k < STATES; k++) back.first[k] = begin_of(a, segment, k);
        run(&again, s, stop);
        run_back(&back, s, stop);
    }
    memset(a->d_shared, 0, (size_t)back.sums_size * sizeof(real));
    for (long i = 0; i < a->parts; i++) /* always in the same order: the same bits at every run */
        for (long c = 0; c < back.sums_size; c += V)
            store(a->d_shared + c, load(a->d_shared + c) + load(back.sums + i * back.sums_size + c));
}

long elman_lanes(void) { return V; }
