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
 * stream of a proved agent (GATEWAY_PENDING_* in gateway.h); private to the gateway. The descriptor
 * is libmicrohttpd's: a connection is ended by shutting it down, and libmicrohttpd then closes it.
 */
struct gateway_tls_session;
struct gateway_conn {
	TAILQ_ENTRY(gateway_conn) link;
	struct gateway_conns *all;
	int fd;
	struct addr peer;
	struct gateway_tls_session *tls; /* NULL = plain; its owner's */
	bool pending;                    /* it carries no stream, and its days are counted */
	uint64_t until_us;               /* while pending */
};

struct gateway_conns {
	TAILQ_HEAD(, gateway_conn) pending; /* the eldest first */
	unsigned pending_n;
	uint64_t pending_us;          /* how long one may be so */
	struct event expires;         /* the eldest */
	void (*on_closed)(void *arg); /* some were shut down because of their age */
	void *arg;
	uint64_t opened, expired;
};

void gateway_conns_init(struct gateway_conns *all, struct event_base *base, uint64_t pending_us,
    void (*on_closed)(void *arg), void *arg);
void gateway_conns_end(struct gateway_conns *all); /* when no connection is left */

/* A connection was accepted; pending at first. */
struct gateway_conn *gateway_conn_new(struct gateway_conns *all, int fd,
    const struct sockaddr *peer);
void gateway_conn_free(struct gateway_conn *c); /* it was closed */

void gateway_conn_set_pending(struct gateway_conn *c, bool pending); /* true: from now on */
void gateway_conn_shut(struct gateway_conn *c);

#endif
