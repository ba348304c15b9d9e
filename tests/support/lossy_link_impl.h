/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TESTS_LOSSY_LINK_IMPL_H
#define VOFW_TESTS_LOSSY_LINK_IMPL_H

#include <sys/queue.h>

#include "tests/support/lossy_link.h"

/* What lossy_link.c (life, streams, time) and lossy_harm.c (payloads, datagrams, bad luck) share. */

#define LINK_RELIABLE_TYPE 7
#define LINK_CHANNELS_N 300

struct segment {
	STAILQ_ENTRY(segment) next;
	uint64_t arrival_us;
	bool end;
	size_t len;
	uint8_t data[];
};

struct link_pipe {
	enum tunnel_dir dir;
	struct tunnel_stream *s[2]; /* of each side; NULL = not yet, or gone */
	char path[TUNNEL_PATH_MAX];
	uint64_t accept_us;  /* when the request arrives; CLOCK_NEVER = it was handled */
	uint64_t gone_us[2]; /* when a side learns that it is over */
	enum tunnel_why gone_why[2];
	STAILQ_HEAD(, segment) segments;
	uint64_t last_arrival_us;
	size_t on_way;
	bool ready; /* the writer may have bytes */
	bool ended; /* the writer said END */
	bool bounded;
	bool black;
	bool over;
};

/* lossy_link.c: a side learns that the stream is over, at that time if not earlier. */
void link_learn(struct link_pipe *p, int side, enum tunnel_why why, uint64_t at_us);

/* lossy_harm.c */
uint32_t link_check(const uint8_t *p, size_t n); /* the number of a payload, which must be whole */
void link_fly(struct lossy_link *l, int to, const uint8_t *data, size_t n);
void link_land(struct lossy_link *l);   /* datagrams that are due */
void link_ground(struct lossy_link *l); /* those on their way are lost */
uint64_t link_datagram_due_us(const struct lossy_link *l);

#endif
