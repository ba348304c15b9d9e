/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_UDP_H
#define VOFW_BASE_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct event_base;

/*
 * A UDP socket of voice: many datagrams with few system calls, marked EF (RFC 3246), in fragments where
 * they are too long for the way. What is sent waits for udp_flush and leaves together. A datagram that
 * the system does not take is lost, as on any line, and counted. One thread, on the given event base;
 * it never blocks.
 */
struct udp;

#define UDP_DATAGRAM_MAX \
	2048 /* of what comes the rest is cut off; of what is sent none is longer */

struct udp_path {
	struct addr remote;
	struct addr
	    local; /* the address of ours that it came to, port 0; not set = the socket's own */
};

struct udp_handlers {
	/* A datagram; `data` may be changed, and is borrowed until return. */
	void (*on_datagram)(void *arg, uint8_t *data, size_t n, const struct udp_path *from);
	/* All that was there has been read: a turn to be ended by udp_flush. */
	void (*on_turn)(void *arg);
};

/*
 * `local`: where it listens, port 0 = any free one; NULL = anywhere. `remote`: the only peer; NULL =
 * everybody. One of them must be given. ERR_IN_USE; ERR_IO with errno.
 */
int udp_new(struct event_base *base, const struct addr *local, const struct addr *remote,
    const struct udp_handlers *handlers, void *arg, struct udp **out);
void udp_free(struct udp *u); /* not from its handlers; NULL is fine */

struct addr udp_addr(const struct udp *u); /* our own, with the real port */

/* Copies n <= UDP_DATAGRAM_MAX bytes. `to`: as on_datagram was given it; NULL with an only peer. */
void udp_send(struct udp *u, const struct udp_path *to, const uint8_t *data, size_t n);
void udp_flush(struct udp *u);

uint64_t udp_unsent(const struct udp *u); /* datagrams that the system did not take */

#endif
