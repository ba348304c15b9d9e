/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "hrac/uplink_http.h"
#include "log/log.h"
#include "tunnel/tally.h"

#define RETRY_BASE_US (500 * CLOCK_MS)
#define RETRY_CAP_US (15 * CLOCK_S)
#define REFUSED_WAIT_US (30 * CLOCK_S) /* and as much again by chance */
#define STABLE_US (10 * CLOCK_S)       /* a session up for so long was no failure */
#define TURNS_MAX 8                    /* before other events of the loop get their turn */
#define OUTPUT_MIN 2048                /* least room for tunnel_output */

enum phase {
	PHASE_WAIT,     /* for the retry timer */
	PHASE_HELLO,    /* HELLO sent */
	PHASE_RESPONSE, /* RESPONSE sent */
	PHASE_SESSION,  /* agreed upon */
};

/* One HTTP request and the stream of the tunnel that it carries. */
struct link {
	LIST_ENTRY(link) link;
	struct uplink *uplink;
	struct tunnel_stream *stream;
	struct uplink_request *request;
	bool said_end; /* our own body up is over in order */
	bool aborted;
	enum tunnel_why why; /* when aborted */
};
LIST_HEAD(links, link);

struct counters {
	uint64_t uplink_handshakes, uplink_sessions, uplink_refused, uplink_failures;
	struct tunnel_stats tally;
};

static const struct metric metrics[] = {
	METRIC(struct counters, uplink_handshakes, METRIC_COUNTER, "Openings of a session begun."),
	METRIC(struct counters, uplink_sessions, METRIC_COUNTER, "Sessions agreed upon."),
	METRIC(struct counters, uplink_refused, METRIC_COUNTER, "Openings refused for the secret."),
	METRIC(struct counters, uplink_failures, METRIC_COUNTER, "Requests that failed."),
	TUNNEL_TALLY(struct counters, tally),
	{ 0 },
};

struct uplink {
	struct event_base *base;
	struct uplink_handlers handlers;
	void *arg;
	char *url; /* ends with a slash */
	char *transport;
	struct tunnel_cfg cfg;
	struct handshake handshake;
	struct uplink_http *http;

	enum phase phase;
	unsigned attempt; /* openings since a session was stable */
	uint64_t seed;
	uint64_t boot; /* of the HRAS of the last session; 0 = none yet */
	struct tunnel
	    *tunnel; /* the last session's, also while a new one is being opened; or NULL */
	struct links links;
	unsigned wanted[2]; /* by enum tunnel_dir: streams to open */
	bool renew;         /* the session is of no use any more */
	bool busy;
	bool more;      /* something of the above is to be done */
	unsigned depth; /* > 0: inside libcurl, the tunnel or a handler: no turn may begin */

	struct event retry, deadline, turn;
	uint64_t armed_us; /* when `deadline` fires */

	enum tunnel_state state;
	uint64_t since_wall_s, up_us;
	char cause[UPLINK_TEXT_MAX]; /* the trouble at hand, "" = none */
	char last_error[UPLINK_TEXT_MAX];
	uint64_t last_error_wall_s;
	struct counters counters; /* tally: of the ended sessions */
	struct counters shown;    /* tally: of all */
};

/* -- What people are told -- */

/* A failure is told when it is another than the one before, not each time it strikes. */
static void
trouble(struct uplink *u, enum log_level level, const char *cause)
{
	u->counters.uplink_failures++;
	u->last_error_wall_s = clock_wall_s();
	snprintf(u->last_error, sizeof(u->last_error), "%s", cause);
	if (strcmp(u->cause, u->last_error) == 0)
		return;
	memcpy(u->cause, u->last_error, sizeof(u->cause));
	log_line(level, "uplink", "%s: %s", u->url, u->cause);
}

static void
set_state(struct uplink *u, enum tunnel_state state)
{
	if (state == u->state)
		return;
	if (state == TUNNEL_UP_STATE) {
		u->up_us = clock_us();
		u->cause[0] = '\0';
		log_info("uplink", "the tunnel to %s is up (%s)", u->url, u->transport);
	} else if (u->state == TUNNEL_UP_STATE) {
		log_warn("uplink", "the tunnel to %s is down", u->url);
	}
	u->state = state;
	u->since_wall_s = clock_wall_s();
	if (u->handlers.on_state != NULL)
		u->handlers.on_state(u->arg, state);
}

/* -- The tunnel's handlers: they note, and the turn does -- */

static void
on_reliable(void *arg, uint8_t type, const uint8_t *data, size_t n)
{
	struct uplink *u = arg;

	if (u->handlers.on_reliable != NULL)
		u->handlers.on_reliable(u->arg, type, data, n);
}

static void
on_media(void *arg, uint32_t channel, const uint8_t *data, size_t n)
{
	struct uplink *u = arg;

	if (u->handlers.on_media != NULL)
		u->handlers.on_media(u->arg, channel, data, n);
}

static void
on_wake(void *arg, struct tunnel_stream *s)
{
	struct link *l = tunnel_stream_user(s);

	(void)arg;
	if (l->request != NULL)
		uplink_http_wake(l->request);
}

static void
on_abort(void *arg, struct tunnel_stream *s, enum tunnel_why why)
{
	struct uplink *u = arg;
	struct link *l = tunnel_stream_user(s);

	l->aborted = true;
	l->why = why;
	u->more = true;
}

static void
on_wanted(void *arg, enum tunnel_dir dir)
{
	struct uplink *u = arg;

	u->wanted[dir]++;
	u->more = true;
}

static void
on_state(void *arg, enum tunnel_state state)
{
	set_state(arg, state);
}

static void
on_broken(void *arg)
{
	struct uplink *u = arg;

	u->renew = true;
	u->more = true;
}

static const struct tunnel_handlers tunnel_handlers = {
	.on_reliable = on_reliable,
	.on_media = on_media,
	.on_wake = on_wake,
	.on_abort = on_abort,
	.on_wanted = on_wanted,
	.on_state = on_state,
	.on_broken = on_broken,
};

/* -- Streams -- */

static void
link_free(struct link *l)
{
	if (l->request != NULL)
		uplink_http_close(l->request);
	LIST_REMOVE(l, link);
	mem_free(l);
}

static void
link_gone(struct link *l, enum tunnel_why why)
{
	struct uplink *u = l->uplink;

	tunnel_stream_gone(u->tunnel, l->stream, why, clock_us());
	link_free(l);
}

static void
link_open(struct uplink *u, enum tunnel_dir dir)
{
	struct link *l = mem_zalloc(sizeof(*l));
	char path[TUNNEL_PATH_MAX], *url;

	l->uplink = u;
	if (tunnel_stream_open(u->tunnel, dir, l, clock_us(), path, &l->stream) < 0) {
		mem_free(l);
		return;
	}
	LIST_INSERT_HEAD(&u->links, l, link);
	url = mem_printf("%s%s", u->url, path);
	l->request = uplink_http_stream(u->http, url, dir == TUNNEL_UP, l);
	mem_free(url);
}

static void
open_wanted(struct uplink *u)
{
	enum tunnel_dir dir;

	for (dir = TUNNEL_UP; dir <= TUNNEL_DOWN; dir++) {
		for (; u->wanted[dir] > 0 && u->tunnel != NULL; u->wanted[dir]--)
			link_open(u, dir);
		u->wanted[dir] = 0;
	}
}

static void
close_aborted(struct uplink *u)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&u->links); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (l->aborted)
			link_gone(l, l->why);
	}
}

static long
on_http_read(void *arg, void *user, uint8_t *out, size_t cap)
{
	struct link *l = user;
	struct uplink *u = arg;
	size_t used = 0;
	long n = 0;

	if (l->said_end)
		return UPLINK_HTTP_END;
	if (l->aborted)
		return 0;
	u->depth++;
	while (cap - used >= OUTPUT_MIN) {
		n = tunnel_output(u->tunnel, l->stream, out + used, cap - used, clock_us());
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	u->depth--;
	l->said_end = n == TUNNEL_OUTPUT_END;
	if (used > 0)
		return (long)used;
	return l->said_end ? UPLINK_HTTP_END : 0;
}

static bool
on_http_write(void *arg, void *user, const uint8_t *in, size_t n)
{
	struct link *l = user;
	struct uplink *u = arg;
	int err;

	if (l->aborted)
		return false;
	u->depth++;
	err = tunnel_input(u->tunnel, l->stream, in, n, clock_us());
	u->depth--;
	if (err == 0)
		return true;
	l->aborted = true;
	l->why = TUNNEL_WHY_MALFORMED;
	u->more = true;
	return false;
}

static void
stream_done(struct uplink *u, struct link *l, const struct uplink_http_result *r)
{
	bool down = tunnel_stream_dir(l->stream) == TUNNEL_DOWN;
	enum tunnel_why why = TUNNEL_WHY_CUT;

	l->request = NULL;
	if (l->aborted)
		why = l->why;
	else if (r->status != 0 && r->status != 200)
		why = TUNNEL_WHY_REFUSED;
	else if (r->cause[0] == '\0' && (down || l->said_end))
		why = TUNNEL_WHY_ORDERLY;
	if (r->status == 404 && u->phase == PHASE_SESSION)
		u->renew = true;
	if (why == TUNNEL_WHY_CUT || why == TUNNEL_WHY_REFUSED)
		trouble(u, LOG_WARN,
		    r->cause[0] != '\0' ? r->cause : "a POST was answered too early");
	link_gone(l, why);
	u->more = true;
}

/* -- Sessions -- */

static void
drop_tunnel(struct uplink *u)
{
	struct link *l;

	if (u->tunnel == NULL)
		return;
	while ((l = LIST_FIRST(&u->links)) != NULL)
		link_free(l);
	tunnel_tally_add(&u->counters.tally, tunnel_stats(u->tunnel));
	tunnel_free(u->tunnel);
	u->tunnel = NULL;
	u->wanted[TUNNEL_UP] = u->wanted[TUNNEL_DOWN] = 0;
	u->armed_us = CLOCK_NEVER;
	event_del(&u->deadline);
}

static void
exchange(struct uplink *u, enum phase phase, const uint8_t *body, size_t n)
{
	char *url = mem_printf("%svofw/1/open", u->url);

	u->phase = phase;
	uplink_http_exchange(u->http, url, body, n, NULL);
	mem_free(url);
}

static void
open_session(struct uplink *u)
{
	uint8_t body[HANDSHAKE_BODY_MAX];
	size_t n;

	u->counters.uplink_handshakes++;
	handshake_hello(&u->handshake, body, &n);
	exchange(u, PHASE_HELLO, body, n);
}

static void
open_later(struct uplink *u, uint64_t wait_us)
{
	struct timeval tv = { (time_t)(wait_us / CLOCK_S), (suseconds_t)(wait_us % CLOCK_S) };

	u->phase = PHASE_WAIT;
	event_add(&u->retry, &tv);
}

static void
retry(struct uplink *u)
{
	u->attempt++;
	open_later(u, tunnel_backoff_us(u->attempt, RETRY_BASE_US, RETRY_CAP_US, &u->seed));
}

/*
 * The session is of no use any more. At once when it had been good for long; otherwise something
 * makes and breaks sessions in a row, and haste would only feed it.
 */
static void
renew_session(struct uplink *u)
{
	u->renew = false;
	if (u->phase != PHASE_SESSION)
		return;
	if (u->up_us != 0 && clock_us() - u->up_us >= STABLE_US)
		u->attempt = 0;
	if (u->attempt++ == 0)
		open_session(u);
	else
		open_later(u, tunnel_backoff_us(u->attempt, RETRY_BASE_US, RETRY_CAP_US, &u->seed));
}

static void
adopt(struct uplink *u, const struct tunnel_grant *grant)
{
	bool restarted = grant->boot != u->boot;

	drop_tunnel(u);
	set_state(u, TUNNEL_CONNECTING);
	u->boot = grant->boot;
	u->phase = PHASE_SESSION;
	u->renew = false;
	u->up_us = 0;
	u->counters.uplink_sessions++;
	log_info("uplink", "session %016llx with %s%s", (unsigned long long)grant->session, u->url,
	    restarted && u->counters.uplink_sessions > 1 ? ", which has restarted" : "");
	u->tunnel = tunnel_new(&u->cfg, &tunnel_handlers, u, grant, clock_us());
	if (u->busy)
		tunnel_set_busy(u->tunnel, true, clock_us());
	if (u->handlers.on_session != NULL)
		u->handlers.on_session(u->arg, grant, restarted);
	u->more = true;
}

/* One side does not know the other's secret: an operator must act, and haste helps nobody. */
static void
no_secret(struct uplink *u, const char *verdict, const char *cause)
{
	char text[UPLINK_TEXT_MAX];

	snprintf(text, sizeof(text), "HRAS %s agent \"%s\": %s", verdict, u->handshake.agent,
	    cause);
	trouble(u, LOG_ERROR, text);
	u->counters.uplink_refused++;
	open_later(u,
	    REFUSED_WAIT_US + tunnel_backoff_us(0, REFUSED_WAIT_US, REFUSED_WAIT_US, &u->seed));
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
			explicit_bzero(&grant, sizeof(grant));
			return;
		}
	}
	if (err == ERR_AUTH) {
		no_secret(u, "does not know the secret of",
		    "another secret is set there, or this is not our HRAS");
		return;
	}
	trouble(u, LOG_WARN,
	    "HRAS's answer to the opening cannot be understood (another version?)");
	retry(u);
}

static void
opening_done(struct uplink *u, const struct uplink_http_result *r)
{
	if (r->status == 403 && r->from_hras) {
		no_secret(u, "refuses", "wrong secret or unknown agent");
	} else if (r->cause[0] != '\0') {
		trouble(u, LOG_WARN, r->cause);
		retry(u);
	} else {
		opening_answered(u, r);
	}
}

static void
on_http_done(void *arg, void *user, const struct uplink_http_result *r)
{
	struct uplink *u = arg;

	if (user == NULL)
		opening_done(u, r);
	else
		stream_done(u, user, r);
}

/* -- The turn -- */

/* A turn soon: not event_active, whose event would come before all that waits already. */
static void
turn_soon(struct uplink *u)
{
	static const struct timeval now = { 0, 0 };

	event_add(&u->turn, &now);
}

static void
arm_deadline(struct uplink *u)
{
	struct timeval tv;
	uint64_t due_us, now_us, wait_us;

	/* Later than armed costs nothing now: the timer fires once in vain and is set anew. */
	if (u->tunnel == NULL || (due_us = tunnel_deadline(u->tunnel)) >= u->armed_us)
		return;
	now_us = clock_us();
	wait_us = due_us > now_us ? due_us - now_us : 0;
	tv.tv_sec = (time_t)(wait_us / CLOCK_S);
	tv.tv_usec = (suseconds_t)(wait_us % CLOCK_S);
	u->armed_us = due_us;
	event_add(&u->deadline, &tv);
}

/* Does what was noted, until nothing is left. With depth > 0: nothing may begin another one. */
static void
run_turn(struct uplink *u)
{
	unsigned i = 0;

	do {
		u->more = false;
		if (u->renew)
			renew_session(u);
		close_aborted(u);
		open_wanted(u);
		if (u->tunnel != NULL)
			tunnel_flush(u->tunnel, clock_us());
		uplink_http_run(u->http);
	} while (u->more && ++i < TURNS_MAX);
	if (u->more)
		turn_soon(u);
	arm_deadline(u);
}

static void
enter(struct uplink *u)
{
	u->depth++;
}

static void
leave(struct uplink *u)
{
	if (u->depth == 1)
		run_turn(u);
	u->depth--;
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

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct uplink *u = arg;

	(void)fd;
	(void)what;
	enter(u);
	if (u->phase == PHASE_WAIT)
		open_session(u);
	leave(u);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct uplink *u = arg;
	uint64_t now_us = clock_us();

	(void)fd;
	(void)what;
	u->armed_us = CLOCK_NEVER;
	enter(u);
	if (u->tunnel != NULL && tunnel_deadline(u->tunnel) <= now_us)
		tunnel_tick(u->tunnel, now_us);
	leave(u);
}

/* -- The interface -- */

static const struct uplink_http_handlers http_handlers = {
	.on_read = on_http_read,
	.on_write = on_http_write,
	.on_done = on_http_done,
	.on_turn = on_http_turn,
};

static int
check_url(const char *url)
{
	if (url != NULL &&
	    (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0) &&
	    strchr(url, '?') == NULL && strchr(url, '#') == NULL)
		return 0;
	log_error("uplink", "tunnel.url is \"%s\", expected http://host[:port]/ or https://...",
	    url == NULL ? "" : url);
	return ERR_MALFORMED;
}

static void
configure(struct uplink *u, const struct uplink_config *config)
{
	bool slash = config->url[strlen(config->url) - 1] == '/';

	u->url = mem_printf("%s%s", config->url, slash ? "" : "/");
	u->transport = mem_printf("%s%s", strncasecmp(u->url, "https:", 6) == 0 ? "https" : "http",
	    config->proxy == NULL ? "" : " via proxy");
	tunnel_cfg_default(TUNNEL_CLIENT, &u->cfg);
	if (config->connections != 0)
		u->cfg.connections = config->connections;
	u->cfg.rotate_bytes = config->rotate_bytes;
	u->cfg.rotate_age_us = config->rotate_age_s * CLOCK_S;
	if (config->media_max_age_ms != 0)
		u->cfg.media_max_age_us = config->media_max_age_ms * CLOCK_MS;
	u->cfg.seed = u->seed;
}

int
uplink_new(struct event_base *base, const struct uplink_config *config,
    const struct uplink_handlers *handlers, void *arg, struct uplink **out)
{
	struct uplink_http_config http = { config->proxy, config->proxy_user,
		config->proxy_password, config->ca };
	struct uplink *u;
	uint64_t random[2];
	int err;

	err = check_url(config->url);
	if (err < 0)
		return err;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ERR_IO;
	u = mem_zalloc(sizeof(*u));
	err = handshake_init(&u->handshake, config->agent, config->secret, random[0]);
	if (err < 0) {
		log_error("uplink", "tunnel.agent or tunnel.secret: %s", err_str(err));
		mem_free(u);
		return err;
	}
	u->http = uplink_http_new(base, &http, &http_handlers, u);
	if (u->http == NULL) {
		mem_wipe_free(u, sizeof(*u));
		return ERR_IO;
	}
	u->base = base;
	u->handlers = *handlers;
	u->arg = arg;
	u->seed = random[1];
	u->state = TUNNEL_CONNECTING;
	u->since_wall_s = clock_wall_s();
	u->armed_us = CLOCK_NEVER;
	LIST_INIT(&u->links);
	configure(u, config);
	evtimer_assign(&u->retry, base, on_retry, u);
	evtimer_assign(&u->deadline, base, on_deadline, u);
	evtimer_assign(&u->turn, base, on_turn, u);
	open_later(u, 0);
	*out = u;
	return 0;
}

void
uplink_free(struct uplink *u)
{
	if (u == NULL)
		return;
	drop_tunnel(u);
	uplink_http_free(u->http);
	event_del(&u->retry);
	event_del(&u->deadline);
	event_del(&u->turn);
	mem_free(u->url);
	mem_free(u->transport);
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
	enter(u);
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
	enter(u);
	err = tunnel_send_media(u->tunnel, channel, data, n, clock_us());
	leave_noting(u);
	return err;
}

void
uplink_flush(struct uplink *u)
{
	enter(u);
	leave(u);
}

void
uplink_set_busy(struct uplink *u, bool busy)
{
	u->busy = busy;
	if (u->tunnel == NULL)
		return;
	enter(u);
	tunnel_set_busy(u->tunnel, busy, clock_us());
	u->more = true;
	leave_noting(u);
}

void
uplink_kick(struct uplink *u)
{
	enter(u);
	u->attempt = 0;
	if (u->phase == PHASE_WAIT)
		open_later(u, 0);
	if (u->tunnel != NULL)
		tunnel_kick(u->tunnel, clock_us());
	u->more = true;
	leave_noting(u);
}

void
uplink_facts(const struct uplink *u, struct uplink_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->state = u->state;
	out->transport = u->transport;
	out->peer = uplink_http_peer(u->http);
	out->last_error = u->last_error;
	out->last_error_wall_s = u->last_error_wall_s;
	out->since_wall_s = u->since_wall_s;
	out->reconnects = u->counters.uplink_sessions > 0 ? u->counters.uplink_sessions - 1 : 0;
	if (u->tunnel == NULL)
		return;
	out->up_n = tunnel_streams_n(u->tunnel, TUNNEL_UP);
	out->down_n = tunnel_streams_n(u->tunnel, TUNNEL_DOWN);
	out->srtt_us = tunnel_srtt_us(u->tunnel);
	out->session = tunnel_grant(u->tunnel)->session;
}

struct metric_set
uplink_metrics(struct uplink *u)
{
	struct metric_set set = { metrics, &u->shown };

	u->shown = u->counters;
	if (u->tunnel != NULL)
		tunnel_tally_add(&u->shown.tally, tunnel_stats(u->tunnel));
	return set;
}
