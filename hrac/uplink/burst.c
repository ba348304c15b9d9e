/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "hrac/uplink/impl.h"

/*
 * Bounded streams: a GET is asked for when the tunnel wants it and HRAS holds it; a POST is asked for only
 * when its stream has something to say, for all of its body is read before, so that its length is known.
 */

#define BODY_MAX 32768 /* the tunnel ends a burst before */

void
uplink_burst_set(struct uplink *u, bool up, bool down)
{
	u->bounded[TUNNEL_UP] = up;
	u->bounded[TUNNEL_DOWN] = down;
	uplink_burst_adopted(u);
}

void
uplink_burst_adopted(struct uplink *u)
{
	for (enum tunnel_dir dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++)
		if (u->tunnel != NULL)
			tunnel_set_bounded(u->tunnel, dir, u->bounded[dir], clock_us());
	u->more = true;
}

static bool
stalls(const struct uplink_link *l)
{
	return tunnel_stalls(l->uplink->tunnel, tunnel_stream_dir(l->stream), clock_us());
}

void
uplink_burst_open(struct uplink_link *l, const char *path)
{
	struct uplink *u = l->uplink;

	if (tunnel_stream_dir(l->stream) == TUNNEL_UP)
		memcpy(l->path, path, sizeof(l->path));
	else
		l->request = uplink_http_burst(u->http, l->way->route, path, NULL, 0, stalls(l), l);
}

void
uplink_burst_wake(struct uplink_link *l)
{
	l->loaded = l->uplink->loaded = l->uplink->more = true;
}

static void
post(struct uplink_link *l)
{
	struct uplink *u = l->uplink;
	uint8_t body[BODY_MAX];
	size_t used = 0;
	long n;

	l->loaded = false;
	do {
		n = uplink_link_read(u, l, body + used, sizeof(body) - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	/* What it was woken for was not worth saying any more. */
	if (used > 0)
		l->request =
		    uplink_http_burst(u->http, l->way->route, l->path, body, used, stalls(l), l);
}

void
uplink_burst_post(struct uplink *u)
{
	struct uplink_link *l;

	if (!u->loaded)
		return;
	u->loaded = false;
	LIST_FOREACH(l, &u->links, link)
		if (l->loaded && !l->aborted)
			post(l);
}
