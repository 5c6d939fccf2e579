/* Times the step of an exported file, and what it cannot be faster than: its weights read once, its multiplications done.
   Compiled by benchmarks/live.py with -DNUMBERS, how many weights there are. */
#define _POSIX_C_SOURCE 199309L
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEPS 1000000
#define ROUNDS 9

static float weights[(NUMBERS + 63) / 64 * 64];
static unsigned times[STEPS];
static char text[400];
typedef float vec __attribute__((vector_size(32)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static int counting(const void *a, const void *b)
{
    return (*(const unsigned *)a > *(const unsigned *)b) - (*(const unsigned *)a < *(const unsigned *)b);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, ascending);
    return values[ROUNDS / 2];
}

/* ns to read all weights once, from the cache in which they then are. */
static double reading(void)
{
    double found[ROUNDS];
    const long again = 1 + 20000000 / (long)sizeof weights;
    for (int r = 0; r < ROUNDS; r++) {
        vec sum[8] = {{0}};
        const double since = now();
        for (long n = 0; n < again; n++)
            for (long i = 0; i + 64 <= (long)(sizeof weights / sizeof *weights); i += 64) {
                for (int j = 0; j < 8; j++) sum[j] += *(const vec *)(weights + i + 8 * j);
                __asm__ volatile("" ::: "memory");
            }
        found[r] = (now() - since) / (double)again;
        vec total = sum[0];
        for (int j = 1; j < 8; j++) total += sum[j];
        __asm__ volatile("" ::"x"(total));
    }
    return median(found);
}

/* ns of as many multiplications and additions, at the most that a core does. */
static double computing(void)
{
    double found[ROUNDS];
    const long count = 2000000;
    for (int r = 0; r < ROUNDS; r++) {
        vec sum[10] = {{0}}, x = (vec){0} + 0.5f, y = (vec){0} + 0.25f;
        const double since = now();
        for (long n = 0; n < count; n++) {
            for (int j = 0; j < 10; j++) sum[j] = sum[j] * x + y;
            __asm__ volatile("" : "+x"(x), "+x"(y));
        }
        found[r] = (now() - since) / (double)(count * 80) * NUMBERS;
        vec total = sum[0];
        for (int j = 1; j < 10; j++) total += sum[j];
        __asm__ volatile("" ::"x"(total));
    }
    return median(found);
}

const char *measure(void)
{
    net_state state;
    float x[NET_INPUTS] = {0}, y[NET_OUTPUTS];
    double found[ROUNDS];
    net_init(&state);
    for (int r = 0; r < ROUNDS; r++) {
        const double since = now();
        for (int t = 0; t < 100000; t++) net_step(&state, x, y);
        found[r] = (now() - since) / 100000;
    }
    for (int t = 0; t < STEPS; t++) {
        const double since = now();
        net_step(&state, x, y);
        times[t] = (unsigned)(now() - since);
    }
    qsort(times, STEPS, sizeof *times, counting);
    snprintf(text, sizeof text, "{\"mean\": %.1f, \"p50\": %u, \"p999\": %u, \"read\": %.1f, \"compute\": %.1f}",
             median(found), times[STEPS / 2], times[STEPS / 1000 * 999], reading(), computing());
    return text;
}
