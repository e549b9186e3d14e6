/* What the scenarios share: options, the loop, and the window in which things are counted. */
#ifndef LOAD_H
#define LOAD_H

#include "measure.h"
#include "net.h"

struct options {
    const char *ports, *pids, *tokens;
    int rooms, size, window, inflight, tries;
    double warm_s, seconds, half_s, interval_s;
};
extern struct options opt;

void loop_once(int timeout_ms);
void run_for(double seconds);
void tick_every(uint64_t ns, void (*call)(void)); /* 0 ns: no more */
void connect_until(int until);

void ingest(void);
void busy(void);
void spaced(void);
void board(void);
void connecting(void);
void idle(void);

#endif
