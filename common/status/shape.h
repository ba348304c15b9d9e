/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_STATUS_SHAPE_H
#define VOFW_STATUS_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/heard.h"

/*
 * The JSON shapes that both agents show, so that a script reads one like the other (hrac(8),
 * "Status"). Each takes plain values and returns a new reference. Pure.
 */

/* Network text, which may be anything: what is not UTF-8 is shown with '?' for each such byte. NULL
 * is JSON's null. */
json_t *shape_text(const char *s);

struct shape_way {           /* one direction of a tunnel */
	unsigned loss_level; /* 0 none, 1 some, 2 much */
	double loss;         /* share 0..1, as far as this end knows */
	bool loss_runs, congested;
	const char *redundancy;    /* "none", "parity 1" ... */
	unsigned redundancy_level; /* the same as a number, in the order of docs/PROTOCOL.md */
	unsigned connections, connections_wanted;
	double body_bytes, wire_bytes; /* a packet of voice; 0 = not known */
};

struct shape_datagrams {   /* of a tunnel: voice by UDP, beside its connections */
	const char *state; /* of this end's direction: "unknown", "good", "in doubt", "left" */
	struct addr peer, mapped;  /* where they go; how HRAS sees this end; either may be unset */
	double up_loss, down_loss; /* shares 0..1 */
	uint64_t rtt_us;           /* 0 = not measured */
	uint64_t left_n;           /* how often voice went back to the connections ... */
	const char *why;           /* ... and why the last time; "" = never */
	uint64_t keep_us; /* so often the way is kept open without a call; 0 = not by this end */
};

struct shape_refused { /* a better route than the one in use */
	const char *route, *why;
	uint64_t wall_s; /* when it was tried last */
};

struct shape_cause { /* why connections, routes or sessions had to be made anew */
	const char *name;
	uint64_t n;
};

struct shape_tunnel {
	const char *agent;
	const char *state;     /* "up", "connecting", "down" */
	const char *transport; /* "http", "https via proxy" ... */
	const char *cipher;    /* by which it is sealed, "none"; NULL = there is no session */
	const char *rung;      /* "udp", "stream", "proxy", "poll"; NULL = not known here */
	const char *route;     /* in use; NULL = not known here */
	const struct shape_refused *refused;
	size_t refused_n;
	const struct shape_cause *causes;
	size_t causes_n;
	const char *peer;     /* the other end's address as seen here, NULL = none */
	unsigned connections; /* live pairs of GET and POST, as tunnel.connections counts them */
	uint64_t rtt_us;      /* smoothed; 0 = not measured */
	uint64_t min_rtt_us;  /* likewise; of the last minute */
	bool guarded;         /* redundancy is held back */
	struct shape_way up, down;
	const struct shape_datagrams *datagrams; /* NULL = there are none */
	uint64_t since_s;                        /* in this state */
	uint64_t bytes_sent, bytes_received;
	uint64_t reconnects;
	const char *last_error; /* NULL or "" = none */
	uint64_t last_error_wall_s;
};
json_t *shape_tunnel(const struct shape_tunnel *t);

struct shape_direction { /* what came from one phone of a stream */
	uint64_t packets, lost, late_dropped;
	double jitter_ms, mos; /* as it came here; `mos` counts while `heard` is not known */
	struct heard heard;    /* where it is heard; packets 0 = not known */
};

struct shape_stream {
	const char *kind;
	struct addr inside, outside; /* the phones' media addresses; unset = not known */
	struct shape_direction from_inside, from_outside;
};
json_t *shape_stream(const struct shape_stream *s);

struct shape_call {
	const char *call_id, *from, *to, *state;
	const char *caller_agent, *callee_agent; /* NULL = outside, or not known here */
	uint64_t since_wall_s;
	uint64_t now_wall_s;
	json_t *streams; /* takes over */
};
json_t *shape_call(const struct shape_call *c);

struct shape_room { /* what a tunnel has for calls; of a maximum 0 = no end in sight: null */
	uint64_t calls, calls_max;   /* voice that passes twice counts twice */
	uint64_t bandwidth_max_kbit; /* each way, by the configuration of both ends */
	double up_kbit, down_kbit;   /* of IP traffic, measured */
	uint64_t refused;            /* calls, for want of room */
};
json_t *shape_room(const struct shape_room *r);

#endif
