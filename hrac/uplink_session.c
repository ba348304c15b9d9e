/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "hrac/uplink_impl.h"
#include "tunnel/crypto.h"
#include "tunnel/tally.h"

#define RETRY_BASE_US (500 * CLOCK_MS)
#define RETRY_CAP_US (15 * CLOCK_S)
#define REFUSED_WAIT_US (30 * CLOCK_S) /* and as much again by chance */
#define STABLE_US (10 * CLOCK_S)       /* a session up for so long was no failure */

/* -- What people are told -- */

void
uplink_trouble(struct uplink *u, enum log_level level, const char *cause)
{
	char *c;

	u->counters.uplink_failures++;
	u->last_error_wall_s = clock_wall_s();
	snprintf(u->last_error, sizeof(u->last_error), "%s", cause);
	/* It may quote what a stranger sent, and is shown to people. */
	for (c = u->last_error; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	if (strcmp(u->cause, u->last_error) == 0)
		return;
	memcpy(u->cause, u->last_error, sizeof(u->cause));
	log_line(level, "uplink", "%s: %s", u->route->base, u->cause);
}

void
uplink_set_state(struct uplink *u, enum tunnel_state state)
{
	if (state == u->state)
		return;
	if (state == TUNNEL_UP_STATE) {
		u->up_us = clock_us();
		u->cause[0] = '\0';
		log_info("uplink", "the tunnel to %s is up (%s)", u->route->base,
		    u->route->transport);
	} else if (u->state == TUNNEL_UP_STATE) {
		log_warn("uplink", "the tunnel to %s is down", u->route->base);
	}
	u->state = state;
	u->since_wall_s = clock_wall_s();
	if (u->handlers.on_state != NULL)
		u->handlers.on_state(u->arg, state);
}

/* -- Sessions -- */

void
uplink_session_drop(struct uplink *u)
{
	if (u->tunnel == NULL)
		return;
	uplink_link_drop_all(u);
	tunnel_tally_add(&u->counters.tally, tunnel_stats(u->tunnel));
	tunnel_free(u->tunnel);
	u->tunnel = NULL;
	u->wanted[TUNNEL_UP] = u->wanted[TUNNEL_DOWN] = 0;
	alarm_set(u->deadline, CLOCK_NEVER);
}

static void
exchange(struct uplink *u, enum uplink_phase phase, const uint8_t *body, size_t n)
{
	u->phase = phase;
	uplink_http_exchange(u->http, u->route, "vofw/1/open", body, n, NULL);
}

void
uplink_session_open(struct uplink *u)
{
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	u->counters.uplink_handshakes++;
	handshake_hello(&u->handshake, HANDSHAKE_SESSION, 0, body, &n);
	exchange(u, PHASE_HELLO, body, n);
}

void
uplink_session_open_in(struct uplink *u, uint64_t wait_us)
{
	struct timeval tv = { (time_t)(wait_us / CLOCK_S), (suseconds_t)(wait_us % CLOCK_S) };

	u->phase = PHASE_WAIT;
	event_add(&u->retry, &tv);
}

static void
retry(struct uplink *u)
{
	u->attempt++;
	uplink_session_open_in(u,
	    tunnel_backoff_us(u->attempt, RETRY_BASE_US, RETRY_CAP_US, &u->seed));
}

/*
 * The session is of no use any more. At once when it had been good for long; otherwise something
 * makes and breaks sessions in a row, and haste would only feed it.
 */
void
uplink_session_renew(struct uplink *u)
{
	u->renew = false;
	if (u->phase != PHASE_SESSION)
		return;
	if (u->up_us != 0 && clock_us() - u->up_us >= STABLE_US)
		u->attempt = 0;
	if (u->attempt++ == 0)
		uplink_session_open(u);
	else
		uplink_session_open_in(u,
		    tunnel_backoff_us(u->attempt, RETRY_BASE_US, RETRY_CAP_US, &u->seed));
}

static void
adopt(struct uplink *u, const struct tunnel_grant *grant)
{
	bool restarted = grant->boot != u->boot;

	uplink_session_drop(u);
	uplink_set_state(u, TUNNEL_CONNECTING);
	u->boot = grant->boot;
	u->phase = PHASE_SESSION;
	u->renew = false;
	u->up_us = 0;
	u->counters.uplink_sessions++;
	log_info("uplink", "session %016llx with %s, %s%s", (unsigned long long)grant->session,
	    u->route->base, cipher_str(grant->cipher),
	    restarted && u->counters.uplink_sessions > 1 ? ", which has restarted" : "");
	u->tunnel = tunnel_new(&u->cfg, &uplink_tunnel_handlers, u, grant, clock_us());
	uplink_burst_adopted(u);
	uplink_set_bandwidth_max(u, u->bandwidth_max_kbit);
	if (u->busy)
		tunnel_set_busy(u->tunnel, true, clock_us());
	if (u->handlers.on_session != NULL)
		u->handlers.on_session(u->arg, grant, restarted);
	u->more = true;
}

/* An operator must act, and haste helps nobody. */
static void
refused(struct uplink *u, const char *cause)
{
	uplink_trouble(u, LOG_ERROR, cause);
	u->counters.uplink_refused++;
	uplink_session_open_in(u,
	    REFUSED_WAIT_US + tunnel_backoff_us(0, REFUSED_WAIT_US, REFUSED_WAIT_US, &u->seed));
}

/* One side does not know the other's secret. */
static void
no_secret(struct uplink *u, const char *verdict, const char *cause)
{
	char text[UPLINK_TEXT_MAX];

	snprintf(text, sizeof(text), "HRAS %s agent \"%s\": %s", verdict, u->handshake.agent,
	    cause);
	refused(u, text);
}

/* What is wrong with the answer of one that speaks HTTP like HRAS. */
static void
opening_failed(struct uplink *u, int err)
{
	char text[UPLINK_TEXT_MAX];

	if (err == ERR_AUTH) {
		no_secret(u, "does not know the secret of",
		    "another secret is set there, or this is not our HRAS");
	} else if (err == ERR_UNSUPPORTED && u->handshake.peer_version == 0) {
		refused(u, "HRAS demands that the tunnel is sealed (tunnel.seal is false here)");
	} else if (err == ERR_UNSUPPORTED) {
		snprintf(text, sizeof(text),
		    "HRAS is of another version: it speaks version %u of the protocol, and we speak %u",
		    u->handshake.peer_version, HANDSHAKE_VERSION);
		refused(u, text);
	} else {
		uplink_trouble(u, LOG_WARN, "HRAS's answer to the opening cannot be understood");
		retry(u);
	}
}

static void
opening_answered(struct uplink *u, const struct uplink_http_result *r)
{
	struct tunnel_grant grant;
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;
	int err;

	if (u->phase == PHASE_HELLO) {
		err = handshake_respond(&u->handshake, r->body, r->body_len, body, &n);
		if (err == 0) {
			exchange(u, PHASE_RESPONSE, body, n);
			return;
		}
	} else {
		err = handshake_finish(&u->handshake, r->body, r->body_len, &grant);
		if (err == 0) {
			adopt(u, &grant);
			crypto_wipe(&grant, sizeof(grant));
			return;
		}
	}
	opening_failed(u, err);
}

void
uplink_session_answered(struct uplink *u, const struct uplink_http_result *r)
{
	if (r->status == 403 && r->from_hras) {
		no_secret(u, "refuses", "wrong secret or unknown agent");
	} else if (r->status == 400 && r->from_hras) {
		refused(u,
		    "HRAS does not understand how we open the session: it is of another "
		    "version");
	} else if (r->cause[0] != '\0') {
		uplink_trouble(u, LOG_WARN, r->cause);
		retry(u);
	} else {
		opening_answered(u, r);
	}
}
