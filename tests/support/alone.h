/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_ALONE_H
#define VOFW_TESTS_ALONE_H

#include <stddef.h>
#include <stdint.h>

#include "tunnel/frame.h"
#include "tunnel/tunnel.h"

/*
 * One end of a tunnel, a server, whose streams are written and read by hand: what it writes is
 * decoded, and what it reads is made here. Whatever does not go as told fails the test (cmocka).
 */
struct alone {
	struct tunnel *t;
	struct tunnel_stream *up, *down;
	unsigned woken_n, media_n, broken_n, late_n, aborted_n;
};

/* They count; on_late wants channel 1. A server needs no on_wanted. Their arg: struct alone. */
extern const struct tunnel_handlers alone_handlers;

/* At one second past zero, with one pair: DOWN is stream 1, UP is stream 2. tunnel_free(a->t). */
void alone_new(struct alone *a);

/* What the client of this session would ask for. */
void alone_request(enum tunnel_dir dir, uint32_t serial, struct tunnel_request *out);
void alone_request_of(struct tunnel_request *r); /* fills in what proves it */
struct tunnel_stream *alone_accepted(struct alone *a, enum tunnel_dir dir, uint32_t serial);

struct alone_batch { /* that was written */
	struct frame_header h;
	unsigned frames_n, media_n, pings_n, pongs_n, reliable_n, ends_n, repeats_n;
	size_t len;
};

/* What the tunnel writes on `s` now, until it has nothing more; how many batches. */
size_t alone_written(struct alone *a, struct tunnel_stream *s, uint64_t now,
    struct alone_batch *out, size_t max);
unsigned alone_media_in(const struct alone_batch *b, size_t n); /* frames */

/* The client writes a batch with this header and these frames on `s`; what tunnel_input said. */
int alone_hear(struct alone *a, struct tunnel_stream *s, const struct frame_header *h,
    const char *frames, size_t n, uint64_t now);
void alone_hear_preamble(struct alone *a, struct tunnel_stream *s, uint32_t serial);

/* The client acknowledges so many batches of a DOWN stream. */
void alone_hear_ack(struct alone *a, uint32_t serial, uint64_t batches_n, uint64_t now);

#define ALONE_MEDIA "\1\2\7x"
#define ALONE_PING "\3\5\0\0\0\1\0"
#define ALONE_RELIABLE_1 "\2\4\1\3\5x"

void alone_hear_media(struct alone *a, struct tunnel_stream *s, uint32_t number, uint64_t now);

/* n frames of voice, and a flush. */
void alone_send_voice(struct alone *a, unsigned n, uint64_t now);

#endif
