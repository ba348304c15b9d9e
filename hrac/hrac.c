/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wiring of the inside. What happens on the loop, and what HRAC does with it:
 *   a phone's SIP message      -> CONTROL_SIP to HRAS; 503 when the tunnel is down
 *   a phone's voice            -> media -> the tunnel
 *   a control message of HRAS  -> on_control: SIP to the LAN, legs and calls to `taught`
 *   voice from the tunnel      -> media -> the phone
 *   the tunnel down for good   -> the last wills, then silence
 * Each entry ends in turn_soon, so that all that one turn of the loop gave leaves together.
 */
#include "hrac/hrac.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hrac/inside.h"
#include "hrac/network.h"
#include "log/log.h"
#include "sip/msg.h"

#define COMPONENT "hrac"
#define QUIET_US (40 * CLOCK_S) /* longer than timer B: by then HRAS has taught us the call */
#define GRACE_DEFAULT_S 30

static void
on_turn_end(void *arg)
{
	struct hrac *h = arg;

	uplink_flush(h->uplink);
}

/* -- Being busy: all connections of the tunnel stand before the first voice -- */

static void
update_busy(struct hrac *h)
{
	uplink_set_busy(h->uplink,
	    timer_is_set(&h->quiet) || taught_calls_n(h->taught) > 0 ||
		taught_legs_n(h->taught) > 0);
}

static void
on_quiet(void *arg, uint64_t now_us)
{
	(void)now_us;
	update_busy(arg);
}

static void
note_invite(struct hrac *h, const char *data, size_t n)
{
	if (n < 7 || memcmp(data, "INVITE ", 7) != 0)
		return;
	timer_set(h->timers, &h->quiet, clock_us() + QUIET_US);
	update_busy(h);
}

/* -- To HRAS -- */

int
hrac_send_control(struct hrac *h, const struct control *c)
{
	static uint8_t frame[CONTROL_MAX];
	size_t n;
	int err;

	if ((err = control_encode(c, frame, sizeof(frame), &n)) == 0)
		err = uplink_send(h->uplink, (uint8_t)c->type, frame, n);
	turn_soon(h->turn);
	return err;
}

static bool
tunnel_is_down(const struct hrac *h)
{
	struct uplink_facts f;

	uplink_facts(h->uplink, &f);
	return f.session == 0 || f.state == TUNNEL_DOWN_STATE;
}

static void
on_phone_message(void *arg, const struct sip_flow *flow, const char *data, size_t n)
{
	struct hrac *h = arg;
	struct control c = { .type = CONTROL_SIP };

	if (outage_take_answer(h->outage, data, n)) {
		turn_soon(h->turn);
		return;
	}
	c.u.sip = (struct control_sip){ .proto = (enum control_proto)flow->proto,
		.listener = flow->listener,
		.conn = flow->conn,
		.peer = flow->peer,
		.message = { (const uint8_t *)data, n } };
	note_invite(h, data, n);
	if (tunnel_is_down(h) || hrac_send_control(h, &c) != 0)
		outage_refuse(h->outage, flow, data, n);
	turn_soon(h->turn);
}

static void
on_phone_failed(void *arg, const struct sip_flow *flow, uint64_t tag, int err)
{
	struct control c = { .type = CONTROL_SIP_FAILED,
		.u.sip_failed = { tag, flow->conn, flow->peer, err } };

	if (tag != 0)
		hrac_send_control(arg, &c);
}

static void
on_phone_closed(void *arg, uint64_t conn)
{
	struct control c = { .type = CONTROL_SIP_CLOSED, .u.sip_closed = { conn } };

	hrac_send_control(arg, &c);
}

static void
on_leg_failed(void *arg, uint32_t leg, uint16_t port, int err)
{
	struct control c = { .type = CONTROL_LEG_FAILED, .u.leg_failed = { leg, port, err } };

	hrac_send_control(arg, &c);
}

static void
on_phone_source(void *arg, struct media_leg *leg, bool rtcp, const struct addr *source)
{
	struct control c = { .type = CONTROL_LEG_SOURCE,
		.u.leg_source = { taught_leg_number(media_leg_user(leg)), rtcp, *source } };

	hrac_send_control(arg, &c);
}

static void
on_phone_media(void *arg, uint32_t face, uint32_t channel, const uint8_t *data, size_t n)
{
	struct hrac *h = arg;

	(void)face;
	uplink_send_media(h->uplink, channel, data, n);
}

static void
on_media_turn(void *arg)
{
	struct hrac *h = arg;

	turn_soon(h->turn);
}

/* -- From HRAS -- */

static void
deliver_sip(struct hrac *h, const struct control_sip *s)
{
	struct sip_flow to = { .proto = (enum sip_proto)s->proto,
		.listener = s->listener,
		.conn = s->conn,
		.peer = s->peer };
	int err =
	    sip_transport_send(h->transport, &to, s->tag, (const char *)s->message.p, s->message.n);

	if (err != 0)
		on_phone_failed(h, &to, s->tag, err);
}

static void
on_will_send(void *arg, const struct sip_flow *to, const char *data, size_t n)
{
	struct hrac *h = arg;

	sip_transport_send(h->transport, to, 0, data, n);
}

/* What HRAS may open here is what our administrator gave it, whatever HRAS believes. */
static int
teach_leg(struct hrac *h, const struct control_leg *l)
{
	static struct log_limit limit;
	const struct config_media *ours = &h->conf->media;

	if (l->port >= ours->port_min && l->port < ours->port_max)
		return taught_leg(h->taught, l);
	h->legs_refused++;
	log_warn_limited(&limit, COMPONENT, "HRAS wants port %u, which is not of media.ports",
	    l->port);
	on_leg_failed(h, l->leg, l->port, ERR_UNSUPPORTED);
	return 0;
}

static void
on_forgotten(void *arg, const struct taught_call *c)
{
	struct hrac *h = arg;

	outage_execute_will(h->outage, c, clock_us());
}

/* HRAS gave up while we were away what it does not name any more, and could not tell our phone. */
static void
synchronize(struct hrac *h, const struct control_sync *s)
{
	h->grace_s = s->grace_s;
	if (!s->begin)
		taught_each_unnamed(h->taught, on_forgotten, h);
	taught_sync(h->taught, s->begin);
}

static int
on_control(struct hrac *h, const struct control *c)
{
	switch (c->type) {
	case CONTROL_SIP:
		deliver_sip(h, &c->u.sip);
		return 0;
	case CONTROL_SYNC:
		synchronize(h, &c->u.sync);
		return 0;
	case CONTROL_CALL:
		timer_clear(h->timers, &h->quiet); /* the INVITE is taught: the call counts now */
		return taught_call(h->taught, &c->u.call);
	case CONTROL_CALL_END:
		taught_call_end(h->taught, c->u.call_end.call);
		return 0;
	case CONTROL_LEG:
		return teach_leg(h, &c->u.leg);
	case CONTROL_LEG_CLOSE:
		taught_leg_close(h->taught, c->u.leg_close.leg);
		return 0;
	case CONTROL_HEARD:
		return hrac_take_heard(h, &c->u.heard);
	case CONTROL_BANDWIDTH:
		return line_heard(h, &c->u.bandwidth);
	case CONTROL_DATAGRAMS:
		uplink_offer_datagrams(h->uplink, &c->u.datagrams.address);
		return 0;
	default:
		return ERR_UNSUPPORTED; /* what only HRAC says */
	}
}

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	static struct log_limit limit;
	struct hrac *h = arg;
	struct control c;
	int err;

	if ((err = control_decode(type, data, n, &c)) == 0)
		err = on_control(h, &c);
	if (err != 0) {
		h->control_malformed++;
		log_warn_limited(&limit, COMPONENT, "control message %u of HRAS: %s", type,
		    err_str(err));
	}
	update_busy(h);
	turn_soon(h->turn);
}

static void
on_tunnel_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct hrac *h = arg;

	media_from_tunnel(h->media, 0, channel, data, n, clock_us());
	turn_soon(h->turn);
}

static void
on_tunnel_late(void *arg, uint32_t channel)
{
	struct hrac *h = arg;

	media_late(h->media, 0, channel);
}

/* -- The link -- */

/* RTP takes even ports. */
static uint16_t
first_port(const struct hrac *h)
{
	return (uint16_t)(h->conf->media.port_min + h->conf->media.port_min % 2);
}

static void
introduce(struct hrac *h)
{
	struct control c = { .type = CONTROL_AGENT };
	struct control_agent *a = &c.u.agent;

	a->version =
	    (struct control_bytes){ (const uint8_t *)PACKAGE_VERSION, strlen(PACKAGE_VERSION) };
	for (a->sip_n = 0; a->sip_n < h->conf->sip.listen_n; a->sip_n++) {
		a->sip[a->sip_n].proto = (enum control_proto)h->conf->sip.listen[a->sip_n].proto;
		a->sip[a->sip_n].addr = h->conf->sip.listen[a->sip_n].addr;
	}
	a->media = h->conf->media.address;
	a->port_min = first_port(h);
	a->port_max = h->conf->media.port_max;
	a->busy = (struct control_bytes){ h->busy_ports, h->busy_ports_len };
	hrac_send_control(h, &c);
}

/* Of these calls nobody outside knows any more. */
static void
end_calls(struct hrac *h, const char *why)
{
	if (taught_calls_n(h->taught) > 0)
		log_warn(COMPONENT, "%s: its %zu calls end here", why, taught_calls_n(h->taught));
	outage_execute_wills(h->outage, h->taught, clock_us());
	taught_clear(h->taught);
	update_busy(h);
}

static void
on_session(void *arg, const struct tunnel_grant *grant, bool new_to_uplink)
{
	struct hrac *h = arg;

	(void)new_to_uplink; /* which a reload may have replaced; our calls outlive it */
	if (h->boot != 0 && h->boot != grant->boot)
		end_calls(h, "HRAS has restarted");
	h->boot = grant->boot;
	introduce(h);
	line_begin(h);
}

static void
on_state(void *arg, enum tunnel_state state)
{
	struct hrac *h = arg;

	if (state == TUNNEL_UP_STATE)
		timer_clear(h->timers, &h->gone);
	else if (!timer_is_set(&h->gone) && taught_calls_n(h->taught) > 0)
		timer_set(h->timers, &h->gone, clock_us() + h->grace_s * CLOCK_S);
	turn_soon(h->turn);
}

static void
on_gone(void *arg, uint64_t now_us)
{
	struct hrac *h = arg;
	char why[64];

	(void)now_us;
	snprintf(why, sizeof(why), "HRAS has been away for %u s", h->grace_s);
	end_calls(h, why);
}

/* -- When the ground shakes -- */

/* Phones were told this address: nothing works for them until it is back. */
static void
check_address(const struct addr *a, const char *option, bool *gone)
{
	char text[ADDR_HOST_MAX];

	if (*gone == !network_has(a))
		return;
	*gone = !*gone;
	if (*gone)
		log_error(COMPONENT,
		    "this machine has lost %s, the address of %s: no phone reaches it there",
		    addr_host(a, text), option);
	else
		log_info(COMPONENT, "%s, the address of %s, is back", addr_host(a, text), option);
}

static void
on_shaken(void *arg, bool slept)
{
	struct hrac *h = arg;
	size_t i;

	if (slept)
		log_info(COMPONENT, "this machine has slept");
	for (i = 0; i < h->conf->sip.listen_n; i++)
		check_address(&h->conf->sip.listen[i].addr, "sip.listen", &h->address_gone[i]);
	check_address(&h->conf->media.address, "media.address", &h->address_gone[i]);
	uplink_shaken(h->uplink, slept);
}

/* -- Starting -- */

/* Which even ports of the range somebody else on this machine holds, so that HRAS avoids them. */
static void
probe_ports(struct hrac *h)
{
	size_t n = (size_t)(h->conf->media.port_max - first_port(h) + 1) / 2, taken = 0;
	struct addr a = h->conf->media.address;
	int fd;

	h->busy_ports_len = (n + 7) / 8;
	h->busy_ports = mem_zalloc(h->busy_ports_len);
	for (size_t i = 0; i < 2 * n; i++) {
		addr_set_port(&a, (uint16_t)(first_port(h) + i));
		fd = socket(a.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && bind(fd, &a.u.sa, addr_len(&a)) != 0 && errno == EADDRINUSE) {
			h->busy_ports[i / 16] |= (uint8_t)(1u << (i / 2 % 8));
			taken++;
		}
		if (fd >= 0)
			close(fd);
	}
	if (taken > 0)
		log_info(COMPONENT, "%zu of the media ports are held by other programs", taken);
}

static int
start_uplink(struct hrac *h)
{
	static const struct uplink_handlers handlers = { .on_reliable = on_reliable,
		.on_media = on_tunnel_media,
		.on_late = on_tunnel_late,
		.on_state = on_state,
		.on_session = on_session };
	const struct config_hrac *c = h->conf;
	struct uplink_config config = { .transport = c->tunnel.transport,
		.agent = c->tunnel.agent,
		.secret = c->tunnel.secret,
		.proxy = c->tunnel.proxy,
		.proxy_user = c->tunnel.proxy_user,
		.proxy_password = c->tunnel.proxy_password,
		.ca = c->tunnel.ca,
		.client_certificate = c->tunnel.client_certificate,
		.client_key = c->tunnel.client_key,
		.connections_max = c->tunnel.connections_max,
		.unsealed = !c->tunnel.seal,
		.rotate_bytes = c->tunnel.rotate_bytes,
		.rotate_age_s = c->tunnel.rotate_age_s,
		.media_max_age_ms = c->media.max_age_ms };

	for (size_t i = 0; i < c->tunnel.urls_n; i++)
		config.urls[i] = c->tunnel.urls[i];
	return uplink_new(h->base, &config, &handlers, h, &h->uplink);
}

static int
start_sip(struct hrac *h)
{
	static const struct sip_transport_handlers handlers = { on_phone_message, on_phone_failed,
		on_phone_closed };
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
start_all(struct hrac *h)
{
	static const struct media_handlers handlers = { on_phone_media, on_phone_source,
		on_media_turn, hrac_round_trip_us };
	const struct media_cfg media = { .address = h->conf->media.address };
	int err;

	if ((err = media_address_check(&media.address)) != 0)
		return err;
	h->media = media_new(h->base, &media, &handlers, h);
	if (h->media == NULL)
		return ERR_IO;
	h->taught = taught_new(h->media, on_leg_failed, h);
	h->outage = outage_new(h->timers, on_will_send, h);
	hrac_watch_start(h);
	probe_ports(h);
	if ((err = start_sip(h)) != 0 || (err = start_uplink(h)) != 0)
		return err;
	h->network = network_new(h->base, on_shaken, h);
	if (addr_is_set(&h->conf->status.listen))
		return status_new(h->base, &h->conf->status.listen, &hrac_facts, h, &h->status);
	return 0;
}

int
hrac_start(struct event_base *base, void *conf, void **state)
{
	struct hrac *h = mem_zalloc(sizeof(*h));
	int err;

	h->base = base;
	h->conf = conf;
	h->started_us = clock_us();
	h->grace_s = GRACE_DEFAULT_S;
	h->timers = timers_new();
	h->turn = turn_new(base, h->timers, on_turn_end, h);
	timer_init(&h->gone, on_gone, h);
	timer_init(&h->quiet, on_quiet, h);
	line_init(h);
	log_set_level(h->conf->log_level);
	config_warn_hrac(h->conf);
	if ((err = start_all(h)) != 0) {
		h->conf = NULL; /* stays the caller's */
		hrac_free(h);
		return err;
	}
	log_info(COMPONENT, "%s: agent \"%s\", tunnel to %s", PACKAGE_VERSION,
	    h->conf->tunnel.agent, h->conf->tunnel.urls[0]);
	*state = h;
	return 0;
}

/* -- Reloading and ending -- */

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_urls(const struct config_hrac *a, const struct config_hrac *b)
{
	bool all = a->tunnel.urls_n == b->tunnel.urls_n;

	for (size_t i = 0; all && i < a->tunnel.urls_n; i++)
		all = same(a->tunnel.urls[i], b->tunnel.urls[i]);
	return all;
}

static bool
same_tunnel(const struct config_hrac *a, const struct config_hrac *b)
{
	return same_urls(a, b) && a->tunnel.transport == b->tunnel.transport &&
	    same(a->tunnel.agent, b->tunnel.agent) && same(a->tunnel.secret, b->tunnel.secret) &&
	    same(a->tunnel.proxy, b->tunnel.proxy) &&
	    same(a->tunnel.proxy_user, b->tunnel.proxy_user) &&
	    same(a->tunnel.proxy_password, b->tunnel.proxy_password) &&
	    same(a->tunnel.ca, b->tunnel.ca) &&
	    same(a->tunnel.client_certificate, b->tunnel.client_certificate) &&
	    same(a->tunnel.client_key, b->tunnel.client_key) &&
	    a->tunnel.connections_max == b->tunnel.connections_max &&
	    a->tunnel.seal == b->tunnel.seal && a->tunnel.rotate_bytes == b->tunnel.rotate_bytes &&
	    a->tunnel.rotate_age_s == b->tunnel.rotate_age_s &&
	    a->media.max_age_ms == b->media.max_age_ms;
}

static bool
same_sockets(const struct config_hrac *a, const struct config_hrac *b)
{
	bool same = a->sip.listen_n == b->sip.listen_n &&
	    addr_equal(&a->media.address, &b->media.address) &&
	    a->media.port_min == b->media.port_min && a->media.port_max == b->media.port_max &&
	    addr_equal(&a->status.listen, &b->status.listen);

	for (size_t i = 0; same && i < a->sip.listen_n; i++)
		same = a->sip.listen[i].proto == b->sip.listen[i].proto &&
		    addr_equal(&a->sip.listen[i].addr, &b->sip.listen[i].addr);
	return same;
}

/*
 * Legs and calls outlive the uplink: HRAS teaches them anew in the next session, unless we come as
 * another agent, which had no part in them. The old uplink stays when there can be no new one.
 */
static int
renew_uplink(struct hrac *h, const struct config_hrac *old)
{
	struct uplink *last = h->uplink;
	int err = start_uplink(h);

	if (err != 0)
		return err;
	uplink_free(last);
	if (!same(old->tunnel.agent, h->conf->tunnel.agent))
		end_calls(h, "this agent has another name now");
	on_state(h, TUNNEL_CONNECTING);
	update_busy(h);
	return 0;
}

void
hrac_reload(void *state, void *conf)
{
	struct hrac *h = state;
	struct config_hrac *old = h->conf;
	bool renew = !same_tunnel(old, conf);

	if (!same_sockets(old, conf)) {
		log_error(COMPONENT,
		    "sip.listen, media and status.listen change only by a restart: "
		    "the new configuration is not taken");
		config_free_hrac(conf);
		return;
	}
	h->conf = conf;
	if (renew && renew_uplink(h, old) != 0) {
		log_error(COMPONENT, "the new configuration is not taken");
		h->conf = old;
		config_free_hrac(conf);
		return;
	}
	log_set_level(h->conf->log_level);
	line_reload(h, old);
	config_free_hrac(old);
	log_info(COMPONENT, "configuration read again%s", renew ? ", tunnel opened anew" : "");
	turn_soon(h->turn);
}

void
hrac_stop(void *state)
{
	struct hrac *h = state;

	log_info(COMPONENT, "ending");
	event_base_loopexit(h->base, NULL);
}

void
hrac_free(void *state)
{
	struct hrac *h = state;

	status_free(h->status);
	hrac_watch_stop(h);
	network_free(h->network);
	uplink_free(h->uplink);
	sip_transport_free(h->transport);
	outage_free(h->outage);
	taught_free(h->taught);
	media_free(h->media);
	turn_free(h->turn);
	timers_free(h->timers);
	config_free_hrac(h->conf);
	mem_free(h->busy_ports);
	mem_free(h);
}
