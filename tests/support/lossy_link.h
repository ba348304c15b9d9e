/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_LOSSY_LINK_H
#define VOFW_TESTS_LOSSY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/tunnel.h"

/*
 * Two tunnels joined under a fake clock by streams that are delayed, chopped, stalled, cut and
 * swallowed as a seed tells. It plays both HTTP layers: opens requests when the client wants them,
 * moves the bytes, says who is gone. Datagrams are lost, repeated and overtaken beside them. Time
 * passes only in link_run.
 *
 * What goes through is made and checked here: link_send and link_send_media send numbered payloads
 * whose bytes follow from their number; the other end fails the test (cmocka) when a reliable one
 * is missing, doubled, out of order or changed, or a media one comes twice or changed.
 *
 * One link at a time.
 */

enum link_side { LINK_CLIENT, LINK_SERVER };

struct link_cfg {
	uint64_t seed;
	uint64_t delay_us;       /* one way */
	unsigned stall_permille; /* of the segments: a TCP repetition holds up what is behind ... */
	uint64_t stall_us;       /* ... for up to so long */
	size_t window;           /* bytes a stream may have on the way; 0 = any number */
	bool chop;               /* the reader gets the bytes in random pieces, else as written */
	enum cipher_kind cipher; /* AES-256-GCM */
	unsigned rekey_lost_permille; /* of the answers to the client that asks for a new key */
	bool datagrams;               /* there is a way for them; only when sealed */
	unsigned datagram_loss_permille, datagram_twice_permille;
	struct tunnel_cfg end[2];
};

/* A clean link of 20 ms each way, sealed, and the tunnels' defaults. */
void link_cfg_default(struct link_cfg *cfg);

#define LINK_MEDIA_MAX 1000000
#define LINK_REQUESTS_N 64

struct link_end {
	struct tunnel *t;
	uint32_t reliable_sent, reliable_got; /* got: from the other side */
	uint32_t media_sent, media_got;
	uint8_t *media_seen;     /* a byte for each number of the other side's */
	uint64_t *media_sent_us; /* when each of this side's was sent */
	uint64_t media_worst_us; /* the longest that a media frame took to get here */
	uint32_t media_late;     /* of media_got: 50 ms later than the way takes */
	unsigned wanted[2], aborted_dead, broken;
	enum tunnel_state state;
	uint64_t state_us; /* when it became that */
	bool touched;      /* to be flushed: something was sent or received */
	uint64_t segments; /* tunnel_output gave bytes so many times */
};

struct lossy_link {
	struct link_cfg cfg;
	struct link_end end[2];
	uint64_t now_us;
	uint64_t random;
	struct link_pipe **pipes; /* the streams that are not over, the oldest first */
	size_t pipes_n, pipes_cap;
	size_t opened_n; /* that there ever were */
	size_t wanted[2];
	uint64_t session; /* its name; the next one has the next number */
	struct link_request {
		uint64_t session;
		char path[TUNNEL_PATH_MAX];
	} requests[LINK_REQUESTS_N]; /* that the server took last, of any session */
	size_t requests_n;           /* there ever were */
	struct link_datagram *flying;
	uint32_t stalls;           /* segments that were stalled */
	bool refuse;               /* new requests are answered with an error */
	bool swallow;              /* new requests vanish */
	struct tunnel_grant rekey; /* that is being agreed upon */
	uint64_t rekey_us[2];      /* when each side has it; CLOCK_NEVER */
};

struct lossy_link *link_new(const struct link_cfg *cfg);
void link_free(struct lossy_link *l);

/* Lets `us` microseconds pass. */
void link_run(struct lossy_link *l, uint64_t us);

/* One payload from `side` to the other one; what tunnel_send said. link_run flushes. */
int link_send(struct lossy_link *l, int side, size_t n);
int link_send_media(struct lossy_link *l, int side, size_t n);

/* Cuts the i-th living stream of a direction (both ends learn of it); false when there is none. */
bool link_cut(struct lossy_link *l, enum tunnel_dir dir, size_t i);

/* From now on nothing comes through the i-th living stream, and nobody is told. */
bool link_blackhole(struct lossy_link *l, enum tunnel_dir dir, size_t i);

/* All streams that are there vanish without a word. */
void link_blackhole_all(struct lossy_link *l);

/* Streams of a direction that neither end has given up. */
size_t link_living_n(const struct lossy_link *l, enum tunnel_dir dir);

/*
 * One end has lost its memory, and both begin a new session. Payloads that have not come are lost; what
 * comes from now on was sent from now on.
 */
void link_restart(struct lossy_link *l);

/* A middlebox makes one of the last requests once more; the test fails when the server takes it. */
void link_repeat_request(struct lossy_link *l);

/* Whether all reliable payloads have come. */
bool link_settled(const struct lossy_link *l);

uint64_t link_random(struct lossy_link *l, uint64_t n); /* 0 .. n-1 */

#endif
