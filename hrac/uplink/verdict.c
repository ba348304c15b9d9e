/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "base/clock.h"
#include "config/config.h"
#include "hrac/uplink/impl.h"
#include "hrac/uplink/probe.h"

/*
 * Whether a way lets bodies stream, by the echo probe, and what follows from that: a direction that
 * holds bodies back is polled, with bounded bodies, unless there is a way that does not.
 */
#define AGAIN_MIN_US (15 * CLOCK_S) /* before one in use that holds back is probed again */
#define AGAIN_MAX_US (300 * CLOCK_S)

static const char *const held_words[2][2] = {
	{ "", "it holds back what goes down until it is whole" },
	{ "it holds back what goes up until it is whole",
	    "it holds back what goes up and down until it is whole" },
};

/* Whether polling is allowed at all. */
static bool
may_poll(const struct uplink *u)
{
	return u->transport == CONFIG_AUTO || u->transport == CONFIG_BY_POLL;
}

/* Probed again after a while, which doubles; it may have been changed. */
static void
again_later(struct uplink *u, bool held)
{
	if (!held) {
		u->probe_wait_us = 0;
		u->probe_us = CLOCK_NEVER;
		return;
	}
	u->probe_wait_us = u->probe_wait_us == 0 ? AGAIN_MIN_US : 2 * u->probe_wait_us;
	if (u->probe_wait_us > AGAIN_MAX_US)
		u->probe_wait_us = AGAIN_MAX_US;
	u->probe_us = clock_us() + u->probe_wait_us;
}

void
uplink_verdict_apply(struct uplink *u)
{
	const struct uplink_route *r = u->way->route;
	bool always = u->transport == CONFIG_BY_POLL;
	bool up = always || (may_poll(u) && r->held[TUNNEL_UP]);
	bool down = always || (may_poll(u) && r->held[TUNNEL_DOWN]);

	/* It was found to hold back when it was not in use yet. */
	if (u->ladder.rung[u->way->number].held && u->probed != u->way &&
	    u->probe_us == CLOCK_NEVER)
		again_later(u, true);
	if (up != u->bounded[TUNNEL_UP] || down != u->bounded[TUNNEL_DOWN])
		uplink_burst_set(u, up, down);
}

static bool
lives(const struct uplink *u, const struct uplink_way *w, enum tunnel_dir dir)
{
	const struct uplink_link *l;

	LIST_FOREACH(l, &u->links, link)
		if (l->way == w && !l->aborted && tunnel_stream_dir(l->stream) == dir &&
		    !tunnel_stream_bounded(l->stream) && tunnel_stream_live(l->stream))
			return true;
	return false;
}

/* Of the one in use, on which everything depends now. */
static void
judge_in_use(struct uplink *u, struct uplink_way *w, bool was_held)
{
	bool held = u->ladder.rung[w->number].held;

	again_later(u, held);
	uplink_verdict_apply(u);
	if (held == was_held)
		return;
	if (!held)
		log_info("uplink", "%s lets bodies stream again", w->route->name);
	else if (may_poll(u))
		log_warn("uplink", "%s: %s, so it is polled", w->route->name, w->route->why);
	else
		uplink_trouble(u, w->route, LOG_WARN, w->route->why);
	tunnel_retry(u->tunnel, clock_us());
	/* Any other that answers may be better than this. */
	if (held)
		uplink_climb_refresh(u);
}

static void
judge(struct uplink *u, struct uplink_way *w, const struct uplink_probe_result *r)
{
	struct ladder_rung *rung = &u->ladder.rung[w->number];
	bool was_held = rung->held;
	const char *words;

	if (r->cause[0] != '\0') {
		if (w == u->way)
			again_later(u, was_held);
		else if (!u->ladder.climbing)
			uplink_climb_failed(u, w, r->cause, 0);
		return;
	}
	/* What the tunnel's own bodies showed counts for more. */
	w->route->held[TUNNEL_UP] = !r->up_streams && !lives(u, w, TUNNEL_UP);
	w->route->held[TUNNEL_DOWN] = !r->down_streams && !lives(u, w, TUNNEL_DOWN);
	rung->held = w->route->held[TUNNEL_UP] || w->route->held[TUNNEL_DOWN];
	words = held_words[w->route->held[TUNNEL_UP]][w->route->held[TUNNEL_DOWN]];
	if (rung->held && r->why[0] != '\0')
		words = r->why;
	uplink_route_failed(w->route, words, clock_wall_s());
	if (w == u->way)
		judge_in_use(u, w, was_held);
	else
		uplink_way_judged(u, w, words);
}

static void
on_probe(void *arg, const struct uplink_probe_result *r)
{
	struct uplink *u = arg;
	struct uplink_probe_result result = *r;
	struct uplink_way *w = u->probed;

	uplink_enter(u);
	uplink_verdict_cancel(u);
	if (u->tunnel != NULL && !u->opening)
		judge(u, w, &result);
	uplink_way_next(u);
	u->more = true;
	uplink_leave(u);
}

void
uplink_verdict_ask(struct uplink *u, struct uplink_way *w)
{
	struct uplink_body_way way = { u->base, u->http, w->route, tunnel_grant(u->tunnel),
		&u->probe_serial };

	if (u->probe != NULL || u->transport == CONFIG_BY_POLL)
		return;
	u->probed = w;
	u->probe = uplink_probe_start(&way, on_probe, u);
}

void
uplink_verdict_cancel(struct uplink *u)
{
	uplink_probe_free(u->probe);
	u->probe = NULL;
	u->probed = NULL;
}

void
uplink_verdict_run(struct uplink *u, uint64_t now_us)
{
	if (now_us < u->probe_us || u->tunnel == NULL || u->opening)
		return;
	/* One at a time: after the one that is under way. */
	if (u->probe != NULL) {
		u->probe_us = now_us + CLOCK_S;
		return;
	}
	u->probe_us = CLOCK_NEVER;
	uplink_verdict_ask(u, u->way);
}
