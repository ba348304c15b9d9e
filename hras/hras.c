/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wiring of the outside. What happens on the loop, and what HRAS does with it:
 *   a SIP message on the outside face   -> the SIP server
 *   a control message of an agent       -> faces.c: SIP to the server, legs to the call table
 *   the server relays a message         -> the call table rewrites its SDP and opens legs
 *   the server sends a message          -> the outside sockets, or faces.c for an inside face
 *   voice, on a socket or a tunnel      -> media, to the joined leg
 * Each entry ends in turn_soon, so that all that one turn of the loop gave leaves together.
 */
#include "hras/hras.h"

#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hras/outside.h"
#include "log/log.h"

#define COMPONENT "hras"
#define CALLS_AUTO_MAX 10000 /* with calls_max = auto: what strangers can make us keep has an end */
#define SAMPLING_US (250 * CLOCK_MS)
#define STOP_LINGER_US (500 * CLOCK_MS) /* for the BYEs of the last calls to leave */

struct failed_send {
	struct sip_failure failure;
	struct failed_send *next;
};

/* -- SIP -- */

static void
on_outside_message(void *arg, const struct sip_flow *flow, const char *data, size_t n)
{
	struct hras *h = arg;
	struct sip_flow from = *flow;

	from.face = SIP_FACE_OUTSIDE;
	sip_server_receive(h->server, &from, data, n, clock_us());
	turn_soon(h->turn);
}

static void
on_outside_failed(void *arg, const struct sip_flow *flow, uint64_t tag, int err)
{
	struct hras *h = arg;

	(void)flow;
	sip_server_send_failed(h->server, &(struct sip_failure){ SIP_FACE_OUTSIDE, tag, err },
	    clock_us());
	turn_soon(h->turn);
}

static void
on_outside_closed(void *arg, uint64_t conn)
{
	(void)arg, (void)conn; /* a flow whose connection is gone connects anew */
}

static void
on_failing(void *arg, uint64_t now_us)
{
	struct hras *h = arg;
	struct failed_send *f;

	while ((f = h->failed) != NULL) {
		h->failed = f->next;
		sip_server_send_failed(h->server, &f->failure, now_us);
		mem_free(f);
	}
}

/* A face that refuses at once is told to the server later: it is in the middle of sending. */
static void
fail_later(struct hras *h, const struct sip_failure *failure)
{
	struct failed_send *f = mem_alloc(sizeof(*f));

	*f = (struct failed_send){ *failure, h->failed };
	h->failed = f;
	timer_set(h->timers, &h->failing, clock_us());
}

static void
on_send(void *arg, const struct sip_flow *to, uint64_t tag, const char *data, size_t n)
{
	struct hras *h = arg;
	int err;

	if (to->face == SIP_FACE_OUTSIDE)
		err = sip_transport_send(h->transport, to, tag, data, n);
	else
		err = faces_send_sip(h, to, tag, data, n);
	if (err != 0 && tag != 0)
		fail_later(h, &(struct sip_failure){ to->face, tag, err });
	turn_soon(h->turn);
}

static int
on_relay(void *arg, struct sip_relay *r)
{
	struct hras *h = arg;

	return vcit_relay(h->vcit, r, clock_us());
}

static void
on_invite_failed(void *arg, const struct sip_msg *request, int status)
{
	struct hras *h = arg;

	vcit_invite_failed(h->vcit, request, status, clock_us());
}

static void
on_branch_failed(void *arg, const struct sip_msg *request, uint64_t branch)
{
	struct hras *h = arg;

	vcit_branch_failed(h->vcit, request, branch, clock_us());
}

/* -- Room -- */

static void
on_sampling(void *arg, uint64_t now_us)
{
	struct hras *h = arg;

	faces_sample(h, now_us);
	timer_set(h->timers, &h->sampling, now_us + SAMPLING_US);
}

/* -- Media -- */

static void
on_media_tunnel(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n)
{
	faces_send_media(arg, face, channel, data, n);
}

static void
on_media_source(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source)
{
	struct hras *h = arg;

	vcit_local_source(h->vcit, leg, rtcp, source);
	turn_soon(h->turn);
}

static void
on_media_turn(void *arg)
{
	struct hras *h = arg;

	turn_soon(h->turn);
}

static void
on_turn_end(void *arg)
{
	struct hras *h = arg;

	gateway_flush(h->gateway);
}

/* -- Starting -- */

static void
fill_sip_cfg(const struct config_hras *c, struct sip_user *users, struct sip_server_cfg *out)
{
	*out = (struct sip_server_cfg){ .domains = (const char *const *)c->domains,
		.domains_n = c->domains_n,
		.listen_n = c->sip.listen_n,
		.auth = (enum sip_auth)c->auth,
		.digest = (enum sip_offer)c->digest,
		.users = users,
		.users_n = c->users_n,
		.internal_direct = c->internal_calls_direct };
	for (size_t i = 0; i < c->sip.listen_n; i++) {
		out->listen[i] = (struct sip_listener){ (enum sip_proto)c->sip.listen[i].proto,
			c->sip.listen[i].addr };
		if (addr_is_set(&c->advertise.sip) &&
		    addr_is_v6(&c->advertise.sip) == addr_is_v6(&out->listen[i].addr)) {
			out->bound[i] = out->listen[i].addr;
			out->listen[i].addr = c->advertise.sip;
			addr_set_port(&out->listen[i].addr, addr_port(&out->bound[i]));
		}
	}
	for (size_t i = 0; i < c->users_n; i++)
		users[i] = (struct sip_user){ c->users[i].name, c->users[i].password };
}

static int
start_transport(struct hras *h)
{
	static const struct sip_transport_handlers handlers = { on_outside_message,
		on_outside_failed, on_outside_closed };
	int err;

	sip_msg_init();
	h->transport = sip_transport_new(h->base, &handlers, h);
	for (size_t i = 0; i < h->conf->sip.listen_n; i++) {
		const struct sip_listener l = { (enum sip_proto)h->conf->sip.listen[i].proto,
			h->conf->sip.listen[i].addr };

		if ((err = sip_transport_listen(h->transport, &l)) != 0)
			return err;
	}
	return 0;
}

static int
start_server(struct hras *h)
{
	static const struct sip_server_handlers handlers = { on_send, on_relay, on_invite_failed,
		on_branch_failed };
	struct sip_user *users = mem_calloc(h->conf->users_n + 1, sizeof(*users));
	struct sip_server_cfg cfg;

	fill_sip_cfg(h->conf, users, &cfg);
	location_key(h->location, cfg.key);
	h->server = sip_server_new(&cfg, h->timers, h->resolver, h->location, &handlers, h);
	vcit_set_server(h->vcit, h->server);
	mem_free(users);
	return 0;
}

static int
start_media(struct hras *h)
{
	static const struct media_handlers handlers = { on_media_tunnel, on_media_source,
		on_media_turn, hras_round_trip_us };
	const struct media_cfg media = { .address = h->conf->media.address,
		.told = h->conf->advertise.media };
	const bool automatic = h->conf->calls_max == CONFIG_CALLS_AUTO;
	const struct vcit_cfg cfg = { .calls_max = automatic ? CALLS_AUTO_MAX : h->conf->calls_max,
		.measured = automatic,
		.media_address = addr_is_set(&media.told) ? media.told : media.address,
		.port_min = h->conf->media.port_min,
		.port_max = h->conf->media.port_max,
		.linger_us = h->conf->media.linger_ms * CLOCK_MS,
		.media_timeout_us = h->conf->media.timeout_s * CLOCK_S };
	int err = media_address_check(&media.address);

	if (err != 0)
		return err;
	h->media = media_new(h->base, &media, &handlers, h);
	if (h->media == NULL)
		return ERR_IO;
	h->vcit = vcit_new(&cfg, h->timers, h->media, &faces_vcit_handlers, h);
	return 0;
}

static struct gateway_tls_files
tls_files(const struct config_hras *c)
{
	return (struct gateway_tls_files){ c->tunnel.certificate, c->tunnel.key,
		c->tunnel.client_ca };
}

_Static_assert(HRAS_WRONG_MAX >= GATEWAY_TLS_WRONG_MAX, "what is wrong with TLS fits");

int
hras_check(const void *conf, char wrong[static HRAS_WRONG_MAX])
{
	const struct config_hras *c = conf;
	const struct gateway_tls_files files = tls_files(c);
	struct gateway_tls *tls;
	int err;

	if (files.certificate == NULL)
		return 0;
	err = gateway_tls_new(&files, &tls, wrong);
	if (err == 0)
		gateway_tls_free(tls);
	return err;
}

static void
fill_listen(const struct config_hras *c, struct gateway_config *cfg)
{
	for (size_t i = 0; i < c->tunnel.listen_n; i++) {
		const struct config_tunnel_listen *l = &c->tunnel.listen[i];

		if (l->carrier == CONFIG_DATAGRAMS) {
			cfg->datagrams[cfg->datagrams_n++] = l->addr;
			continue;
		}
		cfg->listen[cfg->listen_n++] =
		    (struct gateway_listen){ l->addr, l->carrier == CONFIG_HTTPS };
	}
}

static int
start_gateway(struct hras *h)
{
	const struct config_hras *c = h->conf;
	struct gateway_config cfg = { .tls = tls_files(c),
		.grace_s = c->tunnel.grace_s,
		.unsealed = !c->tunnel.seal,
		.media_max_age_ms = c->media.max_age_ms,
		/* What stands for the address of voice outside stands for that of datagrams as well. */
		.private_host = c->media.address,
		.told_host = c->advertise.media };

	fill_listen(c, &cfg);
	return gateway_new(h->base, &cfg, &faces_gateway_handlers, h, &h->gateway);
}

static int
start_all(struct hras *h)
{
	const struct config_hras *c = h->conf;
	int err;

	if ((err = sip_resolver_new(h->base, (char *const *)c->dns_servers, c->dns_servers_n,
		 &h->resolver)) != 0)
		return err;
	if ((err = location_open(c->store, c->registrations_max, &h->location)) != 0)
		return err;
	if ((err = start_media(h)) != 0 || (err = start_transport(h)) != 0 ||
	    (err = start_server(h)) != 0 || (err = start_gateway(h)) != 0)
		return err;
	timer_set(h->timers, &h->sampling, clock_us() + SAMPLING_US);
	hras_watch_start(h);
	turn_soon(h->turn);
	if (addr_is_set(&c->status.listen))
		return status_new(h->base, &c->status.listen, &hras_facts, h, &h->status);
	return 0;
}

int
hras_start(struct event_base *base, void *conf, void **state)
{
	struct hras *h = mem_zalloc(sizeof(*h));
	int err;

	h->base = base;
	h->conf = conf;
	h->started_us = clock_us();
	h->timers = timers_new();
	h->turn = turn_new(base, h->timers, on_turn_end, h);
	timer_init(&h->failing, on_failing, h);
	timer_init(&h->sampling, on_sampling, h);
	log_set_level(h->conf->log_level);
	config_warn_hras(h->conf);
	if ((err = start_all(h)) != 0) {
		h->conf = NULL; /* stays the caller's */
		hras_free(h);
		return err;
	}
	log_info(COMPONENT, "%s: serving %s for %zu agents", PACKAGE_VERSION, h->conf->domains[0],
	    h->conf->agents_n);
	*state = h;
	return 0;
}

/* -- Reloading and ending -- */

static bool
same_listeners(const struct config_sip *a, const struct config_sip *b)
{
	bool same = a->listen_n == b->listen_n;

	for (size_t i = 0; same && i < a->listen_n; i++)
		same = a->listen[i].proto == b->listen[i].proto &&
		    addr_equal(&a->listen[i].addr, &b->listen[i].addr);
	return same;
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Those of datagrams; the others may come and go. */
static bool
has_datagram_listeners(const struct config_hras *a, const struct config_hras *b)
{
	for (size_t i = 0; i < a->tunnel.listen_n; i++) {
		const struct config_tunnel_listen *l = &a->tunnel.listen[i];
		size_t j = 0;

		while (j < b->tunnel.listen_n &&
		    (b->tunnel.listen[j].carrier != l->carrier ||
			!addr_equal(&b->tunnel.listen[j].addr, &l->addr)))
			j++;
		if (l->carrier == CONFIG_DATAGRAMS && j == b->tunnel.listen_n)
			return false;
	}
	return true;
}

static bool
same_dns_servers(const struct config_hras *a, const struct config_hras *b)
{
	bool all = a->dns_servers_n == b->dns_servers_n;

	for (size_t i = 0; all && i < a->dns_servers_n; i++)
		all = same(a->dns_servers[i], b->dns_servers[i]);
	return all;
}

/* The first option that differs and was given away at the start, to those who do not ask again; NULL =
 * there is none. */
static const char *
needs_restart(const struct config_hras *a, const struct config_hras *b)
{
	const struct {
		const char *option;
		bool same;
	} options[] = {
		{ "an address with udp: in tunnel.listen",
		    has_datagram_listeners(a, b) && has_datagram_listeners(b, a) },
		{ "tunnel.grace", a->tunnel.grace_s == b->tunnel.grace_s },
		{ "tunnel.seal", a->tunnel.seal == b->tunnel.seal },
		{ "sip.listen", same_listeners(&a->sip, &b->sip) },
		{ "sip.advertise", addr_equal(&a->advertise.sip, &b->advertise.sip) },
		{ "media.address", addr_equal(&a->media.address, &b->media.address) },
		{ "media.advertise", addr_equal(&a->advertise.media, &b->advertise.media) },
		{ "media.ports",
		    a->media.port_min == b->media.port_min &&
			a->media.port_max == b->media.port_max },
		{ "media.max_age", a->media.max_age_ms == b->media.max_age_ms },
		{ "media.timeout", a->media.timeout_s == b->media.timeout_s },
		{ "media.linger", a->media.linger_ms == b->media.linger_ms },
		{ "status.listen", addr_equal(&a->status.listen, &b->status.listen) },
		{ "store", same(a->store, b->store) },
		{ "calls_max", a->calls_max == b->calls_max },
		{ "registrations_max", a->registrations_max == b->registrations_max },
		{ "dns_servers", same_dns_servers(a, b) },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!options[i].same)
			return options[i].option;
	}
	return NULL;
}

void
hras_reload(void *state, void *conf)
{
	struct hras *h = state;
	struct config_hras *old = h->conf;
	struct gateway_config gateway = { 0 };
	const char *option;
	struct sip_user *users;
	struct sip_server_cfg cfg;

	if ((option = needs_restart(old, conf)) != NULL) {
		log_error(COMPONENT,
		    "%s is another, which takes a restart: nothing of the new configuration is taken",
		    option);
		config_free_hras(conf);
		return;
	}
	h->conf = conf;
	log_set_level(h->conf->log_level);
	users = mem_calloc(h->conf->users_n + 1, sizeof(*users));
	fill_sip_cfg(h->conf, users, &cfg);
	location_key(h->location, cfg.key);
	sip_server_reload(h->server, &cfg);
	mem_free(users);
	gateway.tls = tls_files(h->conf);
	fill_listen(h->conf, &gateway);
	gateway_reload(h->gateway, &gateway);
	gateway_recheck(h->gateway);
	faces_reload(h);
	config_free_hras(old);
	log_info(COMPONENT, "configuration read again");
	turn_soon(h->turn);
}

void
hras_stop(void *state)
{
	struct hras *h = state;
	struct timeval linger = { 0, (suseconds_t)STOP_LINGER_US };

	log_info(COMPONENT, "ending, %zu calls are told", vcit_calls_n(h->vcit));
	vcit_end_all(h->vcit, "server shutdown", clock_us());
	turn_soon(h->turn);
	event_base_loopexit(h->base, &linger);
}

void
hras_free(void *state)
{
	struct hras *h = state;
	struct failed_send *f;

	status_free(h->status);
	hras_watch_stop(h);
	gateway_free(h->gateway);
	vcit_free(h->vcit);
	sip_server_free(h->server);
	sip_transport_free(h->transport);
	media_free(h->media);
	location_close(h->location);
	sip_resolver_free(h->resolver);
	while ((f = h->failed) != NULL) {
		h->failed = f->next;
		mem_free(f);
	}
	faces_clear(&h->faces);
	turn_free(h->turn);
	timers_free(h->timers);
	config_free_hras(h->conf);
	mem_free(h);
}
