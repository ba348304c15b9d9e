/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_TREND_H
#define VOFW_STATUS_TREND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heard.h"

/*
 * How an agent has done over the last 15 minutes: a sample each TREND_INTERVAL_S of what is heard
 * and of each tunnel, kept in histories (history.h), and of each tunnel what a packet of voice cost
 * lately. The wiring gives the figures, the same on both agents. Pure; about 10 KB, and 7 KB for each
 * tunnel.
 */
struct trend;

#define TREND_INTERVAL_S 5

enum { TREND_UP, TREND_DOWN, TREND_WAYS };

/* One direction of a tunnel; the totals are of its present session. */
struct trend_way {
	uint64_t bytes;     /* of the HTTP bodies */
	uint64_t batches;   /* each meant to be one TCP segment, ... */
	uint64_t datagrams; /* ... but for those of them that went as datagrams */
	uint64_t packets;   /* of voice, each counted once */
	unsigned loss_level, redundancy;
};

struct trend_tunnel {
	const char *agent; /* copied when it is the first time */
	uint64_t session;  /* another one: the totals began at 0 again */
	bool up;
	unsigned connections;
	uint64_t rtt_us, min_rtt_us; /* 0 = not known */
	struct trend_way way[TREND_WAYS];
};

struct trend_now {
	uint64_t now_us; /* monotonic */
	unsigned calls;
	struct heard_sum heard_inside, heard_outside; /* since the sample before */
	const struct trend_tunnel *tunnels;           /* all there are, in a lasting order */
	size_t tunnels_n;
};

struct trend *trend_new(uint64_t now_us);
void trend_free(struct trend *t); /* NULL is fine */

/* Takes a sample. A tunnel that is not in it any more is forgotten. */
void trend_sample(struct trend *t, const struct trend_now *now);

/* What a packet of voice cost between the last two samples; 0 = there were too few to tell. */
struct trend_cost {
	double body_bytes; /* of the HTTP bodies, whatever was in them */
	/* With HTTP's chunks and, for each batch, the headers of an IPv4 TCP segment with timestamps (52
	 * bytes): what the batches are on the wire but for TLS, link layer, bare TCP ACKs and what TCP
	 * sends again. */
	double wire_bytes;
};
/* `place`: where the tunnel stood in the last sample; a hint. */
struct trend_cost trend_cost(const struct trend *t, const char *agent, size_t place, unsigned way);

/* What is heard now, for /api/status: {"inside": {...}, "outside": {...}}; a new reference. */
json_t *trend_heard_json(const struct trend *t);

/* All histories, for /api/history; a new reference. */
json_t *trend_json(const struct trend *t);

#endif
