/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hras/gateway/udp.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "hras/gateway/impl.h"
#include "tunnel/datagram.h"

static struct gateway_agent *
find(struct gateway *g, uint32_t id)
{
	struct gateway_agent *a;

	HASH_FIND(by_datagram, g->by_datagram, &id, sizeof(id), a);
	return a;
}

/* Somebody who only looks at the way: answered at once, and nothing is remembered. */
static bool
answer_visit(struct gateway_datagrams *l, uint8_t *data, size_t n, const struct udp_path *from)
{
	uint8_t out[DATAGRAM_MAX];
	size_t len;

	if (!gateway_visit_datagram(l->gateway, data, n, &from->remote, out, &len))
		return false;
	if (len > 0)
		udp_send(l->udp, from, out, len);
	return true;
}

static void
on_datagram(void *arg, uint8_t *data, size_t n, const struct udp_path *from)
{
	struct gateway_datagrams *l = arg;
	struct gateway *g = l->gateway;
	struct gateway_agent *a;
	uint32_t id;
	int got;

	a = datagram_peek(data, n, &id) ? find(g, id) : NULL;
	if (a == NULL) {
		if (!answer_visit(l, data, n, from))
			g->counters.gateway_datagrams_unknown++;
		return;
	}
	g->depth++;
	got = tunnel_datagram_input(a->tunnel, data, n, &from->remote, clock_us());
	g->depth--;
	if (got < 0)
		return;
	if (got == TUNNEL_DATAGRAM_NEWEST) {
		if (addr_is_set(&a->datagrams_to.remote) &&
		    !addr_equal(&a->datagrams_to.remote, &from->remote))
			g->counters.gateway_datagrams_moved++;
		a->datagrams_by = l->udp;
		a->datagrams_to = *from;
	}
	gateway_mark(a);
}

static void
on_turn(void *arg)
{
	struct gateway_datagrams *l = arg;

	gateway_flush(l->gateway);
}

void
gateway_udp_on_datagram(void *agent, const uint8_t *data, size_t n)
{
	struct gateway_agent *a = agent;

	if (a->datagrams_by != NULL)
		udp_send(a->datagrams_by, &a->datagrams_to, data, n);
}

void
gateway_udp_begin(struct gateway_agent *a)
{
	struct gateway *g = a->gateway;

	a->datagrams_by = NULL;
	memset(&a->datagrams_to, 0, sizeof(a->datagrams_to));
	a->datagram_id = datagram_id(a->session);
	/* Should another session have the id by chance, this one does without. */
	if (g->datagrams_n == 0 || find(g, a->datagram_id) != NULL ||
	    tunnel_datagrams_start(a->tunnel, clock_us()) < 0)
		return;
	a->datagrams = true;
	HASH_ADD(by_datagram, g->by_datagram, datagram_id, sizeof(a->datagram_id), a);
}

void
gateway_udp_end(struct gateway_agent *a)
{
	if (a->datagrams)
		HASH_DELETE(by_datagram, a->gateway->by_datagram, a);
	a->datagrams = false;
}

int
gateway_udp_start(struct gateway *g, const struct addr *listen, size_t n)
{
	static const struct udp_handlers handlers = { on_datagram, on_turn };
	char text[ADDR_STR_MAX];

	for (size_t i = 0; i < n; i++) {
		struct gateway_datagrams *l = &g->datagrams[i];
		int err = udp_new(g->base, &listen[i], NULL, &handlers, l, &l->udp);

		l->gateway = g;
		if (err < 0) {
			log_error("gateway", "udp:%s cannot be listened on: %s",
			    addr_str(&listen[i], text), strerror(errno));
			return err;
		}
		g->datagrams_n++;
	}
	return 0;
}

void
gateway_udp_stop(struct gateway *g)
{
	while (g->datagrams_n > 0)
		udp_free(g->datagrams[--g->datagrams_n].udp);
}

void
gateway_udp_flush(struct gateway *g)
{
	for (size_t i = 0; i < g->datagrams_n; i++)
		udp_flush(g->datagrams[i].udp);
}

/* -- What HRAC is told -- */

/* How well a listener suits one who came in by our address `local`. */
static unsigned
fitness(const struct addr *listener, const struct addr *local)
{
	if (addr_same_host(listener, local))
		return 3;
	if (addr_is_v6(listener) != addr_is_v6(local))
		return 0;
	return addr_is_any(listener) ? 2 : 1;
}

static void
translate(const struct gateway *g, struct addr *a)
{
	uint16_t port = addr_port(a);

	if (!addr_is_set(&g->told_host) || !addr_same_host(a, &g->private_host))
		return;
	*a = g->told_host;
	addr_set_port(a, port);
}

bool
gateway_udp_address(const struct gateway *g, const struct addr *local, struct addr *out)
{
	unsigned best = 0;

	if (g->datagrams_n == 0)
		return false;
	*out = udp_addr(g->datagrams[0].udp);
	for (size_t i = 0; i < g->datagrams_n; i++) {
		struct addr listener = udp_addr(g->datagrams[i].udp);

		if (fitness(&listener, local) <= best)
			continue;
		best = fitness(&listener, local);
		*out = listener;
	}
	if (addr_is_any(out)) {
		uint16_t port = addr_port(out);

		*out = *local;
		addr_set_port(out, port);
	}
	if (!addr_is_set(out) || addr_is_any(out))
		return false;
	translate(g, out);
	return true;
}

bool
gateway_datagram_address(const struct gateway_agent *a, struct addr *out)
{
	return a->tunnel != NULL && a->datagrams && gateway_udp_address(a->gateway, &a->local, out);
}
