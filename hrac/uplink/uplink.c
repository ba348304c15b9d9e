/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"
#include "hrac/uplink/impl.h"
#include "tunnel/tally.h"

#define TURNS_MAX 8 /* before other events of the loop get their turn */

static const struct metric metrics[] = {
	METRIC(struct uplink_counters, uplink_handshakes, METRIC_COUNTER,
	    "Openings of a session begun."),
	METRIC(struct uplink_counters, uplink_sessions, METRIC_COUNTER, "Sessions agreed upon."),
	METRIC(struct uplink_counters, uplink_refused, METRIC_COUNTER,
	    "Openings refused for the secret."),
	METRIC(struct uplink_counters, uplink_failures, METRIC_COUNTER, "Requests that failed."),
	METRIC(struct uplink_counters, uplink_rung, METRIC_GAUGE,
	    "The rung in use: 0 none, 1 udp, 2 stream, 3 proxy, 4 poll."),
	METRIC(struct uplink_counters, uplink_route_changes, METRIC_COUNTER,
	    "Times that the tunnel went over to another route."),
	METRIC(struct uplink_counters, uplink_network_changes, METRIC_COUNTER,
	    "Changes of the network of this machine that were acted on."),
	METRIC(struct uplink_counters, uplink_wakes, METRIC_COUNTER,
	    "Times that this machine woke from sleep."),
	METRIC(struct uplink_counters, uplink_sessions_lost, METRIC_COUNTER,
	    "Sessions that HRAS did not know any more, or that broke."),
	METRIC(struct uplink_counters, uplink_hras_restarts, METRIC_COUNTER,
	    "New sessions with another process of HRAS than before."),
	TUNNEL_TALLY(struct uplink_counters, tally),
	{ 0 },
};

/* -- The turn -- */

/* A turn soon: not event_active, whose event would come before all that waits already. */
static void
turn_soon(struct uplink *u)
{
	static const struct timeval now = { 0, 0 };

	event_add(&u->turn, &now);
}

/* The timer of what is slow is seldom another one than in the turn before. */
static void
set_retry(struct uplink *u)
{
	uint64_t way_us = uplink_way_due_us(u), now_us = clock_us(), wait_us;
	uint64_t due_us = way_us < u->climb_us ? way_us : u->climb_us;
	struct timeval tv;

	/* It is not asked for while a session is being opened. */
	if (u->tunnel != NULL && !u->opening && u->probe_us < due_us)
		due_us = u->probe_us;
	if (due_us == u->retry_us)
		return;
	u->retry_us = due_us;
	if (due_us == CLOCK_NEVER) {
		event_del(&u->retry);
		return;
	}
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv = (struct timeval){ (time_t)(wait_us / CLOCK_S), (suseconds_t)(wait_us % CLOCK_S) };
	event_add(&u->retry, &tv);
}

/* Does what was noted, until nothing is left. With depth > 0: nothing may begin another one. */
static void
run_turn(struct uplink *u)
{
	unsigned i = 0;

	u->end_due = false;
	do {
		u->more = false;
		if (u->renew)
			uplink_session_renew(u);
		uplink_link_close_aborted(u);
		uplink_way_run(u, clock_us());
		uplink_verdict_run(u, clock_us());
		uplink_climb_run(u, clock_us());
		uplink_rekey_run(u);
		uplink_link_open_wanted(u);
		if (u->tunnel != NULL)
			tunnel_flush(u->tunnel, clock_us());
		uplink_burst_post(u);
		uplink_http_run(u->http);
	} while (u->more && ++i < TURNS_MAX);
	uplink_datagram_run(u);
	if (u->more)
		turn_soon(u);
	alarm_set(u->deadline, u->tunnel == NULL ? CLOCK_NEVER : tunnel_deadline(u->tunnel));
	set_retry(u);
}

void
uplink_enter(struct uplink *u)
{
	u->depth++;
}

void
uplink_leave(struct uplink *u)
{
	if (u->depth == 1)
		run_turn(u);
	u->depth--;
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	struct uplink *u = arg;

	(void)fd;
	(void)what;
	/* Not when a flush of our owner's was before us. */
	if (!u->end_due)
		return;
	uplink_enter(u);
	uplink_leave(u);
}

/* Once for all the sockets that are ready now. */
void
uplink_on_turn(void *arg)
{
	struct uplink *u = arg;

	if (u->end_due)
		return;
	u->end_due = true;
	event_active(&u->end, EV_TIMEOUT, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	uplink_enter(arg);
	uplink_leave(arg);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct uplink *u = arg;

	(void)fd;
	(void)what;
	u->retry_us = CLOCK_NEVER;
	uplink_enter(u);
	uplink_leave(u);
}

static void
on_deadline(void *arg, uint64_t now_us)
{
	struct uplink *u = arg;

	uplink_enter(u);
	if (u->tunnel != NULL && tunnel_deadline(u->tunnel) <= now_us)
		tunnel_tick(u->tunnel, now_us);
	uplink_leave(u);
}

/* -- The interface -- */

static void
on_http_done(void *arg, void *user, const struct uplink_http_result *r)
{
	(void)arg;
	uplink_link_done(user, r);
}

static const struct uplink_http_handlers http_handlers = {
	.on_read = uplink_link_read,
	.on_write = uplink_link_write,
	.on_done = on_http_done,
	.on_turn = uplink_on_turn,
};

static int
check_url(const char *url)
{
	/* A user and a password in it would come into the log. */
	if (url != NULL && strpbrk(url, "@?#") == NULL &&
	    (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0))
		return 0;
	log_error("uplink",
	    "tunnel.url must be http://host[:port]/ or https://host[:port]/, with "
	    "nothing but a path behind it");
	return ERR_MALFORMED;
}

static int
check_urls(const struct uplink_config *config)
{
	int err = check_url(config->urls[0]);

	for (size_t i = 1; err == 0 && config->urls[i] != NULL; i++)
		err = check_url(config->urls[i]);
	return err;
}

static void
configure(struct uplink *u, const struct uplink_config *config)
{
	tunnel_cfg_default(TUNNEL_CLIENT, &u->cfg);
	if (config->connections_max != 0)
		u->cfg.connections_max = config->connections_max;
	u->cfg.rotate_bytes = config->rotate_bytes;
	if (config->rekey_bytes != 0)
		u->cfg.rekey_bytes = config->rekey_bytes;
	if (config->rekey_age_s != 0)
		u->cfg.rekey_age_us = config->rekey_age_s * CLOCK_S;
	u->cfg.rotate_age_us = config->rotate_age_s * CLOCK_S;
	if (config->media_max_age_ms != 0)
		u->cfg.media_max_age_us = config->media_max_age_ms * CLOCK_MS;
	u->cfg.seed = u->seed;
	u->transport = config->transport;
	ladder_init(&u->ladder, u->seed);
	u->climb_us = u->probe_us = CLOCK_NEVER;
	u->bounded[TUNNEL_UP] = u->bounded[TUNNEL_DOWN] = config->transport == CONFIG_BY_POLL;
}

int
uplink_new(struct event_base *base, const struct uplink_config *config,
    const struct uplink_handlers *handlers, void *arg, struct uplink **out)
{
	struct uplink_http_config http = { config->proxy_user, config->proxy_password, config->ca,
		config->client_certificate, config->client_key };
	struct uplink *u;
	uint64_t random[2];
	int err;

	err = check_urls(config);
	if (err < 0)
		return err;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ERR_IO;
	u = mem_zalloc(sizeof(*u));
	err = handshake_init(&u->handshake, config->agent, config->secret, random[0],
	    !config->unsealed);
	if (err < 0) {
		log_error("uplink", "tunnel.agent or tunnel.secret: %s", err_str(err));
		mem_free(u);
		return err;
	}
	u->deadline = alarm_new(base, on_deadline, u);
	if (u->deadline == NULL)
		log_error("uplink", "no descriptor for a timer: %s", strerror(errno));
	u->http = u->deadline == NULL ? NULL : uplink_http_new(base, &http, &http_handlers, u);
	if (u->http == NULL) {
		alarm_free(u->deadline);
		mem_wipe_free(u, sizeof(*u));
		return ERR_IO;
	}
	u->base = base;
	uplink_datagram_init(u,
	    config->transport == CONFIG_AUTO || config->transport == CONFIG_BY_UDP);
	u->handlers = *handlers;
	u->arg = arg;
	u->seed = random[1];
	u->state = TUNNEL_CONNECTING;
	u->since_wall_s = clock_wall_s();
	u->retry_us = CLOCK_NEVER;
	LIST_INIT(&u->links);
	configure(u, config);
	evtimer_assign(&u->retry, base, on_retry, u);
	evtimer_assign(&u->turn, base, on_turn, u);
	evtimer_assign(&u->end, base, on_end, u);
	err = uplink_routes_new(u, config);
	if (err < 0) {
		uplink_free(u);
		return err;
	}
	u->opening = true;
	uplink_climb_begin(u, 0, false);
	turn_soon(u);
	*out = u;
	return 0;
}

void
uplink_free(struct uplink *u)
{
	if (u == NULL)
		return;
	uplink_session_drop(u);
	uplink_routes_free(u);
	uplink_udp_free(u->udp);
	uplink_http_free(u->http);
	event_del(&u->retry);
	alarm_free(u->deadline);
	event_del(&u->turn);
	event_del(&u->end);
	mem_wipe_free(u, sizeof(*u));
}

/* What a call from outside a turn has set going is done by the turn that follows. */
static void
leave_noting(struct uplink *u)
{
	u->depth--;
	if (u->more && u->depth == 0)
		turn_soon(u);
}

int
uplink_send(struct uplink *u, uint8_t type, const void *data, size_t n)
{
	int err;

	if (u->tunnel == NULL)
		return ERR_DOWN;
	uplink_enter(u);
	err = tunnel_send(u->tunnel, type, data, n, clock_us());
	leave_noting(u);
	return err;
}

int
uplink_send_media(struct uplink *u, uint32_t channel, const void *data, size_t n)
{
	int err;

	if (u->tunnel == NULL)
		return ERR_DOWN;
	uplink_enter(u);
	err = tunnel_send_media(u->tunnel, channel, data, n, clock_us());
	leave_noting(u);
	return err;
}

void
uplink_flush(struct uplink *u)
{
	uplink_enter(u);
	uplink_leave(u);
}

void
uplink_set_busy(struct uplink *u, bool busy)
{
	u->busy = busy;
	if (u->tunnel == NULL)
		return;
	uplink_enter(u);
	tunnel_set_busy(u->tunnel, busy, clock_us());
	u->more = true;
	leave_noting(u);
}

void
uplink_shaken(struct uplink *u, bool slept)
{
	uplink_enter(u);
	if (slept)
		u->counters.uplink_wakes++;
	else
		u->counters.uplink_network_changes++;
	uplink_way_shaken(u, slept);
	uplink_datagram_shaken(u, slept);
	uplink_leave(u);
}

void
uplink_set_bandwidth_max(struct uplink *u, uint32_t kbit)
{
	u->bandwidth_max_kbit = kbit;
	if (u->tunnel != NULL)
		tunnel_set_bandwidth_max(u->tunnel, kbit * 1000ULL);
}

static const char *
rung_str(const struct uplink *u)
{
	if (u->tunnel == NULL)
		return NULL;
	if (u->datagrams_good)
		return "udp";
	if (u->bounded[TUNNEL_UP] || u->bounded[TUNNEL_DOWN])
		return "poll";
	return u->way->route->proxy == NULL ? "stream" : "proxy";
}

/* "udp + https via proxy, polled up": what people are told. */
void
uplink_transport(const struct uplink *u, char out[static UPLINK_TRANSPORT_MAX])
{
	static const char *const polled[2][2] = { { "", ", polled down" },
		{ ", polled up", ", polled" } };

	snprintf(out, UPLINK_TRANSPORT_MAX, "%s%s%s", u->datagrams_good ? "udp + " : "",
	    u->way->route->transport, polled[u->bounded[TUNNEL_UP]][u->bounded[TUNNEL_DOWN]]);
}

static void
tell_way(const struct uplink *u, struct uplink_facts *out)
{
	uplink_transport(u, out->transport);
	out->peer = u->way->route->peer;
	out->route = u->way->route->name;
	out->rung = rung_str(u);
	for (size_t i = 0; i < u->way->number && out->refused_n < UPLINK_REFUSED_MAX; i++) {
		const struct uplink_route *r = u->ways[i]->route;

		if (r->why[0] != '\0' && !u->ladder.rung[i].absent)
			out->refused[out->refused_n++] =
			    (struct uplink_refused){ r->name, r->why, r->why_wall_s };
	}
}

static void
tell_causes(const struct uplink *u, struct uplink_facts *out)
{
	const uint64_t *now = u->tunnel == NULL ? NULL : tunnel_stats(u->tunnel)->streams_ended;
	const uint64_t *before = u->counters.tally.streams_ended;
	const struct uplink_reconnect all[] = {
		{ "cut", before[TUNNEL_WHY_CUT] + (now == NULL ? 0 : now[TUNNEL_WHY_CUT]) },
		{ "silent", before[TUNNEL_WHY_DEAD] + (now == NULL ? 0 : now[TUNNEL_WHY_DEAD]) },
		{ "refused",
		    before[TUNNEL_WHY_REFUSED] + (now == NULL ? 0 : now[TUNNEL_WHY_REFUSED]) },
		{ "malformed",
		    before[TUNNEL_WHY_MALFORMED] + (now == NULL ? 0 : now[TUNNEL_WHY_MALFORMED]) },
		{ "network_change", u->counters.uplink_network_changes },
		{ "wake", u->counters.uplink_wakes },
		{ "route_change", u->counters.uplink_route_changes },
		{ "session_lost", u->counters.uplink_sessions_lost },
		{ "hras_restart", u->counters.uplink_hras_restarts },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].n > 0)
			out->causes[out->causes_n++] = all[i];
}

void
uplink_facts(const struct uplink *u, struct uplink_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->state = u->state;
	tell_way(u, out);
	uplink_datagram_facts(u, out);
	tell_causes(u, out);
	out->last_error = u->last_error;
	out->last_error_wall_s = u->last_error_wall_s;
	out->since_wall_s = u->since_wall_s;
	out->reconnects = u->counters.uplink_sessions > 0 ? u->counters.uplink_sessions - 1 : 0;
	if (u->tunnel == NULL)
		return;
	out->up_n = tunnel_streams_n(u->tunnel, TUNNEL_UP);
	out->down_n = tunnel_streams_n(u->tunnel, TUNNEL_DOWN);
	out->srtt_us = tunnel_srtt_us(u->tunnel);
	out->bytes_sent = tunnel_stats(u->tunnel)->bytes_sent;
	out->bytes_received = tunnel_stats(u->tunnel)->bytes_received;
	out->session = tunnel_grant(u->tunnel)->session;
	out->cipher = cipher_str(tunnel_grant(u->tunnel)->cipher);
	out->stats = tunnel_stats(u->tunnel);
	tunnel_line(u->tunnel, clock_us(), &out->line);
}

const struct tunnel *
uplink_tunnel(const struct uplink *u)
{
	return u->tunnel;
}

static uint64_t
rung_number(const struct uplink *u)
{
	static const char *const names[] = { "udp", "stream", "proxy", "poll" };
	const char *rung = rung_str(u);

	for (size_t i = 0; rung != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], rung) == 0)
			return i + 1;
	return 0;
}

struct metric_set
uplink_metrics(struct uplink *u)
{
	struct metric_set set = { metrics, &u->shown };

	u->shown = u->counters;
	u->shown.uplink_rung = rung_number(u);
	if (u->tunnel != NULL)
		tunnel_tally_add(&u->shown.tally, tunnel_stats(u->tunnel));
	return set;
}
