/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hrac/uplink/impl.h"

#define OUTPUT_MIN 2048 /* least room for tunnel_output */

/* -- The tunnel's handlers: they note, and the turn does -- */

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct uplink *u = arg;

	if (u->handlers.on_reliable != NULL)
		u->handlers.on_reliable(u->arg, type, data, n);
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct uplink *u = arg;

	if (u->handlers.on_media != NULL)
		u->handlers.on_media(u->arg, channel, data, n);
}

static void
on_late(void *arg, uint32_t channel)
{
	struct uplink *u = arg;

	if (u->handlers.on_late != NULL)
		u->handlers.on_late(u->arg, channel);
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	struct uplink_link *l = tunnel_stream_user(s);

	(void)arg;
	if (l->request != NULL)
		uplink_http_wake(l->request);
	else if (tunnel_stream_bounded(s))
		uplink_burst_wake(l);
}

void
uplink_link_abort(struct uplink_link *l, enum tunnel_why why)
{
	l->aborted = true;
	l->why = why;
	l->uplink->aborted = true;
	l->uplink->more = true;
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	(void)arg;
	uplink_link_abort(tunnel_stream_user(s), why);
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	struct uplink *u = arg;

	u->wanted[dir]++;
	u->more = true;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	uplink_set_state(arg, state);
}

static void
on_rekey(void *arg)
{
	struct uplink *u = arg;

	u->rekey_due = true;
	u->more = true;
}

static void
on_broken(void *arg)
{
	struct uplink *u = arg;

	u->renew = true;
	u->more = true;
}

const struct tunnel_handlers uplink_tunnel_handlers = {
	.on_reliable = on_reliable,
	.on_media = on_media,
	.on_late = on_late,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_wanted = on_wanted,
	.on_state = on_state,
	.on_broken = on_broken,
	.on_rekey = on_rekey,
	.on_datagram = uplink_datagram_out,
};

/* -- Streams -- */

static void
link_free(struct uplink_link *l)
{
	if (l->request != NULL)
		uplink_http_close(l->request);
	LIST_REMOVE(l, link);
	mem_free(l);
}

static void
link_gone(struct uplink_link *l, enum tunnel_why why, const struct uplink_http_result *r)
{
	struct uplink *u = l->uplink;

	uplink_way_ended(u, l, why, r);
	tunnel_stream_gone(u->tunnel, l->stream, why, clock_us());
	link_free(l);
}

static void
link_open(struct uplink *u, enum tunnel_dir dir)
{
	struct uplink_link *l = mem_zalloc(sizeof(*l));
	char path[TUNNEL_PATH_MAX];

	l->uplink = u;
	l->way = uplink_way_for(u, dir);
	l->opened_us = clock_us();
	if (tunnel_stream_open(u->tunnel, dir, l, clock_us(), path, &l->stream) < 0) {
		mem_free(l);
		return;
	}
	LIST_INSERT_HEAD(&u->links, l, link);
	l->lived = tunnel_stream_bounded(l->stream); /* of these their ends tell */
	u->unproven_n += !l->lived;
	if (tunnel_stream_bounded(l->stream))
		uplink_burst_open(l, path);
	else
		l->request = uplink_http_stream(u->http, l->way->route, path, dir == TUNNEL_UP, l);
}

void
uplink_link_open_wanted(struct uplink *u)
{
	enum tunnel_dir dir;

	for (dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		for (; u->wanted[dir] > 0 && u->tunnel != NULL; u->wanted[dir]--)
			link_open(u, dir);
		u->wanted[dir] = 0;
	}
}

static void
tell_abort(const struct uplink_link *l, enum tunnel_why why)
{
	if (why == TUNNEL_WHY_DEAD)
		uplink_trouble(l->uplink, l->way->route, LOG_WARN,
		    "a connection carried nothing for too long: something on the way swallows or "
		    "collects what should pass");
	else if (why == TUNNEL_WHY_MALFORMED)
		uplink_trouble(l->uplink, l->way->route, LOG_WARN,
		    "a connection carried what is no frame: something on the way changes what should "
		    "pass");
	else if (why == TUNNEL_WHY_UNSEALED)
		uplink_trouble(l->uplink, l->way->route, LOG_WARN,
		    "a connection carried what HRAS has not sealed for it: something on the way "
		    "changes what should pass");
}

void
uplink_link_close_aborted(struct uplink *u)
{
	struct uplink_link *l, *next;

	if (!u->aborted)
		return;
	u->aborted = false;
	for (l = LIST_FIRST(&u->links); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (!l->aborted)
			continue;
		tell_abort(l, l->why);
		link_gone(l, l->why, NULL);
	}
}

long
uplink_link_read(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct uplink_link *l = user;
	struct uplink *u = arg;
	size_t used = 0;
	long n = 0;

	if (l->said_end)
		return UPLINK_HTTP_END;
	if (l->aborted)
		return 0;
	u->depth++;
	while (cap - used >= OUTPUT_MIN) {
		n = tunnel_output(u->tunnel, l->stream, out + used, cap - used, clock_us());
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	u->depth--;
	l->said_end = n == TUNNEL_OUTPUT_END;
	if (used > 0)
		return (long)used;
	return l->said_end ? UPLINK_HTTP_END : 0;
}

bool
uplink_link_write(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct uplink_link *l = user;
	struct uplink *u = arg;
	int err;

	if (l->aborted || tunnel_stream_dir(l->stream) == TUNNEL_UP)
		return false;
	u->depth++;
	err = tunnel_input(u->tunnel, l->stream, in, n, clock_us());
	u->depth--;
	if (err == 0)
		return true;
	uplink_link_abort(l, err == ERR_AUTH ? TUNNEL_WHY_UNSEALED : TUNNEL_WHY_MALFORMED);
	return false;
}

void
uplink_link_done(struct uplink_link *l, const struct uplink_http_result *r)
{
	struct uplink *u = l->uplink;
	bool down = tunnel_stream_dir(l->stream) == TUNNEL_DOWN;
	enum tunnel_why why = TUNNEL_WHY_CUT;

	l->request = NULL;
	if (l->aborted)
		why = l->why;
	else if (r->status != 0 && r->status != 200)
		why = TUNNEL_WHY_REFUSED;
	else if (r->cause[0] == '\0' && (down || l->said_end))
		why = TUNNEL_WHY_ORDERLY;
	/* libcurl repeats what met a connection that had been closed meanwhile. HRAS may have it. */
	if (r->status == 409 && tunnel_stream_bounded(l->stream))
		why = TUNNEL_WHY_CUT;
	else if (l->aborted)
		tell_abort(l, why);
	else if (why == TUNNEL_WHY_CUT || why == TUNNEL_WHY_REFUSED)
		uplink_trouble(u, l->way->route, LOG_WARN,
		    r->cause[0] != '\0' ? r->cause : "a POST was answered too early");
	link_gone(l, why, r);
	u->more = true;
}

void
uplink_link_drop_all(struct uplink *u)
{
	struct uplink_link *l;

	while ((l = LIST_FIRST(&u->links)) != NULL)
		link_free(l);
	u->unproven_n = 0;
}
