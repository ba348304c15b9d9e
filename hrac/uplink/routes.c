/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"
#include "hrac/proxy/proxy.h"
#include "hrac/uplink/impl.h"

/*
 * Which ways there are: each URL directly, and by each proxy that tunnel.proxy gives for it now, which
 * may be none, and another one in another network. A way that is no longer given stays, marked absent,
 * as streams may still go by it.
 */
#define DIRECT 0 /* the rank of a proxy is its place in the list, from 1 */

struct uplink_question {
	struct uplink *uplink;
	size_t url;
	struct proxy_question *open; /* NULL: none is */
};

struct uplink_routes {
	char *urls[UPLINK_URLS_MAX];
	unsigned hras[UPLINK_URLS_MAX]; /* by host */
	size_t urls_n;
	struct proxy *proxy; /* NULL: proxies are not wanted */
	struct uplink_question questions[UPLINK_URLS_MAX];
};

/* In which order the ways stand: by HRAS, then by proxy, then by URL. */
static bool
comes_after(const struct uplink *u, size_t i, const struct uplink_way *w, unsigned hras)
{
	const struct uplink_way *other = u->ways[i];

	if (u->ladder.rung[i].hras != hras)
		return u->ladder.rung[i].hras > hras;
	return other->rank != w->rank ? other->rank > w->rank : other->url > w->url;
}

static void
add_way(struct uplink *u, size_t url, unsigned rank, const char *proxy)
{
	const struct uplink_routes *routes = u->routes;
	struct uplink_way *w = mem_zalloc(sizeof(*w));
	size_t at = 0;

	w->uplink = u;
	w->url = url;
	w->rank = rank;
	w->route = uplink_route_new(routes->urls[url], proxy);
	while (at < u->ladder.n && !comes_after(u, at, w, routes->hras[url]))
		at++;
	if (w->route == NULL || !ladder_insert(&u->ladder, at, routes->hras[url], clock_us())) {
		log_warn("uplink", "%s by %s is left out: it cannot be used, or there are too many",
		    routes->urls[url], proxy == NULL ? "no proxy" : proxy);
		uplink_route_free(w->route);
		mem_free(w);
		return;
	}
	memmove(&u->ways[at + 1], &u->ways[at], (u->ladder.n - 1 - at) * sizeof(u->ways[0]));
	u->ways[at] = w;
	for (size_t i = at; i < u->ladder.n; i++)
		u->ways[i]->number = i;
	u->climb_us = 0;
}

/* -- By proxy -- */

static struct uplink_way *
find_way(struct uplink *u, size_t url, const char *proxy)
{
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->url == url && u->ways[i]->route->proxy != NULL &&
		    strcmp(u->ways[i]->route->proxy, proxy) == 0)
			return u->ways[i];
	return NULL;
}

static void
set_absent(struct uplink *u, size_t i, bool absent)
{
	struct ladder_rung *r = &u->ladder.rung[i];

	if (r->absent == absent)
		return;
	r->absent = absent;
	uplink_climb_quiet(u->ways[i]);
	(void)ladder_again(&u->ladder, i, clock_us());
	u->climb_us = 0;
}

static void
on_proxies(void *arg, const struct proxy_ways *found)
{
	struct uplink_question *q = arg;
	struct uplink *u = q->uplink;
	struct uplink_way *w;

	q->open = NULL;
	uplink_enter(u);
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->url == q->url && u->ways[i]->rank != DIRECT)
			u->ways[i]->named = false;
	for (size_t k = 0; k < found->n; k++) {
		const struct proxy_way *p = &found->way[k];

		if (p->proxy == NULL)
			continue;
		uplink_http_proxy(u->http, p->proxy, p->user, p->password);
		if (find_way(u, q->url, p->proxy) == NULL)
			add_way(u, q->url, (unsigned)k + 1, p->proxy);
		w = find_way(u, q->url, p->proxy);
		if (w != NULL)
			w->named = true;
	}
	for (size_t i = 0; i < u->ladder.n; i++)
		if (u->ways[i]->url == q->url && u->ways[i]->rank != DIRECT)
			set_absent(u, i, !u->ways[i]->named);
	u->more = true;
	uplink_leave(u);
}

void
uplink_routes_find(struct uplink *u)
{
	struct uplink_routes *r = u->routes;

	for (size_t i = 0; i < r->urls_n && r->proxy != NULL; i++)
		if (r->questions[i].open == NULL)
			r->questions[i].open =
			    proxy_find(r->proxy, r->urls[i], on_proxies, &r->questions[i]);
}

void
uplink_routes_network_changed(struct uplink *u)
{
	if (u->routes->proxy != NULL)
		proxy_network_changed(u->routes->proxy);
	uplink_routes_find(u);
}

/* -- Begin and end -- */

static unsigned
hras_of(const struct uplink_routes *r, const char *url)
{
	unsigned most = 0;

	for (size_t i = 0; i < r->urls_n; i++) {
		if (uplink_route_same_host(r->urls[i], url))
			return r->hras[i];
		most = r->hras[i] + 1 > most ? r->hras[i] + 1 : most;
	}
	return most;
}

static int
want_proxies(struct uplink *u, const struct uplink_config *config)
{
	const struct proxy_config proxy = { .option = config->proxy,
		.user = config->proxy_user,
		.password = config->proxy_password,
		.ca = config->ca };

	if (config->transport == CONFIG_BY_STREAM || config->transport == CONFIG_BY_UDP)
		return 0;
	return proxy_new(u->base, &proxy, &u->routes->proxy);
}

int
uplink_routes_new(struct uplink *u, const struct uplink_config *config)
{
	struct uplink_routes *r = u->routes = mem_zalloc(sizeof(*r));

	for (size_t i = 0; config->urls[i] != NULL; i++) {
		r->hras[i] = hras_of(r, config->urls[i]);
		r->urls[i] = mem_strdup(config->urls[i]);
		r->questions[i] = (struct uplink_question){ .uplink = u, .url = i };
		r->urls_n++;
		add_way(u, i, DIRECT, NULL);
	}
	if (u->ladder.n < r->urls_n)
		return ERR_MALFORMED;
	/* What is in use is never nothing, but is not asked. */
	for (size_t i = 0; i < u->ladder.n; i++)
		u->ladder.rung[i].absent = config->transport == CONFIG_BY_PROXY;
	u->way = u->ways[0];
	return want_proxies(u, config);
}

void
uplink_routes_free(struct uplink *u)
{
	for (size_t i = 0; i < u->ladder.n; i++) {
		uplink_climb_quiet(u->ways[i]);
		uplink_route_free(u->ways[i]->route);
		mem_free(u->ways[i]);
	}
	if (u->routes == NULL)
		return;
	proxy_finder_free(u->routes->proxy);
	for (size_t i = 0; i < u->routes->urls_n; i++)
		mem_free(u->routes->urls[i]);
	mem_free(u->routes);
}
