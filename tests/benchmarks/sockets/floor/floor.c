/* The floor: what a server of this machine costs that does nothing but the work itself.
 *
 *     floor port=9000 scenario=ingest|busy|spaced|board|connect|idle merge=0|1 ping_ms=25000 beat_ms=250
 *
 * One thread, one epoll, a few dozen bytes per client. It reads the frames of the benchmark, checks a sample's shape and ranges with
 * a scanner that knows nothing else, and sends. It checks no token, bounds no queue and knows no namespaces.
 *
 * merge=0 sends each event at once with one system call per member. merge=1 is what a merging server can at best reach: what one turn
 * of the loop produced for a room leaves in one write per member, and a board leaves once per beat. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

struct options opt = {.scenario = "ingest", .ping_ms = 25000, .beat_ms = 250};

static int epoll_fd;
static int listen_mark, ping_mark, beat_mark, input_mark; /* their addresses say what an epoll event is about */
static struct client *clients; /* all of them, for the pings */
static struct client *ping_next;
static uint32_t client_count;
static uint8_t big[1 << 18];

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* -- writing ---------------------------------------------------------------------------------------------------------------- */

size_t frame_into(uint8_t *p, const char *text, size_t len) {
    uint8_t *start = p;
    *p++ = 0x81;
    if (len < 126) {
        *p++ = (uint8_t)len;
    } else if (len < 65536) {
        *p++ = 126;
        *p++ = (uint8_t)(len >> 8);
        *p++ = (uint8_t)len;
    } else {
        *p++ = 127;
        for (int shift = 56; shift >= 0; shift -= 8) *p++ = (uint8_t)((uint64_t)len >> shift);
    }
    memcpy(p, text, len);
    return (size_t)(p - start) + len;
}

static void watch(struct client *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

void client_write(struct client *c, const uint8_t *data, size_t len) {
    size_t done = 0;
    if (!c->out_len) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n >= 0) done = (size_t)n;
        else if (errno != EAGAIN) return; /* the line is broken: its reading side will say so */
    }
    if (done == len) return;
    c->out = realloc(c->out, c->out_len + len - done);
    memcpy(c->out + c->out_len, data + done, len - done);
    if (!c->out_len) watch(c, EPOLLIN | EPOLLOUT);
    c->out_len += (uint32_t)(len - done);
}

static void write_rest(struct client *c) {
    ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (n <= 0) return;
    c->out_len -= (uint32_t)n;
    memmove(c->out, c->out + n, c->out_len);
    if (!c->out_len) {
        free(c->out);
        c->out = NULL;
        watch(c, EPOLLIN);
    }
}

void client_text(struct client *c, const char *text, size_t len) {
    uint8_t frame[600];
    client_write(c, frame, frame_into(frame, text, len));
}

/* -- clients ---------------------------------------------------------------------------------------------------------------- */

static void gone(struct client *c) {
    leave_room(c);
    if (ping_next == c) ping_next = c->after;
    if (c->before) c->before->after = c->after; else clients = c->after;
    if (c->after) c->after->before = c->before;
    client_count--;
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct client *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->after = clients;
        if (clients) clients->before = c;
        clients = c;
        client_count++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

/* The load uses the key of RFC 6455's example, so the answer to it need not be computed: no hash is part of the floor. */
static int upgrade(struct client *c, const uint8_t *data, size_t len) {
    static const char key[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if (!memmem(data, len, key, sizeof key - 1)) return 0;
    uint8_t both[600];
    char opened[240];
    memcpy(both, answer, sizeof answer - 1);
    int n = snprintf(opened, sizeof opened, "0{\"sid\":\"%08x\",\"upgrades\":[],\"pingInterval\":%d,\"pingTimeout\":20000,\"maxPayload\":262144}",
                     (unsigned)c->fd, opt.ping_ms);
    client_write(c, both, sizeof answer - 1 + frame_into(both + sizeof answer - 1, opened, (size_t)n));
    c->upgraded = 1;
    return 1;
}

static int message(struct client *c, const char *text, size_t len) {
    if (len == 1 && text[0] == '3') return 1;
    if (len > 8 && !memcmp(text, "42/live,", 8)) return event(c, text + 8, len - 8);
    if (len >= 8 && !memcmp(text, "40/live,", 8)) {
        char welcome[80];
        int n = snprintf(welcome, sizeof welcome, "40/live,{\"sid\":\"%08x\"}", (unsigned)c->fd);
        client_text(c, welcome, (size_t)n);
        return 1;
    }
    return 0;
}

/* How many bytes of `data` were used; -1 for what no client of the benchmark sends. */
static ssize_t consume(struct client *c, uint8_t *data, size_t len) {
    size_t used = 0;
    if (!c->upgraded) {
        const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
        if (!end) return 0;
        if (!upgrade(c, data, len)) return -1;
        used = (size_t)(end + 4 - data);
    }
    for (;;) {
        uint8_t *p = data + used;
        size_t left = len - used, head = 6;
        if (left < 6) return (ssize_t)used;
        if (p[0] != 0x81 || !(p[1] & 0x80)) return -1;
        size_t size = p[1] & 0x7f;
        if (size == 127) return -1;
        if (size == 126) {
            size = (size_t)p[2] << 8 | p[3];
            head = 8;
        }
        if (left < head + size) return (ssize_t)used;
        const uint8_t *mask = p + head - 4;
        uint8_t *text = p + head;
        for (size_t i = 0; i < size; i++) text[i] ^= mask[i & 3];
        if (!message(c, (char *)text, size)) return -1;
        used += head + size;
    }
}

static void readable(struct client *c) {
    if (c->in_len) memcpy(big, c->in, c->in_len);
    ssize_t n = recv(c->fd, big + c->in_len, sizeof big - c->in_len, 0);
    if (n < 0 && errno == EAGAIN) return;
    size_t len = c->in_len + (size_t)(n > 0 ? n : 0);
    ssize_t used = n > 0 ? consume(c, big, len) : -1;
    if (used < 0) {
        gone(c);
        return;
    }
    acks_leave(c);
    size_t left = len - (size_t)used;
    if (left) {
        c->in = realloc(c->in, left);
        memcpy(c->in, big + used, left);
    } else if (c->in) {
        free(c->in);
        c->in = NULL;
    }
    c->in_len = (uint32_t)left;
}

/* -- time ------------------------------------------------------------------------------------------------------------------- */

#define PING_SLICES 100

/* The clients are pinged in slices, each once per interval. */
static void ping_some(void) {
    uint32_t some = (client_count + PING_SLICES - 1) / PING_SLICES;
    for (uint32_t i = 0; i < some && clients; i++) {
        if (!ping_next) ping_next = clients;
        struct client *c = ping_next;
        ping_next = c->after;
        if (c->upgraded) client_text(c, "2", 1);
        if (!ping_next) return; /* the end of the list is the end of a round */
    }
}

static void every(int *mark, long ms) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec when = {{ms / 1000, ms % 1000 * 1000000}, {ms / 1000, ms % 1000 * 1000000}};
    timerfd_settime(fd, 0, &when, NULL);
    *mark = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void turn_of_loop(void) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll_fd, events, 512, -1);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        uint64_t times;
        if (what == &listen_mark) {
            accept_all(listen_mark);
        } else if (what == &input_mark) {
            if (read(0, big, sizeof big) <= 0) exit(0);
        } else if (what == &ping_mark || what == &beat_mark) {
            if (read(*(int *)what, &times, sizeof times) != sizeof times) continue;
            if (what == &ping_mark) ping_some(); else boards_leave();
        } else {
            struct client *c = what;
            if (events[i].events & EPOLLOUT && c->out_len) write_rest(c);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
        }
    }
    rooms_leave();
}

static void option(const char *word) {
    const char *value = strchr(word, '=');
    if (!value) value = word + strlen(word) - 1;
    value++;
    if (!strncmp(word, "port=", 5)) opt.port = atoi(value);
    else if (!strncmp(word, "scenario=", 9)) opt.scenario = value;
    else if (!strncmp(word, "merge=", 6)) opt.merge = atoi(value);
    else if (!strncmp(word, "ping_ms=", 8)) opt.ping_ms = atoi(value);
    else if (!strncmp(word, "beat_ms=", 8)) opt.beat_ms = atoi(value);
    else {
        fprintf(stderr, "no such option: %s\n", word);
        exit(1);
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) option(argv[i]);
    opt.is_board = !strcmp(opt.scenario, "board");
    opt.is_fan = !strcmp(opt.scenario, "busy") || !strcmp(opt.scenario, "spaced");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listen_mark = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listen_mark, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listen_mark, (struct sockaddr *)&here, sizeof here) || listen(listen_mark, 1024)) die("cannot listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listen_mark};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_mark, &event);
    event.data.ptr = &input_mark;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &event)) die("standard input has to be a pipe; its end ends this program");
    every(&ping_mark, opt.ping_ms / PING_SLICES > 0 ? opt.ping_ms / PING_SLICES : 1);
    if (opt.is_board && opt.merge) every(&beat_mark, opt.beat_ms);
    puts("ready");
    fflush(stdout);
    for (;;) turn_of_loop();
}
