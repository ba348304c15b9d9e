/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/support/http_pair.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"

#define RELIABLE_TYPE 2
#define MEDIA_LEN 172 /* 20 ms of G.711 in RTP */
#define RELIABLE_LEN 700

/* -- The traffic -- */

static void
fill(uint8_t *p, size_t n, uint32_t serial)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(serial + i);
	memcpy(p, &serial, sizeof(serial));
}

static bool
check(const uint8_t *p, size_t n, size_t expected, uint32_t *serial)
{
	uint8_t good[RELIABLE_LEN];

	if (n != expected)
		return false;
	memcpy(serial, p, sizeof(*serial));
	fill(good, n, *serial);
	return memcmp(p, good, n) == 0;
}

static void
got_reliable(struct http_inbox *in, uint8_t type, const uint8_t *p, size_t n)
{
	uint32_t serial;

	if (type == RELIABLE_TYPE && check(p, n, RELIABLE_LEN, &serial) && serial == in->reliable_n)
		in->reliable_n++;
	else
		in->wrong_n++;
}

static void
got_media(struct http_inbox *in, uint32_t channel, const uint8_t *p, size_t n)
{
	uint32_t serial;

	if (!check(p, n, MEDIA_LEN, &serial) || serial >= HTTP_PAIR_MEDIA_MAX ||
	    channel != serial % 1000 || (in->seen[serial / 8] & 1 << serial % 8) != 0) {
		in->wrong_n++;
		return;
	}
	in->seen[serial / 8] |= (uint8_t)(1 << serial % 8);
	in->media_n++;
}

void
http_pair_send(struct http_pair *p, unsigned n)
{
	uint8_t data[RELIABLE_LEN];

	for (; n > 0; n--) {
		fill(data, sizeof(data), p->up_sent);
		p->up_sent += uplink_send(p->uplink, RELIABLE_TYPE, data, sizeof(data)) == 0;
		fill(data, sizeof(data), p->down_sent);
		p->down_sent += gateway_send(p->agent, RELIABLE_TYPE, data, sizeof(data)) == 0;
	}
	uplink_flush(p->uplink);
	gateway_flush(p->gateway);
}

void
http_pair_send_media(struct http_pair *p, unsigned n)
{
	uint8_t data[MEDIA_LEN];

	for (; n > 0; n--) {
		fill(data, sizeof(data), p->up_media_sent);
		uplink_send_media(p->uplink, p->up_media_sent++ % 1000, data, sizeof(data));
		fill(data, sizeof(data), p->down_media_sent);
		gateway_send_media(p->agent, p->down_media_sent++ % 1000, data, sizeof(data));
	}
	uplink_flush(p->uplink);
	gateway_flush(p->gateway);
}

void
http_pair_forget(struct http_pair *p)
{
	memset(&p->up, 0, sizeof(p->up));
	memset(&p->down, 0, sizeof(p->down));
	p->up_sent = p->down_sent = p->up_media_sent = p->down_media_sent = 0;
}

/* -- Handlers -- */

static void
on_down_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct http_pair *p = arg;

	got_reliable(&p->down, type, data, n);
	uplink_flush(p->uplink); /* allowed, and nothing to do */
}

static void
on_down_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct http_pair *p = arg;

	got_media(&p->down, channel, data, n);
}

static void
on_uplink_session(void *arg, const struct tunnel_grant *grant, bool restarted)
{
	struct http_pair *p = arg;

	(void)grant;
	p->uplink_sessions_n++;
	p->uplink_restarted_n += restarted;
}

static const char *
on_secret(void *arg, const char *agent)
{
	struct http_pair *p = arg;

	return strcmp(agent, "office") == 0 || strcmp(agent, "branch") == 0 ? p->secret : NULL;
}

static void
on_agent_session(void *arg, struct gateway_agent *a, bool fresh)
{
	struct http_pair *p = arg;

	p->agent = a;
	p->agent_sessions_n++;
	p->agent_fresh_n += fresh;
	gateway_agent_set_user(a, p);
}

static void
on_up_reliable(void *arg, struct gateway_agent *a, uint8_t type, const uint8_t *data, size_t n)
{
	struct http_pair *p = arg;

	(void)a;
	got_reliable(&p->up, type, data, n);
	gateway_flush(p->gateway); /* allowed, and nothing to do */
}

static void
on_up_media(void *arg, struct gateway_agent *a, uint32_t channel, const uint8_t *data, size_t n)
{
	struct http_pair *p = arg;

	(void)a;
	got_media(&p->up, channel, data, n);
}

static void
on_agent_gone(void *arg, struct gateway_agent *a)
{
	struct http_pair *p = arg;

	if (a == p->agent)
		p->agent = NULL;
	p->agent_gone_n++;
}

/* -- Begin and end -- */

void
http_pair_init(struct http_pair *p)
{
	signal(SIGPIPE, SIG_IGN);
	memset(p, 0, sizeof(*p));
	p->base = event_base_new();
	p->secret = "swordfish";
	addr_parse("127.0.0.1:0", 0, &p->gateway_config.listen[0].addr);
	p->gateway_config.listen_n = 1;
	/* On a busy machine a test may stand still for a while, and that is not what is tested. */
	p->gateway_config.media_max_age_ms = p->uplink_config.media_max_age_ms = 10000;
	p->uplink_config.agent = "office";
	p->uplink_config.secret = "swordfish";
}

void
http_pair_free(struct http_pair *p)
{
	http_pair_stop_uplink(p);
	http_pair_stop_gateway(p);
	event_base_free(p->base);
}

void
http_pair_start_gateway(struct http_pair *p)
{
	static const struct gateway_handlers handlers = {
		.secret = on_secret,
		.on_session = on_agent_session,
		.on_reliable = on_up_reliable,
		.on_media = on_up_media,
		.on_gone = on_agent_gone,
	};

	if (gateway_new(p->base, &p->gateway_config, &handlers, p, &p->gateway) < 0)
		abort();
	p->gateway_config.listen[0].addr = gateway_addr(p->gateway, 0);
}

void
http_pair_start_uplink(struct http_pair *p)
{
	static const struct uplink_handlers handlers = {
		.on_reliable = on_down_reliable,
		.on_media = on_down_media,
		.on_session = on_uplink_session,
	};
	struct uplink_config config = p->uplink_config;
	char text[ADDR_STR_MAX], *url;

	url = mem_printf("%s://%s/some/prefix", p->gateway_config.listen[0].tls ? "https" : "http",
	    addr_str(&p->gateway_config.listen[0].addr, text));
	if (config.urls[0] == NULL)
		config.urls[0] = url;
	/* Over the loopback the direct way is always there, and is the better one. */
	if (config.proxy != NULL && config.transport == CONFIG_AUTO)
		config.transport = CONFIG_BY_PROXY;
	if (config.proxy == NULL)
		config.proxy = "none";
	if (uplink_new(p->base, &config, &handlers, p, &p->uplink) < 0)
		abort();
	mem_free(url);
}

void
http_pair_stop_gateway(struct http_pair *p)
{
	gateway_free(p->gateway);
	p->gateway = NULL;
	p->agent = NULL;
}

void
http_pair_stop_uplink(struct http_pair *p)
{
	uplink_free(p->uplink);
	p->uplink = NULL;
}

/* -- Waiting -- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

bool
http_pair_wait(struct http_pair *p, http_pair_cond *cond, void *arg, unsigned ms)
{
	static const struct timeval tick = { 0, 5000 };
	uint64_t until_us = clock_us() + ms * CLOCK_MS;
	struct event *ev = event_new(p->base, -1, EV_PERSIST, on_tick, NULL);

	event_add(ev, &tick);
	for (; !cond(arg) && clock_us() < until_us; p->loops_n++)
		event_base_loop(p->base, EVLOOP_ONCE);
	event_free(ev);
	return cond(arg);
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

void
http_pair_sleep(struct http_pair *p, unsigned ms)
{
	http_pair_wait(p, never, NULL, ms);
}

bool
http_pair_is_up(void *pair)
{
	struct http_pair *p = pair;
	struct uplink_facts u;
	struct gateway_facts g;

	if (p->uplink == NULL || p->agent == NULL)
		return false;
	uplink_facts(p->uplink, &u);
	gateway_agent_facts(p->agent, &g);
	return u.state == TUNNEL_UP_STATE && g.state == TUNNEL_UP_STATE && u.session == g.session;
}

bool
http_pair_all_came(void *pair)
{
	struct http_pair *p = pair;

	return p->up.reliable_n == p->up_sent && p->down.reliable_n == p->down_sent;
}

uint64_t
http_pair_metric(struct metric_set set, const char *name)
{
	const struct metric *m;

	for (m = set.table; m->name != NULL; m++) {
		if (strcmp(m->name, name) == 0)
			return metric_value(&set, m);
	}
	abort();
}
