/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway/impl.h"

#define OUTPUT_MIN 2048 /* least room for tunnel_output */

/* -- The tunnels' handlers: they note, and the turn does -- */

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct gateway_agent *a = arg;
	struct gateway *g = a->gateway;

	if (g->handlers.on_reliable != NULL)
		g->handlers.on_reliable(g->arg, a, type, data, n);
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct gateway_agent *a = arg;
	struct gateway *g = a->gateway;

	if (g->handlers.on_media != NULL)
		g->handlers.on_media(g->arg, a, channel, data, n);
}

static void
on_late(void *arg, uint32_t channel)
{
	struct gateway_agent *a = arg;
	struct gateway *g = a->gateway;

	if (g->handlers.on_late != NULL)
		g->handlers.on_late(g->arg, a, channel);
}

static void
flow_abort(struct gateway_flow *f, enum tunnel_why why)
{
	f->aborted = true;
	f->why = why;
	f->agent->aborted = true;
	gateway_mark(f->agent);
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	struct gateway_flow *f = tunnel_stream_user(s);

	(void)arg;
	if (f->request == NULL || f->aborted)
		return;
	/* What it was to take goes by another one. */
	if (tunnel_stream_bounded(s) && gateway_http_deserted(f->request))
		flow_abort(f, TUNNEL_WHY_CUT);
	else
		gateway_http_wake(f->request);
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct gateway_flow *f = tunnel_stream_user(s);

	(void)arg;
	flow_abort(f, why);
}

static void
on_state(void *arg, enum tunnel_state state)
{
	gateway_set_state(arg, state);
}

static void
on_broken(void *arg)
{
	struct gateway_agent *a = arg;

	a->broken = true;
	gateway_mark(a);
}

const struct tunnel_handlers gateway_tunnel_handlers = {
	.on_reliable = on_reliable,
	.on_media = on_media,
	.on_late = on_late,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_state = on_state,
	.on_broken = on_broken,
	.on_datagram = gateway_udp_on_datagram,
};

/* -- Streams -- */

static void
flow_free(struct gateway_flow *f)
{
	if (f->request != NULL)
		gateway_http_close(f->request);
	LIST_REMOVE(f, link);
	mem_free(f);
}

static void
flow_end(struct gateway_flow *f, enum tunnel_why why)
{
	static const char *const words[TUNNEL_WHY_N] = {
		[TUNNEL_WHY_CUT] = "a connection was cut",
		[TUNNEL_WHY_DEAD] = "a connection fell silent",
		[TUNNEL_WHY_MALFORMED] = "a connection carried what is no frame",
		[TUNNEL_WHY_UNSEALED] = "a connection carried what HRAC has not sealed for it",
		[TUNNEL_WHY_REFUSED] = "a request was refused",
	};
	struct gateway_agent *a = f->agent;

	if (words[why] != NULL) {
		a->last_error = words[why];
		a->last_error_wall_s = clock_wall_s();
		if (why == TUNNEL_WHY_MALFORMED || why == TUNNEL_WHY_UNSEALED)
			log_warn_limited(&a->limit, "gateway",
			    "agent \"%s\": %s: something on the way changes what should pass",
			    a->name, a->last_error);
		else
			log_debug("gateway", "agent \"%s\": %s", a->name, a->last_error);
	}
	tunnel_stream_gone(a->tunnel, f->stream, why, clock_us());
	flow_free(f);
	gateway_mark(a);
}

void
gateway_flow_close_aborted(struct gateway_agent *a)
{
	struct gateway_flow *f, *next;

	if (!a->aborted)
		return;
	a->aborted = false;
	for (f = LIST_FIRST(&a->flows); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f->aborted)
			flow_end(f, f->why);
	}
}

static long
flow_read(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct gateway *g = arg;
	struct gateway_flow *f = user;
	size_t used = 0;
	long n = 0;

	if (f->said_end)
		return GATEWAY_HTTP_END;
	if (f->aborted)
		return 0;
	g->depth++;
	while (cap - used >= OUTPUT_MIN) {
		n = tunnel_output(f->agent->tunnel, f->stream, out + used, cap - used, clock_us());
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	g->depth--;
	f->said_end = n == TUNNEL_OUTPUT_END;
	if (used > 0)
		return (long)used;
	return f->said_end ? GATEWAY_HTTP_END : 0;
}

static bool
flow_write(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct gateway *g = arg;
	struct gateway_flow *f = user;
	int err;

	if (f->aborted)
		return false;
	gateway_mark(f->agent);
	g->depth++;
	err = tunnel_input(f->agent->tunnel, f->stream, in, n, clock_us());
	g->depth--;
	if (err == 0)
		return true;
	flow_abort(f, err == ERR_AUTH ? TUNNEL_WHY_UNSEALED : TUNNEL_WHY_MALFORMED);
	return false;
}

static void
flow_gone(void *arg, void *user, bool orderly)
{
	struct gateway_flow *f = user;
	bool down = tunnel_stream_dir(f->stream) == TUNNEL_DOWN;

	(void)arg;
	f->request = NULL;
	if (f->aborted)
		flow_end(f, f->why);
	else if (orderly && (!down || f->said_end))
		flow_end(f, TUNNEL_WHY_ORDERLY);
	else
		flow_end(f, TUNNEL_WHY_CUT);
}

static unsigned
flow_accept(void *arg, struct gateway_request *r, const char *path, void **user)
{
	struct gateway *g = arg;
	struct tunnel_request request;
	struct gateway_agent *a;
	struct gateway_flow *f;
	int err;

	if (tunnel_request_parse(path, &request) < 0)
		return 404;
	a = gateway_find_session(g, request.session);
	if (a == NULL || !gateway_http_may_be(r, a->name)) {
		g->counters.gateway_unknown_sessions++;
		return 404;
	}
	f = mem_zalloc(sizeof(*f));
	f->agent = a;
	f->request = r;
	g->depth++;
	err = tunnel_stream_accept(a->tunnel, &request, f, clock_us(), &f->stream);
	g->depth--;
	if (err < 0) {
		mem_free(f);
		/* Who does not know the session's key learns nothing about the session. */
		g->counters.gateway_unknown_sessions += err == ERR_AUTH;
		g->counters.gateway_streams_refused += err != ERR_AUTH;
		return err == ERR_AUTH ? 404 : err == ERR_EXISTS ? 409 : 503;
	}
	LIST_INSERT_HEAD(&a->flows, f, link);
	a->peer = gateway_http_peer(r);
	a->forwarded = gateway_http_forwarded(r);
	a->tls = gateway_http_tls(r);
	a->via_proxy = gateway_http_via_proxy(r);
	gateway_mark(a);
	*user = f;
	return 200;
}

void
gateway_flow_drop_all(struct gateway_agent *a)
{
	struct gateway_flow *f;

	while ((f = LIST_FIRST(&a->flows)) != NULL)
		flow_free(f);
}

const struct gateway_http_bodies gateway_flow_bodies = {
	.on_request = flow_accept,
	.on_read = flow_read,
	.on_write = flow_write,
	.on_gone = flow_gone,
};
