/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hrac/network.h"
#include "hrac/uplink/impl.h"
#include "log/log.h"

/* The uplink's datagrams: between its tunnel and its socket. */

static void
on_input(void *arg, uint8_t *data, size_t n, const struct addr *from)
{
	struct uplink *u = arg;

	if (u->tunnel == NULL)
		return;
	u->depth++;
	(void)tunnel_datagram_input(u->tunnel, data, n, from, clock_us());
	u->depth--;
}

static const struct uplink_udp_handlers handlers = { on_input, uplink_on_turn };

void
uplink_datagram_init(struct uplink *u, bool allowed)
{
	u->datagrams = allowed;
	u->udp = uplink_udp_new(u->base, &handlers, u);
}

void
uplink_datagram_out(void *uplink, const uint8_t *data, size_t n)
{
	struct uplink *u = uplink;

	uplink_udp_send(u->udp, data, n);
}

static bool
reached(const struct uplink_route *r, struct addr *out)
{
	return r->proxy == NULL && addr_parse(r->peer, 0, out) == 0;
}

/*
 * HRAS may sit behind a NAT and know only an address of its own network: then the one where its HTTP
 * was reached is the better one.
 */
void
uplink_offer_datagrams(struct uplink *u, const struct addr *address)
{
	struct addr there;
	char text[ADDR_STR_MAX];

	if (!u->datagrams || u->tunnel == NULL)
		return;
	snprintf(u->datagrams_name, sizeof(u->datagrams_name), "udp:%s", addr_str(address, text));
	u->depth++;
	uplink_udp_clear(u->udp);
	if (reached(u->way->route, &there)) {
		addr_set_port(&there, addr_port(address));
		uplink_udp_add(u->udp, &there);
	}
	uplink_udp_add(u->udp, address);
	if (tunnel_datagrams_start(u->tunnel, clock_us()) == 0)
		tunnel_datagrams_restart(u->tunnel, clock_us());
	u->more = true;
	u->depth--;
	uplink_on_turn(u);
}

/* What people are told when voice changes its way. */
static void
tell(struct uplink *u, const struct tunnel_datagrams *d)
{
	struct uplink_udp_facts udp;
	char to[ADDR_STR_MAX], mapped[ADDR_STR_MAX];

	if (d->good == u->datagrams_good)
		return;
	u->datagrams_good = d->good;
	uplink_udp_facts(u->udp, &udp);
	if (d->good)
		log_info("uplink", "voice goes by UDP to %s, where we are %s",
		    addr_str(&udp.remote, to), addr_str(&d->mapped, mapped));
	else
		log_info("uplink", "voice goes by %s again: UDP to %s %s", u->way->route->transport,
		    addr_str(&udp.remote, to), uplink_datagram_why(u));
}

void
uplink_datagram_run(struct uplink *u)
{
	struct tunnel_datagrams d;
	uint64_t now_us = clock_us();

	uplink_udp_run(u->udp, u->tunnel, now_us);
	if (u->tunnel != NULL && tunnel_datagrams(u->tunnel, now_us, &d))
		tell(u, &d);
	else
		u->datagrams_good = false;
}

/* They pass, and a new socket would have the same address. */
static bool
is_untouched(const struct uplink *u)
{
	struct uplink_udp_facts udp;
	struct tunnel_datagrams d;
	struct addr source;

	uplink_udp_facts(u->udp, &udp);
	return u->tunnel != NULL && tunnel_datagrams(u->tunnel, clock_us(), &d) && d.good &&
	    addr_is_set(&udp.local) && network_source(&udp.remote, &source) &&
	    addr_same_host(&udp.local, &source);
}

/*
 * An address whose lifetime is renewed is told like a new one, and much that changes is none of ours.
 * If it was, and our address is the same, datagrams fall silent, and a new socket follows by that.
 */
void
uplink_datagram_shaken(struct uplink *u, bool slept)
{
	if (!slept && is_untouched(u))
		return;
	uplink_udp_renew(u->udp);
	if (u->tunnel != NULL)
		tunnel_datagrams_restart(u->tunnel, clock_us());
}

const char *
uplink_datagram_why(const struct uplink *u)
{
	struct tunnel_datagrams d;

	if (u->tunnel == NULL || !tunnel_datagrams(u->tunnel, clock_us(), &d) || d.good)
		return NULL;
	if (strcmp(d.why, "loss") == 0 && d.known)
		return "lost too much";
	return d.known ? "fell silent" : "is not answered";
}

void
uplink_datagram_facts(const struct uplink *u, struct uplink_facts *out)
{
	struct uplink_udp_facts udp;
	const char *why = uplink_datagram_why(u);

	uplink_udp_facts(u->udp, &udp);
	out->datagrams_to = udp.remote;
	if (u->tunnel == NULL)
		return;
	(void)tunnel_datagrams(u->tunnel, clock_us(), &out->datagrams);
	if (why != NULL && out->refused_n < UPLINK_REFUSED_MAX)
		out->refused[out->refused_n++] =
		    (struct uplink_refused){ u->datagrams_name, why, 0 };
}
