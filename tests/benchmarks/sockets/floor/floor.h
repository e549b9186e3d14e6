#ifndef FLOOR_H
#define FLOOR_H

#include <stddef.h>
#include <stdint.h>

struct options {
    int port, merge, ping_ms, beat_ms, is_board, is_fan;
    const char *scenario;
};
extern struct options opt;

struct client {
    int fd;
    int16_t room;   /* 1 and up; 0: none */
    uint8_t upgraded;
    uint32_t in_len, out_len, place; /* `place` among the members of its room */
    uint8_t *in, *out;
    struct client *before, *after;
};

size_t frame_into(uint8_t *p, const char *text, size_t len);
void client_write(struct client *c, const uint8_t *data, size_t len);
void client_text(struct client *c, const char *text, size_t len);

/* work.c */
int event(struct client *c, const char *text, size_t len); /* 0: malformed */
void acks_leave(struct client *c);                         /* after each read */
void rooms_leave(void);                                    /* after each turn of the loop */
void boards_leave(void);                                   /* each beat */
void leave_room(struct client *c);

#endif
