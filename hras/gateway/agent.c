/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway/impl.h"
#include "tunnel/crypto.h"
#include "tunnel/tally.h"

#define RIVAL_US (60 * CLOCK_S) /* another instance so soon after the last one: two boxes? */
#define RIVALS_MAX 3

/* -- The tables of agents -- */

struct gateway_agent *
gateway_find_name(struct gateway *g, const char *name)
{
	struct gateway_agent *a;

	HASH_FIND(by_name, g->by_name, name, strlen(name), a);
	return a;
}

struct gateway_agent *
gateway_find_session(struct gateway *g, uint64_t session)
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

/* -- Sessions -- */

void
gateway_set_state(struct gateway_agent *a, enum tunnel_state state)
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

void
gateway_session_drop(struct gateway_agent *a)
{
	if (a->tunnel == NULL)
		return;
	gateway_flow_drop_all(a);
	gateway_prober_end(&a->prober);
	gateway_udp_end(a);
	tunnel_tally_add(&a->gateway->counters.tally, tunnel_stats(a->tunnel));
	tunnel_free(a->tunnel);
	a->tunnel = NULL;
	a->broken = false;
	del_session(a->gateway, a);
	timer_clear(a->gateway->timers, &a->deadline);
}

static struct gateway_agent *
agent_new(struct gateway *g, const char *name)
{
	struct gateway_agent *a = mem_zalloc(sizeof(*a));

	a->gateway = g;
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->state = TUNNEL_CONNECTING;
	a->since_wall_s = clock_wall_s();
	a->away_since_us = clock_us();
	a->last_error = "";
	LIST_INIT(&a->flows);
	timer_init(&a->deadline, gateway_on_deadline, a);
	add_name(g, a);
	return a;
}

void
gateway_agent_free(struct gateway_agent *a)
{
	gateway_session_drop(a);
	gateway_unmark(a);
	del_name(a->gateway, a);
	if (a->secret != NULL)
		mem_wipe_free(a->secret, strlen(a->secret));
	mem_free(a);
}

void
gateway_agent_gone(struct gateway_agent *a, const char *why)
{
	struct gateway *g = a->gateway;

	log_warn("gateway", "agent \"%s\" is gone: %s", a->name, why);
	g->counters.gateway_agents_gone++;
	gateway_session_drop(a);
	if (g->handlers.on_gone != NULL)
		g->handlers.on_gone(g->arg, a);
	gateway_agent_free(a);
}

static void
remember_secret(struct gateway_agent *a)
{
	struct gateway *g = a->gateway;

	if (a->secret != NULL)
		mem_wipe_free(a->secret, strlen(a->secret));
	a->secret = mem_strdup(g->handlers.secret(g->arg, a->name));
}

/* "192.0.2.1:443", and for whom it comes, if it says so. */
static const char *
who(const struct gateway_request *r, bool port, char out[static GATEWAY_WHO_MAX])
{
	const struct addr peer = gateway_http_peer(r), forwarded = gateway_http_forwarded(r);
	char text[ADDR_STR_MAX], host[ADDR_HOST_MAX];

	snprintf(out, GATEWAY_WHO_MAX, addr_is_set(&forwarded) ? "%s for %s" : "%s",
	    port ? addr_str(&peer, text) : addr_host(&peer, text), addr_host(&forwarded, host));
	return out;
}

/* Two boxes under one name throw each other out for ever: who runs them should be told. */
static void
watch_rivals(struct gateway_agent *a, const struct gateway_request *r)
{
	char text[GATEWAY_WHO_MAX];
	uint64_t now_us = clock_us();

	a->rivals_n = now_us - a->instance_us < RIVAL_US ? a->rivals_n + 1 : 0;
	a->instance_us = now_us;
	if (a->rivals_n >= RIVALS_MAX && a->rivals_n % RIVALS_MAX == 0)
		log_error("gateway",
		    "agent \"%s\" starts again and again, now from %s: do two boxes use its name?",
		    a->name, who(r, true, text));
}

static void
adopt(struct gateway *g, const struct tunnel_grant *grant, const struct gateway_request *r)
{
	struct gateway_agent *a = gateway_find_name(g, grant->agent);
	bool fresh = a == NULL || a->instance != grant->instance;
	char text[GATEWAY_WHO_MAX];

	if (a == NULL)
		a = agent_new(g, grant->agent);
	else
		gateway_session_drop(a);
	gateway_set_state(a, TUNNEL_CONNECTING);
	if (fresh)
		watch_rivals(a, r);
	a->instance = grant->instance;
	a->session = grant->session;
	a->peer = gateway_http_peer(r);
	a->forwarded = gateway_http_forwarded(r);
	a->local = gateway_http_local(r);
	a->tls = gateway_http_tls(r);
	a->via_proxy = gateway_http_via_proxy(r);
	a->sessions_n++;
	a->away_since_us = clock_us();
	remember_secret(a);
	g->counters.gateway_sessions++;
	a->tunnel = tunnel_new(&g->cfg, &gateway_tunnel_handlers, a, grant, clock_us());
	gateway_set_bandwidth_max(a, a->bandwidth_max_kbit);
	add_session(g, a);
	gateway_udp_begin(a);
	log_info("gateway", "agent \"%s\" from %s: session %016llx, %s%s", a->name,
	    who(r, true, text), (unsigned long long)grant->session, cipher_str(grant->cipher),
	    fresh ? "" : ", instead of one that was lost");
	if (a->busy)
		tunnel_set_busy(a->tunnel, true, clock_us());
	if (g->handlers.on_session != NULL)
		g->handlers.on_session(g->arg, a, fresh);
	gateway_mark(a);
}

/*
 * Which slot counts for a host that could not open; NULL: a flood from many hosts does not flood
 * the log.
 */
static struct gateway_source *
source_of(struct gateway *g, const struct gateway_request *r)
{
	struct addr host = gateway_http_peer(r);
	uint64_t now_us = clock_us();
	struct gateway_source *s;

	addr_set_port(&host, 0);
	s = &g->sources[addr_hash(&host) % GATEWAY_SOURCES_N];
	if (!addr_same_host(&s->addr, &host)) {
		if (s->addr.u.sa.sa_family != AF_UNSPEC && now_us - s->last_us < CLOCK_S)
			return NULL;
		memset(s, 0, sizeof(*s));
		s->addr = host;
	}
	s->failures++;
	s->last_us = now_us;
	who(r, false, s->who);
	return s;
}

static void
refuse(struct gateway *g, const char *agent, const struct gateway_request *r)
{
	struct gateway_source *s = source_of(g, r);

	g->counters.gateway_refused++;
	if (s != NULL)
		log_warn_limited(&s->limit, "gateway",
		    "refused agent \"%s\" from %s: wrong secret or unknown agent (%llu times from "
		    "there)",
		    agent, s->who, (unsigned long long)s->failures);
}

static void
refuse_unsealed(struct gateway *g, const char *agent, const struct gateway_request *r)
{
	struct gateway_source *s = source_of(g, r);

	g->counters.gateway_refused++;
	if (s != NULL)
		log_warn_limited(&s->limit, "gateway",
		    "refused agent \"%s\" from %s: its tunnel.seal is false, and ours is not",
		    agent, s->who);
}

static void
refuse_version(struct gateway *g, unsigned version, const struct gateway_request *r)
{
	struct gateway_source *s = source_of(g, r);

	g->counters.gateway_refused++;
	if (s != NULL)
		log_warn_limited(&s->limit, "gateway",
		    "refused an agent from %s: it is of another version and speaks version %u of "
		    "the protocol, and we speak %u",
		    s->who, version, HANDSHAKE_VERSION);
}

/* A proved agent wants to know what gets through; its session goes on meanwhile. */
static unsigned
visit(struct gateway *g, const struct tunnel_grant *grant, const struct gateway_request *r)
{
	const struct addr peer = gateway_http_peer(r);
	char text[ADDR_STR_MAX];

	g->counters.gateway_visits++;
	gateway_visit_new(g, grant);
	log_debug("gateway", "agent \"%s\" from %s: visit %016llx", grant->agent,
	    addr_str(&peer, text), (unsigned long long)grant->session);
	return 200;
}

/* A new key for a session that only its own agent may name. */
static unsigned
rekey(struct gateway *g, const struct tunnel_grant *grant)
{
	struct gateway_agent *a = gateway_find_session(g, grant->session);

	if (a == NULL || strcmp(a->name, grant->agent) != 0 || a->instance != grant->instance)
		return 404;
	if (tunnel_rekey(a->tunnel, grant, clock_us()) < 0)
		return 503;
	log_debug("gateway", "agent \"%s\": session %016llx gets a new key", a->name,
	    (unsigned long long)grant->session);
	return 200;
}

/* Its secret is right, and the certificate that it showed is not its own. */
static unsigned
refuse_misnamed(struct gateway *g, const char *agent, const struct gateway_request *r)
{
	struct gateway_source *s = source_of(g, r);

	g->counters.gateway_refused++;
	if (s != NULL)
		log_warn_limited(&s->limit, "gateway",
		    "refused agent \"%s\" from %s: its certificate has another name", agent,
		    s->who);
	return 403;
}

static unsigned
granted(struct gateway *g, const struct tunnel_grant *grant, const struct gateway_request *r)
{
	if (!gateway_http_may_be(r, grant->agent))
		return refuse_misnamed(g, grant->agent, r);
	switch (grant->purpose) {
	case HANDSHAKE_SESSION:
		adopt(g, grant, r);
		return 200;
	case HANDSHAKE_VISIT:
		return visit(g, grant, r);
	case HANDSHAKE_REKEY:
		return rekey(g, grant);
	}
	return 400;
}

/* What came of a body that is no HELLO and no good RESPONSE. */
static unsigned
open_failed(struct gateway *g, int err, const char *agent, unsigned version,
    const struct gateway_request *r)
{
	switch (err) {
	case ERR_AUTH:
		refuse(g, agent, r);
		return 403;
	case ERR_FULL:
		return 503;
	case ERR_UNSUPPORTED:
		refuse_version(g, version, r);
		return 400;
	default:
		g->counters.gateway_malformed_opens++;
		return 400;
	}
}

unsigned
gateway_open(void *arg, struct gateway_request *r, uint8_t *body, size_t *n)
{
	struct gateway *g = arg;
	uint8_t out[HANDSHAKE_BODY_MAX];
	enum handshake_step step = HANDSHAKE_CHALLENGED;
	struct tunnel_grant grant;
	unsigned status = 200;
	size_t out_len = 0;
	int err;

	g->counters.gateway_handshakes++;
	g->depth++;
	err = handshake_server_input(g->handshakes, clock_us(), body, *n, out, &out_len, &step,
	    &grant);
	if (err < 0)
		status = open_failed(g, err, grant.agent, out[0], r);
	else if (step == HANDSHAKE_GRANTED)
		status = granted(g, &grant, r);
	else if (step == HANDSHAKE_UNSEALED)
		refuse_unsealed(g, grant.agent, r);
	g->depth--;
	crypto_wipe(&grant, sizeof(grant));
	memcpy(body, out, out_len);
	*n = out_len;
	return status;
}
