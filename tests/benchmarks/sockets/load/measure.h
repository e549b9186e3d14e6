/* Clocks, latencies, and what processes have cost so far. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

uint64_t now_ns(void); /* monotonic */

/* Latencies in buckets that grow with the value: 128 to each doubling, so a percentile is off by less than 1 %. */
#define HIST_SUB 128
#define HIST_BUCKETS (48 * HIST_SUB)
struct hist {
    uint64_t count;
    uint64_t max_ns;
    uint32_t bucket[HIST_BUCKETS];
};
void hist_clear(struct hist *h);
void hist_add(struct hist *h, uint64_t ns);
double hist_ms(const struct hist *h, double quantile);

/* What was used up to one moment. All in seconds, memory in KiB. */
struct cost {
    double at;      /* monotonic */
    double server;  /* on-CPU time of all threads of the watched processes, nanosecond clock of the scheduler */
    double own;     /* this program: user + system */
    double busy;    /* both cores, whoever used them (10 ms ticks) */
    double steal;   /* what the host took from both cores (10 ms ticks) */
    double rss_kib; /* of the watched processes */
};

#define MAX_PIDS 8
extern int watched[MAX_PIDS];
extern int watched_count;
extern int cores[2]; /* of the server, of this program */

struct cost cost_now(void);

#endif
