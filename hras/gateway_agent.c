/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/gateway_impl.h"
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
adopt(struct gateway *g, const struct tunnel_grant *grant, const struct gateway_request *r)
{
	const struct addr peer = gateway_http_peer(r);
	struct gateway_agent *a = gateway_find_name(g, grant->agent);
	bool fresh = a == NULL || a->instance != grant->instance;
	char text[ADDR_STR_MAX];

	if (a == NULL)
		a = agent_new(g, grant->agent);
	else
		gateway_session_drop(a);
	gateway_set_state(a, TUNNEL_CONNECTING);
	if (fresh)
		watch_rivals(a, &peer);
	a->instance = grant->instance;
	a->session = grant->session;
	a->peer = peer;
	a->tls = gateway_http_tls(r);
	a->via_proxy = gateway_http_via_proxy(r);
	a->sessions_n++;
	a->away_since_us = clock_us();
	remember_secret(a);
	g->counters.gateway_sessions++;
	a->tunnel = tunnel_new(&g->cfg, &gateway_tunnel_handlers, a, grant, clock_us());
	gateway_set_bandwidth_max(a, a->bandwidth_max_kbit);
	add_session(g, a);
	log_info("gateway", "agent \"%s\" from %s: session %016llx%s", a->name,
	    addr_str(&peer, text), (unsigned long long)grant->session,
	    fresh ? "" : ", instead of one that was lost");
	if (a->busy)
		tunnel_set_busy(a->tunnel, true, clock_us());
	if (g->handlers.on_session != NULL)
		g->handlers.on_session(g->arg, a, fresh);
	gateway_mark(a);
}

static void
refuse(struct gateway *g, const char *agent, const struct addr *peer)
{
	struct addr host = *peer;
	uint64_t now_us = clock_us();
	char text[ADDR_HOST_MAX];
	struct gateway_source *s;

	g->counters.gateway_refused++;
	addr_set_port(&host, 0);
	s = &g->sources[addr_hash(&host) % GATEWAY_SOURCES_N];
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

unsigned
gateway_open(void *arg, struct gateway_request *r, uint8_t *body, size_t *n)
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
		adopt(g, &grant, r);
	else if (err == ERR_AUTH)
		refuse(g, grant.agent, &peer);
	else if (err == ERR_MALFORMED)
		g->counters.gateway_malformed_opens++;
	g->depth--;
	explicit_bzero(&grant, sizeof(grant));
	if (err < 0)
		return err == ERR_AUTH ? 403 : err == ERR_FULL ? 503 : 400;
	memcpy(body, out, out_len);
	*n = out_len;
	return 200;
}
