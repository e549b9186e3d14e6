/* The server's processor time is read here, in the program that puts the load on it, so that a figure and the events it is
 * divided by belong to the very same window. The scheduler's own clock (/proc/PID/task/TID/schedstat) counts nanoseconds; the ticks
 * of /proc/PID/stat would be off by up to 10 ms at both ends. */
#define _GNU_SOURCE
#include "measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int watched[MAX_PIDS];
int watched_count;
int cores[2] = {0, 1};

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void hist_clear(struct hist *h) { memset(h, 0, sizeof *h); }

static int bucket_of(uint64_t ns) {
    if (ns < HIST_SUB) return (int)ns;
    int shift = 63 - __builtin_clzll(ns) - 7; /* keep the highest eight bits, the first of them is always 1 */
    int bucket = (shift + 1) * HIST_SUB + (int)((ns >> shift) & (HIST_SUB - 1));
    return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

static double bucket_ns(int bucket) {
    if (bucket < HIST_SUB) return bucket;
    int shift = bucket / HIST_SUB - 1;
    return (double)((uint64_t)(HIST_SUB + bucket % HIST_SUB) << shift) + (double)(1ull << shift) / 2;
}

void hist_add(struct hist *h, uint64_t ns) {
    h->bucket[bucket_of(ns)]++;
    h->count++;
    if (ns > h->max_ns) h->max_ns = ns;
}

double hist_ms(const struct hist *h, double quantile) {
    uint64_t wanted = (uint64_t)(quantile * (double)h->count), seen = 0;
    for (int i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > wanted) return bucket_ns(i) / 1e6;
    }
    return (double)h->max_ns / 1e6;
}

static int read_file(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = 0;
    return n > 0;
}

static double on_cpu_s(int pid) {
    char path[600], text[256];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    if (!folder) {
        fprintf(stderr, "the server (process %d) is gone\n", pid);
        exit(3);
    }
    double total = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
        if (read_file(path, text, sizeof text)) total += (double)strtoull(text, NULL, 10) / 1e9;
    }
    closedir(folder);
    return total;
}

static double resident_kib(int pid) {
    char path[64], text[256];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    if (read_file(path, text, sizeof text)) sscanf(text, "%*s %ld", &pages);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static void machine_busy(struct cost *cost) {
    char line[512], name[16];
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    while (fgets(line, sizeof line, file)) {
        unsigned long long user, nice, system, idle, wait, irq, soft, steal;
        int found = sscanf(line, "%15s %llu %llu %llu %llu %llu %llu %llu %llu", name, &user, &nice, &system, &idle, &wait, &irq,
                           &soft, &steal);
        if (found != 9 || strncmp(name, "cpu", 3) || !name[3]) continue;
        int number = atoi(name + 3);
        if (number != cores[0] && number != cores[1]) continue;
        cost->busy += (double)(user + nice + system + irq + soft) * tick;
        cost->steal += (double)steal * tick;
    }
    fclose(file);
}

struct cost cost_now(void) {
    struct cost cost = {0};
    struct rusage usage;
    cost.at = (double)now_ns() / 1e9;
    for (int i = 0; i < watched_count; i++) cost.server += on_cpu_s(watched[i]);
    getrusage(RUSAGE_SELF, &usage);
    cost.own = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    machine_busy(&cost);
    for (int i = 0; i < watched_count; i++) cost.rss_kib += resident_kib(watched[i]);
    return cost;
}
