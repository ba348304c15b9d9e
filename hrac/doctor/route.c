/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "hrac/doctor/impl.h"
#include "hrac/uplink/cause.h"
#include "tunnel/crypto.h"

#define SMALL_LIMIT_MS 4000
#define WHOLE_MS 350 /* of the 400 that the probe is long */

static void
stop_at(struct doctor_visit *v, enum doctor_stop stop, const char *trouble)
{
	v->facts->stop = stop;
	snprintf(v->facts->trouble, sizeof(v->facts->trouble), "%s", trouble);
	for (char *c = v->facts->trouble; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

/* -- The look -- */

static void
on_look(void *arg, void *user, const struct uplink_http_result *r)
{
	static const enum doctor_stop stops[] = { [UPLINK_LOOK_NAME] = DOCTOR_STOP_NAME,
		[UPLINK_LOOK_CONNECT] = DOCTOR_STOP_CONNECT,
		[UPLINK_LOOK_PROXY] = DOCTOR_STOP_PROXY,
		[UPLINK_LOOK_TLS] = DOCTOR_STOP_TLS,
		[UPLINK_LOOK_ANSWER] = DOCTOR_STOP_ANSWER,
		[UPLINK_LOOK_DONE] = DOCTOR_STOP_NOWHERE };
	struct doctor_visit *v = arg;
	const struct uplink_look *l = &v->facts->look;
	enum doctor_stop stop = stops[l->step];

	(void)user;
	v->doctor->pending--;
	/* What a proxy says of its own is no answer from behind it. */
	if (l->step == UPLINK_LOOK_ANSWER && v->facts->proxy[0] != '\0' &&
	    uplink_cause_of_proxy(v->facts->proxy, v->route->tls, l->status))
		stop = DOCTOR_STOP_PROXY;
	stop_at(v, stop, stop == DOCTOR_STOP_NOWHERE ? "" : r->cause);
}

static const struct uplink_http_handlers look_handlers = { .on_done = on_look };

void
doctor_route_look(struct doctor_visit *v)
{
	struct uplink_request *r;

	v->doctor->pending++;
	r = uplink_http_look(v->doctor->http, v->route, &v->facts->look, NULL);
	uplink_http_handle(r, &look_handlers, v);
}

/* -- The visit -- */

static void on_opened(void *arg, void *user, const struct uplink_http_result *r);
static const struct uplink_http_handlers open_handlers = { .on_done = on_opened };

static void
send_open(struct doctor_visit *v, const uint8_t *body, size_t n)
{
	struct uplink_request *r;

	v->doctor->pending++;
	r = uplink_http_exchange(v->doctor->http, v->route, "vofw/1/open", body, n, NULL);
	uplink_http_handle(r, &open_handlers, v);
}

static void
open_failed(struct doctor_visit *v, int err)
{
	char text[160];

	if (err == ERR_AUTH) {
		stop_at(v, DOCTOR_STOP_SECRET,
		    "HRAS does not know our secret: another one is set there, or it is not our HRAS");
	} else if (err == ERR_UNSUPPORTED && v->handshake.peer_version != 0) {
		snprintf(text, sizeof(text),
		    "HRAS is of another version: it speaks version %u of the protocol, and we "
		    "speak %u",
		    v->handshake.peer_version, HANDSHAKE_VERSION);
		stop_at(v, DOCTOR_STOP_SECRET, text);
	} else if (err == ERR_UNSUPPORTED) {
		stop_at(v, DOCTOR_STOP_SECRET,
		    "HRAS demands that the tunnel is sealed (tunnel.seal is false here)");
	} else {
		stop_at(v, DOCTOR_STOP_BODIES,
		    "HRAS's answer to the opening cannot be understood: something changes it");
	}
}

static void
on_opened(void *arg, void *user, const struct uplink_http_result *r)
{
	struct doctor_visit *v = arg;
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;
	int err;

	(void)user;
	v->doctor->pending--;
	if (r->status == 403 && r->from_hras) {
		stop_at(v, DOCTOR_STOP_SECRET,
		    "HRAS refuses us: wrong secret, unknown agent, or the certificate of another "
		    "agent");
	} else if (r->cause[0] != '\0') {
		stop_at(v, r->from_hras ? DOCTOR_STOP_SECRET : DOCTOR_STOP_BODIES, r->cause);
	} else if (!v->responded) {
		v->responded = true;
		err = handshake_respond(&v->handshake, r->body, r->body_len, body, &n);
		if (err == 0)
			send_open(v, body, n);
		else
			open_failed(v, err);
	} else {
		err = handshake_finish(&v->handshake, r->body, r->body_len, &v->grant);
		if (err < 0)
			open_failed(v, err);
	}
}

void
doctor_route_visit(struct doctor_visit *v)
{
	const struct config_hrac *c = v->doctor->config;
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	if (handshake_init(&v->handshake, c->tunnel.agent, c->tunnel.secret, crypto_random_u64(),
		c->tunnel.seal) < 0) {
		stop_at(v, DOCTOR_STOP_SECRET, "tunnel.agent or tunnel.secret is too long");
		return;
	}
	handshake_hello(&v->handshake, HANDSHAKE_VISIT, 0, body, &n);
	send_open(v, body, n);
}

/* -- What becomes of bodies -- */

/* HRAS tells whose certificate it showed: another one came from somebody in between. */
static void
judge_opened(struct doctor_visit *v)
{
	const struct uplink_look_tls *tls = &v->facts->look.tls;

	if (!v->facts->https || !tls->seen || !v->about.tls)
		return;
	v->facts->opened =
	    memcmp(tls->fingerprint, v->about.fingerprint, sizeof(tls->fingerprint)) == 0 ?
	    DOCTOR_OPENED_NO :
	    DOCTOR_OPENED_YES;
}

static void
note_way(struct doctor_visit *v, enum tunnel_dir dir, bool streams, uint32_t held_ms,
    const char *why)
{
	struct doctor_way *w = &v->facts->way[dir];

	w->body = streams ? DOCTOR_STREAMS : DOCTOR_HELD;
	w->held_ms = held_ms;
	if (!streams)
		snprintf(w->why, sizeof(w->why), "%s", why);
	w->whole = !streams && held_ms >= WHOLE_MS; /* as far as this probe tells */
}

static void
on_probe(void *arg, const struct uplink_probe_result *r)
{
	struct doctor_visit *v = arg;

	v->doctor->pending--;
	if (r->cause[0] != '\0') {
		stop_at(v, DOCTOR_STOP_BODIES, r->cause);
	} else {
		note_way(v, TUNNEL_UP, r->up_streams, r->up_held_ms, r->why);
		note_way(v, TUNNEL_DOWN, r->down_streams, r->down_held_ms, r->why);
	}
	uplink_probe_free(v->probe);
	v->probe = NULL;
}

static void
on_small(void *arg, const struct uplink_body_result *r)
{
	struct doctor_visit *v = arg;
	struct uplink_body_way way = doctor_way_of(v);

	if (r->cause[0] != '\0') {
		v->doctor->pending--;
		stop_at(v, DOCTOR_STOP_BODIES, r->cause);
		return;
	}
	v->about = *r->about;
	judge_opened(v);
	v->probe = uplink_probe_start(&way, on_probe, v);
}

void
doctor_route_probe(struct doctor_visit *v)
{
	struct uplink_body_cfg small = {
		.dir = TUNNEL_UP, .whole = true, .limit_ms = SMALL_LIMIT_MS
	};
	struct uplink_body_way way = doctor_way_of(v);

	v->doctor->pending++;
	(void)uplink_body_start(&way, &small, on_small, v);
}
