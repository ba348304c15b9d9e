/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAS_GATEWAY_CONN_H
#define VOFW_HRAS_GATEWAY_CONN_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"

/*
 * The TCP connections of the gateway's HTTP server, and how long those may live that carry no
 * stream of a proved agent (GATEWAY_PENDING_* in gateway.h); private to the gateway. Those on which an
 * agent's bounded stream has ended rest until its next one, and are counted apart, so that strangers do
 * not push them out (GATEWAY_RESTING_*). The descriptor is libmicrohttpd's: a connection is ended by
 * shutting it down, and libmicrohttpd then closes it.
 */
enum gateway_conn_state { GATEWAY_CONN_PENDING, GATEWAY_CONN_RESTING, GATEWAY_CONN_BUSY };

struct gateway_tls_session;
struct gateway_conn {
	TAILQ_ENTRY(gateway_conn) link;
	LIST_ENTRY(gateway_conn) alive_link;
	struct gateway_conns *all;
	int fd;
	struct addr peer;
	struct gateway_tls_session *tls; /* NULL = plain; its owner's */
	enum gateway_conn_state state;
	uint64_t until_us; /* unless it is busy */
	bool outdated;     /* shut; what had come before that proves nothing any more */
};

struct gateway_conns {
	struct gateway_conn_queue {
		TAILQ_HEAD(, gateway_conn) list; /* the eldest first */
		unsigned n, max;
		uint64_t age_us;      /* how long one may be so */
	} queues[GATEWAY_CONN_BUSY];  /* by state */
	struct event expires;         /* the first of them ... */
	uint64_t due_us;              /* ... then, or one before it; CLOCK_NEVER = none */
	void (*on_closed)(void *arg); /* some were shut down because of their age */
	void *arg;
	uint64_t opened, expired;
	LIST_HEAD(, gateway_conn) alive;
	unsigned alive_n;
};

void gateway_conns_init(struct gateway_conns *all, struct event_base *base, uint64_t pending_us,
    void (*on_closed)(void *arg), void *arg);
void gateway_conns_end(struct gateway_conns *all); /* when no connection is left */

/* A connection was accepted; pending at first. */
struct gateway_conn *gateway_conn_new(struct gateway_conns *all, int fd,
    const struct sockaddr *peer);
void gateway_conn_free(struct gateway_conn *c); /* it was closed */

/* Its time begins when the state is another one than before. */
void gateway_conn_becomes(struct gateway_conn *c, enum gateway_conn_state state);
void gateway_conn_shut(struct gateway_conn *c);
void gateway_conns_outdate(struct gateway_conns *all); /* all that there are now */

#endif
