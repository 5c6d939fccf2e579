/* Work on several threads: torch's own OpenMP threads where Python found them, else plain threads made for the call.

   torch's threads wait for work by spinning for a while; a pool of our own beside them would fight for the same cores.
   After a fork OpenMP's threads are gone, and calling it would hang: then Python hands over NULL. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MOST_THREADS 64

/* Threads that work on one thing and wait for each other. Each counts, in a cache line of its own, how often it arrived. */
typedef struct {
    long members;
    struct {
        _Alignas(128) atomic_long arrived;
    } of[MOST_THREADS];
} Meeting;

/* Nobody goes on before all are here. They come within a microsecond of each other, so they wait awake; who has waited
   long shares a core with somebody and lets it go. */
static void meet(Meeting *all, long member)
{
    if (all->members == 1) return;
    const long round = atomic_load_explicit(&all->of[member].arrived, memory_order_relaxed) + 1;
    atomic_store_explicit(&all->of[member].arrived, round, memory_order_release);
    for (long i = 0; i < all->members; i++)
        for (long looks = 0; atomic_load_explicit(&all->of[i].arrived, memory_order_acquire) < round; looks++)
            if (looks > 4096) sched_yield();
}

/* A job in parts. `part` has nothing to wait for, and any thread takes any number of parts; else all take one `together`. */
typedef struct {
    void (*part)(const void *job, long number);
    void (*together)(const void *job, long member, Meeting *all);
    const void *job;
    long parts;
    TeamSize *size; /* how many OpenMP did give */
    atomic_long next;
    Meeting meeting;
    atomic_int ready; /* the meeting knows its members */
} Team;

static void work(void *given)
{
    Team *team = given;
    long number = atomic_fetch_add(&team->next, 1);
    if (team->part != NULL) {
        for (; number < team->parts; number = atomic_fetch_add(&team->next, 1)) team->part(team->job, number);
        return;
    }
    if (team->size != NULL && number == 0) {
        team->meeting.members = team->size();
        atomic_store(&team->ready, 1);
    }
    while (!atomic_load(&team->ready)) sched_yield();
    team->together(team->job, number, &team->meeting);
}

static void *work_and_end(void *team)
{
    work(team);
    return NULL;
}

static void run_team(Team *team, OpenMP *openmp)
{
    if (openmp != NULL) {
        openmp(work, team, (unsigned)team->parts, 0);
        return;
    }
    team->size = NULL;
    pthread_t threads[MOST_THREADS];
    long started = 0;
    while (started < team->parts - 1 && started < MOST_THREADS &&
           !pthread_create(&threads[started], NULL, work_and_end, team))
        started++;
    team->meeting.members = started + 1;
    atomic_store(&team->ready, 1);
    work(team);
    while (started > 0) pthread_join(threads[--started], NULL);
}

static void share(void (*part)(const void *, long), const void *job, long parts, OpenMP *openmp)
{
    if (parts == 1) {
        part(job, 0);
        return;
    }
    Team team = {.part = part, .job = job, .parts = parts};
    run_team(&team, openmp);
}

/* `size` tells within a team how many there are. OpenMP gives fewer threads than asked for in a program's own parallel part. */
static void together(void (*part)(const void *, long, Meeting *), const void *job, long members, OpenMP *openmp,
                     TeamSize *size)
{
    Team team = {.together = part, .job = job, .parts = members, .size = size};
    run_team(&team, openmp);
}
