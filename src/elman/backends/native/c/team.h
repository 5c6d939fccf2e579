/* Work on several threads: torch's own OpenMP threads where Python found them, else plain threads made for the call.

   torch's threads wait for work by spinning for a while; a pool of our own beside them would fight for the same cores.
   After a fork OpenMP's threads are gone, and calling it would hang: then Python hands over NULL. */
#include <pthread.h>
#include <stdatomic.h>

typedef struct {
    void (*part)(const void *job, long number);
    const void *job;
    long parts;
    atomic_long next;
} Team;

/* Takes parts until none is left: right with fewer threads than were asked for, too. */
static void work(void *given)
{
    Team *team = given;
    for (long number; (number = atomic_fetch_add(&team->next, 1)) < team->parts;) team->part(team->job, number);
}

static void *work_and_end(void *team)
{
    work(team);
    return NULL;
}

static void share(void (*part)(const void *, long), const void *job, long parts, OpenMP *openmp)
{
    Team team = {part, job, parts, 0};
    if (parts > 1 && openmp != NULL) {
        openmp(work, &team, (unsigned)parts, 0);
        return;
    }
    pthread_t threads[64];
    long started = 0;
    while (started < parts - 1 && started < 64 && !pthread_create(&threads[started], NULL, work_and_end, &team))
        started++;
    work(&team);
    while (started > 0) pthread_join(threads[--started], NULL);
}
