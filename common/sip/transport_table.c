/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/mem.h"
#include "sip/transport_impl.h"

/* The 16 bytes of an address, IPv4 ones mapped. */
static void
host_key(const struct addr *a, uint8_t key[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (addr_is_v6(a)) {
		memcpy(key, &a->u.in6.sin6_addr, 16);
		return;
	}
	memcpy(key, mapped, 12);
	memcpy(key + 12, &a->u.in4.sin_addr, 4);
}

static struct peer_key
make_peer_key(const struct addr *a)
{
	struct peer_key key;

	host_key(a, key.host);
	key.port = addr_port(a);
	return key;
}

static struct host *
find_host(struct sip_transport *t, const struct addr *peer)
{
	uint8_t key[16];
	struct host *h;

	host_key(peer, key);
	HASH_FIND(hh, t->hosts, key, sizeof(key), h);
	return h;
}

struct conn *
transport_conn_find(struct sip_transport *t, uint64_t number)
{
	struct conn *c;

	HASH_FIND(hh_number, t->by_number, &number, sizeof(number), c);
	return c;
}

struct conn *
transport_conn_find_peer(struct sip_transport *t, const struct addr *peer)
{
	struct peer_key key = make_peer_key(peer);
	struct conn *c;

	HASH_FIND(hh_peer, t->by_peer, &key, sizeof(key), c);
	return c;
}

bool
transport_conn_fits(struct sip_transport *t, const struct addr *peer)
{
	const struct host *h = find_host(t, peer);

	return t->n.sip_conns < TRANSPORT_CONNS_MAX &&
	    (h == NULL || h->conns_n < TRANSPORT_CONNS_PER_HOST_MAX);
}

void
transport_conn_add(struct sip_transport *t, struct conn *c)
{
	c->flow.conn = ++t->last_conn;
	HASH_ADD(hh_number, t->by_number, flow.conn, sizeof(c->flow.conn), c);
	/* Of two connections with the same peer, on two listeners, one is enough to be found. */
	if (transport_conn_find_peer(t, &c->flow.peer) == NULL) {
		c->peer_key = make_peer_key(&c->flow.peer);
		HASH_ADD(hh_peer, t->by_peer, peer_key, sizeof(c->peer_key), c);
		c->in_by_peer = true;
	}
	c->host = find_host(t, &c->flow.peer);
	if (c->host == NULL) {
		c->host = mem_zalloc(sizeof(*c->host));
		host_key(&c->flow.peer, c->host->key);
		HASH_ADD(hh, t->hosts, key, sizeof(c->host->key), c->host);
	}
	c->host->conns_n++;
	t->n.sip_conns++;
}

void
transport_conn_del(struct conn *c)
{
	struct sip_transport *t = c->t;

	HASH_DELETE(hh_number, t->by_number, c);
	if (c->in_by_peer)
		HASH_DELETE(hh_peer, t->by_peer, c);
	if (--c->host->conns_n == 0) {
		HASH_DELETE(hh, t->hosts, c->host);
		mem_free(c->host);
	}
	c->host = NULL;
	t->n.sip_conns--;
}
