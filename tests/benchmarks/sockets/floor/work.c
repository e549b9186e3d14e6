/* The work itself: a sample is read and checked, and becomes an acknowledgement, an event for a room, or a row of a board. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "floor.h"

#define ROOMS 1024
#define PENDING (1 << 17)

struct room {
    struct client **members;
    uint32_t count, space;
    uint32_t version;
    uint8_t *pending; /* frames of this turn (fan-out), or rows of this beat (board) */
    uint32_t used;
};

static struct room rooms[ROOMS];
static int dirty[ROOMS], dirty_count;
static uint8_t acks[1 << 16];
static size_t acks_used;

/* -- reading ---------------------------------------------------------------------------------------------------------------- */

struct sample_event {
    unsigned room, member, seq, t, bpm;
    char stream[37];
};

static const char *expect(const char *at, const char *end, const char *what) {
    size_t n = strlen(what);
    return at && (size_t)(end - at) >= n && !memcmp(at, what, n) ? at + n : NULL;
}

static const char *number(const char *at, const char *end, unsigned *value) {
    uint64_t sum = 0;
    const char *p = at;
    for (; p && p < end && *p >= '0' && *p <= '9' && sum < UINT32_MAX; p++) sum = sum * 10 + (uint64_t)(*p - '0');
    *value = (unsigned)sum;
    return p == at || sum > UINT32_MAX ? NULL : p;
}

static const char *uuid(const char *at, const char *end, struct sample_event *into) {
    if (!at || end - at < 36) return NULL;
    for (int i = 0; i < 36; i++) {
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = at[i];
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return NULL;
    }
    memcpy(into->stream, at, 36);
    into->stream[36] = 0;
    char digits[9] = {0};
    memcpy(digits, at + 24, 4);
    into->room = (unsigned)strtoul(digits, NULL, 16);
    memcpy(digits, at + 28, 8);
    into->member = (unsigned)strtoul(digits, NULL, 16);
    return at + 36;
}

static int read_sample(const char *at, const char *end, struct sample_event *s) {
    at = uuid(expect(at, end, "[\"stream.samples\",{\"stream\":\""), end, s);
    at = expect(at, end, "\",\"seq\":");
    if (!at || !(at = number(at, end, &s->seq))) return 0;
    at = expect(at, end, ",\"samples\":[[");
    if (!at || !(at = number(at, end, &s->t))) return 0;
    at = expect(at, end, ",");
    if (!at || !(at = number(at, end, &s->bpm))) return 0;
    at = expect(at, end, "]]}]");
    return at == end && s->bpm >= 20 && s->bpm <= 250 && s->t <= 604800000u;
}

/* -- rooms ------------------------------------------------------------------------------------------------------------------ */

static void enter_room(struct client *c, unsigned number) {
    struct room *room = &rooms[number];
    if (room->count == room->space) {
        room->space = room->space ? room->space * 2 : 16;
        room->members = realloc(room->members, room->space * sizeof *room->members);
    }
    c->room = (int16_t)(number + 1);
    c->place = room->count;
    room->members[room->count++] = c;
    if (!room->pending) room->pending = malloc(PENDING);
}

void leave_room(struct client *c) {
    if (!c->room) return;
    struct room *room = &rooms[c->room - 1];
    struct client *last = room->members[--room->count];
    room->members[c->place] = last;
    last->place = c->place;
    c->room = 0;
}

static void to_all(struct room *room, const uint8_t *data, size_t len) {
    for (uint32_t i = 0; i < room->count; i++) client_write(room->members[i], data, len);
}

static void mark_dirty(struct room *room) {
    if (!room->used) dirty[dirty_count++] = (int)(room - rooms);
}

/* -- the three kinds of work ------------------------------------------------------------------------------------------------ */

static void acknowledge(unsigned id, const struct sample_event *s) {
    char text[160];
    int n = snprintf(text, sizeof text, "43/live,%u[{\"ok\":{\"stream\":\"%s\",\"next_seq\":%u}}]", id, s->stream, s->seq + 1);
    acks_used += frame_into(acks + acks_used, text, (size_t)n);
}

static void fan_out(struct room *room, const struct sample_event *s) {
    char text[160];
    uint8_t frame[200];
    int n = snprintf(text, sizeof text, "42/live,[\"stream.taken\",{\"stream\":\"%s\",\"epoch\":%u}]", s->stream, s->seq);
    size_t len = frame_into(frame, text, (size_t)n);
    if (!opt.merge) {
        to_all(room, frame, len);
        return;
    }
    mark_dirty(room);
    memcpy(room->pending + room->used, frame, len);
    room->used += (uint32_t)len;
}

static void send_board(struct room *room, const char *rows, size_t len) {
    static char text[PENDING + 400];
    static uint8_t frame[PENDING + 500];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(text, sizeof text,
                     "42/live,[\"board.changes\",{\"class_id\":\"00000000-0000-4000-8000-%04x00000000\",\"epoch\":\"e\",\"v\":%u,\"at_ms\":%lld,\"rows\":[%.*s]}]",
                     (unsigned)(room - rooms), ++room->version, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, (int)len, rows);
    to_all(room, frame, frame_into(frame, text, (size_t)n));
}

static void on_board(struct room *room, const struct sample_event *s) {
    char row[120];
    unsigned percent = s->bpm * 100 / 190, zone = percent < 50 ? 0 : percent >= 90 ? 5 : (percent - 40) / 10;
    int n = snprintf(row, sizeof row, "[%u,%u,%u,%u,%u,%u.%u,\"live\"]", s->member, s->seq, s->bpm, percent, zone, s->seq / 10, s->seq % 10);
    if (!opt.merge) {
        send_board(room, row, (size_t)n);
        return;
    }
    mark_dirty(room);
    if (room->used) room->pending[room->used++] = ',';
    memcpy(room->pending + room->used, row, (size_t)n);
    room->used += (uint32_t)n;
}

int event(struct client *c, const char *text, size_t len) {
    const char *end = text + len;
    char *at;
    unsigned id = (unsigned)strtoul(text, &at, 10), number_of_room;
    const char *code = expect(at, end, "[\"room.join\",{\"code\":\"ROOM");
    if (code) {
        if (!number(code, end, &number_of_room) || number_of_room >= ROOMS || c->room) return 0;
        enter_room(c, number_of_room);
        char answer[60];
        int n = snprintf(answer, sizeof answer, "43/live,%u[{\"ok\":{}}]", id);
        client_text(c, answer, (size_t)n);
        return 1;
    }
    struct sample_event s;
    if (!read_sample(at, end, &s)) return 0;
    if (at != text) {
        if (acks_used > sizeof acks - 200) acks_leave(c);
        acknowledge(id, &s);
    }
    if (!c->room) return 1;
    struct room *room = &rooms[c->room - 1];
    if (room->used > PENDING - 400) opt.is_board ? boards_leave() : rooms_leave();
    if (opt.is_board) on_board(room, &s);
    else if (opt.is_fan) fan_out(room, &s);
    return 1;
}

/* -- what leaves later ------------------------------------------------------------------------------------------------------ */

void acks_leave(struct client *c) {
    if (acks_used) client_write(c, acks, acks_used);
    acks_used = 0;
}

void rooms_leave(void) {
    if (opt.is_board) return;
    for (int i = 0; i < dirty_count; i++) {
        struct room *room = &rooms[dirty[i]];
        to_all(room, room->pending, room->used);
        room->used = 0;
    }
    dirty_count = 0;
}

void boards_leave(void) {
    for (int i = 0; i < dirty_count; i++) {
        struct room *room = &rooms[dirty[i]];
        uint32_t used = room->used;
        room->used = 0;
        send_board(room, (const char *)room->pending, used);
    }
    dirty_count = 0;
}
