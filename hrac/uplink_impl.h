/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_IMPL_H
#define VOFW_HRAC_UPLINK_IMPL_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/alarm.h"
#include "hrac/uplink.h"
#include "hrac/uplink_http.h"
#include "hrac/uplink_route.h"
#include "log/log.h"

/*
 * The inside of the uplink, for its own files:
 *   uplink.c          the interface, the turn of the loop, the timers
 *   uplink_session.c  opening, adopting and renewing sessions; what people are told
 *   uplink_link.c     the streams of the tunnel and the requests that carry them
 *   uplink_burst.c    the bounded ones among them
 *
 * Handlers of libcurl and of the tunnel only note what is to be done; the turn does it
 * (uplink_turn), when neither of the two is on the stack.
 */
enum uplink_phase {
	PHASE_WAIT,     /* for the retry timer */
	PHASE_HELLO,    /* HELLO sent */
	PHASE_RESPONSE, /* RESPONSE sent */
	PHASE_SESSION,  /* agreed upon */
};

/* One HTTP request and the stream of the tunnel that it carries. */
struct uplink_link {
	LIST_ENTRY(uplink_link) link;
	struct uplink *uplink;
	struct tunnel_stream *stream;
	struct uplink_request *request; /* NULL: a bounded one up that has nothing to say yet */
	char path[TUNNEL_PATH_MAX];     /* of such a one */
	bool loaded;                    /* ... which has something to say now */
	bool said_end;                  /* our own body up is over in order */
	bool aborted;
	enum tunnel_why why; /* when aborted */
};
LIST_HEAD(uplink_links, uplink_link);

struct uplink_counters {
	uint64_t uplink_handshakes, uplink_sessions, uplink_refused, uplink_failures;
	struct tunnel_stats tally;
};

struct uplink {
	struct event_base *base;
	struct uplink_handlers handlers;
	void *arg;
	struct uplink_route *route;
	struct tunnel_cfg cfg;
	struct handshake handshake;
	struct uplink_http *http;

	enum uplink_phase phase;
	unsigned attempt; /* openings since a session was stable */
	uint64_t seed;
	uint64_t boot; /* of the HRAS of the last session; 0 = none yet */
	struct tunnel
	    *tunnel; /* the last session's, also while a new one is being opened; or NULL */
	struct uplink_links links;
	unsigned wanted[2]; /* by enum tunnel_dir: streams to open */
	bool bounded[2];    /* by enum tunnel_dir: what its streams are to be */
	bool loaded;        /* some link is */
	bool aborted;       /* some link is */
	bool renew;         /* the session is of no use any more */
	bool busy;
	uint32_t bandwidth_max_kbit;
	bool more;      /* something of the above is to be done */
	unsigned depth; /* > 0: inside libcurl, the tunnel or a handler: no turn may begin */

	struct event retry, turn;
	struct event end;       /* of a turn of the loop: behind all that it brings */
	bool end_due;           /* `end` is active */
	struct alarm *deadline; /* of the tunnel */

	enum tunnel_state state;
	uint64_t since_wall_s, up_us;
	char cause[UPLINK_TEXT_MAX]; /* the trouble at hand, "" = none */
	char last_error[UPLINK_TEXT_MAX];
	uint64_t last_error_wall_s;
	struct uplink_counters counters; /* tally: of the ended sessions */
	struct uplink_counters shown;    /* tally: of all */
};

/* -- uplink_session.c -- */

/* A failure is told when it is another than the one before, not each time it strikes. */
void uplink_trouble(struct uplink *u, enum log_level level, const char *cause);
void uplink_set_state(struct uplink *u, enum tunnel_state state);
void uplink_session_open_in(struct uplink *u, uint64_t wait_us); /* sets the retry timer */
void uplink_session_open(struct uplink *u);                      /* now */
void uplink_session_renew(struct uplink *u); /* the one at hand is of no use any more */
void uplink_session_answered(struct uplink *u, const struct uplink_http_result *r);
void uplink_session_drop(struct uplink *u); /* its tunnel and all its requests */

/* -- uplink_link.c -- */

extern const struct tunnel_handlers uplink_tunnel_handlers;
void uplink_link_open_wanted(struct uplink *u);
void uplink_link_close_aborted(struct uplink *u);
void uplink_link_drop_all(struct uplink *u); /* the tunnel is not told */
/* As in uplink_http.h; `user` is the link. */
long uplink_link_read(void *arg, void *user, uint8_t *out, size_t cap);
bool uplink_link_write(void *arg, void *user, const uint8_t *in, size_t n);
void uplink_link_done(struct uplink_link *l, const struct uplink_http_result *r);

/* -- uplink_burst.c -- */

/* Which directions are bounded from now on, in this session and those to come. */
void uplink_burst_set(struct uplink *u, bool up, bool down);
void uplink_burst_adopted(struct uplink *u); /* a tunnel is new */
void uplink_burst_open(struct uplink_link *l, const char *path);
void uplink_burst_wake(struct uplink_link *l);
void uplink_burst_post(struct uplink *u); /* what is loaded */

#endif
