/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_FRAME_H
#define VOFW_TUNNEL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tunnel/tunnel.h"

/*
 * The codec of what a stream carries (docs/PROTOCOL.md, "Streams" to "Frames"): a preamble, then
 * batches, each a header and frames. Pure; keeps nothing. Decoding borrows from the input.
 */

#define FRAME_PREAMBLE_LEN 8
#define FRAME_BATCH_MAX 2048 /* longest batch, its length field included */
#define FRAME_HEADER_MAX 140 /* longest header */
#define FRAME_LENGTH_FIELD 2
/* Frames are gathered up to here: with its header and its tag 1400 bytes. */
#define FRAME_BODY_FILL 1244
/* One long media frame alone. */
#define FRAME_BODY_MAX (FRAME_BATCH_MAX - FRAME_HEADER_MAX - CIPHER_TAG_LEN)
#define FRAME_ACKS_MAX 8
#define FRAME_FRAGMENT_MAX 1200   /* payload of one reliable frame; a longer one is cut */
#define FRAME_MEDIA_MASK 0xffffff /* media numbers are 24 bits on the wire */
#define FRAME_GROUP_MIN 2         /* batches that a parity frame protects */
#define FRAME_GROUP_MAX 16
#define FRAME_LENGTH_LEN 2 /* of the u16 before each body in a parity frame's sum */
#define FRAME_SUM_MAX (FRAME_LENGTH_LEN + FRAME_BODY_MAX)

void frame_preamble_put(enum tunnel_dir dir, uint32_t serial, uint8_t out[FRAME_PREAMBLE_LEN]);

/* ERR_MALFORMED when the preamble is not just that of this stream. */
int frame_preamble_check(enum tunnel_dir dir, uint32_t serial,
    const uint8_t in[FRAME_PREAMBLE_LEN]);

struct frame_ack {
	uint32_t serial;    /* a stream of the other direction */
	uint64_t batches_n; /* how many batches of it have come */
};

struct frame_header {
	bool busy;              /* the sender knows of a call */
	bool has_reliable;      /* reliable_next counts */
	bool has_media;         /* media_base counts */
	uint64_t reliable_next; /* the reliable frame that the sender waits for */
	uint32_t media_base;    /* number of the first media frame; the others follow on */
	uint8_t report; /* how the sender hears its peer, see PROTOCOL.md; 0 = nothing to tell */
	size_t acks_n;
	struct frame_ack acks[FRAME_ACKS_MAX];
	bool has_datagrams; /* the two below count; not together with acks */
	uint64_t through;   /* the highest number of a datagram that came */
	uint64_t missing;   /* how many of those up to it have not come; <= through */
};

/* Writes a batch's header for body_len bytes behind it, frames and tag; returns its length. */
size_t frame_header_put(const struct frame_header *h, size_t body_len,
    uint8_t out[FRAME_HEADER_MAX]);

/*
 * Finds a whole batch, sealed or not, at the front of n bytes: its length, the field of
 * FRAME_LENGTH_FIELD bytes included. ERR_INCOMPLETE; ERR_MALFORMED.
 */
int frame_batch_split(const uint8_t *in, size_t n, size_t *batch_len);

/* Header and frames of a batch, opened, without its length: as a datagram has it. ERR_MALFORMED. */
int frame_content_get(const uint8_t *in, size_t n, struct frame_header *header,
    struct wire_read *body);

/*
 * Both of a batch that is not sealed: its header, a reader of its frames, and its length with
 * everything. ERR_INCOMPLETE; ERR_MALFORMED.
 */
int frame_batch_get(const uint8_t *in, size_t n, struct frame_header *header,
    struct wire_read *body, size_t *batch_len);

enum frame_type {
	FRAME_MEDIA = 1,
	FRAME_RELIABLE,
	FRAME_PING,
	FRAME_PONG,
	FRAME_END,
	FRAME_PARITY,
	FRAME_REPEAT,
	FRAME_PROBE, /* of datagrams alone, like the next */
	FRAME_ANSWER,
	FRAME_EXTENSION = 0x40, /* from here on: unknown ones are passed over */
};

enum frame_bits { FRAME_FIRST = 1, FRAME_LAST = 2 }; /* of the fragments of a reliable frame */

/*
 * A sum over the bodies of a group of media batches, whose media numbers are contiguous
 * (docs/PROTOCOL.md, "Redundancy"). Bodies longer than FRAME_BODY_FILL are never in a group.
 */
struct frame_parity {
	uint32_t base;                    /* media number of the first frame of the group */
	uint8_t row;                      /* 0 = P, 1 = Q */
	uint8_t batches_n;                /* FRAME_GROUP_MIN..FRAME_GROUP_MAX */
	uint8_t media_n[FRAME_GROUP_MAX]; /* media frames in each of them, 1..255 */
	const uint8_t *sum;               /* borrowed; u16 length and body of all, summed up */
	size_t sum_len;                   /* FRAME_LENGTH_LEN..FRAME_SUM_MAX */
};

/* A decoded frame; payloads are borrowed. */
struct frame {
	enum frame_type type;
	uint32_t channel; /* MEDIA, REPEAT */
	uint8_t back;     /* REPEAT: how far below media_base its number is, 1..255 */
	uint64_t number;  /* RELIABLE: of this fragment */
	uint8_t bits;     /* RELIABLE: enum frame_bits */
	uint8_t kind;     /* RELIABLE with FRAME_FIRST: the type that tunnel_send was given */
	uint32_t stamp;   /* PING, PONG: the pinger's clock, us */
	uint32_t srtt_us; /* PING: what the sender knows of the round trip; 0 = nothing */
	const uint8_t
	    *data; /* MEDIA, REPEAT, RELIABLE, PROBE (to be passed over), ANSWER (an address) */
	size_t data_len;
	struct frame_parity parity; /* PARITY */
};

/* The next frame of a body; ERR_NOT_FOUND at its end, ERR_MALFORMED. Extensions are passed over. */
int frame_next(struct wire_read *body, struct frame *out);

/* How many bytes a media frame takes, and writing one where there is room for it. */
size_t frame_media_len(uint32_t channel, size_t n);
size_t frame_media_put(uint32_t channel, const void *data, size_t n, uint8_t *out);

/* The same for an earlier media frame that comes again; back: 1..255. */
size_t frame_repeat_len(uint32_t channel, size_t n);
size_t frame_repeat_put(uint8_t back, uint32_t channel, const void *data, size_t n, uint8_t *out);

/* Writes any other frame; w->bad when it does not fit. */
void frame_put(struct wire_write *w, const struct frame *f);

#endif
