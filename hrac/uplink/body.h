/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_BODY_H
#define VOFW_HRAC_UPLINK_BODY_H

#include <stdbool.h>

#include "tunnel/probe.h"
#include "tunnel/tunnel.h"

/*
 * One body of a probe, over one request of its own: it sends or receives what a plan says, and tells
 * when each chunk left and came (docs/PROTOCOL.md, "Probes"). What that means is for others to say
 * (probe.h, the doctor).
 */
struct uplink_body;
struct uplink_http;
struct uplink_route;
struct event_base;

struct uplink_body_way { /* how to reach HRAS; all is borrowed while a body lives */
	struct event_base *base;
	struct uplink_http *http;
	struct uplink_route *route;
	const struct tunnel_grant *grant; /* of a session, or of a visit */
	uint32_t *serial; /* the last one used for a probe under this grant; 0 = none */
};

struct uplink_body_result { /* borrowed until return */
	enum tunnel_dir dir;
	const struct probe_plan *plan;
	uint32_t n; /* chunks that came whole */
	/* When each was sent and came, us; each since an instant of its own end. */
	const uint32_t *sent_us, *came_us;
	uint32_t asked_us;  /* when the connection was ready, since the beginning; 0 = never */
	uint32_t answer_us; /* from then to the head of the answer; 0 = none came */
	uint32_t over_us;   /* since the beginning */
	uint32_t last_us;   /* when we last sent or got something of it, likewise */
	struct probe_segments segments;  /* of the sending end's TCP, over this body */
	const struct probe_about *about; /* what HRAS says in its report on a body up; else NULL */
	bool late;                       /* it was ended by its time limit */
	const char *cause;               /* why it was not complete, in plain words; "" = it was */
};

/* Called once, not inside libcurl; the body ends on return. */
typedef void uplink_body_cb(void *arg, const struct uplink_body_result *r);

struct uplink_body_cfg {
	enum tunnel_dir dir;
	struct probe_plan plan; /* good */
	uint32_t limit_ms;      /* the whole is over after that */
	uint32_t enough_ms;     /* up: what was not sent by then is left out; 0 = nothing is */
	bool
	    whole; /* up: the least chunk alone, its length told first, as a request and its answer */
};

struct uplink_body *uplink_body_start(const struct uplink_body_way *way,
    const struct uplink_body_cfg *cfg, uplink_body_cb *cb, void *arg);
void uplink_body_free(struct uplink_body *b); /* without the callback; NULL is fine */

#endif
