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
 * is closed after 15 minutes, one that never sent a whole message after 30 s. Writes never block:
 * at most 256 KiB wait on a connection, then it is closed. Runs on the event base's thread.
 */
#define TRANSPORT_CONNS_MAX 8192
#define TRANSPORT_CONNS_PER_HOST_MAX 256

struct sip_transport;

struct sip_transport_handlers {
	/* A whole message; flow says from where (face is 0: the caller fills in its own). Borrowed. */
	void (*on_message)(void *arg, const struct sip_flow *flow, const char *data, size_t n);
	/* A message sent with `tag` could not be delivered (refused, unreachable, closed, too much). */
	void (*on_failed)(void *arg, const struct sip_flow *flow, uint64_t tag, int err);
	/* The connection `conn` is gone. */
	void (*on_closed)(void *arg, uint64_t conn);
};

struct sip_transport *sip_transport_new(struct event_base *base,
    const struct sip_transport_handlers *h, void *arg);
void sip_transport_free(struct sip_transport *t);

/* Opens a listener; its index is the number of those opened before. ERR_IN_USE / ERR_IO (logged
 * with the address and the reason). */
int sip_transport_listen(struct sip_transport *t, const struct sip_listener *l);

/*
 * Sends n bytes (copied) to flow->peer: UDP from listener flow->listener; TCP on connection
 * flow->conn, else on any open connection to that peer, else on a new one. ERR_TOO_BIG for a
 * datagram beyond 65507 bytes; ERR_UNSUPPORTED when there is no listener of that protocol and
 * family; later failures come by on_failed with `tag`.
 */
int sip_transport_send(struct sip_transport *t, const struct sip_flow *flow, uint64_t tag,
    const char *data, size_t n);

struct metric_set sip_transport_metrics(const struct sip_transport *t);

#endif
