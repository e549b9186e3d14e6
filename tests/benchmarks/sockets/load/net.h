/* Socket.IO clients by the thousand: WebSocket framing, the handshake, and one read of what a server sent. */
#ifndef NET_H
#define NET_H

#include <stddef.h>
#include <stdint.h>

enum state { CLOSED, UPGRADING, OPENING, CONNECTING, JOINING, READY };

struct conn {
    int fd;
    enum state state;
    uint32_t member; /* number within its room */
    uint16_t room;
    uint16_t node;        /* which of the ports */
    uint32_t sent;        /* samples sent so far: the next one's number */
    uint32_t acked;       /* acknowledgements so far: the next one's number */
    uint32_t seen;        /* events of its room received so far, all of them up to this one */
    uint64_t ahead;       /* those after it that came too early: bit 0 is number seen + 1 */
    uint64_t ping_at;     /* when the last ping came */
    uint32_t *board_seen; /* per member of its room: samples seen so far */
    uint64_t *sent_at;    /* ring of the instants of its last samples */
    uint8_t *in;          /* the beginning of a frame whose rest has not come */
    uint32_t in_len;
    uint8_t *out; /* what the kernel did not take */
    uint32_t out_len;
};

#define RING 64

extern struct conn *conns;
extern int conn_count;
extern int ports[8];
extern int port_count;
extern int joining; /* whether clients join a room before they are ready */

/* Since the start, or since `tally_clear`. */
struct tally {
    uint64_t reads, frames, bytes, pings;
};
extern struct tally tally;

/* What a scenario does with a message of the server; `text` is not terminated. */
extern void (*on_event)(struct conn *c, const char *text, size_t len);
extern void (*on_ack)(struct conn *c, uint32_t id, const char *body, size_t len);
extern void (*on_ping)(struct conn *c, uint64_t at);
extern void (*on_ready)(struct conn *c);

void net_open(int epoll, const char *tokens_path);
void conn_start(struct conn *c, int index);
void conn_event(struct conn *c, uint32_t events);
void conn_text(struct conn *c, const char *text, size_t len); /* queued; leaves with conn_flush */
void conn_flush(struct conn *c);

/* Something happened that must not: the run is worth nothing. Says so and ends the program. */
void fail(const struct conn *c, const char *what, const char *text, size_t len) __attribute__((noreturn));

#endif
