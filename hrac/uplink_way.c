/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hrac/uplink_impl.h"

/*
 * Which way the streams of a session take. As long as the one in use carries them all new ones take
 * it. When it does not (nothing comes, or streams are not to be had) it is in *doubt*: all ways are
 * asked, new streams take those that are not known to fail by turns, and the first on which one lives
 * is in use from then on. A better one that answers again is taken on *trial*: new streams take it, the
 * old ones carry on until their successors live, and if none does, all is as it was.
 */
#define WATCH_US (20 * CLOCK_MS)    /* between two looks while in doubt */
#define TRIAL_US (3 * CLOCK_S)      /* so long a better way has to prove itself */
#define AWAY_US (5 * CLOCK_S)       /* then another HRAS is taken, ... */
#define AWAY_BUSY_US (10 * CLOCK_S) /* ... later with calls, which end by it */
#define FOREIGN_WHY "another HRAS answers there, which does not know our session"

static uint64_t
session_of(const struct uplink *u)
{
	return tunnel_grant(u->tunnel)->session;
}

static bool
in_doubt(const struct uplink *u)
{
	return u->doubt[TUNNEL_UP].since_us != CLOCK_NEVER ||
	    u->doubt[TUNNEL_DOWN].since_us != CLOCK_NEVER;
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
}

/* A preferred HRAS is back; to go there ends what calls there are, so there are none. */
static void
go_home(struct uplink *u)
{
	u->opening = true;
	uplink_climb_begin(u, 0, false);
}

void
uplink_way_answers(struct uplink *u, struct uplink_way *w)
{
	const struct ladder *l = &u->ladder;

	if (u->tunnel == NULL || u->opening || w->number > u->way->number)
		return;
	if (u->from != NULL)
		return; /* one at a time: it is asked again */
	if (l->rung[w->number].hras == l->rung[u->way->number].hras)
		try_way(u, w);
	else if (!u->busy)
		go_home(u);
}

/* -- The choice for a new stream -- */

/* By turns: the one in use, and those that may do. */
static bool
may_do(const struct uplink *u, size_t i)
{
	const struct ladder_rung *r = &u->ladder.rung[i];

	return u->ways[i] == u->way ||
	    (!r->barred && (r->state == LADDER_ANSWERS || r->failures_n == 0));
}

struct uplink_way *
uplink_way_for(struct uplink *u, enum tunnel_dir dir)
{
	struct uplink_doubt *d = &u->doubt[dir];
	size_t n = 0, nth;

	if (d->since_us == CLOCK_NEVER || u->from != NULL)
		return u->way;
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

/* It has had its time, and another HRAS would have us. */
static void
leave_hras(struct uplink *u, uint64_t now_us)
{
	uint64_t since_us = u->doubt[TUNNEL_UP].since_us, away_us = AWAY_US;
	bool any = false;

	if (u->doubt[TUNNEL_DOWN].since_us < since_us)
		since_us = u->doubt[TUNNEL_DOWN].since_us;
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

	if (up.live_n > 0 && down.live_n > 0)
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

static bool
is_ours(const struct addr *a)
{
	struct addr any_port = *a;
	bool ours;
	int fd = socket(a->u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	addr_set_port(&any_port, 0);
	ours = fd >= 0 && bind(fd, &any_port.u.sa, addr_len(&any_port)) == 0;
	if (fd >= 0)
		close(fd);
	return ours;
}

void
uplink_way_shaken(struct uplink *u)
{
	struct addr local, gone = { 0 };
	struct uplink_link *l;

	uplink_climb_refresh(u);
	if (u->tunnel == NULL)
		return;
	LIST_FOREACH(l, &u->links, link) {
		if (l->aborted || l->request == NULL || !uplink_http_local(l->request, &local))
			continue;
		/* The many of one address are asked for once. */
		if (addr_equal(&local, &gone) || !is_ours(&local)) {
			gone = local;
			uplink_link_abort(l, TUNNEL_WHY_CUT);
		}
	}
	tunnel_kick(u->tunnel, clock_us());
}
