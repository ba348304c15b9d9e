/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_IMPL_H
#define VOFW_HRAC_UPLINK_IMPL_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/alarm.h"
#include "hrac/uplink/http.h"
#include "hrac/uplink/ladder.h"
#include "hrac/uplink/name.h"
#include "hrac/uplink/route.h"
#include "hrac/uplink/udp.h"
#include "hrac/uplink/uplink.h"
#include "log/log.h"

/*
 * The inside of the uplink, for its own files:
 *   uplink.c   the interface, the turn of the loop, the timers
 *   routes.c   the routes that there are, direct and by proxies
 *   climb.c    the routes: asking them (HELLO), taking the best that answers (RESPONSE)
 *   session.c  adopting and renewing sessions; what people are told
 *   link.c     the streams of the tunnel and the requests that carry them
 *   burst.c    the bounded ones among them
 *   rekey.c    another key for the session that there is
 *   verdict.c  whether a way lets bodies stream, by probes
 *   way.c      which route the streams take, and leaving it for another in mid-session
 *
 * Handlers of libcurl and of the tunnel only note what is to be done; the turn does it
 * (uplink_turn), when neither of the two is on the stack.
 */

/* A HELLO to one address. */
struct uplink_hello {
	struct uplink_way *way;
	struct uplink_request *request; /* NULL: it is over */
	struct addr address;            /* not set: what the system says of the name */
};

/* One route and its rung, which has the same number in `ladder`. */
struct uplink_way {
	struct uplink *uplink;
	struct uplink_route *route;
	size_t number;
	size_t url;    /* which of the configuration */
	unsigned rank; /* 0 = direct, else the place of its proxy among those to try */
	bool named;    /* its proxy is, by the last answer */

	/* While it is asked: each address gets a HELLO, one a little after the other. */
	struct uplink_lookup *lookup; /* NULL: none is under way */
	struct addr addresses[UPLINK_ADDRESSES_MAX + 1];
	size_t addresses_n, tried_n;
	struct uplink_hello hellos[UPLINK_ADDRESSES_MAX + 2];
	size_t hellos_n, open_n; /* made; of these not yet over */
	uint64_t next_us;        /* when the next address is tried */
	char why[UPLINK_ROUTE_WHY_MAX];

	/* What it answered. */
	uint8_t challenge[HANDSHAKE_BODY_MAX];
	size_t challenge_len;
	bool turned_away; /* HRAS was reached, and will not have us */
};

/* One HTTP request and the stream of the tunnel that it carries. */
struct uplink_link {
	LIST_ENTRY(uplink_link) link;
	struct uplink *uplink;
	struct tunnel_stream *stream;
	struct uplink_request *request; /* NULL: a bounded one up that has nothing to say yet */
	char path[TUNNEL_PATH_MAX];     /* of such a one */
	bool loaded;                    /* ... which has something to say now */
	struct uplink_way *way;
	uint64_t opened_us;
	bool lived;    /* the peer was heard on it */
	bool said_end; /* our own body up is over in order */
	bool aborted;
	enum tunnel_why why; /* when aborted */
};
LIST_HEAD(uplink_links, uplink_link);

struct uplink_counters {
	uint64_t uplink_handshakes, uplink_sessions, uplink_refused, uplink_failures;
	uint64_t uplink_route_changes, uplink_network_changes, uplink_wakes;
	uint64_t uplink_hras_restarts, uplink_sessions_lost;
	uint64_t uplink_rung;
	struct tunnel_stats tally;
};

/* Of one direction: whether the route in use still carries anything. */
struct uplink_doubt {
	uint64_t since_us;       /* CLOCK_NEVER = there is none */
	bool silent;             /* since nothing came; else since a stream was not to be had */
	bool refused;            /* a stream over the route in use failed before it lived */
	unsigned turns_n;        /* of the routes that new streams take */
	struct uplink_way *next; /* the next stream takes this one; NULL = in turn */
};

struct uplink {
	struct event_base *base;
	struct uplink_handlers handlers;
	void *arg;
	struct tunnel_cfg cfg;
	struct handshake handshake;
	struct uplink_http *http;
	int transport; /* enum config_transport */

	struct uplink_routes *routes;

	/* The climb. */
	struct ladder ladder;
	struct uplink_way *ways[LADDER_MAX]; /* as in `ladder` */
	uint8_t hello[HANDSHAKE_BODY_MAX];
	size_t hello_len;
	bool opening;                      /* a session is wanted */
	struct uplink_request *responding; /* RESPONSE sent ... */
	struct uplink_way *responding_to;  /* ... there */
	unsigned attempt;                  /* openings since a session was stable */
	uint64_t climb_us;                 /* when the climb has something to do; CLOCK_NEVER */
	uint64_t climbed_us;               /* when it began */
	char round[512];                   /* said of the last round in which all failed */

	/* Whether it streams. */
	struct uplink_probe *probe; /* NULL: none is under way */
	struct uplink_way *probed;
	uint32_t probe_serial;            /* of this session */
	uint64_t probe_us, probe_wait_us; /* when the one in use is probed again; CLOCK_NEVER */

	/* Which way the streams go. */
	struct uplink_way *way;  /* new streams; never NULL */
	struct uplink_way *from; /* left for `way`, on trial since trial_us; NULL = none is */
	uint64_t trial_us;
	bool
	    carried[2]; /* by enum tunnel_dir: in this trial the peer was heard on a stream of it */
	struct uplink_doubt doubt[2]; /* by enum tunnel_dir */
	bool doubt_probed;            /* the ways were, in this doubt */
	uint64_t watched_us;
	unsigned unproven_n; /* links that have not lived yet */

	uint64_t seed;
	uint64_t boot; /* of the HRAS of the last session; 0 = none yet */
	struct tunnel
	    *tunnel; /* the last session's, also while a new one is being opened; or NULL */
	struct uplink_links links;
	unsigned wanted[2];         /* by enum tunnel_dir: streams to open */
	bool bounded[2];            /* by enum tunnel_dir: what its streams are to be */
	bool loaded;                /* some link is */
	bool aborted;               /* some link is */
	bool renew;                 /* the session is of no use any more */
	bool rekey_due;             /* the session is to get another key ... */
	struct uplink_rekey *rekey; /* ... and this is how far it is; NULL = none is agreed upon */
	struct uplink_udp *udp;
	bool datagrams; /* tunnel.transport lets us use them */
	bool datagrams_good;
	char datagrams_name[ADDR_STR_MAX + 8]; /* "udp:203.0.113.10:443" */
	bool busy;
	uint32_t bandwidth_max_kbit;
	bool more;      /* something of the above is to be done */
	unsigned depth; /* > 0: inside libcurl, the tunnel or a handler: no turn may begin */

	struct event retry, turn;
	uint64_t retry_us;      /* when `retry` comes; CLOCK_NEVER */
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

/* -- uplink.c -- */

void uplink_enter(struct uplink *u);
void uplink_leave(struct uplink *u); /* the outermost one does what was noted */
void uplink_transport(const struct uplink *u, char out[static UPLINK_TRANSPORT_MAX]);

/* -- routes.c -- */

/* Makes the direct ways of the configuration; the others follow. ERR_MALFORMED, logged. */
int uplink_routes_new(struct uplink *u, const struct uplink_config *config);
void uplink_routes_free(struct uplink *u);
void uplink_routes_find(struct uplink *u); /* asks for the proxies of now */
void uplink_routes_network_changed(struct uplink *u);

/* -- climb.c -- */

void uplink_climb_quiet(struct uplink_way *w); /* nothing is asked of it any more */

void uplink_climb_begin(struct uplink *u, uint64_t wait_us, bool hurry);
/* The network is another one: what failed or is being asked is asked anew, now. */
void uplink_climb_refresh(struct uplink *u);
void uplink_climb_run(struct uplink *u, uint64_t now_us);         /* what is due of it */
void uplink_climb_settle(struct uplink *u, struct uplink_way *w); /* it is over: this one */
/* It is of no use for now: why, in plain words, and for how long at least. */
void uplink_climb_failed(struct uplink *u, struct uplink_way *w, const char *why,
    uint64_t least_us);

/* -- session.c -- */

/* A failure is told when it is another than the one before, not each time it strikes. */
void uplink_trouble(struct uplink *u, const struct uplink_route *r, enum log_level level,
    const char *cause);
void uplink_note_trouble(struct uplink *u, const char *cause); /* for the status alone */
void uplink_set_state(struct uplink *u, enum tunnel_state state);
void uplink_session_renew(struct uplink *u); /* the one at hand is of no use any more */
void uplink_session_adopt(struct uplink *u, const struct tunnel_grant *grant);
/* HRAS refuses the opening: said, and not soon tried again. False: it does not. */
bool uplink_session_turned_away(struct uplink *u, struct uplink_way *w,
    const struct uplink_http_result *r);
/* What it answered to the opening is of no use: an error of the handshake. */
void uplink_session_misunderstood(struct uplink *u, struct uplink_way *w, int err);
void uplink_session_drop(struct uplink *u); /* its tunnel and all its requests */

/* -- uplink.c -- */

void uplink_on_turn(void *uplink); /* something happened: a turn soon, for all that is ready now */

/* -- datagram.c -- */

void uplink_datagram_init(struct uplink *u, bool allowed);
void uplink_datagram_out(void *uplink, const uint8_t *data,
    size_t n);                              /* as in struct tunnel_handlers */
void uplink_datagram_run(struct uplink *u); /* at the end of each turn */
/* The network is another one, or this machine has slept. */
void uplink_datagram_shaken(struct uplink *u, bool slept);
const char *uplink_datagram_why(const struct uplink
	*u); /* voice does not go by them; NULL: it does */
void uplink_datagram_facts(const struct uplink *u, struct uplink_facts *out);

/* -- link.c -- */

extern const struct tunnel_handlers uplink_tunnel_handlers;
void uplink_link_open_wanted(struct uplink *u);
void uplink_link_close_aborted(struct uplink *u);
void uplink_link_abort(struct uplink_link *l, enum tunnel_why why);
void uplink_link_drop_all(struct uplink *u); /* the tunnel is not told */
/* As in http.h; `user` is the link. */
long uplink_link_read(void *arg, void *user, uint8_t *out, size_t cap);
bool uplink_link_write(void *arg, void *user, const uint8_t *in, size_t n);
void uplink_link_done(struct uplink_link *l, const struct uplink_http_result *r);

/* -- rekey.c -- */

void uplink_rekey_run(struct uplink *u);    /* begins what is due */
void uplink_rekey_cancel(struct uplink *u); /* the session is another one, or there is none */

/* -- burst.c -- */

/* Which directions are bounded from now on, in this session and those to come. */
void uplink_burst_set(struct uplink *u, bool up, bool down);
void uplink_burst_adopted(struct uplink *u); /* a tunnel is new */
void uplink_burst_open(struct uplink_link *l, const char *path);
void uplink_burst_wake(struct uplink_link *l);
void uplink_burst_post(struct uplink *u); /* what is loaded */

/* -- verdict.c -- */

void uplink_verdict_ask(struct uplink *u, struct uplink_way *w); /* one at a time */
void uplink_verdict_cancel(struct uplink *u);
void uplink_verdict_run(struct uplink *u, uint64_t now_us);
void uplink_verdict_apply(struct uplink *u); /* what is known of the way in use */

/* -- way.c -- */

void uplink_way_begin(struct uplink *u, struct uplink_way *w); /* a session was opened over it */
struct uplink_way *uplink_way_for(struct uplink *u, enum tunnel_dir dir); /* of a new stream */
/* A stream ended, before it lived or after; `why` tells how. */
void uplink_way_ended(struct uplink *u, struct uplink_link *l, enum tunnel_why why,
    const struct uplink_http_result *r);
void uplink_way_answers(struct uplink *u, struct uplink_way *w); /* a better one than in use */
/* It answers, in doubt: a stream of each direction that needs one tries it at once. */
void uplink_way_offers(struct uplink *u, struct uplink_way *w);
void uplink_way_next(struct uplink *u); /* those that answered meanwhile */
/* It was probed, and is not in use: what it holds back, in words, "" = nothing. */
void uplink_way_judged(struct uplink *u, struct uplink_way *w, const char *held);
void uplink_way_run(struct uplink *u, uint64_t now_us);
uint64_t uplink_way_due_us(const struct uplink *u);
/* The network is another one, or this machine has slept: our own addresses may be gone. */
void uplink_way_shaken(struct uplink *u, bool slept);

#endif
