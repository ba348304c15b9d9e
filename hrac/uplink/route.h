/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_ROUTE_H
#define VOFW_HRAC_UPLINK_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/*
 * A route is one way to an HRAS: the base of its URL, asked directly or through one proxy. Requests
 * are made over a route and leave in it what they learn. A session is independent of routes: its
 * streams may be opened over any that leads to the same HRAS.
 *
 * A route must outlive the requests made over it.
 */
#define UPLINK_ROUTE_PEER_MAX 64
#define UPLINK_ROUTE_WHY_MAX 256

struct uplink_route {
	char *base;            /* "http://host/prefix/": ends with a slash */
	char *proxy;           /* "http://host:port" or "https://host:port"; NULL = direct */
	char *name;            /* for people: the base, and " via " the proxy */
	bool tls;              /* base is https */
	const char *transport; /* "http", "https", "http via proxy", "https via proxy" */
	char *host;            /* what is connected to, of HRAS or of the proxy */
	uint16_t port;
	bool literal; /* `host` is an address and needs no name server */

	/* Learned. */
	struct addr address; /* of `host`, where it answered last; not set = ask for the name */
	/* "192.0.2.1:80" of the last connection made (the proxy's, by one); "-" = none yet. */
	char peer[UPLINK_ROUTE_PEER_MAX];
	bool held[2];     /* by enum tunnel_dir: bodies are held back on the way */
	uint64_t session; /* the last whose stream lived on it: it leads to that HRAS; 0 = none */
	char why[UPLINK_ROUTE_WHY_MAX]; /* it failed last; "" = it works, or was never asked */
	uint64_t why_wall_s;
};

/* Copies; `url` is an http or https URL, with or without a slash behind it. The caller owns it.
 * NULL when libcurl cannot make sense of the URL or of the proxy. */
struct uplink_route *uplink_route_new(const char *url, const char *proxy);
void uplink_route_free(struct uplink_route *r); /* NULL is fine */

bool uplink_route_same_host(const char *url, const char *other_url);

/* It failed for this reason, which may quote what a stranger sent: made printable. */
void uplink_route_failed(struct uplink_route *r, const char *why, uint64_t wall_s);

#endif
