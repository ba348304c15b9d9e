/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_HRAC_UPLINK_ROUTE_H
#define VOFW_HRAC_UPLINK_ROUTE_H

#include <stdbool.h>

/*
 * A route is one way to an HRAS: the base of its URL, asked directly or through one proxy. Requests
 * are made over a route and leave in it what they learn. A session is independent of routes: its
 * streams may be opened over any that leads to the same HRAS.
 *
 * A route must outlive the requests made over it.
 */
#define UPLINK_ROUTE_PEER_MAX 64

struct uplink_route {
	char *base;            /* "http://host/prefix/": ends with a slash */
	char *proxy;           /* "http://host:port" or "https://host:port"; NULL = direct */
	bool tls;              /* base is https */
	const char *transport; /* "http", "https", "http via proxy", "https via proxy" */

	/* Learned. */
	char
	    peer[UPLINK_ROUTE_PEER_MAX]; /* "192.0.2.1:80" of the last connection; "-" = none yet */
};

/* Copies; `url` is an http or https URL, with or without a slash behind it. The caller owns it. */
struct uplink_route *uplink_route_new(const char *url, const char *proxy);
void uplink_route_free(struct uplink_route *r); /* NULL is fine */

#endif
