/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/gateway.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway_http.h"
#include "log/log.h"
#include "tunnel/tally.h"

#define OUTPUT_MIN 2048 /* least room for tunnel_output */
#define TURNS_MAX 8     /* before other events of the loop get their turn */
#define AGENTS_MAX 4096
#define GRACE_DEFAULT_S 30
#define STREAMS_MAX 64
#define SOURCES_N 64
#define RIVAL_US (60 * CLOCK_S) /* another instance so soon after the last one: two boxes? */
#define RIVALS_MAX 3

/* One HTTP request and the stream of the tunnel that it carries. */
struct flow {
	LIST_ENTRY(flow) link;
	struct gateway_agent *agent;
	struct tunnel_stream *stream;
	struct gateway_request *request;
	bool said_end; /* our own body down is over in order */
	bool aborted;
	enum tunnel_why why; /* when aborted */
};
LIST_HEAD(flows, flow);

struct gateway_agent {
	UT_hash_handle by_name, by_session;
	TAILQ_ENTRY(gateway_agent) dirty_link;
	struct gateway *gateway;
	char name[HANDSHAKE_AGENT_MAX + 1];
	char *secret; /* by which it was proved */
	void *user;
	uint64_t instance, session;
	struct tunnel *tunnel; /* NULL: the session broke, the next handshake brings another */
	struct flows flows;
	bool busy;
	bool dirty;  /* something was sent or received: to be flushed */
	bool broken; /* the session is of no use any more */
	struct event deadline;
	uint64_t armed_us; /* when `deadline` fires */

	enum tunnel_state state;
	uint64_t since_wall_s, away_since_us;
	uint64_t sessions_n;
	unsigned rivals_n; /* new instances in a row, each soon after the one before */
	uint64_t instance_us;
	struct addr peer;
	bool via_proxy;
	const char *last_error;
	uint64_t last_error_wall_s;
};
TAILQ_HEAD(dirty_agents, gateway_agent);

struct counters {
	uint64_t gateway_handshakes, gateway_sessions, gateway_refused, gateway_malformed_opens;
	uint64_t gateway_agents, gateway_agents_gone;
	uint64_t gateway_unknown_sessions, gateway_streams_refused;
	uint64_t gateway_connections, gateway_connections_expired, gateway_requests;
	uint64_t gateway_requests_refused, gateway_requests_oversized;
	struct tunnel_stats tally;
};

static const struct metric metrics[] = {
	METRIC(struct counters, gateway_handshakes, METRIC_COUNTER, "Bodies of open requests."),
	METRIC(struct counters, gateway_sessions, METRIC_COUNTER, "Sessions agreed upon."),
	METRIC(struct counters, gateway_refused, METRIC_COUNTER, "Openings with a wrong proof."),
	METRIC(struct counters, gateway_malformed_opens, METRIC_COUNTER, "Openings that are none."),
	METRIC(struct counters, gateway_agents, METRIC_GAUGE, "Agents here or in their grace."),
	METRIC(struct counters, gateway_agents_gone, METRIC_COUNTER, "Agents away for too long."),
	METRIC(struct counters, gateway_unknown_sessions, METRIC_COUNTER,
	    "Stream requests of sessions that are none, or without the session's key."),
	METRIC(struct counters, gateway_streams_refused, METRIC_COUNTER,
	    "Stream requests made twice or beyond the cap."),
	METRIC(struct counters, gateway_connections, METRIC_COUNTER, "TCP connections accepted."),
	METRIC(struct counters, gateway_connections_expired, METRIC_COUNTER,
	    "TCP connections closed because they carried no stream for too long."),
	METRIC(struct counters, gateway_requests, METRIC_COUNTER, "HTTP requests."),
	METRIC(struct counters, gateway_requests_refused, METRIC_COUNTER, "HTTP requests refused."),
	METRIC(struct counters, gateway_requests_oversized, METRIC_COUNTER,
	    "HTTP requests with a body too long."),
	TUNNEL_TALLY(struct counters, tally),
	{ 0 },
};

/* Who failed to prove itself: one slot for many hosts, so that strangers cannot fill anything. */
struct source {
	struct addr addr;
	uint64_t failures, last_us;
	struct log_limit limit;
};

struct gateway {
	struct event_base *base;
	struct gateway_handlers handlers;
	void *arg;
	struct tunnel_cfg cfg;
	uint64_t grace_us;
	bool tls;
	struct handshake_server *handshakes;
	struct gateway_http *http[GATEWAY_LISTEN_MAX];
	size_t http_n;
	struct gateway_agent *by_name, *by_session;
	struct dirty_agents dirty;
	bool more;      /* something is to be done */
	unsigned depth; /* > 0: inside libmicrohttpd, a tunnel or a handler: no turn may begin */
	struct event turn, watch;
	struct source sources[SOURCES_N];
	struct counters counters; /* tally: of the ended sessions */
	struct counters shown;    /* all */
};

/* -- The tables of agents -- */

static struct gateway_agent *
find_by_name(struct gateway *g, const char *name)
{
	struct gateway_agent *a;

	HASH_FIND(by_name, g->by_name, name, strlen(name), a);
	return a;
}

static struct gateway_agent *
find_by_session(struct gateway *g, uint64_t session)
{
	struct gateway_agent *a;

	HASH_FIND(by_session, g->by_session, &session, sizeof(session), a);
	return a;
}

static void
add_name(struct gateway *g, struct gateway_agent *a)
{
	HASH_ADD(by_name, g->by_name, name[0], strlen(a->name), a);
}

static void
add_session(struct gateway *g, struct gateway_agent *a)
{
	HASH_ADD(by_session, g->by_session, session, sizeof(a->session), a);
}

static void
del_name(struct gateway *g, struct gateway_agent *a)
{
	HASH_DELETE(by_name, g->by_name, a);
}

static void
del_session(struct gateway *g, struct gateway_agent *a)
{
	HASH_DELETE(by_session, g->by_session, a);
}

/* -- Small things -- */

static void
mark_dirty(struct gateway_agent *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	TAILQ_INSERT_TAIL(&a->gateway->dirty, a, dirty_link);
	a->gateway->more = true;
}

static void
unmark_dirty(struct gateway_agent *a)
{
	if (!a->dirty)
		return;
	a->dirty = false;
	TAILQ_REMOVE(&a->gateway->dirty, a, dirty_link);
}

static void
set_state(struct gateway_agent *a, enum tunnel_state state)
{
	struct gateway *g = a->gateway;

	if (state == a->state)
		return;
	if (state == TUNNEL_UP_STATE)
		log_info("gateway", "agent \"%s\": the tunnel is up", a->name);
	else if (a->state == TUNNEL_UP_STATE)
		log_warn("gateway", "agent \"%s\": the tunnel is down", a->name);
	if (a->state == TUNNEL_UP_STATE)
		a->away_since_us = clock_us();
	a->state = state;
	a->since_wall_s = clock_wall_s();
	if (g->handlers.on_state != NULL)
		g->handlers.on_state(g->arg, a, state);
}

static void
arm_deadline(struct gateway_agent *a)
{
	struct timeval tv;
	uint64_t due_us, now_us, wait_us;

	/* Later than armed costs nothing now: the timer fires once in vain and is set anew. */
	if (a->tunnel == NULL || (due_us = tunnel_deadline(a->tunnel)) >= a->armed_us)
		return;
	now_us = clock_us();
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv.tv_sec = (time_t)(wait_us / CLOCK_S);
	tv.tv_usec = (suseconds_t)(wait_us % CLOCK_S);
	a->armed_us = due_us;
	event_add(&a->deadline, &tv);
}

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
on_wake(void *arg, struct tunnel_stream *s)
{
	struct flow *f = tunnel_stream_user(s);

	(void)arg;
	if (f->request != NULL && !f->aborted)
		gateway_http_wake(f->request);
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct gateway_agent *a = arg;
	struct flow *f = tunnel_stream_user(s);

	f->aborted = true;
	f->why = why;
	mark_dirty(a);
}

static void
on_state(void *arg, enum tunnel_state state)
{
	set_state(arg, state);
}

static void
on_broken(void *arg)
{
	struct gateway_agent *a = arg;

	a->broken = true;
	mark_dirty(a);
}

static const struct tunnel_handlers tunnel_handlers = {
	.on_reliable = on_reliable,
	.on_media = on_media,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_state = on_state,
	.on_broken = on_broken,
};

/* -- Streams -- */

static void
flow_free(struct flow *f)
{
	if (f->request != NULL)
		gateway_http_close(f->request);
	LIST_REMOVE(f, link);
	mem_free(f);
}

static void
flow_gone(struct flow *f, enum tunnel_why why)
{
	static const char *const words[TUNNEL_WHY_N] = {
		[TUNNEL_WHY_CUT] = "a connection was cut",
		[TUNNEL_WHY_DEAD] = "a connection fell silent",
		[TUNNEL_WHY_MALFORMED] = "a connection carried what is no frame",
		[TUNNEL_WHY_REFUSED] = "a request was refused",
	};
	struct gateway_agent *a = f->agent;

	if (words[why] != NULL) {
		a->last_error = words[why];
		a->last_error_wall_s = clock_wall_s();
		log_debug("gateway", "agent \"%s\": %s", a->name, a->last_error);
	}
	tunnel_stream_gone(a->tunnel, f->stream, why, clock_us());
	flow_free(f);
	mark_dirty(a);
}

static void
close_aborted(struct gateway_agent *a)
{
	struct flow *f, *next;

	for (f = LIST_FIRST(&a->flows); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f->aborted)
			flow_gone(f, f->why);
	}
}

static long
on_http_read(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct gateway *g = arg;
	struct flow *f = user;
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
on_http_write(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct gateway *g = arg;
	struct flow *f = user;
	int err;

	if (f->aborted)
		return false;
	mark_dirty(f->agent);
	g->depth++;
	err = tunnel_input(f->agent->tunnel, f->stream, in, n, clock_us());
	g->depth--;
	if (err == 0)
		return true;
	f->aborted = true;
	f->why = TUNNEL_WHY_MALFORMED;
	return false;
}

static void
on_http_gone(void *arg, void *user, bool orderly)
{
	struct flow *f = user;
	bool down = tunnel_stream_dir(f->stream) == TUNNEL_DOWN;

	(void)arg;
	f->request = NULL;
	if (f->aborted)
		flow_gone(f, f->why);
	else if (orderly && (!down || f->said_end))
		flow_gone(f, TUNNEL_WHY_ORDERLY);
	else
		flow_gone(f, TUNNEL_WHY_CUT);
}

static unsigned
on_http_stream(void *arg, struct gateway_request *r, const char *path, void **user)
{
	struct gateway *g = arg;
	struct tunnel_request request;
	struct gateway_agent *a;
	struct flow *f;
	int err;

	if (tunnel_request_parse(path, &request) < 0)
		return 404;
	a = find_by_session(g, request.session);
	if (a == NULL) {
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
	a->via_proxy = gateway_http_via_proxy(r);
	mark_dirty(a);
	*user = f;
	return 200;
}

/* -- Sessions -- */

static void
drop_tunnel(struct gateway_agent *a)
{
	struct flow *f;

	if (a->tunnel == NULL)
		return;
	while ((f = LIST_FIRST(&a->flows)) != NULL)
		flow_free(f);
	tunnel_tally_add(&a->gateway->counters.tally, tunnel_stats(a->tunnel));
	tunnel_free(a->tunnel);
	a->tunnel = NULL;
	a->broken = false;
	del_session(a->gateway, a);
	a->armed_us = CLOCK_NEVER;
	event_del(&a->deadline);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg);

static struct gateway_agent *
agent_new(struct gateway *g, const char *name)
{
	struct gateway_agent *a = mem_zalloc(sizeof(*a));

	a->gateway = g;
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->state = TUNNEL_CONNECTING;
	a->since_wall_s = clock_wall_s();
	a->away_since_us = clock_us();
	a->armed_us = CLOCK_NEVER;
	a->last_error = "";
	LIST_INIT(&a->flows);
	evtimer_assign(&a->deadline, g->base, on_deadline, a);
	add_name(g, a);
	return a;
}

static void
agent_free(struct gateway_agent *a)
{
	drop_tunnel(a);
	unmark_dirty(a);
	del_name(a->gateway, a);
	event_del(&a->deadline);
	if (a->secret != NULL)
		mem_wipe_free(a->secret, strlen(a->secret));
	mem_free(a);
}

static void
agent_gone(struct gateway_agent *a, const char *why)
{
	struct gateway *g = a->gateway;

	log_warn("gateway", "agent \"%s\" is gone: %s", a->name, why);
	g->counters.gateway_agents_gone++;
	drop_tunnel(a);
	if (g->handlers.on_gone != NULL)
		g->handlers.on_gone(g->arg, a);
	agent_free(a);
}

static void
remember_secret(struct gateway_agent *a)
{
	struct gateway *g = a->gateway;

	if (a->secret != NULL)
		mem_wipe_free(a->secret, strlen(a->secret));
	a->secret = mem_strdup(g->handlers.secret(g->arg, a->name));
}

/* Two boxes under one name throw each other out for ever: who runs them should be told. */
static void
watch_rivals(struct gateway_agent *a, const struct addr *peer)
{
	char text[ADDR_STR_MAX];
	uint64_t now_us = clock_us();

	a->rivals_n = now_us - a->instance_us < RIVAL_US ? a->rivals_n + 1 : 0;
	a->instance_us = now_us;
	if (a->rivals_n >= RIVALS_MAX && a->rivals_n % RIVALS_MAX == 0)
		log_error("gateway",
		    "agent \"%s\" starts again and again, now from %s: do two boxes use its name?",
		    a->name, addr_str(peer, text));
}

static void
adopt(struct gateway *g, const struct tunnel_grant *grant, const struct addr *peer)
{
	struct gateway_agent *a = find_by_name(g, grant->agent);
	bool fresh = a == NULL || a->instance != grant->instance;
	char text[ADDR_STR_MAX];

	if (a == NULL)
		a = agent_new(g, grant->agent);
	else
		drop_tunnel(a);
	set_state(a, TUNNEL_CONNECTING);
	if (fresh)
		watch_rivals(a, peer);
	a->instance = grant->instance;
	a->session = grant->session;
	a->peer = *peer;
	a->sessions_n++;
	a->away_since_us = clock_us();
	remember_secret(a);
	g->counters.gateway_sessions++;
	a->tunnel = tunnel_new(&g->cfg, &tunnel_handlers, a, grant, clock_us());
	add_session(g, a);
	log_info("gateway", "agent \"%s\" from %s: session %016llx%s", a->name,
	    addr_str(peer, text), (unsigned long long)grant->session,
	    fresh ? "" : ", instead of one that was lost");
	if (a->busy)
		tunnel_set_busy(a->tunnel, true, clock_us());
	if (g->handlers.on_session != NULL)
		g->handlers.on_session(g->arg, a, fresh);
	mark_dirty(a);
}

static void
refuse(struct gateway *g, const char *agent, const struct addr *peer)
{
	struct addr host = *peer;
	uint64_t now_us = clock_us();
	char text[ADDR_HOST_MAX];
	struct source *s;

	g->counters.gateway_refused++;
	addr_set_port(&host, 0);
	s = &g->sources[addr_hash(&host) % SOURCES_N];
	if (!addr_same_host(&s->addr, &host)) {
		if (s->addr.u.sa.sa_family != AF_UNSPEC && now_us - s->last_us < CLOCK_S)
			return; /* counted; a flood from many hosts does not flood the log */
		memset(s, 0, sizeof(*s));
		s->addr = host;
	}
	s->failures++;
	s->last_us = now_us;
	log_warn_limited(&s->limit, "gateway",
	    "refused agent \"%s\" from %s: wrong secret or unknown agent (%llu times from there)",
	    agent, addr_host(&host, text), (unsigned long long)s->failures);
}

static unsigned
on_http_open(void *arg, struct gateway_request *r, uint8_t *body, size_t *n)
{
	struct gateway *g = arg;
	struct addr peer = gateway_http_peer(r);
	uint8_t out[HANDSHAKE_BODY_MAX];
	struct tunnel_grant grant = { .agent = "" };
	bool granted = false;
	size_t out_len = 0;
	int err;

	g->counters.gateway_handshakes++;
	g->depth++;
	err = handshake_server_input(g->handshakes, clock_us(), body, *n, out, &out_len, &granted,
	    &grant);
	if (err == 0 && granted)
		adopt(g, &grant, &peer);
	else if (err == ERR_AUTH)
		refuse(g, grant.agent, &peer);
	else if (err < 0)
		g->counters.gateway_malformed_opens++;
	g->depth--;
	explicit_bzero(&grant, sizeof(grant));
	if (err < 0)
		return err == ERR_AUTH ? 403 : 400;
	memcpy(body, out, out_len);
	*n = out_len;
	return 200;
}

/* -- The turn -- */

/* A turn soon: not event_active, whose event would come before all that waits already. */
static void
turn_soon(struct gateway *g)
{
	static const struct timeval now = { 0, 0 };

	event_add(&g->turn, &now);
}

static void
settle(struct gateway_agent *a)
{
	unmark_dirty(a);
	close_aborted(a);
	if (a->broken) {
		log_warn("gateway", "agent \"%s\": the session is broken", a->name);
		drop_tunnel(a);
		set_state(a, TUNNEL_DOWN_STATE);
	}
	if (a->tunnel != NULL)
		tunnel_flush(a->tunnel, clock_us());
	arm_deadline(a);
}

/* Does what was noted, until nothing is left. With depth > 0: nothing may begin another one. */
static void
run_turn(struct gateway *g)
{
	struct gateway_agent *a;
	unsigned turns = 0;
	size_t i;

	do {
		g->more = false;
		while ((a = TAILQ_FIRST(&g->dirty)) != NULL)
			settle(a);
		for (i = 0; i < g->http_n; i++) {
			if (gateway_http_run(g->http[i]))
				g->more = true;
		}
	} while ((g->more || !TAILQ_EMPTY(&g->dirty)) && ++turns < TURNS_MAX);
	if (g->more)
		turn_soon(g);
}

static void
enter(struct gateway *g)
{
	g->depth++;
}

static void
leave(struct gateway *g)
{
	if (g->depth == 1)
		run_turn(g);
	g->depth--;
}

/* What a call from outside a turn has set going is done by the turn that follows. */
static void
leave_noting(struct gateway *g)
{
	g->depth--;
	if (g->more && g->depth == 0)
		turn_soon(g);
}

static void
on_http_turn(void *arg)
{
	enter(arg);
	leave(arg);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	enter(arg);
	leave(arg);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct gateway_agent *a = arg;
	struct gateway *g = a->gateway;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	a->armed_us = CLOCK_NEVER;
	enter(g);
	if (a->tunnel != NULL && tunnel_deadline(a->tunnel) <= now_us)
		tunnel_tick(a->tunnel, now_us);
	mark_dirty(a);
	leave(g);
}

/* Once a second: who is away for too long. */
static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	struct gateway_agent *a, *next;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	enter(g);
	HASH_ITER(by_name, g->by_name, a, next) {
		if (a->state != TUNNEL_UP_STATE && now_us - a->away_since_us >= g->grace_us)
			agent_gone(a, "it was away for too long");
	}
	leave(g);
}

/* -- The interface -- */

static const struct gateway_http_handlers http_handlers = {
	.on_open = on_http_open,
	.on_stream = on_http_stream,
	.on_read = on_http_read,
	.on_write = on_http_write,
	.on_gone = on_http_gone,
	.on_turn = on_http_turn,
};

static const char *
on_secret(void *arg, const char *agent)
{
	struct gateway *g = arg;

	/* An agent beyond the cap of the table is as good as unknown. */
	if (find_by_name(g, agent) == NULL && HASH_CNT(by_name, g->by_name) >= AGENTS_MAX)
		return NULL;
	return g->handlers.secret(g->arg, agent);
}

static void
configure(struct gateway *g, const struct gateway_config *config)
{
	g->tls = config->certificate != NULL;
	g->grace_us = (config->grace_s == 0 ? GRACE_DEFAULT_S : config->grace_s) * CLOCK_S;
	tunnel_cfg_default(TUNNEL_SERVER, &g->cfg);
	g->cfg.connections = config->connections == 0 ? STREAMS_MAX : config->connections;
	g->cfg.rotate_bytes = config->rotate_bytes;
	g->cfg.rotate_age_us = config->rotate_age_s * CLOCK_S;
	if (config->media_max_age_ms != 0)
		g->cfg.media_max_age_us = config->media_max_age_ms * CLOCK_MS;
}

int
gateway_new(struct event_base *base, const struct gateway_config *config,
    const struct gateway_handlers *handlers, void *arg, struct gateway **out)
{
	static const struct timeval second = { 1, 0 };
	struct gateway_http_config http = { .certificate = config->certificate,
		.key = config->key };
	struct gateway *g = mem_zalloc(sizeof(*g));
	int err = 0;
	size_t i;

	g->base = base;
	g->handlers = *handlers;
	g->arg = arg;
	TAILQ_INIT(&g->dirty);
	configure(g, config);
	http.pending_s = config->pending_s == 0 ? GATEWAY_PENDING_S : config->pending_s;
	g->handshakes = handshake_server_new(on_secret, g);
	evtimer_assign(&g->turn, base, on_turn, g);
	event_assign(&g->watch, base, -1, EV_PERSIST, on_watch, g);
	event_add(&g->watch, &second);
	for (i = 0; i < config->listen_n && err == 0; i++) {
		http.listen = config->listen[i];
		err = gateway_http_new(base, &http, &http_handlers, g, &g->http[i]);
		g->http_n += err == 0;
	}
	if (err < 0) {
		gateway_free(g);
		return err;
	}
	*out = g;
	return 0;
}

void
gateway_free(struct gateway *g)
{
	struct gateway_agent *a, *next;
	size_t i;

	if (g == NULL)
		return;
	HASH_ITER(by_name, g->by_name, a, next) {
		agent_free(a);
	}
	for (i = 0; i < g->http_n; i++)
		gateway_http_free(g->http[i]);
	handshake_server_free(g->handshakes);
	event_del(&g->turn);
	event_del(&g->watch);
	mem_free(g);
}

struct addr
gateway_addr(const struct gateway *g, size_t i)
{
	return gateway_http_addr(g->http[i]);
}

void
gateway_recheck(struct gateway *g)
{
	struct gateway_agent *a, *next;
	const char *secret;

	enter(g);
	HASH_ITER(by_name, g->by_name, a, next) {
		secret = g->handlers.secret(g->arg, a->name);
		if (secret == NULL || strcmp(secret, a->secret) != 0)
			agent_gone(a, "its secret is another now, or it is no longer configured");
	}
	leave_noting(g);
}

const char *
gateway_agent_name(const struct gateway_agent *a)
{
	return a->name;
}

void
gateway_agent_set_user(struct gateway_agent *a, void *user)
{
	a->user = user;
}

void *
gateway_agent_user(const struct gateway_agent *a)
{
	return a->user;
}

struct gateway_agent *
gateway_agent_find(struct gateway *g, const char *name)
{
	return find_by_name(g, name);
}

int
gateway_send(struct gateway_agent *a, uint8_t type, const void *data, size_t n)
{
	int err;

	if (a->tunnel == NULL)
		return ERR_DOWN;
	enter(a->gateway);
	err = tunnel_send(a->tunnel, type, data, n, clock_us());
	mark_dirty(a);
	a->gateway->depth--;
	return err;
}

int
gateway_send_media(struct gateway_agent *a, uint32_t channel, const void *data, size_t n)
{
	int err;

	if (a->tunnel == NULL)
		return ERR_DOWN;
	enter(a->gateway);
	err = tunnel_send_media(a->tunnel, channel, data, n, clock_us());
	mark_dirty(a);
	a->gateway->depth--;
	return err;
}

void
gateway_set_busy(struct gateway_agent *a, bool busy)
{
	a->busy = busy;
	if (a->tunnel == NULL)
		return;
	enter(a->gateway);
	tunnel_set_busy(a->tunnel, busy, clock_us());
	mark_dirty(a);
	leave_noting(a->gateway);
}

void
gateway_flush(struct gateway *g)
{
	enter(g);
	leave(g);
}

void
gateway_agent_facts(const struct gateway_agent *a, struct gateway_facts *out)
{
	static const char *const transports[2][2] = { { "http", "http via proxy" },
		{ "https", "https via proxy" } };

	memset(out, 0, sizeof(*out));
	out->agent = a->name;
	out->state = a->state;
	out->transport = transports[a->gateway->tls][a->via_proxy];
	out->peer = a->peer;
	out->last_error = a->last_error;
	out->last_error_wall_s = a->last_error_wall_s;
	out->since_wall_s = a->since_wall_s;
	out->reconnects = a->sessions_n - 1;
	if (a->tunnel == NULL)
		return;
	out->up_n = tunnel_streams_n(a->tunnel, TUNNEL_UP);
	out->down_n = tunnel_streams_n(a->tunnel, TUNNEL_DOWN);
	out->srtt_us = tunnel_srtt_us(a->tunnel);
	out->session = a->session;
}

void
gateway_each(struct gateway *g, gateway_facts_cb *cb, void *arg)
{
	struct gateway_agent *a, *next;
	struct gateway_facts facts;

	HASH_ITER(by_name, g->by_name, a, next) {
		gateway_agent_facts(a, &facts);
		cb(arg, &facts);
	}
}

struct metric_set
gateway_metrics(struct gateway *g)
{
	const struct gateway_http_counters *c;
	struct metric_set set = { metrics, &g->shown };
	struct gateway_agent *a, *next;
	size_t i;

	g->shown = g->counters;
	g->shown.gateway_agents = HASH_CNT(by_name, g->by_name);
	for (i = 0; i < g->http_n; i++) {
		c = gateway_http_counters(g->http[i]);
		g->shown.gateway_connections += c->connections;
		g->shown.gateway_connections_expired += c->pending_closed;
		g->shown.gateway_requests += c->requests;
		g->shown.gateway_requests_refused += c->refused;
		g->shown.gateway_requests_oversized += c->oversized;
	}
	HASH_ITER(by_name, g->by_name, a, next) {
		if (a->tunnel != NULL)
			tunnel_tally_add(&g->shown.tally, tunnel_stats(a->tunnel));
	}
	return set;
}
