/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_DOCTOR_IMPL_H
#define VOFW_HRAC_DOCTOR_IMPL_H

#include <event2/event_struct.h>

#include "hrac/doctor/doctor.h"
#include "hrac/doctor/facts.h"
#include "hrac/uplink/body.h"
#include "hrac/uplink/http.h"
#include "hrac/uplink/probe.h"
#include "hrac/uplink/route.h"
#include "tunnel/handshake.h"

/*
 * The inside of the doctor, for its own files:
 *   doctor.c        the steps in their order
 *   net.c    names and TCP, without HTTP
 *   route.c  a route: the look, the visit, what becomes of bodies
 *   udp.c    datagrams
 *   line.c   the route that would be used: silence, round trips, throughput
 *   judge.c  what follows from the facts: the route, the calls, the advice
 *   text.c, json.c  the facts told
 *
 * A step begins what can go on side by side, each of which is counted in `pending`, and then
 * doctor_wait runs the loop until none is left.
 */
#define DOCTOR_IDLES_MAX 8

struct doctor_visit { /* a route, and the visit over it */
	struct doctor *doctor;
	struct doctor_route *facts;
	struct uplink_route *route;
	struct handshake handshake;
	struct tunnel_grant grant;
	uint32_t serial; /* of its probes */
	bool responded;  /* the RESPONSE was sent */
	struct uplink_probe *probe;
	struct probe_about about; /* HRAS of itself, by the first small request */
};

struct doctor {
	const struct config_hrac *config;
	const struct doctor_options *options;
	struct event_base *base;
	struct uplink_http *http;
	struct event turn;
	unsigned pending;
	struct doctor_visit visit[DOCTOR_ROUTES_MAX]; /* in the order of facts.route */
	struct doctor_facts facts;
};

/* Runs the loop until all that is pending is over. */
void doctor_wait(struct doctor *d);

struct uplink_body_way doctor_way_of(struct doctor_visit *v);

/* -- net.c -- */

/* Resolves the names of the hosts and knocks at all their addresses; blocks for 9 s at most. */
void doctor_net_look(struct doctor_host *hosts, size_t n);

/* -- route.c; each begins what doctor_wait ends -- */

void doctor_route_look(struct doctor_visit *v);
void doctor_route_visit(struct doctor_visit *v);
void doctor_route_probe(struct doctor_visit *v);

/* -- udp.c -- */

/* Begins to see whether datagrams pass to `to`, under the key of this visit. */
void doctor_udp_start(struct doctor_visit *v, const struct addr *to);

/* -- line.c -- */

/* All measurements of the route that would be used, in their order; waits for them. */
void doctor_line_measure(struct doctor_visit *v);

#endif
