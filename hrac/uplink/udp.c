/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hrac/uplink/udp.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/udp.h"
#include "log/log.h"

#define TRIES_N 3 /* questions to one address before the next one is tried */
#define SILENT_US (2 * CLOCK_S)
#define RENEW_US (5 * CLOCK_S) /* so often a socket is replaced while nothing is answered */

struct uplink_udp {
	struct event_base *base;
	struct uplink_udp_handlers handlers;
	void *arg;
	struct addr addresses[UPLINK_UDP_ADDRESSES_MAX];
	size_t n, turn; /* the one that is tried */
	struct udp *udp;
	uint64_t opened_us;
	unsigned asked_n; /* as the tunnel told when it was opened */
	uint64_t opened_n, unsent_n;
};

struct uplink_udp *
uplink_udp_new(struct event_base *base, const struct uplink_udp_handlers *handlers, void *arg)
{
	struct uplink_udp *u = mem_zalloc(sizeof(*u));

	u->base = base;
	u->handlers = *handlers;
	u->arg = arg;
	return u;
}

static void
close_socket(struct uplink_udp *u)
{
	if (u->udp != NULL)
		u->unsent_n += udp_unsent(u->udp);
	udp_free(u->udp);
	u->udp = NULL;
}

void
uplink_udp_free(struct uplink_udp *u)
{
	if (u == NULL)
		return;
	close_socket(u);
	mem_free(u);
}

void
uplink_udp_add(struct uplink_udp *u, const struct addr *address)
{
	if (!addr_is_set(address) || addr_is_any(address) || addr_port(address) == 0)
		return;
	for (size_t i = 0; i < u->n; i++)
		if (addr_equal(&u->addresses[i], address))
			return;
	if (u->n < UPLINK_UDP_ADDRESSES_MAX)
		u->addresses[u->n++] = *address;
}

void
uplink_udp_clear(struct uplink_udp *u)
{
	close_socket(u);
	u->n = u->turn = 0;
	u->asked_n = 0;
}

static void
on_datagram(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct uplink_udp *u = arg;

	u->handlers.on_datagram(u->arg, data, n, &from->remote);
}

static void
on_turn(void *arg)
{
	struct uplink_udp *u = arg;

	u->handlers.on_turn(u->arg);
}

static void
open_socket(struct uplink_udp *u)
{
	static const struct udp_handlers handlers = { on_datagram, on_turn };
	const struct addr *to = &u->addresses[u->turn % u->n];
	char text[ADDR_STR_MAX];

	u->opened_us = clock_us();
	u->opened_n++;
	/* Without a route it is tried again when the next datagram is due. */
	if (udp_new(u->base, NULL, to, &handlers, u, &u->udp) < 0) {
		log_debug("uplink", "udp:%s: %s", addr_str(to, text), strerror(errno));
		u->udp = NULL;
	}
}

void
uplink_udp_send(struct uplink_udp *u, const uint8_t *data, size_t n)
{
	if (u->udp == NULL && u->n > 0)
		open_socket(u);
	if (u->udp != NULL)
		udp_send(u->udp, NULL, data, n);
	else
		u->unsent_n++;
}

void
uplink_udp_run(struct uplink_udp *u, const struct tunnel *t, uint64_t now_us)
{
	struct tunnel_datagrams d;

	if (u->udp == NULL || t == NULL || !tunnel_datagrams(t, now_us, &d))
		return;
	udp_flush(u->udp);
	if (d.asked_n < u->asked_n)
		u->asked_n = d.asked_n;
	if (!d.known && d.asked_n > u->asked_n + TRIES_N) {
		u->asked_n = d.asked_n;
		u->turn++;
		close_socket(u);
	} else if (d.known && d.silent_us > SILENT_US && now_us - u->opened_us > RENEW_US) {
		close_socket(u);
	}
}

void
uplink_udp_renew(struct uplink_udp *u)
{
	u->asked_n = 0;
	close_socket(u);
}

void
uplink_udp_facts(const struct uplink_udp *u, struct uplink_udp_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->opened_n = u->opened_n;
	out->unsent_n = u->unsent_n;
	if (u->udp == NULL)
		return;
	out->unsent_n += udp_unsent(u->udp);
	out->local = udp_addr(u->udp);
	out->remote = u->addresses[u->turn % u->n];
}
