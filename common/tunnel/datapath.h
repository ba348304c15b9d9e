/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_TUNNEL_DATAPATH_H
#define VOFW_TUNNEL_DATAPATH_H

#include "tunnel/datagram.h"
#include "tunnel/impl.h"
#include "tunnel/trust.h"

/*
 * The way beside the streams: batches of voice in datagrams, the questions that keep the way open and
 * show whether it is good, and the answers. Which of the two ways voice goes is trust's to say.
 *
 * What datapath.c (sending, and which way voice goes) and datapath_input.c (what comes, life and facts)
 * share; for the others see impl.h.
 */

#define DATAPATH_SENT_N 4096            /* datagrams whose times are remembered; a power of two */
#define DATAPATH_KEEP_US (15 * CLOCK_S) /* between questions without a call: at first, ... */
#define DATAPATH_KEEP_MAX_US (25 * CLOCK_S) /* ... and at most */

struct datapath_sent {
	uint64_t us;
	uint32_t voice_n; /* batches of voice up to it */
	bool wants;       /* an answer */
	bool voice;
};

struct datapath_came { /* the datagrams of the other end */
	uint64_t at_us, through, missing;
};

struct datapath {
	struct datagram_end *end;
	struct trust trust;
	bool heard; /* something authentic came: there is somebody to send to */
	/* Out. */
	struct datapath_sent sent[DATAPATH_SENT_N]; /* by number */
	uint64_t sent_n;                            /* number of the last */
	uint32_t voice_n;
	uint64_t sent_us, wanted_us,
	    asked_us;      /* last: anything, what wants an answer, a question */
	uint64_t voice_us; /* our voice last left as a datagram */
	uint64_t rtt_us;   /* smoothed; 0 = not known */
	/* What is owed. */
	uint64_t ack_us; /* by then; CLOCK_NEVER = nothing */
	unsigned wanting_n;
	bool answer_owed;
	size_t answer_max; /* no longer than the question */
	struct addr answer_addr;
	/* Asking. */
	uint64_t probe_us; /* at once, whatever else holds, from then on; CLOCK_NEVER */
	unsigned tries_n;
	struct addr mapped;
	unsigned same_n;
	uint64_t keep_us, keep_max_us;
	/* In. */
	uint64_t heard_voice_us;
	struct datapath_came came[2]; /* at the end of the last span, and of the one before */
};

#endif
