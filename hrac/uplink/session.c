/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "hrac/uplink/impl.h"
#include "tunnel/tally.h"

#define RETRY_BASE_US (500 * CLOCK_MS)
#define RETRY_CAP_US (15 * CLOCK_S)
#define REFUSED_WAIT_US (30 * CLOCK_S) /* and as much again by chance */
#define STABLE_US (10 * CLOCK_S)       /* a session up for so long was no failure */

/* -- What people are told -- */

void
uplink_note_trouble(struct uplink *u, const char *cause)
{
	char *c;

	u->last_error_wall_s = clock_wall_s();
	snprintf(u->last_error, sizeof(u->last_error), "%s", cause);
	/* It may quote what a stranger sent, and is shown to people. */
	for (c = u->last_error; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

void
uplink_trouble(struct uplink *u, const struct uplink_route *r, enum log_level level,
    const char *cause)
{
	u->counters.uplink_failures++;
	uplink_note_trouble(u, cause);
	if (strcmp(u->cause, u->last_error) == 0)
		return;
	memcpy(u->cause, u->last_error, sizeof(u->cause));
	log_line(level, "uplink", "%s: %s", r->name, u->cause);
}

void
uplink_set_state(struct uplink *u, enum tunnel_state state)
{
	const struct uplink_route *r = u->way->route;
	char transport[UPLINK_TRANSPORT_MAX];

	if (state == u->state)
		return;
	if (state == TUNNEL_UP_STATE) {
		u->up_us = clock_us();
		u->cause[0] = '\0';
		uplink_transport(u, transport);
		log_info("uplink", "the tunnel to %s is up (%s)", r->base, transport);
	} else if (u->state == TUNNEL_UP_STATE) {
		log_warn("uplink", "the tunnel to %s is down", r->base);
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
	uplink_verdict_cancel(u);
	uplink_link_drop_all(u);
	uplink_rekey_cancel(u);
	tunnel_tally_add(&u->counters.tally, tunnel_stats(u->tunnel));
	tunnel_free(u->tunnel);
	uplink_udp_clear(u->udp);
	u->tunnel = NULL;
	u->wanted[TUNNEL_UP] = u->wanted[TUNNEL_DOWN] = 0;
	alarm_set(u->deadline, CLOCK_NEVER);
}

/*
 * The session is of no use any more. At once when it had been good for long; otherwise something
 * makes and breaks sessions in a row, and haste would only feed it.
 */
void
uplink_session_renew(struct uplink *u)
{
	uint64_t wait_us = 0;

	u->renew = false;
	if (u->opening)
		return;
	if (u->up_us != 0 && clock_us() - u->up_us >= STABLE_US)
		u->attempt = 0;
	if (u->attempt++ > 0)
		wait_us = tunnel_backoff_us(u->attempt, RETRY_BASE_US, RETRY_CAP_US, &u->seed);
	u->opening = true;
	u->counters.uplink_sessions_lost++;
	for (size_t i = 0; i < u->ladder.n; i++)
		u->ladder.rung[i].barred = false;
	uplink_climb_begin(u, wait_us, true);
}

void
uplink_session_adopt(struct uplink *u, const struct tunnel_grant *grant)
{
	bool restarted = grant->boot != u->boot;
	const char *news = restarted && u->boot != 0 ? ", which has restarted" : "";

	uplink_session_drop(u);
	uplink_set_state(u, TUNNEL_CONNECTING);
	u->counters.uplink_hras_restarts += restarted && u->boot != 0;
	u->boot = grant->boot;
	u->opening = false;
	u->renew = false;
	u->up_us = 0;
	u->probe_serial = 0;
	u->probe_us = CLOCK_NEVER;
	u->counters.uplink_sessions++;
	log_info("uplink", "session %016llx with %s, %s%s", (unsigned long long)grant->session,
	    u->ways[u->ladder.in_use]->route->base, cipher_str(grant->cipher), news);
	u->tunnel = tunnel_new(&u->cfg, &uplink_tunnel_handlers, u, grant, clock_us());
	uplink_burst_adopted(u);
	uplink_set_bandwidth_max(u, u->bandwidth_max_kbit);
	if (u->busy)
		tunnel_set_busy(u->tunnel, true, clock_us());
	if (u->handlers.on_session != NULL)
		u->handlers.on_session(u->arg, grant, restarted);
	u->more = true;
}

/* An operator must act, and haste helps nobody. Whatever the way, it is the same HRAS that refuses. */
static void
refused(struct uplink *u, struct uplink_way *w, const char *cause)
{
	uint64_t wait_us =
	    REFUSED_WAIT_US + tunnel_backoff_us(0, REFUSED_WAIT_US, REFUSED_WAIT_US, &u->seed);

	uplink_trouble(u, w->route, LOG_ERROR, cause);
	u->counters.uplink_refused++;
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ladder.rung[i].hras == u->ladder.rung[w->number].hras) {
			u->ways[i]->turned_away = true;
			uplink_climb_failed(u, u->ways[i], cause, wait_us);
		}
}

/* One side does not know the other's secret. */
static void
no_secret(struct uplink *u, struct uplink_way *w, const char *verdict, const char *cause)
{
	char text[UPLINK_TEXT_MAX];

	snprintf(text, sizeof(text), "HRAS %s agent \"%s\": %s", verdict, u->handshake.agent,
	    cause);
	refused(u, w, text);
}

bool
uplink_session_turned_away(struct uplink *u, struct uplink_way *w,
    const struct uplink_http_result *r)
{
	if (!r->from_hras || (r->status != 403 && r->status != 400))
		return false;
	if (r->status == 403)
		no_secret(u, w, "refuses",
		    "wrong secret, unknown agent, or the certificate of another agent (HRAS's log "
		    "tells)");
	else
		refused(u, w,
		    "HRAS does not understand how we open the session: it is of another "
		    "version");
	return true;
}

void
uplink_session_misunderstood(struct uplink *u, struct uplink_way *w, int err)
{
	char text[UPLINK_TEXT_MAX];

	if (err == ERR_AUTH) {
		no_secret(u, w, "does not know the secret of",
		    "another secret is set there, or this is not our HRAS");
	} else if (err == ERR_UNSUPPORTED && u->handshake.peer_version == 0) {
		refused(u, w, "HRAS demands that the tunnel is sealed (tunnel.seal is false here)");
	} else if (err == ERR_UNSUPPORTED) {
		snprintf(text, sizeof(text),
		    "HRAS is of another version: it speaks version %u of the protocol, and we speak %u",
		    u->handshake.peer_version, HANDSHAKE_VERSION);
		refused(u, w, text);
	} else {
		uplink_note_trouble(u, "HRAS's answer to the opening cannot be understood");
		u->counters.uplink_failures++;
		uplink_climb_failed(u, w, u->last_error, 0);
	}
}
