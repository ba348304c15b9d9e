/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway/impl.h"
#include "tunnel/crypto.h"
#include "tunnel/tally.h"

#define TURNS_MAX 8 /* before other events of the loop get their turn */
#define AGENTS_MAX 4096
#define GRACE_DEFAULT_S 30

static const struct metric metrics[] = {
	METRIC(struct gateway_counters, gateway_handshakes, METRIC_COUNTER,
	    "Bodies of open requests."),
	METRIC(struct gateway_counters, gateway_sessions, METRIC_COUNTER, "Sessions agreed upon."),
	METRIC(struct gateway_counters, gateway_refused, METRIC_COUNTER,
	    "Openings with a wrong proof, of another version, or unsealed."),
	METRIC(struct gateway_counters, gateway_visits, METRIC_COUNTER,
	    "Visits of agents that look what gets through."),
	METRIC(struct gateway_counters, gateway_malformed_opens, METRIC_COUNTER,
	    "Openings that are none."),
	METRIC(struct gateway_counters, gateway_agents, METRIC_GAUGE,
	    "Agents here or in their grace."),
	METRIC(struct gateway_counters, gateway_agents_gone, METRIC_COUNTER,
	    "Agents away for too long."),
	METRIC(struct gateway_counters, gateway_unknown_sessions, METRIC_COUNTER,
	    "Stream requests of sessions that are none, or without the session's key."),
	METRIC(struct gateway_counters, gateway_streams_refused, METRIC_COUNTER,
	    "Stream requests made twice or beyond the cap."),
	METRIC(struct gateway_counters, gateway_probes, METRIC_COUNTER,
	    "Probes of what the way to us lets through."),
	METRIC(struct gateway_counters, gateway_probes_refused, METRIC_COUNTER,
	    "Probes asked for twice or beyond a cap."),
	METRIC(struct gateway_counters, gateway_connections, METRIC_COUNTER,
	    "TCP connections accepted."),
	METRIC(struct gateway_counters, gateway_connections_expired, METRIC_COUNTER,
	    "TCP connections closed because they carried no stream for too long."),
	METRIC(struct gateway_counters, gateway_requests, METRIC_COUNTER, "HTTP requests."),
	METRIC(struct gateway_counters, gateway_requests_refused, METRIC_COUNTER,
	    "HTTP requests refused."),
	METRIC(struct gateway_counters, gateway_requests_oversized, METRIC_COUNTER,
	    "HTTP requests with a body too long."),
	METRIC(struct gateway_counters, gateway_certificates_refused, METRIC_COUNTER,
	    "TLS handshakes refused for the certificate of the agent."),
	METRIC(struct gateway_counters, certificate_expires, METRIC_GAUGE,
	    "When the certificate for https ends, in seconds since 1970; 0 without one."),
	METRIC(struct gateway_counters, gateway_datagrams_unknown, METRIC_COUNTER,
	    "Datagrams of no session."),
	METRIC(struct gateway_counters, gateway_datagrams_moved, METRIC_COUNTER,
	    "Times that an agent's datagrams came from another address."),
	METRIC(struct gateway_counters, gateway_datagrams_unsent, METRIC_COUNTER,
	    "Datagrams that the system did not take."),
	TUNNEL_TALLY(struct gateway_counters, tally),
	{ 0 },
};

/* -- The turn -- */

void
gateway_mark(struct gateway_agent *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	TAILQ_INSERT_TAIL(&a->gateway->dirty, a, dirty_link);
	a->gateway->more = true;
}

void
gateway_unmark(struct gateway_agent *a)
{
	if (!a->dirty)
		return;
	a->dirty = false;
	TAILQ_REMOVE(&a->gateway->dirty, a, dirty_link);
}

static void
set_deadline(struct gateway_agent *a)
{
	uint64_t due_us = a->tunnel == NULL ? CLOCK_NEVER : tunnel_deadline(a->tunnel);

	if (due_us == CLOCK_NEVER)
		timer_clear(a->gateway->timers, &a->deadline);
	else if (due_us != a->deadline.due_us || !timer_is_set(&a->deadline))
		timer_set(a->gateway->timers, &a->deadline, due_us);
}

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
	gateway_unmark(a);
	gateway_flow_close_aborted(a);
	if (a->broken) {
		log_warn("gateway", "agent \"%s\": the session is broken", a->name);
		gateway_session_drop(a);
		gateway_set_state(a, TUNNEL_DOWN_STATE);
	}
	if (a->tunnel != NULL)
		tunnel_flush(a->tunnel, clock_us());
	set_deadline(a);
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
	gateway_udp_flush(g);
	if (g->more)
		turn_soon(g);
	alarm_set(g->alarm, timers_next_us(g->timers));
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

void
gateway_on_deadline(void *arg, uint64_t now_us)
{
	struct gateway_agent *a = arg;

	if (a->tunnel != NULL && tunnel_deadline(a->tunnel) <= now_us)
		tunnel_tick(a->tunnel, now_us);
	gateway_mark(a);
}

static void
on_alarm(void *arg, uint64_t now_us)
{
	struct gateway *g = arg;

	enter(g);
	timers_run(g->timers, now_us);
	leave(g);
}

/* Once a second: who is away for too long, keys whose time is over, and the certificate's. */
static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	struct gateway_agent *a, *next;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	if (g->https)
		gateway_tls_watch(g->tls, clock_wall_s());
	enter(g);
	handshake_server_tidy(g->handshakes, now_us);
	gateway_visits_expire(g, now_us);
	gateway_listen_tidy(g);
	HASH_ITER(by_name, g->by_name, a, next) {
		if (a->state != TUNNEL_UP_STATE && now_us - a->away_since_us >= g->grace_us)
			gateway_agent_gone(a, "it was away for too long");
	}
	leave(g);
}

/* -- The interface -- */

const struct gateway_http_handlers gateway_http_handlers = {
	.on_open = gateway_open,
	.streams = &gateway_flow_bodies,
	.probes = &gateway_probe_bodies,
	.on_turn = on_http_turn,
};

static const char *
on_secret(void *arg, const char *agent)
{
	struct gateway *g = arg;

	/* An agent beyond the cap of the table is as good as unknown. */
	if (gateway_find_name(g, agent) == NULL && HASH_CNT(by_name, g->by_name) >= AGENTS_MAX)
		return NULL;
	return g->handlers.secret(g->arg, agent);
}

static void
configure(struct gateway *g, const struct gateway_config *config)
{
	g->grace_us = (config->grace_s == 0 ? GRACE_DEFAULT_S : config->grace_s) * CLOCK_S;
	tunnel_cfg_default(TUNNEL_SERVER, &g->cfg);
	g->cfg.seed = crypto_random_u64();
	if (config->connections_max != 0)
		g->cfg.connections_max = config->connections_max;
	g->private_host = config->private_host;
	g->told_host = config->told_host;
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
	struct gateway *g = mem_zalloc(sizeof(*g));
	int err = 0;

	g->base = base;
	g->handlers = *handlers;
	g->arg = arg;
	TAILQ_INIT(&g->dirty);
	gateway_visits_init(&g->visits);
	configure(g, config);
	g->pending_s = config->pending_s == 0 ? GATEWAY_PENDING_S : config->pending_s;
	g->timers = timers_new();
	g->alarm = alarm_new(base, on_alarm, g);
	if (g->alarm == NULL) {
		log_error("gateway", "no descriptor for a timer: %s", strerror(errno));
		err = ERR_IO;
	}
	g->handshakes = handshake_server_new(on_secret, g, !config->unsealed);
	evtimer_assign(&g->turn, base, on_turn, g);
	event_assign(&g->watch, base, -1, EV_PERSIST, on_watch, g);
	event_add(&g->watch, &second);
	if (err == 0)
		err = gateway_listen_on(g, config->listen, config->listen_n, &config->tls);
	if (err == 0)
		err = gateway_udp_start(g, config->datagrams, config->datagrams_n);
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
		gateway_agent_free(a);
	}
	gateway_visits_end(g);
	for (i = 0; i < g->http_n; i++)
		gateway_http_free(g->http[i]);
	gateway_tls_free(g->tls);
	gateway_udp_stop(g);
	handshake_server_free(g->handshakes);
	alarm_free(g->alarm);
	timers_free(g->timers);
	event_del(&g->turn);
	event_del(&g->watch);
	mem_free(g);
}

struct addr
gateway_addr(const struct gateway *g, size_t i)
{
	return gateway_http_addr(g->http[i]);
}

static int
reload_tls(struct gateway *g, const struct gateway_tls_files *files)
{
	char wrong[GATEWAY_TLS_WRONG_MAX];
	int err = gateway_tls_load(g->tls, files, wrong);

	if (err < 0)
		log_error("gateway", "TLS: %s: the certificate in use stays", wrong);
	return err;
}

/* Which certificates agents have to show. */
struct demand {
	bool is;
	uint8_t authority[32];
};

static struct demand
demand(const struct gateway *g)
{
	struct demand d = { 0 };

	d.is = g->https && gateway_tls_asks(g->tls, d.authority);
	return d;
}

/* Who is in did not show what is asked for now, and would never be asked on what he has open. */
static void
start_over(struct gateway *g)
{
	struct gateway_agent *a, *next;

	log_info("gateway", "tunnel.client_ca is another: all agents have to come in again");
	HASH_ITER(by_name, g->by_name, a, next) {
		if (a->tunnel == NULL)
			continue;
		gateway_session_drop(a);
		gateway_set_state(a, TUNNEL_DOWN_STATE);
	}
	gateway_visits_end(g);
	for (size_t i = 0; i < g->http_n; i++)
		gateway_http_outdate(g->http[i]);
}

int
gateway_reload(struct gateway *g, const struct gateway_config *config)
{
	const struct demand before = demand(g);
	int err = 0, listen_err;
	struct demand now;

	if (g->tls != NULL && config->tls.certificate != NULL)
		err = reload_tls(g, &config->tls);
	enter(g);
	listen_err = gateway_listen_on(g, config->listen, config->listen_n, &config->tls);
	now = demand(g);
	if (now.is &&
	    (!before.is || memcmp(now.authority, before.authority, sizeof(now.authority)) != 0))
		start_over(g);
	g->more = true;
	leave_noting(g);
	return err < 0 ? err : listen_err;
}

uint64_t
gateway_certificate_expires_s(const struct gateway *g)
{
	return g->https ? gateway_tls_expires_s(g->tls) : 0;
}

void
gateway_recheck(struct gateway *g)
{
	struct gateway_agent *a, *next;
	const char *secret;

	enter(g);
	HASH_ITER(by_name, g->by_name, a, next) {
		secret = g->handlers.secret(g->arg, a->name);
		if (secret == NULL || a->secret == NULL || strcmp(secret, a->secret) != 0)
			gateway_agent_gone(a,
			    "its secret is another now, or it is no longer configured");
	}
	gateway_visits_end(g); /* who may still visit does so again */
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
	return gateway_find_name(g, name);
}

int
gateway_send(struct gateway_agent *a, uint8_t type, const void *data, size_t n)
{
	int err;

	if (a->tunnel == NULL)
		return ERR_DOWN;
	enter(a->gateway);
	err = tunnel_send(a->tunnel, type, data, n, clock_us());
	gateway_mark(a);
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
	gateway_mark(a);
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
	gateway_mark(a);
	leave_noting(a->gateway);
}

void
gateway_set_bandwidth_max(struct gateway_agent *a, uint32_t kbit)
{
	a->bandwidth_max_kbit = kbit;
	if (a->tunnel != NULL)
		tunnel_set_bandwidth_max(a->tunnel, kbit * 1000ULL);
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
	out->transport = transports[a->tls][a->via_proxy];
	out->peer = a->peer;
	out->forwarded = a->forwarded;
	out->last_error = a->last_error;
	out->last_error_wall_s = a->last_error_wall_s;
	out->since_wall_s = a->since_wall_s;
	out->reconnects = a->sessions_n - 1;
	if (a->tunnel == NULL)
		return;
	out->up_n = tunnel_streams_n(a->tunnel, TUNNEL_UP);
	out->down_n = tunnel_streams_n(a->tunnel, TUNNEL_DOWN);
	out->srtt_us = tunnel_srtt_us(a->tunnel);
	out->bytes_sent = tunnel_stats(a->tunnel)->bytes_sent;
	out->bytes_received = tunnel_stats(a->tunnel)->bytes_received;
	out->session = a->session;
	out->cipher = cipher_str(tunnel_grant(a->tunnel)->cipher);
	out->stats = tunnel_stats(a->tunnel);
	tunnel_line(a->tunnel, clock_us(), &out->line);
	(void)tunnel_datagrams(a->tunnel, clock_us(), &out->datagrams);
	out->datagrams_from = a->datagrams_to.remote;
}

const struct tunnel *
gateway_agent_tunnel(const struct gateway_agent *a)
{
	return a->tunnel;
}

struct metric_set
gateway_metrics(struct gateway *g)
{
	const struct gateway_http_counters c = gateway_listen_counters(g);
	struct metric_set set = { metrics, &g->shown };
	struct gateway_agent *a, *next;

	g->shown = g->counters;
	g->shown.certificate_expires = gateway_certificate_expires_s(g);
	if (g->tls != NULL)
		g->shown.gateway_certificates_refused = gateway_tls_refused(g->tls);
	g->shown.gateway_agents = HASH_CNT(by_name, g->by_name);
	for (size_t i = 0; i < g->datagrams_n; i++)
		g->shown.gateway_datagrams_unsent += udp_unsent(g->datagrams[i].udp);
	g->shown.gateway_connections += c.connections;
	g->shown.gateway_connections_expired += c.expired;
	g->shown.gateway_requests += c.requests;
	g->shown.gateway_requests_refused += c.refused;
	g->shown.gateway_requests_oversized += c.oversized;
	HASH_ITER(by_name, g->by_name, a, next) {
		if (a->tunnel != NULL)
			tunnel_tally_add(&g->shown.tally, tunnel_stats(a->tunnel));
	}
	return set;
}
