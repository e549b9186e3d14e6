/* The load: Socket.IO clients by the thousand on one core, and the measuring of the server they talk to.
 *
 *     load SCENARIO key=value …
 *
 * Prints one JSON object per line: phases, and at the end a result. Ends with 0 when every event arrived exactly once, in
 * order, where it belongs; with 2 and a sentence on standard error when not: there is no figure for a server that loses things. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "load.h"

struct options opt = {
    .ports = "", .pids = "", .tokens = "", .rooms = 1, .size = 1, .window = 2, .inflight = 64,
    .warm_s = 0.5, .seconds = 2, .half_s = 0, .interval_s = 5, .tries = 5,
};

static int epoll_fd, timer_fd;
static void (*on_tick)(void);
static int ready_count, started;

#define STUCK_S 20 /* a server that leaves somebody waiting this long does not answer any more */

static void note_ready(struct conn *c) {
    (void)c;
    ready_count++;
}

void loop_once(int timeout_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll_fd, events, 256, timeout_ms);
    if (n < 0 && errno != EINTR) fail(NULL, "epoll_wait", strerror(errno), strlen(strerror(errno)));
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) {
            conn_event(events[i].data.ptr, events[i].events);
            continue;
        }
        uint64_t times;
        if (read(timer_fd, &times, sizeof times) == sizeof times && on_tick) on_tick();
    }
}

void run_for(double seconds) {
    for (uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), now; (now = now_ns()) < end;)
        loop_once((int)((end - now) / 1000000) + 1);
}

void tick_every(uint64_t ns, void (*call)(void)) {
    struct itimerspec when = {{(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, {(time_t)(ns / 1000000000), (long)(ns % 1000000000)}};
    on_tick = call;
    if (ns == 0) on_tick = NULL;
    timerfd_settime(timer_fd, 0, &when, NULL);
}

/* Connect everybody up to number `until`, at most `inflight` at a time. */
void connect_until(int until) {
    static const char *const waits_for[] = {"nothing", "the upgrade", "Engine.IO's open", "Socket.IO's CONNECT", "its room", "nothing"};
    uint64_t progress = now_ns();
    while (ready_count < until) {
        while (started < until && started - ready_count < opt.inflight) {
            conn_start(&conns[started], started);
            started++;
        }
        int before = ready_count;
        loop_once(1000);
        if (ready_count > before) progress = now_ns();
        if (now_ns() - progress < STUCK_S * 1000000000ull) continue;
        for (int i = 0; i < started; i++)
            if (conns[i].state != READY) fail(&conns[i], "waits in vain for", waits_for[conns[i].state], strlen(waits_for[conns[i].state]));
    }
}

static void lay_out(int count) {
    conns = calloc((size_t)count, sizeof *conns);
    conn_count = count;
    for (int i = 0; i < count; i++) {
        conns[i].room = (uint16_t)(i / opt.size);
        conns[i].member = (uint32_t)(i % opt.size);
        conns[i].node = (uint16_t)((i % opt.size) % port_count);
    }
}

static int numbers(const char *text, int *into, int most) {
    int n = 0;
    for (char *at = (char *)text; *at && n < most; at += *at == ',') into[n++] = (int)strtol(at, &at, 10);
    return n;
}

static void option(const char *word) {
    const char *eq = strchr(word, '=');
    if (!eq) fail(NULL, "not key=value", word, strlen(word));
    size_t n = (size_t)(eq - word);
    const char *value = eq + 1;
#define IS(name) (n == sizeof(name) - 1 && !memcmp(word, name, n))
    if (IS("ports")) opt.ports = value;
    else if (IS("pids")) opt.pids = value;
    else if (IS("tokens")) opt.tokens = value;
    else if (IS("cores")) numbers(value, cores, 2);
    else if (IS("rooms")) opt.rooms = atoi(value);
    else if (IS("size")) opt.size = atoi(value);
    else if (IS("window")) opt.window = atoi(value);
    else if (IS("inflight")) opt.inflight = atoi(value);
    else if (IS("tries")) opt.tries = atoi(value);
    else if (IS("warm")) opt.warm_s = atof(value);
    else if (IS("seconds")) opt.seconds = atof(value);
    else if (IS("half")) opt.half_s = atof(value);
    else if (IS("interval")) opt.interval_s = atof(value);
    else fail(NULL, "no such option", word, n);
}

int main(int argc, char **argv) {
    if (argc < 2) fail(NULL, "say which scenario: ingest, busy, spaced, board, connect, idle", NULL, 0);
    for (int i = 2; i < argc; i++) option(argv[i]);
    port_count = numbers(opt.ports, ports, 8);
    watched_count = numbers(opt.pids, watched, MAX_PIDS);
    if (!port_count || !watched_count || !*opt.tokens) fail(NULL, "ports=, pids= and tokens= are needed", NULL, 0);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event timer = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &timer);
    net_open(epoll_fd, opt.tokens);
    on_ready = note_ready;
    setvbuf(stdout, NULL, _IOLBF, 0);
    lay_out(opt.rooms * opt.size);
    const struct { const char *name; void (*run)(void); } scenarios[] = {
        {"ingest", ingest}, {"busy", busy}, {"spaced", spaced}, {"board", board}, {"connect", connecting}, {"idle", idle},
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (!strcmp(argv[1], scenarios[i].name)) {
            scenarios[i].run();
            return 0;
        }
    }
    fail(NULL, "no such scenario", argv[1], strlen(argv[1]));
}
