/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_MEDIA_LATCH_H
#define VOFW_MEDIA_LATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * Who is the phone: one socket's choice between the address that SDP signalled and the sources that
 * packets come from (symmetric RTP, RFC 4961; latching, RFC 7362). Anybody can send to an open port,
 * so a source must not be believed for being loud. Sources have a rank:
 *   3 the signalled address and port;
 *   2 its host, another port (a NAT in between that we know the address of);
 *   1 any other.
 * The first valid packet is believed. A source of a higher rank replaces one of a lower rank at any
 * time: the signalled address came by the authenticated way. Among equals the first one stays, and
 * nobody is believed any more, except
 *   - another port of the same host after LATCH_REBIND_US of silence: a NAT forgot its mapping;
 *   - within LATCH_WINDOW_US after the signalling asked to learn anew, any source in place of one of
 *     rank 1 that has been silent for LATCH_MOVE_US: a phone behind a NAT moved.
 * An attacker who wins the race for a port takes the voice only of a phone that has neither sent
 * yet nor is where SDP said; who comes later would have to forge the source of the phone, or stand
 * behind its NAT. Pure.
 */
#define LATCH_REBIND_US 2000000
#define LATCH_MOVE_US 1000000
#define LATCH_WINDOW_US 10000000

struct latch {
	struct addr source;     /* heard and believed; unset until then */
	uint64_t heard_us;      /* its last packet */
	struct addr signalled;  /* by SDP; may be unset */
	uint64_t open_until_us; /* end of the window; 0 = none */
};

/* SDP named `where` (may be unset). With `anew` the source is to be learnt again: a new address
 * forgets the present source at once, the same one opens the window for it. */
void latch_signal(struct latch *l, const struct addr *where, bool anew, uint64_t now_us);

enum latch_verdict {
	LATCH_FOREIGN,  /* not the phone: drop it */
	LATCH_ACCEPTED, /* the phone */
	LATCH_LEARNT    /* the phone, from now on: the source is new */
};
/* A packet from `from` (set); `valid` when its form is one that this stream may have. */
enum latch_verdict latch_packet(struct latch *l, const struct addr *from, bool valid,
    uint64_t now_us);

/* Where to send: the source, else the signalled address; may be unset. Borrowed from l. */
const struct addr *latch_target(const struct latch *l);

#endif
