/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_UDP_H
#define VOFW_HRAC_UPLINK_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tunnel/tunnel.h"

/*
 * HRAC's socket for datagrams; private to the uplink. It is connected to one address of HRAS at a time:
 * of those where HRAS may take datagrams the next one is tried when there is no answer. A new socket has
 * a new port and takes the route of now, so that a NAT or a firewall that holds something against the old
 * one knows nothing of it; HRAS follows by itself. Whether datagrams are any good the tunnel decides.
 */
struct uplink_udp;
struct event_base;

struct uplink_udp_handlers { /* as in base/udp.h */
	void (*on_datagram)(void *arg, uint8_t *data, size_t n, const struct addr *from);
	void (*on_turn)(void *arg);
};

#define UPLINK_UDP_ADDRESSES_MAX 4

struct uplink_udp *uplink_udp_new(struct event_base *base,
    const struct uplink_udp_handlers *handlers, void *arg);
void uplink_udp_free(struct uplink_udp *u); /* NULL is fine */

/* Another address where HRAS may take datagrams; one that is known, or too many, is passed over. */
void uplink_udp_add(struct uplink_udp *u, const struct addr *address);
void uplink_udp_clear(struct uplink_udp *u); /* there is none any more */

void uplink_udp_send(struct uplink_udp *u, const uint8_t *data, size_t n); /* by udp_send */

/* At the end of each turn: what was sent leaves, and by what the tunnel says the socket stays or not. */
void uplink_udp_run(struct uplink_udp *u, const struct tunnel *t, uint64_t now_us);

/* The network is another one. */
void uplink_udp_renew(struct uplink_udp *u);

struct uplink_udp_facts {
	struct addr local, remote; /* not set = no socket is open */
	uint64_t opened_n;         /* sockets */
	uint64_t unsent_n;         /* datagrams that the system did not take */
};
void uplink_udp_facts(const struct uplink_udp *u, struct uplink_udp_facts *out);

#endif
