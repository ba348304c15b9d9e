/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_IMPL_H
#define VOFW_HRAS_GATEWAY_IMPL_H

#include <event2/event_struct.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/alarm.h"
#include "base/timers.h"
#include "hras/gateway/gateway.h"
#include "hras/gateway/http.h"
#include "hras/gateway/udp.h"
#include "log/log.h"
#include "tunnel/request.h"

/*
 * The inside of the gateway, for its own files:
 *   gateway.c  the interface, the turn of the loop, the timers
 *   listen.c   its addresses
 *   agent.c    the table of agents, handshakes, sessions
 *   flow.c     the streams of the tunnels and the requests that carry them
 *   udp.c      datagrams
 *   probe.c    visits, and the probes of visits and sessions
 *
 * Handlers of libmicrohttpd and of the tunnels only note what is to be done (gateway_mark); the
 * turn does it, when neither of the two is on the stack.
 */
#define GATEWAY_SOURCES_N 64
#define GATEWAY_HTTP_MAX (2 * GATEWAY_LISTEN_MAX)

/* One HTTP request and the stream of the tunnel that it carries. */
struct gateway_flow {
	LIST_ENTRY(gateway_flow) link;
	struct gateway_agent *agent;
	struct tunnel_stream *stream;
	struct gateway_request *request;
	bool said_end; /* our own body down is over in order */
	bool aborted;
	enum tunnel_why why; /* when aborted */
};
LIST_HEAD(gateway_flows, gateway_flow);

/* Who may probe: a session, or a visit. */
struct gateway_prober {
	LIST_HEAD(, gateway_probe) probes;
	unsigned running;
	struct request_window serials;
	uint32_t bytes_left; /* of a visit */
};

/* Keys that were granted for probes alone; few, and for some minutes. */
struct gateway_visits {
	struct gateway_visit *by_session;
	TAILQ_HEAD(, gateway_visit) by_age; /* the eldest first */
};

struct gateway_agent {
	UT_hash_handle by_name, by_session, by_datagram;
	TAILQ_ENTRY(gateway_agent) dirty_link;
	struct gateway *gateway;
	char name[HANDSHAKE_AGENT_MAX + 1];
	char *secret; /* by which it was proved */
	void *user;
	uint64_t instance, session;
	struct tunnel *tunnel; /* NULL: the session broke, the next handshake brings another */
	struct gateway_flows flows;
	struct gateway_prober prober;
	bool busy;
	bool dirty;            /* something was sent or received: to be flushed */
	bool aborted;          /* some flow is */
	bool broken;           /* the session is of no use any more */
	struct timer deadline; /* of the tunnel */
	uint32_t bandwidth_max_kbit;

	bool datagrams; /* its session may have them, and is found by: */
	uint32_t datagram_id;
	struct udp *datagrams_by; /* where the newest authentic one came in; NULL = none came ... */
	struct udp_path datagrams_to; /* ... and from where */

	enum tunnel_state state;
	uint64_t since_wall_s, away_since_us;
	uint64_t sessions_n;
	unsigned rivals_n; /* new instances in a row, each soon after the one before */
	uint64_t instance_us;
	struct addr local;           /* of ours, by which it last opened a session */
	struct addr peer, forwarded; /* the latter as a proxy says; may be not set */
	bool tls, via_proxy;         /* of its last connection */
	const char *last_error;
	struct log_limit limit; /* of what a peer or someone on the way makes us say of it */
	uint64_t last_error_wall_s;
};
TAILQ_HEAD(gateway_agents, gateway_agent);

struct gateway_counters {
	uint64_t gateway_handshakes, gateway_sessions, gateway_refused, gateway_malformed_opens;
	uint64_t gateway_visits, gateway_agents, gateway_agents_gone;
	uint64_t gateway_unknown_sessions, gateway_streams_refused;
	uint64_t gateway_probes, gateway_probes_refused;
	uint64_t gateway_connections, gateway_connections_expired, gateway_requests;
	uint64_t gateway_requests_refused, gateway_requests_oversized;
	uint64_t gateway_datagrams_unknown, gateway_datagrams_moved, gateway_datagrams_unsent;
	uint64_t gateway_certificates_refused, certificate_expires;
	struct tunnel_stats tally;
};

#define GATEWAY_WHO_MAX (ADDR_STR_MAX + ADDR_HOST_MAX + 8)

/* Who failed to prove itself: one slot for many hosts, so that strangers cannot fill anything. */
struct gateway_source {
	struct addr addr;
	uint64_t failures, last_us;
	struct log_limit limit;
	char who[GATEWAY_WHO_MAX]; /* the last one */
};

struct gateway_datagrams { /* a listener of them */
	struct gateway *gateway;
	struct udp *udp;
};

struct gateway {
	struct event_base *base;
	struct gateway_handlers handlers;
	void *arg;
	struct tunnel_cfg cfg;
	uint64_t grace_us;
	struct handshake_server *handshakes;
	struct gateway_tls *tls;                     /* NULL = no listener was ever https */
	bool https;                                  /* one is now */
	struct gateway_http *http[GATEWAY_HTTP_MAX]; /* the retired ones, too */
	size_t http_n;
	struct gateway_http_counters http_ended;
	uint32_t pending_s;
	struct gateway_agent *by_name, *by_session, *by_datagram;
	struct gateway_datagrams datagrams[GATEWAY_LISTEN_MAX];
	size_t datagrams_n;
	struct addr private_host, told_host; /* as in gateway_config */
	struct gateway_visits visits;
	struct gateway_agents dirty;
	bool more;      /* something is to be done */
	unsigned depth; /* > 0: inside libmicrohttpd, a tunnel or a handler: no turn may begin */
	struct event turn, watch;
	struct timers *timers; /* the agents' deadlines */
	struct alarm *alarm;   /* the earliest of them */
	struct gateway_source sources[GATEWAY_SOURCES_N];
	struct gateway_counters counters; /* tally: of the ended sessions */
	struct gateway_counters shown;    /* all */
};

/* -- gateway.c -- */

/* The agent's tunnel is to be flushed, or its `aborted` and `broken` to be looked at. */
void gateway_mark(struct gateway_agent *a);
void gateway_unmark(struct gateway_agent *a);
void gateway_on_deadline(void *agent, uint64_t now_us);

extern const struct gateway_http_handlers gateway_http_handlers;

/* -- listen.c -- */

/*
 * Listens on these addresses from now on, with files for those that are https when none was before.
 * Errors as gateway_new; those that can be listened on are. What is not among them accepts nothing
 * any more, and is freed by gateway_listen_tidy when its last connection has ended.
 */
int gateway_listen_on(struct gateway *g, const struct gateway_listen *listen, size_t n,
    const struct gateway_tls_files *files);
void gateway_listen_tidy(struct gateway *g); /* not inside libmicrohttpd */
struct gateway_http_counters gateway_listen_counters(const struct gateway *g);

/* -- agent.c -- */

struct gateway_agent *gateway_find_name(struct gateway *g, const char *name);
struct gateway_agent *gateway_find_session(struct gateway *g, uint64_t session);
void gateway_set_state(struct gateway_agent *a, enum tunnel_state state);
void gateway_session_drop(struct gateway_agent *a); /* its tunnel and all its requests */
void gateway_agent_free(struct gateway_agent *a);
void gateway_agent_gone(struct gateway_agent *a, const char *why); /* tells, and frees */
/* As in http.h. */
unsigned gateway_open(void *arg, struct gateway_request *r, uint8_t *body, size_t *n);

/* -- flow.c -- */

extern const struct tunnel_handlers gateway_tunnel_handlers;
void gateway_flow_close_aborted(struct gateway_agent *a);
void gateway_flow_drop_all(struct gateway_agent *a);         /* the tunnel is not told */
extern const struct gateway_http_bodies gateway_flow_bodies; /* `user` is the flow */

/* -- probe.c -- */

extern const struct gateway_http_bodies gateway_probe_bodies;
void gateway_visits_init(struct gateway_visits *visits);
void gateway_visit_new(struct gateway *g, const struct tunnel_grant *grant); /* copies */
/*
 * A datagram of no session, n bytes at `in`, which may be changed. True when it is of a visit: `out` has
 * the answer (room for DATAGRAM_MAX bytes), *len 0 = there is none.
 */
bool gateway_visit_datagram(struct gateway *g, uint8_t *in, size_t n, const struct addr *from,
    uint8_t *out, size_t *len);
void gateway_visits_expire(struct gateway *g, uint64_t now_us);
void gateway_visits_end(struct gateway *g);
void gateway_prober_end(struct gateway_prober *prober); /* its session or visit is over */

#endif
