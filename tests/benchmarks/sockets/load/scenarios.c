/* The scenarios. Each connects, warms up, opens a window, and says what was done in it and what it cost the server.
 *
 * All speak the same few events: `stream.samples` up, and `stream.taken` (fan-out) or `board.changes` (board) down. A sample's
 * number travels in every event, so each receiver knows what it must see next. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

#define DRAIN_S 5.0

static struct hist latency;
static uint64_t done;     /* what the scenario counts: acknowledgements, deliveries, samples, pings */
static int sending = 1;   /* whether what has arrived is answered with something new */
static struct cost before;
static uint64_t overtaken; /* events that came before an earlier one, since the start */
static struct tally tally_before;
static uint64_t done_before;

static void window_opens(void) {
    hist_clear(&latency);
    done_before = done;
    tally_before = tally;
    before = cost_now();
}

/* One line of JSON; `more` are further fields, each with a comma before it. */
static void window_closes(const char *phase, const char *more) {
    struct cost after = cost_now();
    double seconds = after.at - before.at, server = after.server - before.server, own = after.own - before.own;
    printf("{\"phase\":\"%s\",\"seconds\":%.6f,\"done\":%llu,\"server_s\":%.6f,\"own_s\":%.6f,\"others_s\":%.3f,\"steal_s\":%.3f,"
           "\"reads\":%llu,\"frames\":%llu,\"bytes\":%llu,\"pings\":%llu,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"p999_ms\":%.4f,\"max_ms\":%.4f,\"measured\":%llu,"
           "\"overtaken\":%llu,\"rss_before_kib\":%.0f,\"rss_kib\":%.0f%s}\n",
           phase, seconds, (unsigned long long)(done - done_before), server, own, after.busy - before.busy - server - own,
           after.steal - before.steal, (unsigned long long)(tally.reads - tally_before.reads),
           (unsigned long long)(tally.frames - tally_before.frames), (unsigned long long)(tally.bytes - tally_before.bytes),
           (unsigned long long)(tally.pings - tally_before.pings), hist_ms(&latency, 0.5), hist_ms(&latency, 0.99), hist_ms(&latency, 0.999),
           (double)latency.max_ns / 1e6, (unsigned long long)latency.count, (unsigned long long)overtaken, before.rss_kib, after.rss_kib, more);
}

/* -- samples up ------------------------------------------------------------------------------------------------------------- */

static void send_sample(struct conn *c, int acknowledged) {
    char text[200], id[12] = "";
    if (acknowledged) snprintf(id, sizeof id, "%u", c->sent);
    int n = snprintf(text, sizeof text, "42/live,%s[\"stream.samples\",{\"stream\":\"00000000-0000-4000-8000-%04x%08x\",\"seq\":%u,\"samples\":[[%u,%u]]}]",
                     id, c->room, c->member, c->sent, c->sent * 1000u % 600000000u, 60 + c->sent % 120);
    if (!c->sent_at) c->sent_at = calloc(RING, sizeof *c->sent_at);
    c->sent_at[c->sent % RING] = now_ns();
    c->sent++;
    conn_text(c, text, (size_t)n);
}

static uint32_t number_after(struct conn *c, const char *text, size_t len, const char *key) {
    const char *at = memmem(text, len, key, strlen(key));
    if (!at) fail(c, "a field is missing", text, len);
    return (uint32_t)strtoul(at + strlen(key), NULL, 10);
}

/* So many hexadecimal digits; 0 for what is none. Every delivery comes by here, and sscanf takes longer than all else that is done with
 * one: it filled this program's core before the server's. */
static int hexadecimal(const char *digits, int count, unsigned *number) {
    unsigned sum = 0;
    for (int i = 0; i < count; i++) {
        char d = digits[i];
        unsigned value = d >= '0' && d <= '9' ? (unsigned)(d - '0') : d >= 'a' && d <= 'f' ? (unsigned)(d - 'a') + 10 : 16;
        if (value > 15) return 0;
        sum = sum << 4 | value;
    }
    *number = sum;
    return 1;
}

/* The room and the member that a uuid of ours names. */
static void named(struct conn *c, const char *text, size_t len, const char *key, unsigned *room, unsigned *member) {
    size_t size = strlen(key);
    const char *at = memmem(text, len, key, size);
    if (!at || len - (size_t)(at - text) < size + 36) fail(c, "an id is missing", text, len);
    at += size + 24;
    if (!hexadecimal(at, 4, room) || !hexadecimal(at + 4, 8, member)) fail(c, "an id that is none of ours", text, len);
}

static void drained(uint64_t expected) {
    uint64_t end = now_ns() + (uint64_t)(DRAIN_S * 1e9);
    while (done < expected && now_ns() < end) loop_once(50);
    if (done != expected) {
        char text[80];
        int n = snprintf(text, sizeof text, "%llu of %llu", (unsigned long long)done, (unsigned long long)expected);
        fail(NULL, "events were lost", text, (size_t)n);
    }
}

static uint64_t sent_in_all(void) {
    uint64_t sum = 0;
    for (int i = 0; i < conn_count; i++) sum += conns[i].sent;
    return sum;
}

/* -- ingest: every event is acknowledged, `window` of them under way per connection ----------------------------------------- */

static void ingest_ack(struct conn *c, uint32_t id, const char *body, size_t len) {
    if (id != c->acked) fail(c, "an acknowledgement out of turn", body, len);
    if (number_after(c, body, len, "\"next_seq\":") != id + 1) fail(c, "a wrong acknowledgement", body, len);
    hist_add(&latency, now_ns() - c->sent_at[id % RING]);
    c->acked++;
    done++;
    if (sending) send_sample(c, 1);
}

static void everybody_begins(int samples, int publishers_only, int acknowledged) {
    for (int i = 0; i < conn_count; i++) {
        if (publishers_only && conns[i].member) continue;
        for (int k = 0; k < samples; k++) send_sample(&conns[i], acknowledged);
        conn_flush(&conns[i]);
    }
}

void ingest(void) {
    on_ack = ingest_ack;
    connect_until(conn_count);
    everybody_begins(opt.window, 0, 1);
    run_for(opt.warm_s);
    window_opens();
    run_for(opt.seconds);
    window_closes("result", "");
    sending = 0;
    drained(sent_in_all());
}

/* -- fan-out: an event of member 0 reaches everybody in the room ------------------------------------------------------------ */

static int closed_loop; /* 1: the publisher's own copy asks for the next event; 2: the last member's copy does */
static int far_only;    /* whether only what came from another node is timed */
static uint32_t *missing; /* per room: members that have not got its latest event */

/* Each event exactly once. One that comes too early is counted, not refused: whether the earlier ones are lost or only late is
 * known when everything has been delivered. */
static void exactly_once(struct conn *c, uint32_t seq, const char *text, size_t len) {
    if (seq == c->seen) {
        int had;
        do {
            had = c->ahead & 1;
            c->ahead >>= 1;
            c->seen++;
        } while (had);
        return;
    }
    uint32_t early = seq - c->seen - 1;
    if (seq < c->seen || (early < 64 && c->ahead >> early & 1)) fail(c, "an event twice", text, len);
    if (early >= 64) fail(c, "events were lost", text, len);
    c->ahead |= 1ull << early;
    overtaken++;
}

static void fan_event(struct conn *c, const char *text, size_t len) {
    unsigned room, member;
    /* Out of a room's log comes a cue: the stream is its text, the number its time. */
    int logged = len >= 60 && !memcmp(text, "42/live,[\"cue\",", 15);
    if (!logged && (len < 60 || memcmp(text, "42/live,[\"stream.taken\",", 24))) fail(c, "unexpected event", text, len);
    named(c, text, len, logged ? "\"text\":\"" : "\"stream\":\"", &room, &member);
    if (room != c->room) fail(c, "an event of another room", text, len);
    uint32_t seq = number_after(c, text, len, logged ? "\"at_ms\":" : "\"epoch\":");
    exactly_once(c, seq, text, len);
    struct conn *publisher = &conns[c->room * opt.size];
    if (!far_only || c->node != publisher->node) hist_add(&latency, now_ns() - publisher->sent_at[seq % RING]);
    done++;
    if (closed_loop == 1 && c->member == 0 && sending) send_sample(c, 0);
    if (closed_loop == 2 && --missing[c->room] == 0 && sending) {
        missing[c->room] = (uint32_t)opt.size;
        conn_flush(c);
        send_sample(publisher, 0);
        conn_flush(publisher);
    }
}

static uint64_t deliveries_due(void) { return sent_in_all() * (uint64_t)opt.size; }

void busy(void) {
    joining = 1;
    closed_loop = 1;
    on_event = fan_event;
    connect_until(conn_count);
    everybody_begins(opt.window, 1, 0);
    run_for(opt.warm_s);
    window_opens();
    run_for(opt.seconds);
    window_closes("result", "");
    sending = 0;
    drained(deliveries_due());
}

static int turn;
static uint64_t spacing, next_due, late;

/* One event, in the next room. A late tick does not catch up: two events at once could be merged. */
static void publish_next(void) {
    uint64_t now = now_ns();
    if (next_due && now > next_due + spacing / 2) late++;
    next_due = now + spacing;
    struct conn *c = &conns[turn * opt.size];
    turn = (turn + 1) % opt.rooms;
    send_sample(c, 0);
    conn_flush(c);
}

/* A window of evenly spaced events, so many a second in all rooms. It is left open, and the events go on, until `rests`. */
static void paced(double events_per_s, double seconds) {
    spacing = (uint64_t)(1e9 / events_per_s);
    next_due = 0;
    tick_every(spacing, publish_next);
    run_for(opt.warm_s);
    window_opens();
    late = 0;
    run_for(seconds);
}

static void rests(void) {
    tick_every(0, NULL);
    drained(deliveries_due());
}

/* How long an event is under way to the members on other nodes, when the servers are busy half of the time. */
static void at_half(double delivered) {
    char more[80];
    far_only = 1;
    paced(delivered / 2 / opt.size, opt.half_s);
    snprintf(more, sizeof more, ",\"step\":0.5,\"offered\":%.1f,\"late\":%llu", delivered / 2, (unsigned long long)late);
    window_closes("half", more);
    rests();
}

/* How much goes through when each room's next event waits for the last member to have got the one before: nothing can be merged
 * then. From there down a ladder of fixed rates, until one is kept; and half of that one, where it is asked for. */
void spaced(void) {
    const double steps[] = {0.95, 0.85, 0.7, 0.55, 0.4, 0.25};
    joining = 1;
    on_event = fan_event;
    missing = calloc((size_t)opt.rooms, sizeof *missing);
    for (int i = 0; i < opt.rooms; i++) missing[i] = (uint32_t)opt.size;
    connect_until(conn_count);
    closed_loop = 2;
    everybody_begins(1, 1, 0);
    run_for(opt.warm_s);
    window_opens();
    run_for(opt.seconds);
    double peak = (double)(done - done_before) / ((double)now_ns() / 1e9 - before.at);
    window_closes("peak", "");
    sending = 0;
    drained(deliveries_due());
    closed_loop = 0;
    for (int i = 0; i < opt.tries && i < 6; i++) {
        double rate = peak * steps[i]; /* deliveries per second */
        paced(rate / opt.size, opt.seconds);
        double delivered = (double)(done - done_before) / ((double)now_ns() / 1e9 - before.at);
        double merge = (double)(tally.frames - tally_before.frames) / (double)(tally.reads - tally_before.reads);
        int kept = delivered >= 0.97 * rate && merge <= 1.05;
        int last = kept || i + 1 == opt.tries || i == 5;
        char more[160];
        snprintf(more, sizeof more, ",\"step\":%.2f,\"offered\":%.1f,\"late\":%llu,\"kept\":%s", steps[i], rate,
                 (unsigned long long)late, kept ? "true" : "false");
        window_closes(last ? "result" : "step", more);
        rests();
        if (!last) continue;
        if (opt.half_s > 0) at_half(delivered);
        return;
    }
}

/* -- board: everybody sends once a second, everybody sees all of the room --------------------------------------------------- */

static uint64_t rows_seen, snapshots;

static void board_event(struct conn *c, const char *text, size_t len) {
    unsigned room, nobody;
    int whole = len > 26 && !memcmp(text, "42/live,[\"board.snapshot\",", 26);
    if (!whole && (len < 60 || memcmp(text, "42/live,[\"board.changes\",", 25))) fail(c, "unexpected event", text, len);
    named(c, text, len, "\"class_id\":\"", &room, &nobody);
    if (room != c->room) fail(c, "a board of another room", text, len);
    const char *at = memmem(text, len, "\"rows\":[", 8), *end = text + len;
    if (!at) fail(c, "a board without rows", text, len);
    uint64_t now = now_ns();
    snapshots += (uint64_t)whole;
    for (at += 8; at < end && *at == '[';) {
        char *next;
        uint32_t member = (uint32_t)strtoul(at + 1, &next, 10), seq = (uint32_t)strtoul(next + 1, &next, 10);
        if (member >= (uint32_t)opt.size) fail(c, "a member that is not there", text, len);
        uint32_t *seen = &c->board_seen[member];
        if (!whole && seq != *seen) fail(c, seq < *seen ? "a sample twice" : "a sample was lost", text, len);
        if (whole && seq + 1 < *seen) fail(c, "a board went back", text, len);
        const struct conn *from = &conns[c->room * opt.size + (int)member];
        done += seq + 1 - *seen;
        *seen = seq + 1;
        hist_add(&latency, now - from->sent_at[seq % RING]);
        rows_seen++;
        at = memchr(next, ']', (size_t)(end - next));
        if (!at) fail(c, "a row without an end", text, len);
        at += 1;
        if (*at == ',') at++;
    }
}

static int board_turn;
static uint64_t board_began, board_spacing;

/* Catches up when late: a sample comes once a second, whoever is busy. */
static void board_tick(void) {
    uint64_t due = (now_ns() - board_began) / board_spacing;
    for (; (uint64_t)board_turn < due; board_turn++) {
        /* Neighbours in time are of different rooms. */
        int place = board_turn % conn_count, room = place % opt.rooms, member = place / opt.rooms;
        struct conn *c = &conns[room * opt.size + member];
        send_sample(c, 0);
        conn_flush(c);
    }
}

void board(void) {
    joining = 1;
    on_event = board_event;
    for (int i = 0; i < conn_count; i++) conns[i].board_seen = calloc((size_t)opt.size, sizeof(uint32_t));
    connect_until(conn_count);
    board_began = now_ns();
    board_spacing = 1000000000ull / (uint64_t)conn_count;
    tick_every(board_spacing, board_tick);
    run_for(1 + opt.warm_s);
    window_opens();
    run_for(opt.seconds);
    char more[64];
    snprintf(more, sizeof more, ",\"snapshots\":%llu", (unsigned long long)snapshots);
    window_closes("result", more);
    tick_every(0, NULL);
    drained(deliveries_due());
}

/* -- connecting, and being there ------------------------------------------------------------------------------------------- */

#define WARM_CONNECTIONS 50

void connecting(void) {
    connect_until(WARM_CONNECTIONS);
    run_for(opt.warm_s);
    window_opens();
    connect_until(conn_count);
    done += (uint64_t)(conn_count - WARM_CONNECTIONS);
    window_closes("result", "");
}

static void idle_ping(struct conn *c, uint64_t at) {
    done++;
    if (c->ping_at) {
        double late_s = (double)(at - c->ping_at) / 1e9 - opt.interval_s;
        hist_add(&latency, (uint64_t)((late_s < 0 ? -late_s : late_s) * 1e9));
    }
    c->ping_at = at;
}

static void wait_for_go(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char line[16];
    while (poll(&input, 1, 0) == 0) loop_once(20);
    if (read(0, line, sizeof line) <= 0) fail(NULL, "nobody says go", NULL, 0);
}

/* Memory from the moment the first few are there until all are, then the pings of a window. Waits for a line on standard input
 * before the window, so that several of these programs can share a server's load and look at the same time. */
void idle(void) {
    connect_until(WARM_CONNECTIONS);
    run_for(opt.warm_s);
    window_opens();
    connect_until(conn_count);
    done += (uint64_t)(conn_count - WARM_CONNECTIONS);
    run_for(opt.warm_s * 4);
    window_closes("connected", "");
    on_ping = idle_ping;
    wait_for_go();
    run_for(opt.interval_s);
    window_opens();
    run_for(opt.seconds);
    window_closes("result", "");
}
