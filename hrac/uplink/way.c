/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "hrac/network.h"
#include "hrac/uplink/impl.h"

/*
 * Which way the streams of a session take. As long as the one in use carries them all new ones take
 * it. When it does not (nothing comes, or streams are not to be had) it is in *doubt*: all ways are
 * asked, new streams take those that are not known to fail by turns, and the first on which one lives
 * is in use from then on. A better one that answers again is taken on *trial*: new streams take it, the
 * old ones carry on until their successors live, and if none does, all is as it was.
 */
#define WATCH_US (20 * CLOCK_MS)    /* between two looks while in doubt */
#define HOLDS_US (700 * CLOCK_MS)   /* by then a fresh stream lives, if it may */
#define TRIAL_US (3 * CLOCK_S)      /* so long a better way has to prove itself */
#define AWAY_US (5 * CLOCK_S)       /* then another HRAS is taken, ... */
#define AWAY_BUSY_US (10 * CLOCK_S) /* ... later with calls, which end by it */
#define FOREIGN_WHY "another HRAS answers there, which does not know our session"

static uint64_t
session_of(const struct uplink *u)
{
	return tunnel_grant(u->tunnel)->session;
}

/* Of both directions the one that has it for longer. */
static uint64_t
doubt_since_us(const struct uplink *u)
{
	uint64_t up_us = u->doubt[TUNNEL_UP].since_us, down_us = u->doubt[TUNNEL_DOWN].since_us;

	return up_us < down_us ? up_us : down_us;
}

static bool
in_doubt(const struct uplink *u)
{
	return doubt_since_us(u) != CLOCK_NEVER;
}

static void
forget_doubt(struct uplink *u)
{
	for (size_t dir = 0; dir < 2; dir++)
		u->doubt[dir] = (struct uplink_doubt){ .since_us = CLOCK_NEVER };
}

void
uplink_way_begin(struct uplink *u, struct uplink_way *w)
{
	u->way = w;
	u->from = NULL;
	w->route->session = session_of(u);
	forget_doubt(u);
	uplink_verdict_ask(u, w);
	uplink_verdict_apply(u);
}

/* -- What is known of a way by its streams -- */

struct tally {
	unsigned live_n;
	uint64_t heard_us; /* last; 0 = never */
};

static struct tally
tally(const struct uplink *u, const struct uplink_way *w, enum tunnel_dir dir)
{
	struct tally t = { 0 };
	const struct uplink_link *l;

	LIST_FOREACH(l, &u->links, link) {
		uint64_t heard_us;

		if (l->way != w || l->aborted || tunnel_stream_dir(l->stream) != dir)
			continue;
		heard_us = tunnel_stream_heard_us(l->stream);
		t.live_n += tunnel_stream_live(l->stream);
		if (heard_us > t.heard_us)
			t.heard_us = heard_us;
	}
	return t;
}

/* -- Moving -- */

static void
replace_those_of_others(struct uplink *u)
{
	struct uplink_link *l;

	LIST_FOREACH(l, &u->links, link)
		if (l->way != u->way)
			tunnel_stream_replace(u->tunnel, l->stream);
	tunnel_retry(u->tunnel, clock_us());
	u->more = true;
}

/* It has proved itself. */
static void
settle(struct uplink *u, struct uplink_way *w, const char *why_not_before)
{
	struct uplink_way *before = u->from != NULL ? u->from : u->way;

	if (w != before) {
		u->counters.uplink_route_changes++;
		if (why_not_before != NULL && w->number > before->number) {
			uplink_climb_failed(u, before, why_not_before, 0);
			log_warn("uplink", "the tunnel goes over %s now: %s: %s", w->route->name,
			    before->route->name, before->route->why);
		} else {
			log_info("uplink", "the tunnel goes over %s now", w->route->name);
		}
	}
	u->way = w;
	u->from = NULL;
	uplink_climb_settle(u, w);
	forget_doubt(u);
	uplink_verdict_apply(u);
	if (w != before)
		replace_those_of_others(u);
}

/* New streams take it; whether it is any good shows. */
static void
try_way(struct uplink *u, struct uplink_way *w)
{
	u->from = u->way;
	u->way = w;
	u->trial_us = clock_us();
	u->carried[TUNNEL_UP] = u->carried[TUNNEL_DOWN] = false;
	uplink_verdict_apply(u);
	replace_those_of_others(u);
}

static void
end_trial(struct uplink *u, const char *why)
{
	struct uplink_way *w = u->way;
	struct uplink_link *l;

	u->way = u->from;
	u->from = NULL;
	uplink_climb_failed(u, w, why, 0);
	LIST_FOREACH(l, &u->links, link)
		if (l->way == w && !l->aborted)
			uplink_link_abort(l, TUNNEL_WHY_CUT);
	tunnel_retry(u->tunnel, clock_us());
	forget_doubt(u);
	uplink_verdict_apply(u);
	uplink_way_next(u);
}

/* A preferred HRAS is back; to go there ends what calls there are, so there are none. */
static void
go_home(struct uplink *u, struct uplink_way *w)
{
	if (u->busy || w->number > u->way->number) {
		uplink_climb_failed(u, w, "", 0);
		return;
	}
	u->opening = true;
	uplink_climb_begin(u, 0, false);
}

void
uplink_way_answers(struct uplink *u, struct uplink_way *w)
{
	const struct ladder *l = &u->ladder;

	/* One at a time: uplink_way_next follows. */
	if (u->tunnel == NULL || u->opening || u->from != NULL || u->probe != NULL)
		return;
	if (l->rung[w->number].hras != l->rung[u->way->number].hras)
		go_home(u, w);
	else if (u->transport == CONFIG_BY_POLL)
		try_way(u, w);
	else
		uplink_verdict_ask(u, w);
}

void
uplink_way_next(struct uplink *u)
{
	for (size_t i = 0; i < u->ladder.n && !u->ladder.climbing; i++)
		if (u->ladder.rung[i].state == LADDER_ANSWERS && u->ways[i] != u->way)
			uplink_way_answers(u, u->ways[i]);
}

void
uplink_way_judged(struct uplink *u, struct uplink_way *w, const char *held)
{
	if (in_doubt(u)) {
		/* Streams would have shown by now that they live. */
		if (*held != '\0')
			settle(u, w, "nothing comes through any more");
	} else if (u->from == NULL && ladder_better(&u->ladder, w->number, u->way->number)) {
		try_way(u, w);
	} else {
		uplink_climb_failed(u, w, held, 0);
	}
}

/* -- The choice for a new stream -- */

/* By turns: the one in use, and those that may do. */
static bool
may_do(const struct uplink *u, size_t i)
{
	const struct ladder_rung *r = &u->ladder.rung[i];

	/* Of one that never answered, or failed when it was last asked, nothing is to be hoped. */
	return u->ways[i] == u->way ||
	    (!r->barred && !r->absent &&
		(r->state == LADDER_ANSWERS || u->ways[i]->route->why[0] == '\0'));
}

struct uplink_way *
uplink_way_for(struct uplink *u, enum tunnel_dir dir)
{
	struct uplink_doubt *d = &u->doubt[dir];
	struct uplink_way *offered = d->next;
	size_t n = 0, nth;

	if (d->since_us == CLOCK_NEVER || u->from != NULL)
		return u->way;
	d->next = NULL;
	if (offered != NULL)
		return offered;
	for (size_t i = 0; i < u->ladder.n; i++)
		n += may_do(u, i);
	/* The one in use first: more often than not its connections were cut, and fresh ones work. */
	if (d->turns_n++ % n == 0)
		return u->way;
	nth = (d->turns_n - 2) % (n - 1);
	for (size_t i = 0; i < u->ladder.n; i++)
		if (may_do(u, i) && u->ways[i] != u->way && nth-- == 0)
			return u->ways[i];
	return u->way;
}

/* The tunnel asks by its own measure, and on a line that is full only each second. */
void
uplink_way_offers(struct uplink *u, struct uplink_way *w)
{
	tunnel_retry(u->tunnel, clock_us());
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		struct uplink_doubt *d = &u->doubt[dir];

		if (d->since_us == CLOCK_NEVER || w == u->way || u->ladder.rung[w->number].barred)
			continue;
		d->next = w;
		u->wanted[dir]++;
		u->more = true;
	}
}

/* -- What becomes of the streams -- */

/* The peer was heard on it. */
static void
carries(struct uplink *u, struct uplink_link *l)
{
	enum tunnel_dir dir = tunnel_stream_dir(l->stream);
	struct uplink_doubt *d = &u->doubt[dir];
	struct tally t;

	l->way->route->session = session_of(u);
	if (l->way == u->way) {
		d->refused = false;
		u->carried[dir] = true;
		return;
	}
	if (d->since_us == CLOCK_NEVER || u->from != NULL)
		return;
	t = tally(u, u->way, dir);
	if (t.live_n == 0 || (d->silent && t.heard_us <= d->since_us))
		settle(u, l->way,
		    d->refused && u->cause[0] != '\0' ? u->cause :
							"nothing comes through any more");
}

/* On a way that never knew our session 404 says that it leads elsewhere, not that the session is gone. */
static void
note_unknown(struct uplink *u, struct uplink_way *w)
{
	if (w->route->session == session_of(u)) {
		u->renew = true;
		return;
	}
	u->ladder.rung[w->number].barred = true;
	if (u->from != NULL && u->way == w)
		end_trial(u, FOREIGN_WHY);
	else if (w != u->way)
		uplink_climb_failed(u, w, FOREIGN_WHY, 0);
}

void
uplink_way_ended(struct uplink *u, struct uplink_link *l, enum tunnel_why why,
    const struct uplink_http_result *r)
{
	const struct ladder_rung *rung = &u->ladder.rung[l->way->number];
	enum tunnel_dir dir = tunnel_stream_dir(l->stream);
	bool bounded = tunnel_stream_bounded(l->stream);

	u->unproven_n -= !l->lived;
	if (r == NULL || u->opening)
		return;
	if (bounded && why == TUNNEL_WHY_ORDERLY)
		carries(u, l);
	if (r->status == 404 && r->from_hras) {
		note_unknown(u, l->way);
		return;
	}
	/* HRAS itself has its reasons, and they are the same over any way. */
	if ((l->lived && !bounded) || r->from_hras || why == TUNNEL_WHY_ORDERLY ||
	    why == TUNNEL_WHY_DEAD)
		return;
	/* One that was opened before the way was asked last tells of the time before. */
	if (u->from != NULL && l->way == u->way && l->opened_us >= u->trial_us)
		end_trial(u, r->cause);
	else if (u->from == NULL && l->way == u->way)
		u->doubt[dir].refused = true;
	else if (l->way != u->way && rung->state != LADDER_ASKED && l->opened_us >= rung->since_us)
		uplink_climb_failed(u, l->way, r->cause, 0);
	u->watched_us = 0;
}

static void
on_lived(struct uplink *u, struct uplink_link *l)
{
	l->lived = true;
	u->unproven_n--;
	carries(u, l);
}

static void
find_lived(struct uplink *u)
{
	struct uplink_link *l;

	if (u->unproven_n == 0)
		return;
	LIST_FOREACH(l, &u->links, link)
		if (!l->lived && !l->aborted && tunnel_stream_heard_us(l->stream) != 0)
			on_lived(u, l);
}

/* -- Doubt -- */

static void
doubt(struct uplink *u, enum tunnel_dir dir, uint64_t now_us)
{
	struct uplink_doubt *d = &u->doubt[dir];
	bool silent = tunnel_silent(u->tunnel, dir, now_us);
	struct tally t;

	if (d->since_us == CLOCK_NEVER) {
		if (!silent && !d->refused)
			return;
		if (!in_doubt(u))
			u->doubt_probed = false;
		d->since_us = now_us;
		d->silent = silent;
		if (!u->ladder.climbing)
			uplink_climb_begin(u, 0, u->busy);
		return;
	}
	t = tally(u, u->way, dir);
	/* Bounded ones live for too short a time to be counted. */
	if (u->bounded[dir] ? silent || d->refused :
			      t.live_n == 0 || (d->silent && t.heard_us <= d->since_us))
		return;
	*d = (struct uplink_doubt){ .since_us = CLOCK_NEVER };
	if (!in_doubt(u))
		uplink_climb_settle(u, u->way);
}

/* Ways that answer, and no stream lives on any: something may have begun to hold bodies back. */
static void
suspect_holding(struct uplink *u, uint64_t now_us)
{
	uint64_t since_us = doubt_since_us(u);
	size_t i = ladder_winner(&u->ladder, now_us);

	if (u->doubt_probed || i == LADDER_NONE || since_us == CLOCK_NEVER ||
	    now_us - since_us < HOLDS_US || u->probe != NULL)
		return;
	u->doubt_probed = true;
	uplink_verdict_ask(u, u->ways[i]);
}

/* It has had its time, and another HRAS would have us. */
static void
leave_hras(struct uplink *u, uint64_t now_us)
{
	uint64_t since_us = doubt_since_us(u), away_us = AWAY_US;
	bool any = false;

	if (u->busy)
		away_us = AWAY_BUSY_US;
	if (since_us == CLOCK_NEVER || now_us - since_us < away_us)
		return;
	for (size_t i = 0; i < u->ladder.n; i++)
		any |= u->ladder.rung[i].barred;
	if (!any)
		return;
	log_warn("uplink", "HRAS at %s is away: another one is taken", u->way->route->base);
	u->opening = true;
	for (size_t i = 0; i < u->ladder.n; i++)
		u->ladder.rung[i].barred = false;
	uplink_climb_begin(u, 0, true);
}

static void
watch_trial(struct uplink *u, uint64_t now_us)
{
	struct tally up = tally(u, u->way, TUNNEL_UP);
	struct tally down = tally(u, u->way, TUNNEL_DOWN);

	/* Of bounded streams none may be there just now. */
	if ((up.live_n > 0 || u->carried[TUNNEL_UP]) &&
	    (down.live_n > 0 || u->carried[TUNNEL_DOWN]))
		settle(u, u->way, NULL);
	else if (now_us - u->trial_us >= TRIAL_US)
		end_trial(u, "it answers, but holds back what should pass");
}

void
uplink_way_run(struct uplink *u, uint64_t now_us)
{
	if (u->tunnel == NULL || u->opening)
		return;
	find_lived(u);
	if (now_us - u->watched_us < WATCH_US)
		return;
	u->watched_us = now_us;
	if (u->from != NULL) {
		watch_trial(u, now_us);
		return;
	}
	doubt(u, TUNNEL_UP, now_us);
	doubt(u, TUNNEL_DOWN, now_us);
	suspect_holding(u, now_us);
	leave_hras(u, now_us);
}

uint64_t
uplink_way_due_us(const struct uplink *u)
{
	if (u->tunnel == NULL || u->opening)
		return CLOCK_NEVER;
	if (u->from != NULL || u->unproven_n > 0 || in_doubt(u) || u->doubt[TUNNEL_UP].refused ||
	    u->doubt[TUNNEL_DOWN].refused)
		return u->watched_us + 5 * WATCH_US;
	return CLOCK_NEVER;
}

/* -- When the ground shakes -- */

/*
 * Streams from an address that is gone will never hear anything again. When the way out has another
 * address now they may live or not: they are replaced, and carry on until then.
 */
static bool
drop_stranded(struct uplink *u)
{
	struct addr local, peer, source, gone = { 0 };
	bool known =
	    addr_parse(u->way->route->peer, 0, &peer) == 0 && network_source(&peer, &source);
	bool moved = false;
	struct uplink_link *l;

	LIST_FOREACH(l, &u->links, link) {
		if (l->aborted || l->request == NULL || !uplink_http_local(l->request, &local))
			continue;
		if (known && l->way == u->way && !addr_same_host(&local, &source))
			moved = true;
		/* The many of one address are asked for once. */
		if (addr_equal(&local, &gone) || !network_has(&local)) {
			gone = local;
			uplink_link_abort(l, TUNNEL_WHY_CUT);
		}
	}
	return moved;
}

void
uplink_way_shaken(struct uplink *u, bool slept)
{
	uplink_routes_network_changed(u);
	uplink_climb_refresh(u);
	if (u->tunnel != NULL && (drop_stranded(u) || slept))
		tunnel_kick(u->tunnel, clock_us());
}
