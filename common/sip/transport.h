/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_SIP_TRANSPORT_H
#define VOFW_SIP_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "sip/flow.h"

struct event_base;

/*
 * SIP sockets of one face: UDP and TCP listeners and TCP connections (RFC 3261 §18), used by HRAS
 * for the outside and by HRAC for the inside. It frames streams, keeps connections for reuse,
 * answers CRLF keepalives (RFC 5626 §3.5.1), marks AF31. Messages are bytes here; it knows nothing
 * of transactions. Connections are capped (TRANSPORT_CONNS_MAX, and per peer address); an idle one
 * is closed after 65 minutes (a registration lasts 60), one that never sent a whole message after
 * 30 s. Writes never block: at most 256 KiB wait on a connection, then it is closed. Runs on the
 * event base's thread.
 */
#define TRANSPORT_CONNS_MAX 8192
#define TRANSPORT_CONNS_PER_HOST_MAX 256

struct sip_transport;

struct sip_transport_handlers {
	/* A whole message; flow says from where (face is 0: the caller fills in its own). Borrowed. */
	void (*on_message)(void *arg, const struct sip_flow *flow, const char *data, size_t n);
	/* A message sent with `tag` could not be delivered (refused, unreachable, closed, too much):
	 * ERR_DOWN, ERR_TIMEOUT, ERR_FULL. Never called from within sip_transport_send. */
	void (*on_failed)(void *arg, const struct sip_flow *flow, uint64_t tag, int err);
	/* The connection `conn` is gone; its number is never used again, not even after a restart. */
	void (*on_closed)(void *arg, uint64_t conn);
};

/* A malformed stream is closed. STUN and keepalives are dropped, and what cannot be SIP. */
struct sip_transport *sip_transport_new(struct event_base *base,
    const struct sip_transport_handlers *h, void *arg);
void sip_transport_free(struct sip_transport *t); /* closes everything, calls nobody */

/* How long a connection may take to open (5 s), to bring its first message or the rest of one it
 * began (30 s), and to be idle (65 min). For connections made after the call. */
void sip_transport_times(struct sip_transport *t, unsigned connect_ms, unsigned speak_ms,
    unsigned idle_ms);

/* Opens a listener; its index is the number of those opened before. Port 0: the system's choice.
 * ERR_IN_USE / ERR_IO (logged with the address and the reason), ERR_UNSUPPORTED (TLS), ERR_FULL
 * beyond SIP_LISTEN_MAX. */
int sip_transport_listen(struct sip_transport *t, const struct sip_listener *l);
size_t sip_transport_listeners_n(const struct sip_transport *t);
/* The listener i < listeners_n with the address it got. */
struct sip_listener sip_transport_listener(const struct sip_transport *t, size_t i);

/*
 * Sends n bytes (copied) to flow->peer: UDP from listener flow->listener; TCP on connection
 * flow->conn, else on any open connection to that peer, else, when flow->conn is 0, on a new one
 * (the port a client connected from is no place to connect to). ERR_TOO_BIG for a datagram beyond
 * 65507 bytes; ERR_UNSUPPORTED when there is no listener of that protocol and family; ERR_IO when
 * the system refuses a datagram; later failures come by on_failed with `tag`.
 */
int sip_transport_send(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    const char *data, size_t n);

struct metric_set sip_transport_metrics(const struct sip_transport *t);

#endif
