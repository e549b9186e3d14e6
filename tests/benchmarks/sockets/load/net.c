/* A client is a struct of about a hundred bytes. It has no buffer of its own while nothing is in flight: everything is read into
 * one large buffer, and only the beginning of a frame whose rest is still under way is kept aside.
 *
 * There is one recv per readiness. So `frames / reads` says how much the server merged, or how far this program was behind. */
#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define BIG (1 << 20)
#define PER_ADDRESS 20000 /* connections from one source address: there are 28,000 ephemeral ports */
#define OUT (1 << 16)

struct conn *conns;
int conn_count;
int ports[8];
int port_count;
int joining;
struct tally tally;
void (*on_event)(struct conn *, const char *, size_t);
void (*on_ack)(struct conn *, uint32_t, const char *, size_t);
void (*on_ping)(struct conn *, uint64_t);
void (*on_ready)(struct conn *);

static int epoll_fd;
static const char *tokens, *tokens_end, *next_token;
static uint8_t big[BIG];
static uint8_t out[OUT]; /* what the connection at hand has to say; it leaves in one write */
static size_t out_used;
static uint32_t mask_seed = 0x9e3779b9;

void fail(const struct conn *c, const char *what, const char *text, size_t len) {
    fprintf(stderr, "connection %ld, room %d, member %u: %s: %.*s\n", c ? (long)(c - conns) : -1L, c ? c->room : -1,
            c ? c->member : 0, what, (int)(len > 300 ? 300 : len), text ? text : "");
    exit(2);
}

void net_open(int epoll, const char *tokens_path) {
    epoll_fd = epoll;
    struct stat about;
    int fd = open(tokens_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) || about.st_size == 0) fail(NULL, "cannot read the tokens", tokens_path, strlen(tokens_path));
    tokens = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (tokens == MAP_FAILED) fail(NULL, "cannot map the tokens", tokens_path, strlen(tokens_path));
    tokens_end = tokens + about.st_size;
    next_token = tokens;
}

static void want(struct conn *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, how, c->fd, &event)) fail(c, "epoll_ctl", strerror(errno), strlen(strerror(errno)));
}

void conn_start(struct conn *c, int index) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail(c, "socket", strerror(errno), strlen(strerror(errno)));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(index / PER_ADDRESS))};
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) fail(c, "bind", strerror(errno), strlen(strerror(errno)));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[c->node]), .sin_addr.s_addr = htonl(0x7f000001u)};
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail(c, "connect", strerror(errno), strlen(strerror(errno)));
    c->state = UPGRADING;
    want(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void keep(struct conn *c, const uint8_t *data, size_t len) {
    c->out = realloc(c->out, c->out_len + len);
    memcpy(c->out + c->out_len, data, len);
    if (c->out_len == 0) want(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    c->out_len += (uint32_t)len;
}

static void put(struct conn *c, const uint8_t *data, size_t len) {
    size_t done = 0;
    if (c->out_len == 0) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) fail(c, "send", strerror(errno), strlen(strerror(errno)));
        done = n < 0 ? 0 : (size_t)n;
    }
    if (done < len) keep(c, data + done, len - done);
}

void conn_flush(struct conn *c) {
    if (out_used) put(c, out, out_used);
    out_used = 0;
}

void conn_text(struct conn *c, const char *text, size_t len) {
    if (out_used + len + 8 > OUT) conn_flush(c);
    uint8_t *p = out + out_used, mask[4];
    mask_seed = mask_seed * 1664525u + 1013904223u;
    memcpy(mask, &mask_seed, 4);
    *p++ = 0x81;
    if (len < 126) {
        *p++ = (uint8_t)(0x80 | len);
    } else {
        *p++ = 0x80 | 126;
        *p++ = (uint8_t)(len >> 8);
        *p++ = (uint8_t)len;
    }
    memcpy(p, mask, 4);
    p += 4;
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)text[i] ^ mask[i & 3];
    out_used = (size_t)(p + len - out);
}

static void upgrade(struct conn *c) {
    char text[400];
    int n = snprintf(text, sizeof text,
                     "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     ports[c->node]);
    want(c, EPOLLIN, EPOLL_CTL_MOD);
    put(c, (uint8_t *)text, (size_t)n);
}

static void authenticate(struct conn *c) {
    const char *end = memchr(next_token, '\n', (size_t)(tokens_end - next_token));
    if (!end) fail(c, "there are fewer tokens than connections", NULL, 0);
    char text[2400];
    int n = snprintf(text, sizeof text, "40/live,{\"token\":\"%.*s\"}", (int)(end - next_token), next_token);
    next_token = end + 1 < tokens_end ? end + 1 : tokens;
    conn_text(c, text, (size_t)n);
    c->state = CONNECTING;
}

static void join(struct conn *c) {
    char text[120];
    int n = snprintf(text, sizeof text, "42/live,0[\"room.join\",{\"code\":\"ROOM%04d\",\"role\":\"athlete\"}]", c->room);
    conn_text(c, text, (size_t)n);
    c->state = JOINING;
}

static void ready(struct conn *c) {
    c->state = READY;
    on_ready(c);
}

static int begins(const char *text, size_t len, const char *with, size_t n) { return len >= n && !memcmp(text, with, n); }
#define BEGINS(text, len, with) begins(text, len, with, sizeof(with) - 1)

static void message(struct conn *c, const char *text, size_t len) {
    tally.frames++;
    if (len == 1 && text[0] == '2') {
        tally.pings++;
        conn_text(c, "3", 1);
        if (on_ping) on_ping(c, now_ns());
        return;
    }
    switch (c->state) {
    case OPENING:
        if (!BEGINS(text, len, "0{")) break;
        authenticate(c);
        return;
    case CONNECTING:
        if (!BEGINS(text, len, "40/live,{\"sid\"")) break;
        if (joining)
            join(c);
        else
            ready(c);
        return;
    case JOINING:
        if (BEGINS(text, len, "42/live,[\"board.")) return;
        if (!BEGINS(text, len, "43/live,0[{\"ok\":")) break;
        ready(c);
        return;
    case READY:
        if (BEGINS(text, len, "43/live,")) {
            char *body;
            uint32_t id = (uint32_t)strtoul(text + 8, &body, 10);
            if (!on_ack) break;
            on_ack(c, id, body, len - (size_t)(body - text));
            return;
        }
        if (BEGINS(text, len, "42/live,[") && on_event) {
            on_event(c, text, len);
            return;
        }
        break;
    default:
        break;
    }
    fail(c, "unexpected message", text, len);
}

/* One whole frame from the front of `data`; how many bytes it took, 0 when it is not all there. */
static size_t frame(struct conn *c, const uint8_t *data, size_t len) {
    if (len < 2) return 0;
    size_t head = 2, size = data[1];
    if (size & 0x80) fail(c, "a masked frame from a server", NULL, 0);
    if (size == 126) {
        if (len < 4) return 0;
        size = (size_t)data[2] << 8 | data[3];
        head = 4;
    } else if (size == 127) {
        if (len < 10) return 0;
        size = 0;
        for (int i = 2; i < 10; i++) size = size << 8 | data[i];
        head = 10;
    }
    if (size > BIG / 2) fail(c, "a frame too large for this benchmark", NULL, 0);
    if (len < head + size) return 0;
    if (data[0] == 0x88) fail(c, "closed by the server", (const char *)data + head + 2, size > 2 ? size - 2 : 0);
    if (data[0] != 0x81) fail(c, "neither text nor in one piece", (const char *)data, 2);
    message(c, (const char *)data + head, size);
    return head + size;
}

static size_t consume(struct conn *c, const uint8_t *data, size_t len) {
    size_t used = 0;
    if (c->state == UPGRADING) {
        const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
        if (!end) return 0;
        if (!BEGINS((const char *)data, len, "HTTP/1.1 101")) fail(c, "refused", (const char *)data, len);
        c->state = OPENING;
        used = (size_t)(end + 4 - data);
    }
    for (size_t n; (n = frame(c, data + used, len - used)); used += n) continue;
    return used;
}

static void readable(struct conn *c) {
    size_t held = c->in_len;
    if (held) memcpy(big, c->in, held);
    ssize_t n = recv(c->fd, big + held, BIG - held, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail(c, "the line broke", n ? strerror(errno) : "end of stream", n ? strlen(strerror(errno)) : 13);
    tally.reads++;
    tally.bytes += (uint64_t)n;
    size_t len = held + (size_t)n, used = consume(c, big, len), left = len - used;
    if (left) {
        c->in = realloc(c->in, left);
        memcpy(c->in, big + used, left);
    } else if (c->in) {
        free(c->in);
        c->in = NULL;
    }
    c->in_len = (uint32_t)left;
    conn_flush(c);
}

void conn_event(struct conn *c, uint32_t events) {
    if (events & EPOLLOUT) {
        if (c->state == UPGRADING && !c->in_len && !c->out_len) {
            upgrade(c);
        } else if (c->out_len) {
            ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) fail(c, "send", strerror(errno), strlen(strerror(errno)));
            if (n > 0) {
                c->out_len -= (uint32_t)n;
                memmove(c->out, c->out + n, c->out_len);
            }
            if (!c->out_len) want(c, EPOLLIN, EPOLL_CTL_MOD);
        }
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
}
