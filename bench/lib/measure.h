/* The clock, latencies and the line of results of the programs in C. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* With many operations in flight the clock is read for every one of so many, as in load.js. */
#define SAMPLE_EVERY 16

/* One measurement: when it began, what the CPU had done by then, and latencies in microseconds. */
struct measurement {
    double began;
    double cpu_before;
    double *latencies;
    size_t samples;
};

static inline double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of all threads of this process. */
static inline double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static inline void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline void measurement_begin(struct measurement *measurement, long count)
{
    measurement->latencies = malloc((size_t)count * sizeof(double));
    if (!measurement->latencies) fail("latencies", "out of memory");
    measurement->samples = 0;
    measurement->cpu_before = cpu_seconds();
    measurement->began = seconds_now();
}

static inline int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Prints the results as one line of JSON: latencies and CPU time per operation in microseconds. */
static inline void measurement_end(struct measurement *measurement, long count)
{
    double seconds = seconds_now() - measurement->began;
    double cpu = (cpu_seconds() - measurement->cpu_before) * 1e6 / (double)count;
    size_t samples = measurement->samples;
    qsort(measurement->latencies, samples, sizeof(double), ascending);
    printf("{\"seconds\":%.6f,\"cpu\":%.3f,\"p50\":%.3f,\"p99\":%.3f}\n", seconds, cpu,
           measurement->latencies[samples / 2], measurement->latencies[samples * 99 / 100]);
    free(measurement->latencies);
}

#endif
